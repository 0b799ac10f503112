"""An order for one session of a market, in its owner's name."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import ConfigDict, Field

from consortium.energy.contracts.terms import GridTerms, MarketTerms
from consortium.energy.metering import to_ms
from consortium.energy.orders import order_sections, reserve_amount
from consortium.energy.payloads import market as payloads
from consortium.energy.payloads.base import MAX_AMOUNT, Currency, Name, PartyText, Price, Wh
from consortium.energy.submissions.base import Moment, Submitted, market_of, require_not_suspended
from consortium.errors import InvalidRequest
from consortium.model.names import Party
from consortium.model.records import DraftSection

if TYPE_CHECKING:
    from consortium.energy.catalogue import Directory


class Order(Submitted):
    """A bid or an ask. Its price is for the energy alone; the buyer pays the grid's fee on top of it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "market": "local",
                    "start": "2017-06-15T10:00:00-08:00",
                    "side": "bid",
                    "wh": 500,
                    "price_micro_per_wh": 140,
                    "currency": "USD",
                    "owner": "home-01@suncoop",
                }
            ]
        }
    )
    ACTOR: ClassVar[str] = "owner"

    market: Name = Field(description="The market's name, of lower-case letters, digits and hyphens.")
    start: Moment = Field(description="Start of the session, RFC 3339 with its offset.")
    side: payloads.Side = Field(description="bid to buy, ask to sell.")
    wh: Annotated[Wh, Field(gt=0)] = Field(description="Energy in whole Wh, more than 0.")
    price_micro_per_wh: Price = Field(
        description="The limit for the energy alone, in whole micro-units of the currency per Wh."
    )
    currency: Currency = Field(description="ISO 4217 code, the market's.")
    owner: PartyText = Field(description="Who orders, as user@member, or a member.")

    @property
    def actor(self) -> str:
        """The owner."""
        return self.owner

    @cached_property
    def start_ms(self) -> int:
        """Start of the session, UTC milliseconds."""
        return to_ms(self.start)

    def check(self, now_ms: int) -> None:
        """Nothing: every rule of an order is its market's."""

    def admit(self, directory: Directory) -> None:
        """May it be ordered at this moment: open, not suspended, with the money there. Raises `InvalidRequest`."""
        order, terms = self._placed(directory)
        _require_open(directory, terms, self.market, self.start_ms)
        require_not_suspended(directory, terms, self.owner, self.start_ms, "data.owner")
        free = directory.available(self.owner) if self.side == "bid" else None
        if free is not None and free < reserve_amount(order, terms):
            hint = "pay in, lower the limit or the quantity, or wait until earlier bids have cleared"
            raise InvalidRequest("the account does not hold what it may cost with fees", field="data.wh", hint=hint)

    def sections(self, directory: Directory) -> tuple[DraftSection, ...]:
        """The order for the operators, and what a bid may cost for the settlement agent. Raises `InvalidRequest`."""
        return order_sections(*self._placed(directory))

    def _placed(self, directory: Directory) -> tuple[payloads.Order, MarketTerms]:
        """The order at its owner's grid point, and the market's rules, which it keeps. Raises `InvalidRequest`."""
        terms = market_of(directory, self.market, self.start_ms, Party.parse(self.owner))
        self._require_rules(terms)
        grid = directory.in_force("grid", self.owner, self.start_ms)
        if grid is None or grid.frame.point is None or grid.frame.area is None:
            hint = "a grid contract that both sides signed names the point where the energy flows"
            raise InvalidRequest("the owner has no grid contract in force then", field="data.owner", hint=hint)
        named = grid.terms.operators if isinstance(grid.terms, GridTerms) else ()
        if not set(terms.operators) <= set(named):
            hint = "an amended grid contract that names them under operators lets them see whose point it is"
            raise InvalidRequest("the market's operators are not told the owner's point", field="data.owner", hint=hint)
        order = payloads.Order(
            start_ms=self.start_ms,
            market=self.market,
            session_s=terms.session_s,
            side=self.side,
            owner=self.owner,
            point=grid.frame.point,
            area=grid.frame.area,
            wh=self.wh,
            price=self.price_micro_per_wh,
            currency=self.currency,
        )
        if max(reserve_amount(order, terms), self.wh * abs(order.price)) >= MAX_AMOUNT:
            raise InvalidRequest("no account holds what that comes to", field="data.wh", hint="energy is given in Wh")
        return order, terms

    def _require_rules(self, terms: MarketTerms) -> None:
        if self.start_ms % (terms.session_s * 1000):
            hint = f"its sessions are of {terms.session_s // 60} minutes, each from a multiple of that in UTC"
            raise InvalidRequest("no session of the market starts then", field="data.start", hint=hint)
        if self.currency != terms.currency:
            hint = f"the market trades in {terms.currency}"
            raise InvalidRequest("the market trades in another currency", field="data.currency", hint=hint)
        if not terms.price_min <= self.price_micro_per_wh <= terms.price_max:
            hint = f"{terms.price_min} to {terms.price_max} micro-units per Wh"
            raise InvalidRequest(
                "the price is outside of the market's bounds", field="data.price_micro_per_wh", hint=hint
            )
        if self.wh < terms.min_wh:
            hint = f"the market's smallest order is of {terms.min_wh} Wh"
            raise InvalidRequest("the market takes no orders as small", field="data.wh", hint=hint)


def _require_open(directory: Directory, terms: MarketTerms, name: str, start_ms: int) -> None:
    """The gate's record closes the session, and its time does so where the record is late. The ledger's time is 0
    where days of the past are traded anew: there the record alone counts.
    """
    now = directory.now_ms
    gone = now > 0 and now >= start_ms - terms.gate_s * 1000
    if gone or directory.gate_closed(name, start_ms):
        hint = f"orders are taken until {terms.gate_s} s before the session starts; take a later one"
        raise InvalidRequest("the session's gate is closed", field="data.start", hint=hint)
    if 0 < now < start_ms - terms.opens_s * 1000:
        hint = f"orders are taken from {terms.opens_s} s before the session starts"
        raise InvalidRequest("the session is not open for orders yet", field="data.start", hint=hint)
