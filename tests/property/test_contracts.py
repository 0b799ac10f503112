"""Laws of tariffs, days, lives of contracts and split readings."""

from __future__ import annotations

import itertools
from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from consortium.energy import zones
from consortium.energy.contracts.contract import EXECUTES, Contract
from consortium.energy.contracts.lifecycle import apply_step, state_at
from consortium.energy.contracts.pricing import price_at
from consortium.energy.contracts.term_checks import check_terms
from consortium.energy.contracts.terms import SupplyTerms, parse_terms
from consortium.errors import InvalidRequest
from tests.contracting import DAY, HOME, START, proposed, step_of

ZONES = st.sampled_from(
    ["America/Los_Angeles", "Europe/Berlin", "Australia/Lord_Howe", "America/Havana", "America/St_Johns", "-08:00"]
)
DAYS = st.dates(date(2005, 1, 1), date(2035, 12, 31))
# Days on which the clocks of those zones changed, and their neighbours.
CHANGES = st.sampled_from([(3, 12), (3, 13), (3, 31), (4, 7), (10, 6), (10, 27), (11, 5), (11, 6), (11, 7)])
ANY_DAY = st.one_of(DAYS, st.builds(lambda y, md: date(y, *md), st.integers(2005, 2035), CHANGES))
LENGTHS = st.sampled_from([900, 1800, 3600])


def clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


@st.composite
def bands(draw: st.DrawFn) -> list[dict[str, object]]:
    """Bands that cover each kind of day once; each with a price of its own."""
    found: list[dict[str, object]] = []
    for days in draw(st.sampled_from([("all",), ("weekday", "weekend")])):
        cuts = sorted({0, 1440, *draw(st.lists(st.integers(1, 1439), max_size=6))})
        for start, end in itertools.pairwise(cuts):
            found.append({"days": days, "from": clock(start), "to": clock(end), "price": len(found)})
    return found


def terms_of(zone: str, given_bands: list[dict[str, object]]) -> SupplyTerms:
    tariff = {"type": "time-of-use", "zone": zone, "bands": given_bands}
    terms = parse_terms("supply", {"tariff": tariff, "feed_in": 0})
    assert isinstance(terms, SupplyTerms)
    return terms


@settings(max_examples=60)
@given(ZONES, ANY_DAY, bands(), st.integers(0, 1499))
def test_a_tariff_that_checks_has_one_price_at_every_instant(
    zone: str, day: date, given_bands: list[dict[str, object]], minute: int
) -> None:
    terms = terms_of(zone, given_bands)
    check_terms(terms)
    ms = zones.day_start(zone, day) + minute * 60_000
    weekday, now = zones.wall_minute(zone, ms)
    kind = "weekend" if weekday > 4 else "weekday"
    matching = [
        band["price"]
        for band in given_bands
        if band["days"] in ("all", kind) and str(band["from"]) <= clock(now) < str(band["to"])
    ]
    assert [price_at(terms, ms)[0]] == matching


@settings(max_examples=60)
@given(bands(), st.data())
def test_a_tariff_with_a_band_too_few_or_too_many_is_refused(
    given_bands: list[dict[str, object]], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(given_bands) - 1))
    changed = data.draw(st.sampled_from([[*given_bands, given_bands[at]], given_bands[:at] + given_bands[at + 1 :]]))
    if not changed:
        return
    try:
        check_terms(terms_of("-08:00", changed))
    except InvalidRequest as error:
        assert error.field == "terms.tariff.bands"  # noqa: PT017
    else:
        raise AssertionError("a gap or an overlap went through")


@settings(max_examples=60)
@given(ZONES, ANY_DAY, LENGTHS)
def test_sessions_of_days_are_a_partition(zone: str, day: date, session_s: int) -> None:
    found = [ms for n in range(3) for ms in zones.sessions(zone, day + timedelta(days=n), session_s)]
    assert found == list(range(found[0], found[-1] + 1, session_s * 1000))
    middle = zones.sessions(zone, day + timedelta(days=1), session_s)
    assert all(zones.local_day(zone, ms) == day + timedelta(days=1) for ms in middle)
    assert all(ms % (session_s * 1000) == 0 for ms in found)


@settings(max_examples=60)
@given(ZONES, ANY_DAY, st.sampled_from([1, 7]))
def test_the_same_interval_before_has_the_same_wall_time_or_none_has(zone: str, day: date, days: int) -> None:
    past = zones.sessions(zone, day - timedelta(days=days), 900)
    times = {zones.wall_minute(zone, ms)[1] for ms in past}
    for ms in zones.sessions(zone, day, 900):
        before = zones.earlier(zone, ms, 900, days)
        if zones.wall_minute(zone, ms)[1] in times:
            assert zones.wall_minute(zone, before)[1] == zones.wall_minute(zone, ms)[1]
        assert before < ms
        assert before % 900_000 == 0


PIECES = st.dictionaries(
    st.one_of(
        st.tuples(st.sampled_from([n * 900_000 for n in range(4)]), st.just(900)),
        st.tuples(st.sampled_from([0, 1_800_000]), st.just(1800)),
        st.tuples(st.just(0), st.just(3600)),
    ),
    st.integers(0, 10_000),
)


@settings(max_examples=150)
@given(PIECES)
def test_readings_of_several_lengths_meet_without_loss(pieces: dict[tuple[int, int], int]) -> None:
    readings = [(start, length, wh) for (start, length), wh in pieces.items()]
    by_quarter = [zones.covering(n * 900_000, 900, readings) for n in range(4)]
    by_half = [zones.covering(n * 1_800_000, 1800, readings) for n in range(2)]
    hour = zones.covering(0, 3600, readings)
    for n, half in enumerate(by_half):
        pair = by_quarter[2 * n : 2 * n + 2]
        assert half == (None if None in pair else sum(q for q in pair if q is not None))
    assert hour == (None if None in by_half else sum(h for h in by_half if h is not None))
    finer = [pieces.get((n * 900_000, 900)) for n in range(4)]
    if None not in finer:
        assert by_quarter == finer
    if set(pieces) == {(0, 3600)}:
        assert hour == pieces[0, 3600]


@given(st.integers(0, 10**9), st.sampled_from([1, 2, 4]))
def test_splitting_conserves_energy(wh: int, count: int) -> None:
    parts = zones.split(wh, count)
    assert sum(parts) == wh
    assert len(parts) == count
    assert max(parts) - min(parts) <= 1


STEPS = st.tuples(
    st.sampled_from(["countersigned", "suspended", "resumed", "ended", "accepted"]),
    st.sampled_from([HOME, "cityretail", "gridco", "suncoop", "home-02@suncoop"]),
    st.sampled_from(["suncoop", "cityretail", "gridco"]),
    st.integers(0, 120),
)


@settings(max_examples=200)
@given(st.sampled_from([HOME, "cityretail"]), st.lists(STEPS, max_size=10))
def test_nothing_executes_without_both_signatures(proposer: str, steps: list[tuple[str, str, str, int]]) -> None:
    contract: Contract = proposed(proposer=proposer)
    other = "cityretail" if proposer == HOME else HOME
    countersigned = False
    for index, (name, by, author, day) in enumerate(steps):
        step = step_of(contract, name, by, START + day * DAY)
        found = apply_step(contract, step, author, index)
        if isinstance(found, Contract):
            assert by.rpartition("@")[2] == author
            assert by in contract.sides
            countersigned = countersigned or (name == "countersigned" and by == other)
            contract = found
        executing = [day for day in range(-1, 130) if state_at(contract, START + day * DAY) in EXECUTES]
        assert countersigned or not executing
        assert all(0 <= day < 100 for day in executing)
