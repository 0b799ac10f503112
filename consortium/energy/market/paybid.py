"""Pay-as-bid: the volumes of a uniform-price session, each trade at its bid's price."""

from __future__ import annotations

from collections.abc import Iterable

from consortium.energy.market.areas import pair_by_area
from consortium.energy.market.book import BookOrder, Match
from consortium.energy.market.settings import MarketSettings
from consortium.energy.market.uniform import walk


def clear_pay_as_bid(settings: MarketSettings, orders: Iterable[BookOrder]) -> list[Match]:
    """The trades of a session, by the place of their bid, then of their ask."""
    return [Match(bid, ask, wh, bid.price) for bid, ask, wh in pair_by_area(settings, walk(orders))]
