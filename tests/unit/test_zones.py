"""Local days with daylight saving, and readings of several lengths in one session."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from consortium.energy import zones
from consortium.energy.metering import to_ms
from consortium.errors import InvalidRequest

LA = "America/Los_Angeles"
HOUR = 3_600_000


def utc(*parts: int) -> int:
    return to_ms(datetime(*parts, tzinfo=UTC))


@pytest.mark.parametrize(
    ("key", "day", "hours"),
    [
        (LA, date(2017, 3, 12), 23),
        (LA, date(2017, 6, 15), 24),
        (LA, date(2017, 11, 5), 25),
        ("-08:00", date(2017, 3, 12), 24),
        ("Europe/Berlin", date(2024, 3, 31), 23),
        ("Europe/Berlin", date(2024, 10, 27), 25),
        ("Asia/Kolkata", date(2024, 10, 27), 24),
        ("America/Havana", date(2010, 3, 14), 23),  # the clock skips midnight
        ("America/St_Johns", date(2010, 11, 7), 25),  # it is put back over midnight
        ("Pacific/Apia", date(2011, 12, 30), 0),  # a day that never was
    ],
)
def test_sessions_of_a_day(key: str, day: date, hours: int) -> None:
    for session_s in (900, 1800, 3600):
        starts = zones.sessions(key, day, session_s)
        assert len(starts) == hours * 3600 // session_s
        assert all(zones.local_day(key, ms) == day for ms in starts)


def test_local_time() -> None:
    noon = utc(2017, 6, 15, 19)
    assert zones.local_day(LA, noon) == date(2017, 6, 15)
    assert zones.wall_minute(LA, noon) == (3, 720)
    assert zones.day_start(LA, date(2017, 6, 15)) == utc(2017, 6, 15, 7)


@pytest.mark.parametrize(
    ("start", "session_s", "expected"),
    [
        (utc(2017, 6, 15, 19), 3600, utc(2017, 6, 14, 19)),
        (utc(2017, 3, 12, 19), 3600, utc(2017, 3, 11, 20)),  # 12:00 PDT, 12:00 PST
        (utc(2017, 3, 13, 9, 30), 1800, utc(2017, 3, 12, 10, 30)),  # 02:30 is skipped the day before: 03:30
        (utc(2017, 11, 6, 9), 3600, utc(2017, 11, 5, 8)),  # 01:00 is twice the day before: the first
        (utc(2017, 11, 5, 9), 3600, utc(2017, 11, 4, 8)),  # the second 01:00
    ],
)
def test_the_day_before(start: int, session_s: int, expected: int) -> None:
    assert zones.day_before(LA, start, session_s) == expected


def test_the_week_before() -> None:
    assert zones.week_before(LA, utc(2017, 3, 15, 19), 900) == utc(2017, 3, 8, 20)
    assert zones.week_before("-08:00", utc(2017, 3, 15, 19), 900) == utc(2017, 3, 8, 19)
    # A shift of half an hour: still the start of an interval.
    assert zones.day_before("Australia/Lord_Howe", utc(2024, 4, 7, 3), 3600) % HOUR == 0


@pytest.mark.parametrize(
    "key", ["", "Mars/Olympus", "America", "../etc/passwd", "-8", "+15:00", "zone.tab", "tzdata.zi"]
)
def test_unknown_zones(key: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        zones.zone(key)
    assert caught.value.field == "zone"


def test_zone_rules_come_from_the_package() -> None:
    assert zones.zone("+05:30").utcoffset(None) == timedelta(hours=5, minutes=30)
    assert str(zones.zone(LA)) == LA


QUARTERS = [(n * 900_000, 900, n + 1) for n in range(4)]


@pytest.mark.parametrize(
    ("session", "readings", "expected"),
    [
        ((0, 3600), [(0, 3600, 10)], 10),
        ((0, 3600), QUARTERS, 10),
        ((0, 3600), QUARTERS[:3], None),
        ((0, 3600), [*QUARTERS[:2], (1_800_000, 1800, 9)], 12),
        ((0, 1800), [(0, 3600, 11)], 5),
        ((1_800_000, 1800), [(0, 3600, 11)], 6),
        ((900_000, 900), [(0, 3600, 10)], 3),
        ((0, 3600), [*QUARTERS, (0, 3600, 99)], 10),  # the finer ones are complete
        ((0, 3600), [*QUARTERS[:3], (0, 3600, 99)], 99),  # they are not
        ((0, 900), [*QUARTERS[:3], (0, 3600, 99)], 24),
        ((0, 900), [(0, 900, 1)], 1),
        ((900_000, 900), [(0, 900, 1)], None),
        ((0, 1800), [(0, 900, 1), (0, 1800, 8)], 8),
        ((0, 3600), [(HOUR, 3600, 8)], None),
        ((0, 3600), [], None),
    ],
)
def test_covering(session: tuple[int, int], readings: list[tuple[int, int, int]], expected: int | None) -> None:
    assert zones.covering(*session, readings) == expected
    moved = [(start + 5 * HOUR, length, wh) for start, length, wh in readings]
    assert zones.covering(session[0] + 5 * HOUR, session[1], moved) == expected
