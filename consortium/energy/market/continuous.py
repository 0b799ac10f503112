"""Continuous trading: price-time priority, each trade at the resting order's price.

An order meets the book as it stands when it arrives, in the ledger's order: the best price first, equal prices by
arrival. Nothing depends on where a stream of orders is cut into rounds. Time here is an order's own place in the
ledger, mandate or not: an order cannot have rested before it came. Fees are on top of prices and bar no trade.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from consortium.energy.market.book import BookOrder, Match


class Resting(NamedTuple):
    """An order that waits in the book with what is left of it."""

    order: BookOrder
    wh: int


class ContinuousBook:
    """A book in motion: orders are added one by one in the ledger's order."""

    __slots__ = ("_asks", "_bids", "_left")

    def __init__(self, resting: Iterable[Resting] = ()) -> None:
        self._left: dict[bytes, int] = {}
        self._bids: list[tuple[int, int, BookOrder]] = []
        self._asks: list[tuple[int, int, BookOrder]] = []
        for order, wh in resting:
            self._left[order.id] = wh
            (self._bids if order.side == "bid" else self._asks).append(_rank(order))
        heapify(self._bids)
        heapify(self._asks)

    def add(self, order: BookOrder) -> list[Match]:
        """The trades that an arriving order makes; what is left of it rests."""
        mine, others = (self._bids, self._asks) if order.side == "bid" else (self._asks, self._bids)
        matches, wh = [], order.wh
        while wh and others and _crosses(order, others[0][2]):
            best = others[0][2]
            met = min(wh, self._left[best.id])
            wh -= met
            bid, ask = (order, best) if order.side == "bid" else (best, order)
            matches.append(Match(bid, ask, met, best.price))
            self._take(others, best, met)
        if wh:
            self._left[order.id] = wh
            heappush(mine, _rank(order))
        return matches

    def _take(self, side: list[tuple[int, int, BookOrder]], best: BookOrder, wh: int) -> None:
        self._left[best.id] -= wh
        if not self._left[best.id]:
            del self._left[best.id]
            heappop(side)

    def left(self, order: bytes) -> int:
        """What rests of an order, in Wh; 0 once it is filled."""
        return self._left.get(order, 0)

    def resting(self) -> tuple[Resting, ...]:
        """All that rests, in the ledger's order."""
        orders = sorted((entry[2] for entry in (*self._bids, *self._asks)), key=lambda one: one.index)
        return tuple(Resting(order, self._left[order.id]) for order in orders)


def clear_round(
    orders: Iterable[BookOrder], resting: Sequence[Resting] = ()
) -> tuple[list[Match], tuple[Resting, ...]]:
    """The trades of a round, in the order in which they came about, and what rests after it."""
    book = ContinuousBook(resting)
    matches: list[Match] = []
    for order in sorted(orders, key=lambda one: one.index):
        matches += book.add(order)
    return matches, book.resting()


def _rank(order: BookOrder) -> tuple[int, int, BookOrder]:
    # The index is unique, so that orders themselves are never compared.
    return (-order.price if order.side == "bid" else order.price, order.index, order)


def _crosses(order: BookOrder, best: BookOrder) -> bool:
    return order.price >= best.price if order.side == "bid" else best.price >= order.price
