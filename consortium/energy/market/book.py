"""Which orders are good, and what a book keeps of them.

An order is judged by the market's settings, by its mandate and by the owner's own earlier orders, by nothing else:
so every operator comes to the same word on it.
"""

from __future__ import annotations

from collections.abc import Collection, Container
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from consortium.energy.market.settings import MandateLimits, MarketSettings
from consortium.energy.payloads.market import Order, Side
from consortium.model.names import Party

MAX_WH = 1 << 36
"""More than 68 GWh in one order is a wrong unit; the sum of a hundred thousand such orders still fits its field."""
MAX_VALUE = 1 << 56
"""Micro-units that an order can come to: a trade's value and fee fit their fields."""


class OrderRefusal(StrEnum):
    """Why an order takes no part. Stable words: they stand in `order-result` records and in the API."""

    AUTHOR = "author"  # not written by the owner's member
    MARKET = "market"  # another market's name
    NOT_A_MEMBER = "not-a-member"  # the owner's member is not in the market
    CURRENCY = "currency"
    SESSION = "session"  # no session of this market: its length or its start
    EARLY = "early"  # before the session's orders open
    LATE = "late"  # ordered after the gate
    POINT = "point"  # not at a point that the owner's grid contract names, as far as the operators are told
    MIN_WH = "min-wh"
    PRICE = "price"  # outside the market's bounds
    TOO_LARGE = "too-large"  # no energy or money of that size can be written down
    SUSPENDED = "suspended"  # the owner, or its member
    MANDATE = "mandate"  # there is no such mandate in force for this owner and market
    MANDATE_WH = "mandate-wh"
    MANDATE_PRICE = "mandate-price"
    SELF_TRADE = "self-trade"
    FUNDS = "funds"  # a bid whose money the settlement agent does not hold


@dataclass(frozen=True, slots=True)
class BookOrder:
    """An order in a book.

    `priority` is the tree index from which it counts among equal prices (lower first), `index` its own place in the
    ledger, unique; `commitment` is that of its sealed section. `wh` is above zero, `price` its limit per Wh.
    """

    id: bytes
    owner: str
    side: Side
    wh: int
    price: int
    priority: int
    point: str
    area: str
    commitment: bytes
    index: int
    mandate: bytes | None = None


class Match(NamedTuple):
    """So much energy from one ask to one bid, at a price per Wh."""

    bid: BookOrder
    ask: BookOrder
    wh: int
    price: int

    @property
    def value(self) -> int:
        """What the buyer pays the seller, in micro-units."""
        return self.wh * self.price


def judge(
    order: Order,
    author: str,
    terms: MarketSettings,
    *,
    earlier: Collection[BookOrder] = (),
    done: Container[bytes] = (),
    suspended: Container[str] = (),
    mandate: MandateLimits | None = None,
    ordered_ms: int | None = None,
) -> str:
    """The reason why an order is refused, an `OrderRefusal`, or '' if it is good.

    `earlier` are the owner's own orders in the book of this session so far, `done` the ids of those that can trade no
    more (in a continuous market: filled). `suspended` are parties. `mandate` is what the order's mandate permits, or
    None if it is not in force; `ordered_ms` the ledger's time of the order, if the opening is to be checked.
    """
    return (
        _judge_frame(order, author, terms, ordered_ms)
        or _judge_bounds(order, terms, suspended)
        or _judge_mandate(order, mandate, earlier)
        or _judge_self_trade(order, earlier, done)
    )


def _judge_frame(order: Order, author: str, terms: MarketSettings, ordered_ms: int | None) -> str:
    member = Party.parse(order.owner).member
    if author != member:
        return OrderRefusal.AUTHOR
    if order.market != terms.name:
        return OrderRefusal.MARKET
    if member not in terms.members:
        return OrderRefusal.NOT_A_MEMBER
    if order.session_s != terms.session_s or not terms.is_session(order.start_ms):
        return OrderRefusal.SESSION
    if terms.opens_s and ordered_ms is not None and ordered_ms < order.start_ms - terms.opens_s * 1000:
        return OrderRefusal.EARLY
    return ""


def _judge_bounds(order: Order, terms: MarketSettings, suspended: Container[str]) -> str:
    if order.owner in suspended or Party.parse(order.owner).member in suspended:
        return OrderRefusal.SUSPENDED
    if order.currency != terms.currency:
        return OrderRefusal.CURRENCY
    if order.wh < terms.min_wh:
        return OrderRefusal.MIN_WH
    if not terms.price_min <= order.price <= terms.price_max:
        return OrderRefusal.PRICE
    if order.wh > MAX_WH or order.wh * (abs(order.price) + abs(terms.highest_fee(order.area))) > MAX_VALUE:
        return OrderRefusal.TOO_LARGE
    return ""


def _judge_mandate(order: Order, limits: MandateLimits | None, earlier: Collection[BookOrder]) -> str:
    if order.mandate is None:
        return ""
    if limits is None or (limits.owner, limits.market) != (order.owner, order.market):
        return OrderRefusal.MANDATE
    if not limits.price_min <= order.price <= limits.price_max:
        return OrderRefusal.MANDATE_PRICE
    # Together: two orders within the limit would otherwise go around it.
    same = (one.wh for one in earlier if one.mandate == order.mandate and one.owner == order.owner)
    if order.wh + sum(same) > limits.max_wh:
        return OrderRefusal.MANDATE_WH
    return ""


def _judge_self_trade(order: Order, earlier: Collection[BookOrder], done: Container[bytes]) -> str:
    """Of two own orders that do not cross no clearing here can execute both against each other."""
    other, sign = ("ask", 1) if order.side == "bid" else ("bid", -1)
    crossing = (
        # The side first: it rules out the most, and is looked at once for each of an owner's many orders.
        one.side == other and sign * order.price >= sign * one.price and one.owner == order.owner and one.id not in done
        for one in earlier
    )
    return OrderRefusal.SELF_TRADE if any(crossing) else ""
