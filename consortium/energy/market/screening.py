"""From what was ordered for a session to its book: every order judged in the ledger's order."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Sequence
from dataclasses import dataclass, field

from consortium.energy.market.book import BookOrder, OrderRefusal, judge
from consortium.energy.market.continuous import ContinuousBook
from consortium.energy.market.settings import MandateLimits, MarketSettings, Mechanism
from consortium.energy.payloads.market import Order, Side

_SIDES: tuple[Side, Side] = ("bid", "ask")


@dataclass(frozen=True, slots=True)
class Candidate:
    """An order as it stands on the ledger.

    `held` is the settlement agent's verdict on a bid, None while there is none; `mandate` and `ordered_ms` as in
    `judge`. `in_force_index` is the tree index of the record that brought the order's mandate into force. `placed`
    says that a grid contract of the owner's in force has the order's point and area.
    """

    id: bytes
    order: Order
    author: str
    commitment: bytes
    index: int
    held: bool | None = None
    mandate: MandateLimits | None = None
    in_force_index: int | None = None
    ordered_ms: int | None = None
    placed: bool = True

    @property
    def priority(self) -> int:
        """From where the order counts: its mandate's coming into force, else its own place in the ledger."""
        if self.order.mandate is None or self.in_force_index is None:
            return self.index
        return self.in_force_index

    def in_book(self) -> BookOrder:
        """What the book keeps."""
        o = self.order
        return BookOrder(
            self.id,
            o.owner,
            o.side,
            o.wh,
            o.price,
            self.priority,
            o.point,
            o.area,
            self.commitment,
            self.index,
            o.mandate,
        )


@dataclass(frozen=True, slots=True)
class Refused:
    """An order that takes no part, and why (an `OrderRefusal`)."""

    id: bytes
    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Screened:
    """A session's book and what was refused, both in the ledger's order."""

    book: tuple[BookOrder, ...]
    refused: tuple[Refused, ...]


def screen(
    settings: MarketSettings,
    start_ms: int,
    candidates: Iterable[Candidate],
    *,
    gate_index: int | None = None,
    suspended: Container[str] = (),
) -> Screened:
    """The book of the session that starts at `start_ms`, from all of its orders up to a gate.

    Of a continuous session it takes the orders of its earlier rounds as well: whether an owner's order still lives
    follows from them. An order after the gate is `late`, one for another session is refused as such.
    """
    work = _Screening(settings, start_ms, gate_index, suspended)
    for candidate in sorted(candidates, key=lambda one: one.index):
        work.take(candidate)
    return Screened(tuple(work.book), tuple(work.refused))


@dataclass(slots=True)
class _Screening:
    settings: MarketSettings
    start_ms: int
    gate_index: int | None
    suspended: Container[str]
    book: list[BookOrder] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    own: dict[tuple[str, Side], list[BookOrder]] = field(default_factory=dict)
    done: set[bytes] = field(default_factory=set)
    running: ContinuousBook = field(default_factory=ContinuousBook)

    def take(self, candidate: Candidate) -> None:
        reason = self._reason(candidate)
        if reason:
            self.refused.append(Refused(candidate.id, candidate.index, reason))
            return
        order = candidate.in_book()
        self.book.append(order)
        self.own.setdefault((order.owner, order.side), []).append(order)
        if self.settings.mechanism == Mechanism.CONTINUOUS:
            self._note_filled(self.running.add(order))

    def _reason(self, candidate: Candidate) -> str:
        order = candidate.order
        if self.gate_index is not None and candidate.index > self.gate_index:
            return OrderRefusal.LATE
        if order.start_ms != self.start_ms:
            return OrderRefusal.SESSION
        if not candidate.placed:
            return OrderRefusal.POINT
        reason = judge(
            order,
            candidate.author,
            self.settings,
            earlier=self._earlier(order),
            done=self.done,
            suspended=self.suspended,
            mandate=candidate.mandate,
            ordered_ms=candidate.ordered_ms,
        )
        unfunded = order.side == "bid" and candidate.held is not True
        return reason or (OrderRefusal.FUNDS if unfunded else "")

    def _earlier(self, order: Order) -> Collection[BookOrder]:
        """The owner's own orders that its next one is judged by: a mandate counts all, else the other side's matter."""
        bids, asks = (self.own.get((order.owner, side), []) for side in _SIDES)
        if order.mandate is not None:
            return [*bids, *asks]
        return asks if order.side == "bid" else bids

    def _note_filled(self, matches: Sequence[tuple[BookOrder, BookOrder, int, int]]) -> None:
        for bid, ask, _, _ in matches:
            self.done.update(one.id for one in (bid, ask) if not self.running.left(one.id))
