"""A gate's book with its orders opened, for those who run the market: what `energy.market.replay` clears again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from consortium.energy.contracts.contract import Contract
from consortium.energy.contracts.terms import MarketTerms
from consortium.energy.market.book import BookOrder
from consortium.energy.market.bundle import BookBundle, BundleGate, BundleOrder, BundleResult, BundleTrade
from consortium.energy.market.rounds import Round, clear_rounds
from consortium.energy.market.settings import MarketSettings
from consortium.energy.view.books import Suspended, candidates, gates, settings_of
from consortium.energy.view.sessions import Session
from consortium.energy.view.view import View
from consortium.errors import NotFound


@dataclass(frozen=True, slots=True)
class OpenedOrder:
    """An order's section as an operator opened it: the record's header, the section's number, key and plaintext."""

    header: bytes
    section: int
    key: bytes
    plaintext: bytes


@dataclass(frozen=True, slots=True)
class SessionBook:
    """A session up to one gate as this node clears it. `held` is the verdict on each order by its id."""

    settings: MarketSettings
    session: Session
    rounds: tuple[Round, ...]
    held: Mapping[bytes, bool | None]

    @property
    def orders(self) -> tuple[BookOrder, ...]:
        """The orders of all rounds up to the gate that were not refused."""
        return tuple(order for one in self.rounds for order in one.outcome.book)


def session_book(
    view: View, contract: Contract, terms: MarketTerms, session: Session, round: int | None
) -> SessionBook:
    """The book of a round, by default of the newest gate. Raises `NotFound` where there is none."""
    settings, seen = settings_of(contract, terms), gates(session)
    number = len(seen) - 1 if round is None else round
    if not 0 <= number < len(seen):
        raise NotFound("no such session, or it is not closed yet")
    found = candidates(view, settings, session)
    suspended = Suspended(contract, session.start_ms)
    rounds = tuple(clear_rounds(settings, session.start_ms, found, seen[: number + 1], suspended))
    return SessionBook(settings, session, rounds, {one.id: one.held for one in found})


def bundle(book: SessionBook, opened: Mapping[bytes, OpenedOrder]) -> BookBundle:
    """The gate's bundle; `opened` has every order of the book. Raises `NotFound` if the gate has no result yet."""
    gate = book.rounds[-1].gate
    since = book.rounds[-2].gate.index if len(book.rounds) > 1 else None
    return BookBundle(
        settings=book.settings,
        start_ms=book.session.start_ms,
        gate=BundleGate(id=gate.id, index=gate.index, last=gate.last, since=since),
        orders=tuple(_order(order, opened[order.id], book.held.get(order.id)) for order in book.orders),
        result=_result(book.session, gate.id),
    )


def _order(order: BookOrder, found: OpenedOrder, held: bool | None) -> BundleOrder:
    return BundleOrder(
        header=found.header,
        section=found.section,
        key=found.key,
        plaintext=found.plaintext,
        index=order.index,
        priority=order.priority,
        held=held,
    )


def _result(session: Session, gate: bytes) -> BundleResult:
    published = session.results.get(gate)
    if published is None:
        raise NotFound("the session has no result yet")
    result = published[1]
    return BundleResult(
        price=result.price,
        wh=result.wh,
        book_root=result.book_root,
        book_size=result.book_size,
        trades=tuple(_trades(session, gate)),
    )


def _trades(session: Session, gate: bytes) -> Sequence[BundleTrade]:
    both = [(trade.terms, trade.points) for trade in session.trades.values()]
    mine = [(terms, points) for terms, points in both if terms and points and terms.gate == gate]
    mine.sort(key=lambda one: one[0].number)
    return [BundleTrade(bid=t.bid, ask=t.ask, wh=p.wh, price=t.price) for t, p in mine]
