"""Two-sided, uniform price: who trades, with whom, and at which one price.

Bids stand by price from the highest, asks from the lowest, equal prices by priority, then by place in the ledger.
They trade from the front of both lists while bid >= ask; the price is (last bid + last ask) // 2. That set of orders
has the largest volume that any one price supports, and the largest welfare of all (hypothesis tests say so against
brute force). Which bid is paired with which ask never changes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from consortium.energy.market.areas import pair_by_area
from consortium.energy.market.book import BookOrder, Match
from consortium.energy.market.settings import MarketSettings

Pair = tuple[BookOrder, BookOrder, int]
"""Bid, ask, Wh."""


def clear_uniform(settings: MarketSettings, orders: Iterable[BookOrder]) -> list[Match]:
    """The trades of a session, all at one price, by the place of their bid, then of their ask."""
    pairs = walk(orders)
    if not pairs:
        return []
    price = (pairs[-1][0].price + pairs[-1][1].price) // 2
    return [Match(bid, ask, wh, price) for bid, ask, wh in pair_by_area(settings, pairs)]


def walk(orders: Iterable[BookOrder]) -> list[Pair]:
    """Both lists walked from the front while bid >= ask: the executed volumes, paired as they meet."""
    bids, asks = _ranked(orders)
    if not bids or not asks:
        return []
    pairs: list[Pair] = []
    bid_rest, ask_rest = iter(bids), iter(asks)
    bid, ask = next(bid_rest), next(ask_rest)
    wanted, offered = bid.wh, ask.wh
    while bid.price >= ask.price:
        wh = min(wanted, offered)
        pairs.append((bid, ask, wh))
        wanted -= wh
        offered -= wh
        if not wanted:
            if (next_bid := next(bid_rest, None)) is None:
                break
            bid, wanted = next_bid, next_bid.wh
        if not offered:
            if (next_ask := next(ask_rest, None)) is None:
                break
            ask, offered = next_ask, next_ask.wh
    return pairs


def _ranked(orders: Iterable[BookOrder]) -> tuple[Sequence[BookOrder], Sequence[BookOrder]]:
    bids: list[BookOrder] = []
    asks: list[BookOrder] = []
    for order in orders:
        (bids if order.side == "bid" else asks).append(order)
    bids.sort(key=lambda one: (-one.price, one.priority, one.index))
    asks.sort(key=lambda one: (one.price, one.priority, one.index))
    return bids, asks
