"""The sections of delivery, settlement and certificates of origin."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from consortium.energy.payloads.base import (
    AccountText,
    Amount,
    Currency,
    Group,
    IntervalS,
    Part,
    PartyText,
    Price,
    RecordId,
    Text,
    Wh,
)

Version = Annotated[int, Field(ge=1, description="1, then one more for each correction.")]
Event = Literal["issued", "transferred", "cancelled", "withdrawn"]
Use = Literal["self", "local", "retail"]


class Delivery(Part):
    """What a supplier delivered to a home, or took from it, in one interval: the home's metered net less what it
    traded. By the grid operator. Readers: home, supplier, the grid operators.
    """

    TYPE: ClassVar[str] = "delivery"
    PART: ClassVar[str] = "physical"
    GROUP: ClassVar[Group] = "physical"
    interval_s: IntervalS
    subject: PartyText
    contract: RecordId
    version: Version
    bought_wh: Wh
    sold_back_wh: Wh


class Agreed(Part):
    """What a bilateral contract (PPA, standing agreement) moved from provider to customer in one of its intervals, or
    how much of a call of flexibility was met. By the grid operator. Readers: both sides, the grid operators.

    `fee` is what the customer owes for the use of the local grid.
    """

    TYPE: ClassVar[str] = "agreed"
    PART: ClassVar[str] = "physical"
    GROUP: ClassVar[Group] = "physical"
    interval_s: IntervalS
    contract: RecordId
    version: Version
    wh: Wh
    fee: Amount


class StatementPhysical(Part):
    """One side's computation of what a contract comes to in one interval. Readers: both sides, the grid operators.

    `by` is the side that computed. `wh_out` goes from provider to customer, `wh_in` the other way; `grid_fee` is what
    the provider hands on to the grid operator, `local_fee` what the customer pays it itself, on top of the amount.
    """

    TYPE: ClassVar[str] = "statement"
    PART: ClassVar[str] = "physical"
    GROUP: ClassVar[Group] = "physical"
    interval_s: IntervalS
    contract: RecordId
    by: PartyText
    version: Version
    wh_out: Wh
    wh_in: Wh
    grid_fee: Amount
    local_fee: Amount = 0


class Line(BaseModel):
    """One line of a bill: energy times price is the amount, by a clause of the contract."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    clause: Annotated[str, Field(max_length=64)]
    wh: int
    price: Price
    amount: Amount


Lines = Annotated[tuple[Line, ...], Field(max_length=100)]
"""So few that two sides' lines fit into one record: a dispute repeats both."""


class StatementTerms(Part):
    """The same with prices. Readers: the two sides. Amounts are what the customer pays the provider."""

    TYPE: ClassVar[str] = "statement"
    PART: ClassVar[str] = "terms"
    GROUP: ClassVar[Group] = "terms"
    contract: RecordId
    by: PartyText
    version: Version
    lines: Lines
    amount: Amount
    currency: Currency
    causes: Annotated[tuple[RecordId, ...], Field(max_length=1000)] = ()


class StatementMoney(Part):
    """What has to move if the other side computed the same. Readers: the two sides, the settlement agent.

    `amount` goes from account `customer` to account `provider`, `grid_fee` from `provider` to `grid`, `local_fee` from
    `customer` to `grid`; a negative amount goes the other way. `clause` is what `amount` is owed by; '' leaves it to
    the contract's kind.
    """

    TYPE: ClassVar[str] = "statement"
    PART: ClassVar[str] = "money"
    GROUP: ClassVar[Group] = "money"
    contract: RecordId
    by: PartyText
    version: Version
    customer: AccountText
    provider: AccountText
    grid: AccountText
    amount: Amount
    grid_fee: Amount
    currency: Currency
    local_fee: Amount = 0
    clause: Annotated[str, Field(max_length=64)] = ""


class Dispute(Part):
    """Two sides' statements of one contract and interval differ. Readers: the two sides."""

    TYPE: ClassVar[str] = "dispute"
    PART: ClassVar[str] = "terms"
    GROUP: ClassVar[Group] = "terms"
    contract: RecordId
    version: Version
    statements: tuple[RecordId, RecordId]
    by: PartyText
    provider: Lines
    customer: Lines
    where: Text


class Certificate(Part):
    """Guarantees of origin: the Wh numbered `first` to `first + count - 1` that `producer` made in this interval.

    By the grid operator. Readers: producer (of transfers: as the one who gave), holder, the grid operators. Of a
    transfer `giver` is who held them before. `cancelled` of the `count` are consumed with this record.
    """

    TYPE: ClassVar[str] = "certificate"
    PART: ClassVar[str] = "certificate"
    GROUP: ClassVar[Group] = "physical"
    interval_s: IntervalS
    producer: PartyText
    event: Event
    use: Use
    first: Annotated[int, Field(ge=0)]
    count: Wh
    cancelled: Wh
    holder: PartyText
    giver: PartyText | None = None
    version: Version
