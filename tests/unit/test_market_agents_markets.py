"""Other mechanisms, lengths and days: every interval once, energy and money conserved, contracts only in their term."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest

from consortium.energy.metering import to_rfc3339
from consortium.energy.payloads.market import Gate, Order, OrderResult, Result, TradePoints, TradeTerms
from consortium.energy.payloads.settlement import Delivery, StatementMoney
from consortium.energy.zones import sessions
from tests.market_days import (
    HOUR_MS,
    Small,
    check_limits,
    check_money,
    earned,
    entries,
    held,
    open_small,
    propose,
    read,
    step,
)
from tests.market_world import MarketWorld

ZONE = "America/Los_Angeles"
LONG, SHORT = date(2017, 11, 5), date(2017, 3, 12)
"""Days of 25 and of 23 hours."""


def net_of(start_ms, number):
    """A made-up net demand, Wh an hour: odd homes have more than they need when the hour is even."""
    hour = start_ms // HOUR_MS
    return (-1 if number % 2 and hour % 2 == 0 else 1) * (400 + 40 * number + 7 * (hour % 11))


def meter(world, small, start_ms, interval_s=3600, homes=None):
    """Readings of one hour of all homes, in intervals of that length."""
    for number, home in enumerate(small.parties, start=1):
        if homes is not None and number not in homes:
            continue
        for start in range(start_ms, start_ms + HOUR_MS, interval_s * 1000):
            net = net_of(start_ms, number) * interval_s // 3600 + number
            read(world, home, start, max(0, net) + 10, max(0, -net) + 10, interval_s=interval_s)


def live(small, hours, quarterly=()):
    """The market from the day before on: all meters an hour after the hour; homes `quarterly` by quarter-hours."""
    world = MarketWorld()
    open_small(world, small)
    for start in range(small.start_ms - 24 * HOUR_MS, small.start_ms - 2 * HOUR_MS, HOUR_MS):
        meters(world, small, start, quarterly)
    world.settle()
    for start in range(small.start_ms - 2 * HOUR_MS, small.start_ms + hours * HOUR_MS, HOUR_MS):
        world.now_ms = start + HOUR_MS
        meters(world, small, start, quarterly)
        world.settle()
    world.now_ms += HOUR_MS
    world.settle()
    return world


def meters(world, small, start, quarterly):
    others = set(range(1, small.homes + 1)) - set(quarterly)
    meter(world, small, start, 3600, others)
    meter(world, small, start, 900, quarterly)


def conserved(world, small, starts, step_ms):
    """Each interval delivered once to each home, and over all homes load - PV = bought - sold back."""
    wanted = {(home, start) for home in small.parties for start in starts}
    assert Counter((one.subject, one.start_ms) for one in world.every(Delivery)) == dict.fromkeys(wanted, 1)
    view = world.node("gridco").view
    for start in starts:
        found = [one for one in world.every(Delivery) if one.start_ms == start]
        pairs = [view.metered(home, start, step_ms // 1000) for home in small.parties]
        assert sum(load - pv for load, pv in pairs) == sum(one.bought_wh - one.sold_back_wh for one in found)
    check_money(world)
    check_limits(world)
    assert held(world, starts[-1] + step_ms) == []


@pytest.mark.parametrize("mechanism", ["uniform", "pay-as-bid", "continuous"])
@pytest.mark.parametrize("session_s", [900, 1800, 3600])
def test_sessions_of_every_length_and_kind_with_meters_of_two_lengths(mechanism, session_s):
    rounds = {"round_s": 900} if mechanism == "continuous" else {}
    terms = {"mechanism": mechanism, "session_s": session_s, "gate_s": 300, "opens_s": 24 * 3600 - 7200, **rounds}
    small = Small(homes=4, days=1, market=terms, start_ms=Small.start_ms + HOUR_MS)
    world = live(small, 2, quarterly={1, 4})
    starts = range(small.start_ms, small.start_ms + 2 * HOUR_MS, small.step_ms)
    known = [one for one in world.every(Delivery) if one.start_ms in starts]
    assert len(known) == len(starts) * small.homes
    assert sum(one.wh for one in world.every(TradePoints)) > 0
    traded = {one.start_ms for one in world.every(TradePoints)}
    assert {(start // HOUR_MS) % 2 for start in traded} == {0}
    within = {one.start_ms for one in world.every(Result) if one.last and one.start_ms in starts}
    assert within == set(starts)
    conserved(world, small, list(starts), small.step_ms)


@pytest.mark.parametrize("mechanism", ["pay-as-bid", "continuous"])
def test_prices_of_a_trade_lie_between_its_two_limits(mechanism):
    rounds = {"round_s": 900} if mechanism == "continuous" else {}
    small = Small(homes=5, days=1, market={"mechanism": mechanism, **rounds})
    world = live(small, 4)
    limits = {record.id: order.price for record, order in world.found(Order)}
    trades = world.every(TradeTerms)
    assert trades
    assert all(limits[one.ask] <= one.price <= limits[one.bid] for one in trades)


def test_a_continuous_market_trades_before_its_last_gate():
    """An order that meets a resting one trades in its round, at the resting order's price, and is paid by then."""
    small = Small(homes=2, days=1, market={"mechanism": "continuous", "round_s": 900}, mandates=False)
    world = MarketWorld()
    open_small(world, small)
    seller, buyer = small.parties
    words = {"market": "local", "start": to_rfc3339(small.start_ms), "currency": "USD"}
    world.submit("order", {**words, "owner": seller, "side": "ask", "wh": 900, "price_micro_per_wh": 70})
    world.settle()
    world.now_ms += 900_000
    world.settle()
    world.submit("order", {**words, "owner": buyer, "side": "bid", "wh": 500, "price_micro_per_wh": 150})
    world.now_ms += 900_000
    world.settle()
    hour = [one for one in world.every(Gate) if one.start_ms == small.start_ms]
    assert [(one.round, one.last) for one in hour] == [(0, False), (1, False)]
    assert [(one.price, one.value) for one in world.every(TradeTerms)] == [(70, 35_000)]
    assert earned(world)[buyer] == -500 * 90
    assert world.every(OrderResult) == []
    world.now_ms = small.start_ms
    world.settle()
    found = {one.wh: one.state for one in world.every(OrderResult) if one.start_ms == small.start_ms}
    assert found == {500: "counted"}
    assert len([one for one in world.every(OrderResult) if one.start_ms == small.start_ms]) == 2
    assert entries(world)[buyer][-1].reserved == 0


@pytest.mark.parametrize(("day", "hours"), [(LONG, 25), (SHORT, 23)])
def test_the_days_on_which_the_clock_is_moved(day, hours):
    starts = list(sessions(ZONE, day, 3600))
    small = Small(homes=3, start_ms=starts[0])
    world = live(small, hours)
    day_ends = starts[0] + hours * HOUR_MS
    assert len(starts) == hours
    orders = Counter((one.owner, one.start_ms) for one in world.every(Order) if one.start_ms < day_ends)
    assert set(orders.values()) == {1}
    assert {start for _, start in orders} == set(starts)
    conserved_day(world, small, starts)


def conserved_day(world, small, starts):
    mine = [one for one in world.every(Delivery) if one.start_ms in set(starts)]
    assert len(mine) == len(starts) * small.homes
    assert len({(one.subject, one.start_ms) for one in mine}) == len(mine)
    check_money(world)
    check_limits(world)


# --- contracts -----------------------------------------------------------------------------------------------------


def test_a_contract_that_one_side_signed_never_executes():
    small = Small(homes=2, days=1)
    world = MarketWorld()
    open_small(world, small)
    end = small.start_ms + 24 * HOUR_MS
    terms = {"tariff": {"type": "fixed", "price": 1}, "feed_in": 1}
    new = "home-9@suncoop"
    early = small.start_ms - HOUR_MS
    propose(world, "wallet", "gridco", new, {"account": new, "credit_limit": 10**9}, early, end)
    grid = {"local_fee": 20, "grid_fee": 80, "operators": ["gridco", "suncoop"]}
    propose(world, "grid", "gridco", new, grid, small.start_ms, end, point="pt-9", area="north")
    supply = propose(world, "supply", "cityretail", new, terms, small.start_ms, end, signed=False, point="pt-9",
                     area="north")  # fmt: skip
    world.now_ms = small.start_ms + HOUR_MS
    read(world, new, small.start_ms, 5000, 0)
    world.settle()
    assert not [one for one in world.every(Delivery) if one.subject == new]
    assert new not in entries(world)
    step(world, supply, new, "countersigned", small.start_ms)
    world.settle()
    assert [one.bought_wh for one in world.every(Delivery) if one.subject == new] == [5000]
    assert earned(world)[new] == -5000


def test_a_contract_that_ends_at_noon_stops_at_noon():
    small = Small(homes=2, days=1)
    world = MarketWorld()
    contracts = open_small(world, small)
    noon, home = small.start_ms + 12 * HOUR_MS, small.parties[0]
    step(world, contracts["supply", home], home, "ended", noon)
    world.settle()
    for hour in range(10, 14):
        start = small.start_ms + hour * HOUR_MS
        world.now_ms = start + HOUR_MS
        read(world, home, start, 1000, 0)
        world.settle()
    assert [one.start_ms for one in world.every(Delivery)] == [noon - 2 * HOUR_MS, noon - HOUR_MS]
    assert all(one.start_ms < noon for one in world.every(StatementMoney) if one.customer == home)
    assert earned(world)[home] == -2 * 1000 * small.retail
    check_money(world)


def test_a_mandate_that_is_suspended_orders_no_more():
    small = Small(homes=2, days=1)
    world = MarketWorld()
    contracts = open_small(world, small)
    one, two = small.parties
    step(world, contracts["mandate", one], one, "suspended", small.start_ms)
    world.settle()
    for home in small.parties:
        read(world, home, small.start_ms - 24 * HOUR_MS, 1000, 0)
    world.settle()
    assert [order.owner for order in world.every(Order)] == [two]
