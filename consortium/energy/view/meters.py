"""A home's meter as this node sees it: readings, deliveries, and what stands between them."""

from __future__ import annotations

from dataclasses import dataclass, field

from consortium.energy.payloads.metering import MeterReading
from consortium.energy.payloads.settlement import Certificate, Delivery
from consortium.energy.readings import Metered, readings_in_force
from consortium.energy.zones import HOUR_MS


@dataclass(frozen=True, slots=True)
class ReadingSeen:
    """A reading with its record."""

    id: bytes
    index: int
    reading: MeterReading


@dataclass(slots=True)
class Meter:
    """One home's records: readings by their start in the ledger's order, deliveries by interval and version."""

    readings: dict[int, list[ReadingSeen]] = field(default_factory=dict)
    deliveries: dict[int, list[tuple[bytes, Delivery]]] = field(default_factory=dict)
    places: dict[bytes, int] = field(default_factory=dict)
    """Tree index of each delivery's record."""
    certificates: dict[int, list[tuple[bytes, Certificate]]] = field(default_factory=dict)

    def newest(self, start_ms: int, end_ms: int) -> int:
        """The tree index of the newest reading that reaches into a stretch of time; -1 without one."""
        hour_ms = start_ms - start_ms % HOUR_MS
        starts = range(hour_ms, end_ms, 900_000)
        return max((seen.index for start in starts for seen in self.readings.get(start, ())), default=-1)

    def counting(self, start_ms: int) -> list[tuple[int, Metered]]:
        """Of each length in seconds the reading of the interval from `start_ms` on that counts."""
        by_length: dict[int, list[Metered]] = {}
        for seen in self.readings.get(start_ms, ()):
            one = seen.reading
            figures = Metered(seen.id, seen.index, one.load_wh, one.pv_wh, one.quality)
            by_length.setdefault(one.interval_s, []).append(figures)
        found = [(length, readings_in_force(readings).reading) for length, readings in by_length.items()]
        return [(length, reading) for length, reading in found if reading is not None]

    def delivery(self, start_ms: int) -> tuple[bytes, Delivery] | None:
        """The last version."""
        known = self.deliveries.get(start_ms)
        return known[-1] if known else None
