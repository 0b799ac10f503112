"""What a contract's terms make of an interval: its retail price, and the limit prices of a mandate.

Everything is integer micro-units of the currency per Wh. A price by wall time is a lookup in the tariff's
table of its day's minutes.
"""

from __future__ import annotations

from collections.abc import Mapping

from consortium.energy.contracts.clauses import Clause
from consortium.energy.contracts.tariffs import Fixed, Indexed, TimeOfUse
from consortium.energy.contracts.terms import MandateTerms, SupplyTerms
from consortium.energy.zones import wall_minute

Series = Mapping[int, int]
"""A published series: the start of an interval (UTC ms) to its value."""
SATURDAY = 5


def price_at(terms: SupplyTerms, start_ms: int, series: Series | None = None) -> tuple[int | None, Clause]:
    """The retail price T of the interval that starts then, and the clause that sets it.

    `series` is the one that an indexed tariff names; the price is None while it lacks the interval. A band that ends
    inside of an interval does not reach into it: the price is the one of the interval's first minute.
    """
    tariff = terms.tariff
    if isinstance(tariff, Fixed):
        return tariff.price, Clause.SUPPLY_PRICE
    if isinstance(tariff, Indexed):
        return indexed(tariff, (series or {}).get(start_ms)), Clause.SUPPLY_PRICE
    return time_of_use(tariff, start_ms), Clause.SUPPLY_PRICE


def indexed(tariff: Indexed, spot: int | None) -> int | None:
    """Spot plus spread within floor and cap; None without a spot price. Where they contradict the cap holds."""
    if spot is None:
        return None
    price = spot + tariff.spread
    if tariff.floor is not None:
        price = max(price, tariff.floor)
    return price if tariff.cap is None else min(price, tariff.cap)


def time_of_use(tariff: TimeOfUse, start_ms: int) -> int | None:
    """The price at an instant by its local wall time; None in a gap, which no checked tariff has."""
    weekday, minute = wall_minute(tariff.zone, start_ms)
    return tariff.tables[weekday >= SATURDAY][minute]


def limit_prices(mandate: MandateTerms, retail: int, feed_in: int, local_fee: int) -> tuple[int | None, int | None]:
    """The limit prices of a bid and of an ask under a mandate; None where its bounds leave no order.

    What local trade gains against retail is `retail - feed_in - local_fee`; the mandate's shares divide it. A bid is
    never above, an ask never below what the mandate allows.
    """
    gain = retail - feed_in - local_fee
    bid = min(feed_in + gain * mandate.bid_share_percent // 100, mandate.price_max)
    ask = max(feed_in + gain * mandate.ask_share_percent // 100, mandate.price_min)
    return (bid if bid >= mandate.price_min else None, ask if ask <= mandate.price_max else None)
