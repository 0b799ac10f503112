"""A market's zone: local days, and their sessions with daylight saving.

A zone is an IANA name or a fixed offset written "-08:00"; on records it stays text. Its rules come from the `tzdata`
package alone, never from the machine, so that every member computes the same day.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from consortium.energy.metering import to_ms
from consortium.errors import InvalidRequest

_OFFSET = re.compile(r"([+-])(0[0-9]|1[0-4]):([0-5][0-9])")
_IANA = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,30}(/[A-Za-z0-9_+-]{1,30}){0,2}")

MINUTES = 1440
"""Of a wall clock's day."""
HOUR_MS = 3_600_000
DAY = timedelta(days=1)
MIDNIGHT = time(0)


@lru_cache(maxsize=512)
def zone(key: str) -> tzinfo:
    """The zone that `key` names. Raises `InvalidRequest`."""
    fixed = _OFFSET.fullmatch(key)
    if fixed:
        minutes = int(fixed[2]) * 60 + int(fixed[3])
        return timezone(timedelta(minutes=-minutes if fixed[1] == "-" else minutes))
    if _IANA.fullmatch(key):
        data = files("tzdata").joinpath("zoneinfo", *key.split("/"))
        try:
            with data.open("rb") as file:
                return ZoneInfo.from_file(file, key=key)
        except (OSError, ValueError):
            pass  # not there, a folder, or a file of another kind
    raise InvalidRequest("unknown zone", field="zone", hint="for example America/Los_Angeles or -08:00")


@lru_cache(maxsize=65_536)
def wall_minute(key: str, ms: int) -> tuple[int, int]:
    """Local weekday (Monday is 0) and minute of the day of an instant, UTC ms. Raises `InvalidRequest`."""
    local = _local(key, ms)
    return local.weekday(), local.hour * 60 + local.minute


def local_day(key: str, ms: int) -> date:
    """The local day of an instant, by `day_start`: a clock put back over midnight does not leave the new day."""
    day = _local(key, ms).date()
    return day + DAY if ms >= day_start(key, day + DAY) else day


@lru_cache(maxsize=4096)
def day_start(key: str, day: date) -> int:
    """The first instant of a local day, UTC ms. Where the clock skips midnight it is when it does so."""
    return to_ms(datetime.combine(day, MIDNIGHT, zone(key)))


def sessions(key: str, day: date, session_s: int) -> range:
    """The starts, UTC ms, of all intervals of a local day: those of multiples of `session_s` in UTC that start in it.

    So every interval is in exactly one day; days of 23, 24 and 25 hours have 92, 96 and 100 quarters.
    """
    step = session_s * 1000
    first, end = (-(-day_start(key, d) // step) * step for d in (day, day + DAY))
    return range(first, end, step)


def day_before(key: str, start_ms: int, session_s: int) -> int:
    """Start of the same interval of the day before, see `earlier`."""
    return earlier(key, start_ms, session_s, 1)


def week_before(key: str, start_ms: int, session_s: int) -> int:
    """Start of the same interval of the week before, see `earlier`."""
    return earlier(key, start_ms, session_s, 7)


def earlier(key: str, start_ms: int, session_s: int, days: int) -> int:
    """Start of the interval with the same local wall time `days` before, UTC ms.

    Of a wall time that the earlier day has twice it is the first; for one that the earlier day skips it is the interval
    that the clock went on to (02:30 is 03:30 then).
    """
    local = _local(key, start_ms)
    then = to_ms(local - DAY * days)  # arithmetic within one zone is of wall times, and takes the first of two
    return then - then % (session_s * 1000)


def _local(key: str, ms: int) -> datetime:
    return datetime.fromtimestamp(ms // 1000, zone(key))


def covering(start_ms: int, session_s: int, readings: Iterable[tuple[int, int, int]]) -> int | None:
    """The energy, Wh, of a session of 900, 1800 or 3600 s out of readings (start ms, length s, Wh) of these lengths.

    None if any quarter of it is not covered. See `quarters` for how readings of several lengths meet.
    """
    hour = start_ms - start_ms % HOUR_MS
    known = {(start, length): wh for start, length, wh in readings if hour <= start < hour + HOUR_MS}
    first = (start_ms - hour) // 900_000
    parts = quarters(hour, known)[first : first + session_s // 900]
    return None if None in parts else sum(part for part in parts if part is not None)


def quarters(hour_ms: int, readings: Mapping[tuple[int, int], int]) -> tuple[int | None, ...]:
    """The energy, Wh, of the four quarters of an hour, None where no reading says it. `readings`: (start, length): Wh.

    Finer readings count where they cover all of a coarser one, else the coarser one alone does, split evenly in whole
    Wh. So the quarters always sum to what was metered, whichever sessions ask for them.
    """
    found: list[int | None] = [readings.get((hour_ms + n * 900_000, 900)) for n in range(4)]
    for first, length_s in ((0, 1800), (2, 1800), (0, 3600)):
        whole, count = readings.get((hour_ms + first * 900_000, length_s)), length_s // 900
        if whole is not None and None in found[first : first + count]:
            found[first : first + count] = split(whole, count)
    return tuple(found)


def split(wh: int, count: int) -> list[int]:
    """`wh` in `count` parts that differ by 1 at the most and sum to it."""
    return [wh * (n + 1) // count - wh * n // count for n in range(count)]
