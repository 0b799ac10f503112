"""Homes and prices from CSV files, in the shapes of `data/README.md`.

`meters.csv`: interval_start, home, load_wh, pv_wh. `prices.csv`: interval_start, retail_micro_per_wh,
wholesale_micro_per_wh, carbon_g_per_kwh. Energy is integer Wh, prices integer micro-units per Wh, hours with offsets.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from consortium.errors import InvalidRequest

METERS = ("interval_start", "home", "load_wh", "pv_wh")
PRICES = ("interval_start", "retail_micro_per_wh", "wholesale_micro_per_wh", "carbon_g_per_kwh")
DATA = Path(__file__).parent / "data"
HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class MeterRow:
    """One hour of one home, in Wh."""

    start: datetime
    home: str
    load_wh: int
    pv_wh: int


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One hour's prices in micro-units per Wh, and the grid's carbon intensity in g per kWh."""

    start: datetime
    retail: int
    wholesale: int
    carbon: int


def read_meters(path: Path, day: date) -> tuple[MeterRow, ...]:
    """The day's rows, as `meters_of`. Raises `InvalidRequest` also if there are none."""
    rows = meters_of(path, day)
    if not rows:
        raise InvalidRequest(f"{path} has no readings of {day}", hint="choose a day of the file with --day")
    return rows


def meters_of(path: Path, day: date) -> tuple[MeterRow, ...]:
    """The day's rows (by the local date that the file writes), by hour and home. Raises `InvalidRequest`."""
    rows = [
        MeterRow(start, values["home"], _whole(values, "load_wh", at), _whole(values, "pv_wh", at))
        for at, start, values in _rows(path, METERS)
        if start.date() == day
    ]
    if len({(row.start, row.home) for row in rows}) != len(rows):
        raise InvalidRequest(f"{path} has two rows for the same home and hour")
    return tuple(sorted(rows, key=lambda row: (row.start, row.home)))


def read_prices(path: Path, day: date) -> tuple[PriceRow, ...]:
    """The day's rows by hour. Raises `InvalidRequest`."""
    rows = [
        PriceRow(start, *(_whole(values, name, at, negative=True) for name in PRICES[1:]))
        for at, start, values in _rows(path, PRICES)
        if start.date() == day
    ]
    if not rows:
        raise InvalidRequest(f"{path} has no prices of {day}", hint="choose a day of the file with --day")
    return tuple(sorted(rows, key=lambda row: row.start))


def homes_of(rows: Sequence[MeterRow]) -> tuple[str, ...]:
    """The homes, sorted."""
    return tuple(sorted({row.home for row in rows}))


def _rows(path: Path, columns: tuple[str, ...]) -> list[tuple[str, datetime, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != columns:
                raise InvalidRequest(f"{path}: the columns must be {', '.join(columns)}")
            return [(f"{path}, line {n}", _start(row, f"{path}, line {n}"), row) for n, row in enumerate(reader, 2)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidRequest(f"cannot read {path}: {error}") from error


def _start(row: dict[str, str], at: str) -> datetime:
    try:
        start = datetime.fromisoformat(row["interval_start"])
    except (ValueError, TypeError):
        raise InvalidRequest(f"{at}: interval_start is no RFC 3339 time") from None
    if start.tzinfo is None:
        raise InvalidRequest(f"{at}: interval_start has no offset")
    return start


def _whole(row: dict[str, str], name: str, at: str, *, negative: bool = False) -> int:
    text = row[name] or ""
    if not (text.isascii() and (text.isdigit() or (negative and text[:1] == "-" and text[1:].isdigit()))):
        raise InvalidRequest(f"{at}: {name} is no whole number")
    return int(text)
