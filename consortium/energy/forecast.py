"""Forecasts of a home's net demand, and how wrong they were.

A forecast answers from history alone. Two naive ones stand here; better ones are added to `FORECASTS` by name, and
nothing else changes. Local time is not known here: `before` is the market zone's own function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from consortium.errors import InvalidRequest

History = Mapping[int, int]
"""Net demand (load less generation) in Wh by the start of the interval in UTC milliseconds, one interval length."""

Before = Callable[[int, int], int | None]
"""(start_ms, days) -> start_ms of the same local interval so many days before; None where that day lacks it."""

_DAY_MS = 86_400_000


class Forecast(Protocol):
    """Whatever foresees net demand."""

    def net_wh(self, start_ms: int, interval_s: int, history: History) -> int | None:
        """Net demand in Wh of the interval that starts at `start_ms`: positive is demand, negative surplus.

        Must be a pure function of its arguments. None if the history does not suffice: then nothing is ordered.
        """


@dataclass(frozen=True, slots=True)
class SameIntervalBefore:
    """The naive forecast: what the same interval of the local day came to, `days` days before."""

    days: int
    before: Before

    def net_wh(self, start_ms: int, interval_s: int, history: History) -> int | None:
        """See `Forecast`."""
        earlier = self.before(start_ms, self.days)
        return None if earlier is None else history.get(earlier)


FORECASTS: dict[str, Callable[[Before], Forecast]] = {
    "day-before": lambda before: SameIntervalBefore(1, before),
    "week-before": lambda before: SameIntervalBefore(7, before),
}
"""Every known forecast by name, each made from a zone's `before`."""


def forecast(name: str, before: Before) -> Forecast:
    """The forecast called `name`. Raises `InvalidRequest`."""
    make = FORECASTS.get(name)
    if make is None:
        raise InvalidRequest(
            "unknown forecast", field="forecast", hint="known forecasts: " + ", ".join(sorted(FORECASTS))
        )
    return make(before)


def utc_days_before(start_ms: int, days: int) -> int:
    """A `Before` for a zone without daylight saving."""
    return start_ms - days * _DAY_MS


@dataclass(frozen=True, slots=True)
class Errors:
    """How forecasts differ from what came, in Wh; an error is forecast less actual.

    `count` intervals have both; `missing` have an actual and no forecast. `mean_absolute_wh` and `bias_wh` (the mean
    error) are rounded half up, and 0 where nothing is counted.
    """

    count: int
    missing: int
    sum_wh: int
    sum_absolute_wh: int
    mean_absolute_wh: int
    bias_wh: int


def errors(forecasts: Mapping[int, int | None], actuals: Mapping[int, int]) -> Errors:
    """Compare forecasts with actuals, both by the start of their interval."""
    differences = []
    for start_ms, actual in actuals.items():
        foreseen = forecasts.get(start_ms)
        if foreseen is not None:
            differences.append(foreseen - actual)
    count, total, absolute = len(differences), sum(differences), sum(map(abs, differences))
    return Errors(
        count=count,
        missing=len(actuals) - count,
        sum_wh=total,
        sum_absolute_wh=absolute,
        mean_absolute_wh=rounded(absolute, count),
        bias_wh=rounded(total, count),
    )


def rounded(value: int, divisor: int) -> int:
    """`value / divisor` to the nearest integer, a half upwards (towards plus infinity); 0 for a divisor of 0."""
    if divisor < 0:
        value, divisor = -value, -divisor
    return (2 * value + divisor) // (2 * divisor) if divisor else 0
