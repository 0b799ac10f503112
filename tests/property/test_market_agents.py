"""Whatever the order in which nodes act, wherever they are killed, and with two replicas of each: the same records."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from tests.market_days import HOUR_MS, Small, balances, check_limits, check_money, open_small, read, told
from tests.market_world import Chaos, MarketWorld

DAY_MS = 24 * HOUR_MS
ENERGY = st.integers(0, 3000)


@dataclass(frozen=True)
class Day:
    """A small market and its meters: `before` and `after` by hour and home, (load, pv) in Wh."""

    small: Small
    before: list[list[tuple[int, int]]]
    after: list[list[tuple[int, int]]]
    corrected: list[tuple[int, int, int, int]]
    """Hour, home, load, pv of corrections, in their order."""


ORDINARY = Day(
    Small(homes=4, days=1),
    [[(300, 2000), (1500, 0), (200, 1200), (900, 100)]] * 2,
    [[(300, 1900), (1700, 0), (400, 900), (800, 0)]] * 2,
    [(0, 1, 2700, 0), (1, 0, 300, 2500)],
)


@st.composite
def days(draw):
    homes, hours = draw(st.integers(2, 5)), draw(st.integers(1, 3))
    meters = st.lists(
        st.lists(st.tuples(ENERGY, ENERGY), min_size=homes, max_size=homes), min_size=hours, max_size=hours
    )
    place = st.tuples(st.integers(0, hours - 1), st.integers(0, homes - 1), ENERGY, ENERGY)
    return Day(Small(homes=homes, days=1), draw(meters), draw(meters), draw(st.lists(place, max_size=3)))


def run(day, world, between=lambda world: None):
    """The day on a world; `between` drives the nodes after each thing that happens. All orders come before the gates,
    so that what is cleared does not hang on who was slow.
    """
    small = day.small
    open_small(world, small)
    world.now_ms = small.start_ms - 2 * HOUR_MS
    for hour, meters in enumerate(day.before):
        for home, figures in zip(small.parties, meters, strict=True):
            read(world, home, small.start_ms - DAY_MS + hour * HOUR_MS, *figures)
            between(world)
    world.settle()
    for hour, meters in enumerate(day.after):
        for home, figures in zip(small.parties, meters, strict=True):
            world.now_ms = max(world.now_ms, small.start_ms + (hour + 1) * HOUR_MS)
            read(world, home, small.start_ms + hour * HOUR_MS, *figures)
            between(world)
    for hour, home, load, pv in day.corrected:
        read(world, small.parties[home], small.start_ms + hour * HOUR_MS, load, pv, "corrected")
        between(world)
    for _ in range(6):
        between(world)
    world.settle()
    return world


MEMBERS = st.sets(st.sampled_from(("cityretail", "gridco", "suncoop")))
FEW = settings(max_examples=10, deadline=None, phases=(Phase.explicit, Phase.generate))
"""Not shrunk: a seed is no smaller than another."""


def driven(day, seed, steps, doubled):
    """The day with nodes that are slow, killed, and doubled where `doubled` says so."""
    world, chaos = MarketWorld(), Chaos(seed, crashes=6)
    for member in sorted(doubled):
        world.replica(member)
    run(day, world, lambda world: chaos(world, steps))
    check_money(world)
    check_limits(world)
    return world


@FEW
@given(days(), st.integers(0, 2**32), st.integers(0, 100), MEMBERS)
def test_the_same_records_whoever_is_slow_killed_or_doubled(day, seed, steps, doubled):
    day = replace(day, corrected=[])
    assert told(driven(day, seed, steps, doubled)) == told(run(day, MarketWorld()))


@example(day=ORDINARY, seed=12, steps=100, doubled={"cityretail", "gridco", "suncoop"})
@FEW
@given(days(), st.integers(0, 2**32), st.integers(0, 100), MEMBERS)
def test_the_same_money_whenever_corrections_come(day, seed, steps, doubled):
    """How many versions there are hangs on when a correction came; what everybody has in the end does not."""
    world, plain = driven(day, seed, steps, doubled), run(day, MarketWorld())
    assert balances(world) == balances(plain)
    conserves(world, day)


def conserves(world, day):
    """Over all homes of an hour: load - PV = bought - sold back, by the readings and deliveries that count."""
    view = world.desk("gridco")
    for hour in range(len(day.after)):
        start = day.small.start_ms + hour * HOUR_MS
        found = [view.meter(home).delivery(start)[1] for home in day.small.parties]
        metered = [view.metered(home, start, 3600) for home in day.small.parties]
        assert sum(load - pv for load, pv in metered) == sum(one.bought_wh - one.sold_back_wh for one in found)
