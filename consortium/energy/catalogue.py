"""The record types that can be submitted, and how each becomes sections with their readers."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from consortium.energy.contracts.lifecycle import Contract
from consortium.energy.contracts.terms import MarketTerms
from consortium.energy.metering import READING, Reading
from consortium.energy.submissions.base import validate
from consortium.energy.submissions.calls import FlexibilityCall
from consortium.energy.submissions.complaints import OrderComplaint
from consortium.energy.submissions.contracts import ContractProposal
from consortium.energy.submissions.deposits import MoneyIn
from consortium.energy.submissions.orders import Order
from consortium.energy.submissions.prices import PriceSeries
from consortium.energy.submissions.steps import ContractStepTaken
from consortium.errors import InvalidRequest
from consortium.model.names import Party
from consortium.model.records import DraftSection


class Directory(Protocol):
    """What a node knows when it seals: who has to read a record."""

    @property
    def grid_operators(self) -> tuple[Party, ...]:
        """The members with that role."""
        ...

    @property
    def compliance(self) -> tuple[Party, ...]:
        """The members with that role."""
        ...

    @property
    def now_ms(self) -> int:
        """The ledger's time, UTC ms."""
        ...

    def market(self, name: str, at_ms: int) -> MarketTerms | None:
        """The rules of a market that are in force at a time."""
        ...

    def contract(self, contract_id: bytes) -> Contract | None:
        """A contract that this node may know."""
        ...

    def in_force(self, kind: str, customer: str, at_ms: int) -> Contract | None:
        """The customer's contract of that kind in force at a time, as far as this node may know."""
        ...

    def contracts_of(self, kind: str, customer: str) -> tuple[Contract, ...]:
        """All contracts of that kind and customer, ended ones too."""
        ...

    def available(self, account: str) -> int | None:
        """What an account can still spend, micro-units; None if this node does not know the account."""
        ...

    def gate_closed(self, market: str, start_ms: int) -> bool:
        """Whether a session takes no more orders."""
        ...


class Content(Protocol):
    """A typed submission."""

    ACTOR: ClassVar[str]
    """The field that names the actor."""

    @property
    def actor(self) -> str:
        """The party in whose name it is written: a user of this member, or the member."""
        ...

    @property
    def start_ms(self) -> int:
        """Start of the period that it is about, UTC ms."""
        ...

    def check(self, now_ms: int) -> None:
        """The rules that one field alone cannot show. Raises `InvalidRequest`."""
        ...

    def admit(self, directory: Directory) -> None:
        """The rules that hold at one moment and not at another: what was taken once is not asked again.

        Raises `InvalidRequest`, `NotFound`, `Forbidden`.
        """
        ...

    def sections(self, directory: Directory) -> tuple[DraftSection, ...]:
        """The sections with their readers; the other rules that need others' records. Raises as `admit`."""
        ...


TYPES: dict[str, Any] = {
    READING: Reading,
    "order": Order,
    "contract": ContractProposal,
    "contract-step": ContractStepTaken,
    "prices": PriceSeries,
    "deposit": MoneyIn,
    "call": FlexibilityCall,
    "complaint": OrderComplaint,
}


def require_type(type: str) -> None:
    """Raises `InvalidRequest` for a type that nobody can submit."""
    if type not in TYPES:
        raise InvalidRequest("unknown record type", field="type", hint="known types: " + ", ".join(sorted(TYPES)))


def parse(type: str, data: Any) -> Content:
    """The typed content of a submission. Raises `InvalidRequest`, never repeating what was sent."""
    require_type(type)
    content: Content = validate(TYPES[type], data, "data")
    return content
