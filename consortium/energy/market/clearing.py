"""Clear a gate's book by its market's mechanism."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from consortium.energy.market.book import BookOrder, Match
from consortium.energy.market.continuous import Resting, clear_round
from consortium.energy.market.paybid import clear_pay_as_bid
from consortium.energy.market.settings import MarketSettings, Mechanism
from consortium.energy.market.uniform import clear_uniform
from consortium.errors import DefectError


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a gate came to.

    `book` has the gate's orders in the ledger's order. `price` is the session's price, where trades have prices of
    their own their average rounded down, None without trades. `wh_of` and `value_of` say by order id what traded (an
    order that is not there traded nothing). `resting` waits for the next round; after the last it is empty.
    """

    book: tuple[BookOrder, ...]
    matches: tuple[Match, ...]
    price: int | None
    wh: int
    value: int
    wh_of: Mapping[bytes, int]
    value_of: Mapping[bytes, int]
    resting: tuple[Resting, ...] = ()


def clear(
    settings: MarketSettings, orders: Iterable[BookOrder], *, resting: Sequence[Resting] = (), last: bool = True
) -> Outcome:
    """Clear good orders (`screening.screen`): deterministic, whatever the order in which they are given.

    `resting` and `last` are for continuous markets: what the round before left, and whether the session ends with
    this gate, when what is left expires. The orders of a uniform-price or pay-as-bid session expire at its gate.
    """
    book = tuple(sorted(orders, key=lambda one: one.index))
    after: tuple[Resting, ...] = ()
    if settings.mechanism == Mechanism.CONTINUOUS:
        matches, after = clear_round(book, resting)
    elif resting:
        raise DefectError("only a continuous market's orders rest from round to round")
    elif settings.mechanism == Mechanism.UNIFORM:
        matches = clear_uniform(settings, book)
    else:
        matches = clear_pay_as_bid(settings, book)
    return _outcome(book, matches, () if last else after)


def _outcome(book: tuple[BookOrder, ...], matches: Sequence[Match], resting: tuple[Resting, ...]) -> Outcome:
    wh_of: dict[bytes, int] = {}
    value_of: dict[bytes, int] = {}
    total_wh = total_value = 0
    for bid, ask, wh, price in matches:
        value = wh * price
        total_wh += wh
        total_value += value
        for key in (bid.id, ask.id):
            wh_of[key] = wh_of.get(key, 0) + wh
            value_of[key] = value_of.get(key, 0) + value
    # All of a uniform-price session's trades have the same price, so that their average is it.
    average = total_value // total_wh if matches else None
    return Outcome(book, tuple(matches), average, total_wh, total_value, wh_of, value_of, resting)
