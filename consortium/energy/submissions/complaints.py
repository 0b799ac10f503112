"""A complaint of an order that was left out of the book."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import ConfigDict, Field

from consortium.energy.metering import to_ms
from consortium.energy.payloads import market
from consortium.energy.payloads.base import Name, PartyText, Text
from consortium.energy.submissions.base import (
    IdText,
    Moment,
    Submitted,
    market_of,
    parties,
)
from consortium.errors import InvalidRequest
from consortium.model.names import Party
from consortium.model.records import DraftSection

if TYPE_CHECKING:
    from consortium.energy.catalogue import Directory

_ID = "0123456789abcdef0123456789abcdef"
Index = Annotated[int, Field(ge=0, lt=1 << 63)]


class OrderComplaint(Submitted):
    """An order that was ordered before the gate and is not in the book."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "market": "local",
                    "start": "2017-06-15T10:00:00-08:00",
                    "owner": "home-01@suncoop",
                    "order": _ID,
                    "gate": "fedcba9876543210fedcba9876543210",
                    "order_index": 340,
                    "gate_index": 377,
                    "why": "no result names it",
                }
            ]
        }
    )
    ACTOR: ClassVar[str] = "owner"

    market: Name = Field(description="The market's name.")
    start: Moment = Field(description="Start of the session, RFC 3339 with its offset.")
    owner: PartyText = Field(description="Whose order it is, as user@member, or a member.")
    order: IdText = Field(description="The order's id, 32 lowercase hex digits.")
    gate: IdText = Field(description="The id of the gate's record, 32 lowercase hex digits.")
    order_index: Index = Field(description="Where the order stands in the ledger's tree.")
    gate_index: Index = Field(description="Where the gate stands in the ledger's tree, after the order.")
    why: Text = Field(description="What is wrong, in at most 500 characters.")

    @property
    def actor(self) -> str:
        """Whose order it is."""
        return self.owner

    @cached_property
    def start_ms(self) -> int:
        """Start of the session, UTC milliseconds."""
        return to_ms(self.start)

    def check(self, now_ms: int) -> None:
        """Only an order before the gate had to be counted. Raises `InvalidRequest`."""
        if self.order_index >= self.gate_index:
            hint = "an order after the gate is late, and not counted"
            raise InvalidRequest("the order does not stand before the gate", field="data.order_index", hint=hint)

    def admit(self, directory: Directory) -> None:
        """Nothing that could change between two tries."""

    def sections(self, directory: Directory) -> tuple[DraftSection, ...]:
        """The complaint, for the owner, its member, the operators and compliance. Raises `InvalidRequest`."""
        owner = Party.parse(self.owner)
        terms = market_of(directory, self.market, self.start_ms, owner)
        complaint = market.Complaint(
            start_ms=self.start_ms,
            market=self.market,
            owner=self.owner,
            order=bytes.fromhex(self.order),
            gate=bytes.fromhex(self.gate),
            order_index=self.order_index,
            gate_index=self.gate_index,
            why=self.why,
        )
        readers = (owner, Party(owner.member), *parties(terms.operators), *directory.compliance)
        return (complaint.section(readers),)
