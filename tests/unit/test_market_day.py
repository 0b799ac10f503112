"""The rules of the market reproduce a known day: 17 real homes, 2017-06-15, hour by hour."""

from __future__ import annotations

from datetime import date

import pytest

from consortium.devnet.homes import DATA, read_meters, read_prices
from consortium.energy.market.book import BookOrder
from consortium.energy.market.clearing import Outcome, clear
from consortium.energy.market.settings import MarketSettings, Mechanism

PRICES = {
    5: (141, 346),
    6: (141, 3_096),
    7: (138, 6_647),
    8: (137, 11_855),
    9: (138, 8_976),
    10: (138, 9_685),
    11: (138, 9_575),
    12: (138, 15_295),
    13: (138, 13_615),
    14: (140, 9_104),
    15: (341, 8_236),
    16: (345, 4_488),
    17: (308, 45),
}


def _order(home: str, hour: int, net: int, tariff: int) -> BookOrder:
    number = int(home.removeprefix("home-"))
    gain = tariff - 70
    share = 60 + 2 * number if net > 0 else 10 + 3 * number
    index = hour * 100 + number
    return BookOrder(
        index.to_bytes(16, "big"), home, "bid" if net > 0 else "ask", abs(net), 50 + gain * share // 100, number,
        home, "feeder", bytes(32), index,
    )  # fmt: skip


@pytest.fixture(scope="module")
def books() -> dict[int, list[BookOrder]]:
    """The orders by local hour: the forecast of an hour is the same hour of the day before."""
    tariff = {row.start.hour: row.retail for row in read_prices(DATA / "prices.csv", date(2017, 6, 15))}
    orders: dict[int, list[BookOrder]] = {hour: [] for hour in tariff}
    for row in read_meters(DATA / "meters.csv", date(2017, 6, 14)):
        net, hour = row.load_wh - row.pv_wh, row.start.hour
        if net:
            orders[hour].append(_order(row.home, hour, net, tariff[hour]))
    return orders


def _day(books: dict[int, list[BookOrder]], mechanism: Mechanism) -> dict[int, Outcome]:
    settings = MarketSettings("local", mechanism, 3600, 1, 0, 10_000, "USD", ("suncoop", "cityretail"), local_fee=20)
    return {hour: clear(settings, book) for hour, book in books.items()}


def test_the_orders_are_those_of_the_day(books):
    orders = [order for book in books.values() for order in book]
    bids, asks = ([one.wh for one in orders if one.side == side] for side in ("bid", "ask"))
    assert (len(bids), sum(bids)) == (307, 421_172)
    assert (len(asks), sum(asks)) == (72, 100_963)


def test_each_hour_has_its_price_and_volume(books):
    outcomes = _day(books, Mechanism.UNIFORM)
    assert {hour: (out.price, out.wh) for hour, out in outcomes.items() if out.matches} == PRICES
    assert all(out.price is None and out.wh == 0 for hour, out in outcomes.items() if hour not in PRICES)


def test_the_days_trades_come_to_their_sums(books):
    outcomes = _day(books, Mechanism.UNIFORM).values()
    assert sum(len(out.matches) for out in outcomes) == 111
    assert sum(out.wh for out in outcomes) == 100_963
    assert sum(out.value for out in outcomes) == 16_558_147
    assert sum(sum(out.value_of.values()) for out in outcomes) == 2 * 16_558_147


def test_pay_as_bid_trades_the_same_volumes(books):
    uniform, paid = _day(books, Mechanism.UNIFORM), _day(books, Mechanism.PAY_AS_BID)
    assert {hour: out.wh_of for hour, out in uniform.items()} == {hour: out.wh_of for hour, out in paid.items()}
    assert sum(out.value for out in paid.values()) > 16_558_147
