"""What is said of a meter's intervals."""

from __future__ import annotations

from consortium.energy.opened import Opened, Period
from consortium.energy.reports.meters import DUE_MS, meter_rows
from tests.builders import T0

HOUR = 3_600_000


def reading(n: int, start: int, quality: str = "measured", load: int = 5, *, subject: str = "a@suncoop", late: int = 0):
    fields = {
        "type": "reading", "subject": subject, "start_ms": start, "interval_s": 3600, "load_wh": load, "pv_wh": 0,
        "quality": quality,
    }  # fmt: skip
    return Opened(bytes([n] * 16).hex(), n, "reading", "suncoop", (fields,), start + HOUR + late)


def test_every_interval_that_is_over_has_one_row_and_its_flags():
    readings = [
        reading(0, T0),
        reading(1, T0, load=6),
        reading(2, T0 + HOUR, "estimated"),
        reading(3, T0 + HOUR, "corrected", load=9),
        reading(4, T0 + 3 * HOUR, late=DUE_MS + 1),
        reading(5, T0 + 4 * HOUR, "estimated"),
    ]
    rows = meter_rows(readings, Period(T0, T0 + 24 * HOUR), T0 + 5 * HOUR)
    assert [(row["load_wh"], row["version"], row["flags"]) for row in rows] == [
        (5, 1, ["duplicate"]),
        (9, 2, ["corrected"]),
        (None, 0, ["missing"]),
        (5, 1, ["late"]),
        (5, 1, ["estimated"]),
    ]
    assert rows[0]["duplicates"] == [readings[1].id]
    assert rows[1]["reading"] == readings[3].id


def test_a_meter_that_fell_silent_is_missing_and_another_is_not_its_substitute():
    readings = [reading(0, T0 - 2 * HOUR), reading(1, T0, subject="b@suncoop")]
    rows = meter_rows(readings, Period(T0, T0 + HOUR), T0 + HOUR)
    assert [(row["subject"], row["flags"]) for row in rows] == [("a@suncoop", ["missing"]), ("b@suncoop", [])]


def test_an_interval_that_is_not_over_is_not_missing():
    assert meter_rows([reading(0, T0 - HOUR)], Period(T0, T0 + HOUR), T0 + HOUR - 1) == []
