"""Meters by interval: the reading that counts, and whether it is missing, late, duplicate, estimated or corrected."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from consortium.energy.metering import READING, to_rfc3339
from consortium.energy.opened import Opened, Period
from consortium.energy.readings import Flag, InForce, Metered, readings_in_force

DUE_MS = 86_400_000
"""A reading is late that comes more than a day after its interval's end."""
Meter = tuple[str, int]
"""A home and the length of its intervals in seconds."""


def meter_rows(opened: Iterable[Opened], period: Period, now_ms: int) -> list[dict[str, Any]]:
    """Rows by interval and home, for every meter that is known and each of its intervals that is over.

    A meter is known by any reading in `opened`, which may reach back before the period: so one that fell silent shows.
    """
    meters: dict[Meter, dict[int, list[Metered]]] = {}
    for record in opened:
        for part in record.parts:
            if record.type == READING and isinstance(part, dict):
                known = meters.setdefault((part["subject"], part["interval_s"]), {})
                known.setdefault(part["start_ms"], []).append(_metered(record, part))
    rows = [row for meter, readings in meters.items() for row in _rows(meter, readings, period, now_ms)]
    return [row for _, row in sorted(rows, key=lambda row: (row[0], row[1]["subject"], row[1]["interval_s"]))]


def _metered(record: Opened, reading: dict[str, Any]) -> Metered:
    return Metered(
        bytes.fromhex(record.id), record.created_ms, reading["load_wh"], reading["pv_wh"], reading["quality"]
    )


def _rows(
    meter: Meter, readings: dict[int, list[Metered]], period: Period, now_ms: int
) -> list[tuple[int, dict[str, Any]]]:
    subject, length = meter
    step = length * 1000
    first, end = -(-period.start_ms // step) * step, min(period.end_ms, now_ms - step + 1)
    found = []
    for start in range(first, end, step):
        state = readings_in_force(readings.get(start, ()), start + step + DUE_MS)
        found.append((start, {"subject": subject, "start": to_rfc3339(start), "interval_s": length, **_row(state)}))
    return found


def _row(state: InForce) -> dict[str, Any]:
    counts = state.reading
    return {
        "load_wh": counts.load_wh if counts else None,
        "pv_wh": counts.pv_wh if counts else None,
        "reading": counts.record.hex() if counts else None,
        "version": state.version,
        "flags": [flag.value for flag in Flag if flag in state.flags],
        "duplicates": [record.hex() for record in state.duplicates],
    }
