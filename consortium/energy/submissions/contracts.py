"""A contract as one of its sides proposes it, and who reads which part of it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ConfigDict, Field

from consortium.energy.contracts.checks import MANY, check_contract
from consortium.energy.contracts.contract import Contract
from consortium.energy.contracts.quantities import quantities
from consortium.energy.contracts.terms import MODELS, GridTerms, MandateTerms, MarketTerms, Terms, dump
from consortium.energy.metering import to_ms
from consortium.energy.payloads import contracts as payloads
from consortium.energy.payloads.base import Currency, Name, PartyText, Price
from consortium.energy.submissions.base import IdText, Moment, Submitted, no_such_contract, parties, validate
from consortium.errors import InvalidRequest
from consortium.model.names import Party
from consortium.model.records import DraftSection

if TYPE_CHECKING:
    from consortium.energy.catalogue import Directory

_AT = {"frame.start_ms": "from", "frame.end_ms": "to", "frame.grid_fee": "grid_fee_micro_per_wh"}
_AT["frame.notice_days"] = "terms.notice_days"
HINT = "see the kinds of contracts in the API's description"


class ContractProposal(Submitted):
    """A contract as one side proposes it; the other one countersigns it by a step."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "kind": "supply",
                    "from": "2017-06-01T00:00:00-08:00",
                    "to": "2018-06-01T00:00:00-08:00",
                    "provider": "cityretail",
                    "customer": "home-01@suncoop",
                    "proposer": "cityretail",
                    "point": "point-01",
                    "area": "north",
                    "grid_fee_micro_per_wh": 80,
                    "currency": "USD",
                    "terms": {"tariff": {"type": "fixed", "price": 240}, "feed_in": 50, "notice_days": 14},
                }
            ]
        }
    )
    ACTOR: ClassVar[str] = "proposer"

    kind: payloads.Kind = Field(description="What it is about: " + ", ".join(MODELS) + ".")
    from_: Moment = Field(alias="from", description="First moment of its term, RFC 3339 with its offset.")
    to: Moment | None = Field(None, description="First moment after its term; without it the contract is open.")
    provider: PartyText = Field(description="Who serves, as member or user@member.")
    customer: PartyText = Field(description="Who is served, as member or user@member.")
    proposer: PartyText = Field(description="The side that proposes: provider or customer.")
    point: Name | None = Field(None, description="The grid point, where it is about one: lower case, digits, hyphens.")
    area: Name | None = Field(None, description="The point's grid area: lower case, digits, hyphens.")
    grid_fee_micro_per_wh: Price = Field(
        0, description="What the provider hands on to the grid operator, in whole micro-units per Wh delivered."
    )
    amends: IdText | None = Field(None, description="The contract that this one replaces, 32 lowercase hex digits.")
    currency: Currency = Field(description="ISO 4217 code.")
    terms: dict[str, Any] = Field(description="What is agreed on, by the kind's own fields.")

    @property
    def actor(self) -> str:
        """The side that proposes."""
        return self.proposer

    @cached_property
    def start_ms(self) -> int:
        """First moment of its term, UTC milliseconds."""
        return to_ms(self.from_)

    def check(self, now_ms: int) -> None:
        """The rules of its terms and dates. Raises `InvalidRequest`."""
        alone = self._frame().model_copy(update={"amends": None})  # what it amends is for `admit` to find
        _checked(alone, self._terms, self.currency)

    def admit(self, directory: Directory) -> None:
        """The rules that need others' contracts, as far as the proposer may know them. Raises `InvalidRequest`."""
        terms = self._terms
        known = [c for c in self._others(directory, terms) if _may_know(self.proposer, c)]
        if self.amends is not None and not any(c.id.hex() == self.amends for c in known):
            raise no_such_contract()
        operators = [str(party) for party in directory.grid_operators]
        market = directory.market(terms.market, self.start_ms) if isinstance(terms, MandateTerms) else None
        _checked(self._frame(), terms, self.currency, known=known, grid_operators=operators, market=market)

    def sections(self, directory: Directory) -> tuple[DraftSection, ...]:
        """The frame for the sides and the grid, the terms for the sides; see `payloads.contracts`."""
        frame, terms = self._frame(), self._terms
        agreed = payloads.ContractTerms(start_ms=self.start_ms, currency=self.currency, terms=dump(terms))
        return (
            frame.section(frame_readers(frame, terms, directory)),
            agreed.section(terms_readers(frame, terms)),
        )

    @cached_property
    def _terms(self) -> Terms:
        return validate(MODELS[self.kind], self.terms, "data.terms")

    def _frame(self) -> payloads.ContractFrame:
        return payloads.ContractFrame(
            start_ms=self.start_ms,
            kind=self.kind,
            end_ms=0 if self.to is None else to_ms(self.to),
            provider=self.provider,
            customer=self.customer,
            proposer=self.proposer,
            point=self.point,
            area=self.area,
            grid_fee=self.grid_fee_micro_per_wh,
            amends=None if self.amends is None else bytes.fromhex(self.amends),
            notice_days=getattr(self._terms, "notice_days", 0),
            **quantities(self._terms),
        )

    def _others(self, directory: Directory, terms: Terms) -> Iterable[Contract]:
        """Contracts of the same kind and customer; of a market all of its operators'."""
        customers = terms.operators if isinstance(terms, MarketTerms) else (self.customer,)
        found = {c.id: c for customer in customers for c in directory.contracts_of(self.kind, customer)}
        return found.values()


def _may_know(proposer: str, contract: Contract) -> bool:
    """Whether a refusal may tell the proposer of it: a side of it, or a member of the market that it rules."""
    terms = contract.terms
    in_market = isinstance(terms, MarketTerms) and Party.parse(proposer).member in terms.members
    return proposer in contract.sides or in_market


def _checked(frame: payloads.ContractFrame, terms: Terms, currency: str, **known: Any) -> None:
    """`check_contract`, its fields in the words of a submission."""
    try:
        check_contract(frame, terms, currency, **known)
    except InvalidRequest as error:
        field = _AT.get(error.field, error.field.removeprefix("frame."))
        raise InvalidRequest(str(error), field=f"data.{field}", hint=error.hint or HINT) from None


def terms_readers(frame: payloads.ContractFrame, terms: Terms | None) -> tuple[Party, ...]:
    """Who reads the terms: both sides; of a mandate the operators; of a market all of its members."""
    more: tuple[str, ...] = ()
    if isinstance(terms, MarketTerms):
        more = (*terms.operators, *terms.members)
    elif isinstance(terms, MandateTerms):
        more = terms.operators
    return tuple(dict.fromkeys(parties((frame.provider, frame.customer, *more))))


def frame_readers(frame: payloads.ContractFrame, terms: Terms | None, directory: Directory) -> tuple[Party, ...]:
    """Who reads the frame and the steps: who reads the terms, and the grid operators where there is a point, or energy
    that they have to work out; of a grid contract also the market operators that it names.
    """
    grid = directory.grid_operators if frame.point is not None or frame.kind in MANY else ()
    operators = parties(terms.operators) if isinstance(terms, GridTerms) else ()
    return tuple(dict.fromkeys((*terms_readers(frame, terms), *grid, *operators)))
