"""Late, missing, doubled and corrected readings: what followed from the old figures is replaced, both visible."""

from __future__ import annotations

import pytest

from consortium.energy.payloads.money import Entry
from consortium.energy.payloads.settlement import Certificate, Delivery, StatementMoney
from tests.market_days import HOUR_MS, Small, balances, check_limits, check_money, open_small, read
from tests.market_world import MarketWorld

SMALL = Small(homes=4, days=1)
START = SMALL.start_ms
ONE, TWO, THREE, FOUR = SMALL.parties
BEFORE = {ONE: (0, 2000), TWO: (1500, 0), THREE: (200, 1200), FOUR: (900, 100)}
"""The day before: homes 1 and 3 are foreseen to sell to homes 2 and 4."""
METERS = {ONE: (300, 1900), TWO: (1700, 0), THREE: (400, 900), FOUR: (800, 0)}


def settled(meters, *, skip=(), quality="measured"):
    """A market after its first hour with these meters."""
    world = MarketWorld()
    open_small(world, SMALL)
    for home, figures in BEFORE.items():
        read(world, home, START - 24 * HOUR_MS, *figures)
    world.settle()
    world.now_ms = START + HOUR_MS
    for home, figures in meters.items():
        if home not in skip:
            read(world, home, START, *figures, quality)
    world.settle()
    return world


def correct(world, home, load, pv, quality="corrected"):
    read(world, home, START, load, pv, quality)
    world.settle()


def deliveries(world, home):
    return [(one.version, one.bought_wh, one.sold_back_wh) for one in world.every(Delivery) if one.subject == home]


def uses(world, home):
    """Certificates of a home by use, in being."""
    interval = world.node("gridco").view.holdings.interval(home, START)
    return {use: interval.count("used", use=use) for use in ("self", "local", "retail")}


def sound(world):
    check_money(world)
    check_limits(world)


def test_the_hour_trades_and_pays():
    world = settled(METERS)
    assert len(world.every(Delivery)) == 4
    assert uses(world, ONE)["local"] > 0
    sound(world)


@pytest.mark.parametrize(
    ("home", "load", "pv"),
    [(ONE, 300, 2500), (ONE, 300, 100), (ONE, 1500, 1900), (TWO, 0, 0), (TWO, 4000, 0), (THREE, 400, 0), (FOUR, 1, 9)],
)
def test_money_comes_out_as_if_the_corrected_reading_had_come_first(home, load, pv):
    world = settled(METERS)
    first = deliveries(world, home)
    correct(world, home, load, pv)
    right = settled({**METERS, home: (load, pv)})
    assert balances(world) == balances(right)
    assert deliveries(world, home)[0] == first[0]
    assert deliveries(world, home)[-1][1:] == deliveries(right, home)[-1][1:]
    sound(world)


def test_a_correction_shows_what_it_takes_back_and_what_it_pays():
    world = settled(METERS)
    before = len(world.records)
    correct(world, TWO, 2700, 0)
    since = [part for record in world.records[before:] for part in record.parts]
    assert [(d.subject, d.version) for d in since if isinstance(d, Delivery)] == [(TWO, 2)]
    assert {s.version for s in since if isinstance(s, StatementMoney) and s.customer == TWO} == {2}
    entry = next(e for e in since if isinstance(e, Entry) and e.account == TWO)
    assert [line.kind for line in entry.lines] == ["reversal", "bill"]
    assert sum(line.amount for line in entry.lines) == -1000 * SMALL.retail


def test_years_later_and_again_and_back():
    world = settled(METERS)
    plain = balances(world)
    world.now_ms += 3 * 365 * 24 * HOUR_MS
    for load in (2700, 900, METERS[TWO][0]):
        correct(world, TWO, load, 0)
    assert [version for version, *_ in deliveries(world, TWO)] == [1, 2, 3, 4]
    assert balances(world) == plain
    sound(world)


def test_estimated_then_measured():
    world = settled(METERS, quality="estimated")
    correct(world, TWO, 2700, 0, "measured")
    assert balances(world) == balances(settled({**METERS, TWO: (2700, 0)}))
    sound(world)


def test_a_second_measured_reading_changes_nothing():
    world = settled(METERS)
    before = len(world.records)
    correct(world, TWO, 2700, 0, "measured")
    assert len(world.records) == before + 1


def test_a_missing_home_holds_up_nobody_but_its_supplier_and_pays_when_its_reading_comes():
    world = settled(METERS, skip=(TWO,))
    assert {one.subject for one in world.every(Delivery)} == {ONE, THREE, FOUR}
    balance = [one for one in world.every(StatementMoney) if one.customer == "cityretail"]
    assert balance == []
    world.now_ms += 30 * 24 * HOUR_MS
    correct(world, TWO, *METERS[TWO], "measured")
    assert balances(world) == balances(settled(METERS))
    sound(world)


def test_certificates_follow_a_correction_that_leaves_the_net_equal():
    world = settled(METERS)
    load, pv = METERS[ONE]
    correct(world, ONE, load + 500, pv + 500)
    assert len(deliveries(world, ONE)) == 1
    assert sum(uses(world, ONE).values()) == pv + 500
    assert uses(world, ONE)["self"] == load + 500
    sound(world)


def test_certificates_of_less_energy_are_made_good():
    world = settled(METERS)
    correct(world, ONE, 300, 1000)
    holdings = world.node("gridco").view.holdings
    assert holdings.interval(ONE, START).backed == 1000
    assert holdings.owed(ONE) == 900
    world.now_ms += HOUR_MS
    read(world, ONE, START + HOUR_MS, 0, 2000)
    world.settle()
    assert holdings.owed(ONE) == 0
    assert holdings.interval(ONE, START + HOUR_MS).count("given") == 900


def test_no_certificate_is_used_twice_in_all_of_it():
    world = settled(METERS)
    for pv in (2500, 300, 1800, 0, 4000):
        correct(world, ONE, 300, pv)
    holdings = world.node("gridco").view.holdings
    assert holdings.interval(ONE, START).backed == 4000
    folded = type(holdings)()
    assert {folded.apply(one) for one in world.every(Certificate)} == {""}
