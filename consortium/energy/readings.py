"""Which of a home's readings of one interval counts. Pure.

A meter's figures may come several times: estimated, then measured, sent twice, corrected years later. In the ledger's
order: the first reading counts until a better one comes. A measured one replaces an estimated one, a corrected one
replaces any; whatever else comes is a duplicate and changes nothing. What replaces makes a new version of all that
followed from the old one, if its figures differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Flag(StrEnum):
    """What is to be said of an interval's readings."""

    MISSING = "missing"
    LATE = "late"
    DUPLICATE = "duplicate"
    ESTIMATED = "estimated"
    CORRECTED = "corrected"


@dataclass(frozen=True, slots=True)
class Metered:
    """One reading as it stands on the ledger: its record's id, the ledger's time at it, the figures in Wh."""

    record: bytes
    ordered_ms: int
    load_wh: int
    pv_wh: int
    quality: Literal["measured", "estimated", "corrected"]


@dataclass(frozen=True, slots=True)
class InForce:
    """The reading that counts (None: none came), its version from 1 on, what is to be said of the interval, and the
    records that changed nothing.
    """

    reading: Metered | None
    version: int
    flags: frozenset[Flag]
    duplicates: tuple[bytes, ...] = ()


def readings_in_force(readings: Sequence[Metered], due_ms: int | None = None) -> InForce:
    """Of all readings of one home and interval, in the ledger's order, the one that counts.

    `due_ms` is the ledger's time until which the first one had to be there; after it the interval is late.
    """
    counts: Metered | None = None
    version, duplicates = 0, []
    for reading in readings:
        if counts is not None and not replaces(reading.quality, counts.quality):
            duplicates.append(reading.record)
            continue
        changed = counts is None or (reading.load_wh, reading.pv_wh) != (counts.load_wh, counts.pv_wh)
        version += changed
        counts = reading
    if counts is None:
        return InForce(None, 0, frozenset({Flag.MISSING}))
    late = due_ms is not None and readings[0].ordered_ms > due_ms
    return InForce(counts, version, _flags(counts, late, bool(duplicates)), tuple(duplicates))


def replaces(quality: str, counting: str) -> bool:
    """Whether a reading of one quality takes the place of one that counts: the rule of this module, by its words."""
    return quality == "corrected" or (quality == "measured" and counting == "estimated")


def _flags(counts: Metered, late: bool, duplicate: bool) -> frozenset[Flag]:
    said = {
        Flag.LATE: late,
        Flag.DUPLICATE: duplicate,
        Flag.ESTIMATED: counts.quality == "estimated",
        Flag.CORRECTED: counts.quality == "corrected",
    }
    return frozenset(flag for flag, holds in said.items() if holds)
