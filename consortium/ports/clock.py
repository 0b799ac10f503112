"""Time, as the edges need it."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Wall time, for the edges only; the core is given times."""

    def now_ms(self) -> int:
        """UTC milliseconds since the epoch."""
        ...
