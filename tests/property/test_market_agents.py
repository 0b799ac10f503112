"""Whatever the order in which nodes act, wherever they are killed, and with two replicas of each: the same records."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consortium.energy.payloads.metering import MeterReading
from consortium.energy.payloads.settlement import Delivery
from tests.market_days import HOUR_MS, Small, check_limits, check_money, open_small, read, told
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


@settings(max_examples=12, deadline=None)
@given(days(), st.integers(0, 2**32), st.integers(0, 12), st.sets(st.sampled_from(("cityretail", "gridco", "suncoop"))))
def test_the_same_records_whoever_is_slow_killed_or_doubled(day, seed, steps, doubled):
    plain = run(day, MarketWorld())
    world, chaos = MarketWorld(), Chaos(seed, crashes=6)
    for member in sorted(doubled):
        world.replica(member)
    run(day, world, lambda world: chaos(world, steps))
    check_money(world)
    check_limits(world)
    assert told(world) == told(plain)
