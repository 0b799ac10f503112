"""The market's sections: orders, gates, clearings, trades, results, price series."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from consortium.energy.payloads.base import (
    Amount,
    Currency,
    Digest,
    Group,
    IntervalS,
    Name,
    Part,
    PartyText,
    Price,
    RecordId,
    Text,
    Wh,
)

Side = Literal["bid", "ask"]
OrderState = Literal["counted", "refused"]


class Order(Part):
    """An order for one session. Readers: owner, the owner's member, the operators.

    `start_ms` is the session's start. `price` is the limit for the energy alone: fees are on top of it, and the buyer
    pays them. `mandate` is the contract under which the owner's member acted, or None.
    """

    TYPE: ClassVar[str] = "order"
    PART: ClassVar[str] = "order"
    GROUP: ClassVar[Group] = "terms"
    market: Name
    session_s: IntervalS
    side: Side
    owner: PartyText
    point: Name
    area: Name
    wh: Annotated[Wh, Field(gt=0)]
    price: Price
    currency: Currency
    mandate: RecordId | None = None


class Reserve(Part):
    """What a bid may cost at the most. Readers: owner, the owner's member, the settlement agent."""

    TYPE: ClassVar[str] = "order"
    PART: ClassVar[str] = "reserve"
    GROUP: ClassVar[Group] = "money"
    market: Name
    owner: PartyText
    amount: Annotated[Amount, Field(ge=0)]
    currency: Currency


class Verdict(Part):
    """The settlement agent's word on a bid: `held` says that `amount` is reserved for it. Readers: owner, the owner's
    member, the operators. The movement itself is the record's section `entry` (see `money.Entry`).
    """

    TYPE: ClassVar[str] = "payment"
    PART: ClassVar[str] = "verdict"
    GROUP: ClassVar[Group] = "money"
    market: Name
    order: RecordId
    held: bool
    amount: Annotated[Amount, Field(ge=0)]
    reason: Text = ""


class Gate(Part):
    """Closes a session's round: what is ordered after it is late. Readers: the market's members.

    A uniform-price or pay-as-bid session has one round, the `last`; a continuous one may have many.
    """

    TYPE: ClassVar[str] = "gate"
    PART: ClassVar[str] = "gate"
    GROUP: ClassVar[Group] = "terms"
    market: Name
    round: Annotated[int, Field(ge=0)]
    last: bool


class Funded(Part):
    """Every bid before the gate has its verdict; one without is not funded. By the settlement agent. Readers: the
    operators.
    """

    TYPE: ClassVar[str] = "funded"
    PART: ClassVar[str] = "funded"
    GROUP: ClassVar[Group] = "terms"
    market: Name
    gate: RecordId


class Clearing(Part):
    """What one operator computed for a gate. Readers: the operators.

    `book_root` and `book_size` are of the RFC 6962 tree over the commitments of the book's orders (all that were
    ordered before the gate and not refused), in the ledger's order. `digest` covers book, trades and refusals;
    `chunks` are digests of stretches of them, by which two operators find where they differ.
    """

    TYPE: ClassVar[str] = "clearing"
    PART: ClassVar[str] = "clearing"
    GROUP: ClassVar[Group] = "terms"
    market: Name
    gate: RecordId
    by: PartyText
    digest: Digest
    chunks: tuple[Digest, ...]
    book_root: Digest
    book_size: int
    trades: int
    wh: Wh
    price: Price | None


class Difference(Part):
    """Two operators' clearings of one gate differ: the session stands still. Readers: the operators."""

    TYPE: ClassVar[str] = "difference"
    PART: ClassVar[str] = "difference"
    GROUP: ClassVar[Group] = "terms"
    market: Name
    gate: RecordId
    clearings: tuple[RecordId, ...]
    where: Text


class TradePoints(Part):
    """The physical side of a trade. Readers: buyer, seller, their members, the operators, the grid operators.

    `fee` is what the buyer pays for the grid: `wh` times (local fee + the fee between the areas).
    """

    TYPE: ClassVar[str] = "trade"
    PART: ClassVar[str] = "physical"
    GROUP: ClassVar[Group] = "physical"
    market: Name
    session_s: IntervalS
    buyer_point: Name
    seller_point: Name
    wh: Annotated[Wh, Field(gt=0)]
    fee: Amount


class TradeTerms(Part):
    """Who traded at which price. Readers: buyer, seller, their members, the operators."""

    TYPE: ClassVar[str] = "trade"
    PART: ClassVar[str] = "terms"
    GROUP: ClassVar[Group] = "terms"
    market: Name
    gate: RecordId
    number: Annotated[int, Field(ge=0)]
    buyer: PartyText
    seller: PartyText
    bid: RecordId
    ask: RecordId
    price: Price
    value: Amount
    currency: Currency


class TradeMoney(Part):
    """What moves for a trade. Readers: buyer, seller, the settlement agent; `value` to the seller, `fee` to `grid`."""

    TYPE: ClassVar[str] = "trade"
    PART: ClassVar[str] = "money"
    GROUP: ClassVar[Group] = "money"
    market: Name
    bid: RecordId
    buyer: PartyText
    seller: PartyText
    grid: PartyText
    value: Amount
    fee: Amount
    currency: Currency


class Result(Part):
    """A gate's outcome for everyone in the market. Readers: the market's members.

    `price` is None without trades; where trades have prices of their own it is their average, rounded down.
    """

    TYPE: ClassVar[str] = "result"
    PART: ClassVar[str] = "result"
    GROUP: ClassVar[Group] = "terms"
    market: Name
    session_s: IntervalS
    gate: RecordId
    round: int
    last: bool
    price: Price | None
    wh: Wh
    trades: int
    book_root: Digest
    book_size: int


class OrderResult(Part):
    """What became of an order, with the proof that it was counted. Readers: owner, the owner's member.

    `leaf` and `proof` (RFC 6962) place the order's commitment in the book of `book_root` and `book_size`; of a refused
    order `reason` says why, and there is no proof. `wh` and `value` are what traded.
    """

    TYPE: ClassVar[str] = "order-result"
    PART: ClassVar[str] = "result"
    GROUP: ClassVar[Group] = "terms"
    market: Name
    order: RecordId
    gate: RecordId
    state: OrderState
    reason: Text = ""
    wh: Wh = 0
    value: Amount = 0
    price: Price | None = None
    leaf: int = 0
    book_root: Digest
    book_size: int
    proof: tuple[Digest, ...] = ()


class OrderDone(Part):
    """An order takes part no more: what is still reserved for it goes back. Readers: owner, the settlement agent."""

    TYPE: ClassVar[str] = "order-result"
    PART: ClassVar[str] = "money"
    GROUP: ClassVar[Group] = "money"
    market: Name
    order: RecordId
    owner: PartyText


class Prices(Part):
    """A published series: `values[n]` holds in interval n from `start_ms` on. Readers: the market's members.

    `series` names it (wholesale, carbon, ...), `unit` its unit (micro/Wh, g/kWh).
    """

    TYPE: ClassVar[str] = "prices"
    PART: ClassVar[str] = "prices"
    GROUP: ClassVar[Group] = "terms"
    series: Name
    unit: Literal["micro/Wh", "g/kWh"]
    interval_s: IntervalS
    values: Annotated[tuple[int, ...], Field(min_length=1, max_length=3000)]


class Complaint(Part):
    """An order that was ordered before the gate and not counted. Readers: owner, the owner's member, the operators, the
    compliance members.
    """

    TYPE: ClassVar[str] = "complaint"
    PART: ClassVar[str] = "complaint"
    GROUP: ClassVar[Group] = "terms"
    market: Name
    owner: PartyText
    order: RecordId
    gate: RecordId
    order_index: int
    gate_index: int
    why: Text
