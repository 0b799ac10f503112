"""What the sides of a contract agree on, a frozen model per kind: the inside of `payloads.contracts.ContractTerms`.

Prices and fees are integer micro-units of the currency per Wh, amounts micro-units, energy Wh, shares percent. Rules
that need more than one field stand in `checks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from consortium.energy.contracts.tariffs import (
    AreaFee,
    AsTuple,
    Days,
    Energy,
    Seconds,
    SessionS,
    Share,
    Tariff,
    TermsModel,
    Zone,
)
from consortium.energy.payloads.base import Amount, Currency, Name, PartyText, Price, Wh
from consortium.energy.payloads.money import AccountName
from consortium.errors import InvalidRequest


class SupplyTerms(TermsModel):
    """The provider sells what is missing at the tariff and buys what is left at `feed_in`."""

    kind: Literal["supply"] = "supply"
    tariff: Tariff
    feed_in: Price
    notice_days: Days = 0


class GridTerms(TermsModel):
    """Use of the grid: `local_fee` on local trades, paid by the buyer, with `area_fees` on top if the seller's area is
    another; `grid_fee` inside the retail tariff, handed on by the supplier. `operators` are told the point and its
    area, no fee: so they can refuse an order at a point that is not its owner's.
    """

    kind: Literal["grid"] = "grid"
    local_fee: Price
    grid_fee: Price
    area_fees: dict[Name, Price] = Field(default_factory=dict, description="By the seller's area.")
    operators: Annotated[tuple[PartyText, ...], AsTuple, Field(max_length=32)] = ()
    notice_days: Days = 0


GainShare = Annotated[int, Field(ge=0, le=1000, description="Percent; above 100 is more than trade can gain.")]


class MandateTerms(TermsModel):
    """How the provider orders for the customer by itself: shares of the gain set the limit prices, within bounds."""

    kind: Literal["mandate"] = "mandate"
    market: Name
    bid_share_percent: GainShare
    ask_share_percent: GainShare
    max_wh: Energy
    price_min: Price
    price_max: Price
    operators: Annotated[tuple[PartyText, ...], AsTuple, Field(min_length=1, max_length=32)]


class WalletTerms(TermsModel):
    """An account kept by the provider; its balance less reservations never falls below minus `credit_limit`."""

    kind: Literal["wallet"] = "wallet"
    account: AccountName
    credit_limit: Annotated[Amount, Field(ge=0)] = 0


class BalanceTerms(TermsModel):
    """The provider balances the customer's deviation at the price of `series`, through the outside `account`."""

    kind: Literal["balance"] = "balance"
    series: Name
    account: AccountName


class MarketTerms(TermsModel):
    """The rules of a market. `operators` are members, the first one leads; a result needs `agree` of them equal.

    `opens_s` and `gate_s` are seconds before a session's start; a continuous market closes a round every `round_s`.
    `area_fees` are (from, to, fee), from the seller's area to the buyer's, on top of `local_fee`. Totals are shown for
    `group_k` or more homes of which none has more than `group_share_percent`.
    """

    kind: Literal["market"] = "market"
    name: Name
    zone: Zone
    currency: Currency
    mechanism: Literal["uniform", "pay-as-bid", "continuous"] = "uniform"
    session_s: SessionS = 3600
    opens_s: Seconds = 86_400
    gate_s: Seconds = 0
    round_s: Seconds = 0
    min_wh: Energy = 1
    price_min: Price
    price_max: Price
    operators: Annotated[tuple[Name, ...], AsTuple, Field(min_length=1, max_length=32)]
    agree: Annotated[int, Field(ge=1, le=32)]
    settlement_agent: Name
    grid_operator: Name
    members: Annotated[tuple[Name, ...], AsTuple, Field(min_length=1, max_length=1000)]
    local_fee: Price = 0
    area_fees: Annotated[tuple[AreaFee, ...], AsTuple, Field(max_length=1000)] = ()
    group_k: Annotated[int, Field(ge=1, le=10_000)] = 15
    group_share_percent: Share = 15

    @property
    def lead(self) -> str:
        """The member that closes gates and writes trades."""
        return self.operators[0]

    def fee(self, seller_area: str, buyer_area: str) -> int:
        """What the buyer pays for the grid, micro-units per Wh."""
        extra = (fee for start, end, fee in self.area_fees if (start, end) == (seller_area, buyer_area))
        return self.local_fee + next(extra, 0)


class PpaTerms(TermsModel):
    """The provider sells `profile[n]` Wh in the nth interval of every local day, at one price."""

    kind: Literal["ppa"] = "ppa"
    price: Price
    profile: Annotated[tuple[Wh, ...], AsTuple, Field(min_length=24, max_length=96)]
    zone: Zone
    interval_s: SessionS = 3600
    notice_days: Days = 0


class P2pTerms(TermsModel):
    """The provider's surplus goes to the customer's demand first, up to `max_wh` an interval, at one price."""

    kind: Literal["p2p"] = "p2p"
    price: Price
    max_wh: Energy
    interval_s: SessionS = 3600
    notice_days: Days = 0


class FlexibilityTerms(TermsModel):
    """The customer may call on the provider to use up to `max_wh` less in an interval, at most `max_calls` times."""

    kind: Literal["flexibility"] = "flexibility"
    price: Price
    max_wh: Energy
    max_calls: Annotated[int, Field(ge=1, le=100_000)]
    notice_days: Days = 0


Terms = (
    SupplyTerms
    | GridTerms
    | MandateTerms
    | WalletTerms
    | BalanceTerms
    | MarketTerms
    | PpaTerms
    | P2pTerms
    | FlexibilityTerms
)
MODELS: dict[str, type[Terms]] = {
    "supply": SupplyTerms,
    "grid": GridTerms,
    "mandate": MandateTerms,
    "wallet": WalletTerms,
    "balance": BalanceTerms,
    "market": MarketTerms,
    "ppa": PpaTerms,
    "p2p": P2pTerms,
    "flexibility": FlexibilityTerms,
}


def parse_terms(kind: str, terms: Mapping[str, Any]) -> Terms:
    """The typed terms of a contract of this kind; `terms` need not repeat it. Raises `InvalidRequest` with field."""
    model = MODELS.get(kind)
    if model is None:
        raise InvalidRequest(f"unknown kind of contract; known: {', '.join(MODELS)}", field="kind")
    try:
        return model.model_validate(terms)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        # The name of an unknown field, or of an area, is the caller's text, and is not repeated.
        unknown = first["type"] == "extra_forbidden"
        loc = first["loc"][:-1] if unknown else first["loc"][:1] if first["loc"][0] == "area_fees" else first["loc"]
        message = "unknown field" if unknown else first["msg"].removeprefix("Value error, ")
        raise InvalidRequest(message, field=".".join(("terms", *map(str, loc)))) from None


def dump(terms: Terms) -> dict[str, Any]:
    """Plain values for `ContractTerms.terms` and the API; `parse_terms` reads them back with the frame's kind."""
    return terms.model_dump(by_alias=True, exclude={"kind"})
