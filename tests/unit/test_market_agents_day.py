"""The demo's day, 2017-06-15, from meters to money by the agents of three members: every figure of it."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest

from consortium.energy.metering import to_ms
from consortium.energy.payloads.market import Order, OrderResult, Result, TradePoints, TradeTerms, Verdict
from consortium.energy.payloads.money import Refusal
from consortium.energy.payloads.settlement import Certificate, Delivery, Dispute
from tests.market_days import HOUR_MS, check_limits, check_money, earned, held, real_day
from tests.market_world import MarketWorld, Node

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


@pytest.fixture(scope="module")
def day():
    world = MarketWorld()
    setup = real_day(world, date(2017, 6, 15))
    return world, to_ms(setup.start)


def of_day(day, kind):
    """The sections of a class that are about the day itself."""
    world, start = day
    return [part for part in world.every(kind) if start <= part.start_ms < start + 24 * HOUR_MS]


def test_the_orders_are_those_of_the_day(day):
    orders = of_day(day, Order)
    sides = {side: [one.wh for one in orders if one.side == side] for side in ("bid", "ask")}
    assert (len(sides["bid"]), sum(sides["bid"])) == (307, 421_172)
    assert (len(sides["ask"]), sum(sides["ask"])) == (72, 100_963)
    assert all(verdict.held for verdict in of_day(day, Verdict))


def test_each_hour_has_its_price_and_volume(day):
    results = of_day(day, Result)
    assert len(results) == 24
    hours = {(one.start_ms - day[1]) // HOUR_MS: (one.price, one.wh) for one in results}
    assert {hour: found for hour, found in hours.items() if found[1]} == PRICES
    assert all(found == (None, 0) for hour, found in hours.items() if hour not in PRICES)


def test_the_days_trades_come_to_their_sums(day):
    points, terms = of_day(day, TradePoints), of_day(day, TradeTerms)
    assert (len(points), sum(one.wh for one in points)) == (111, 100_963)
    assert sum(one.value for one in terms) == 16_558_147
    assert sum(one.fee for one in points) == 2_019_260


def test_each_order_of_the_day_has_its_result(day):
    results = of_day(day, OrderResult)
    assert Counter(one.state for one in results) == {"counted": 379}
    assert sum(one.wh for one in results) == 2 * 100_963


def test_what_the_retailer_delivers(day):
    deliveries = of_day(day, Delivery)
    assert len(deliveries) == 17 * 24
    bought, back = sum(one.bought_wh for one in deliveries), sum(one.sold_back_wh for one in deliveries)
    assert (bought, back, bought - back) == (400_036, 26_538, 373_498)


def test_every_account(day):
    world, _ = day
    money = earned(world)
    homes = {name: amount for name, amount in money.items() if "@" in name}
    assert len(homes) == 17
    assert sum(homes.values()) == -127_433_720
    assert (homes["home-01@suncoop"], homes["home-17@cityretail"]) == (-3_347_912, -24_317_347)
    assert (money["gridco"], money["cityretail"], money["wholesale"]) == (34_022_140, 76_822_091, 16_589_489)


def test_every_chain_is_whole_and_no_account_stood_below_its_limit(day):
    check_money(day[0])
    check_limits(day[0])


def test_nothing_of_the_day_stays_reserved(day):
    world, start = day
    assert held(world, start + 24 * HOUR_MS) == []


def test_certificates_are_those_of_the_day(day):
    events = of_day(day, Certificate)
    issued = [one for one in events if one.event == "issued"]
    moved = {use: [o for o in events if (o.event, o.use) == ("transferred", use)] for use in ("local", "retail")}
    assert sum(one.count for one in issued) == 206_606
    assert sum(one.cancelled for one in issued) == 121_136
    assert sum(one.count for one in moved["local"]) == 68_097
    assert sum(one.count for one in moved["retail"]) == 17_373


def test_nobody_disputes_and_nothing_is_refused(day):
    world, _ = day
    assert world.every(Dispute) == []
    assert world.every(Refusal) == []


def test_a_node_that_starts_again_knows_the_same_and_writes_nothing(day):
    world, _ = day
    for member in ("cityretail", "gridco", "suncoop"):
        before, again = world.node(member).view, Node(world, member)
        again.fold()
        again.act()
        assert not again.outbox
        assert (again.view.accounts, again.view.contracts) == (before.accounts, before.contracts)
        assert again.view.meters == before.meters


def test_a_record_is_seen_by_its_readers_alone(day):
    """The retailer, who supplies every home, folds no order, price or name of another member's homes."""
    world, _ = day
    own = {f"home-{number:02d}@cityretail" for number in range(9, 18)}
    for record in world.records:
        fact = record.fact("cityretail")
        for order in fact.every(Order) if fact is not None else ():
            assert order.owner in own
        for trade in fact.every(TradeTerms) if fact is not None else ():
            assert own & {trade.buyer, trade.seller}
