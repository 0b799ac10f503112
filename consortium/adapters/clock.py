"""Clocks: the machine's, and one that trials can set."""

from __future__ import annotations

import mmap
import struct
import time
from pathlib import Path

from consortium.errors import ConfigurationError

_OFFSET = struct.Struct("<q")


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """UTC milliseconds since the epoch."""
        return time.time_ns() // 1_000_000


class ShiftedClock:
    """The machine's clock plus an offset in milliseconds that stands in a file (8 bytes, signed, little-endian).

    Trials live through a day of the past with it, in minutes: all nodes read one file, and who runs the trial moves
    the time on. What it says is the time of records and batches; tokens and certificates keep the machine's time.
    """

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                self._offset = mmap.mmap(file.fileno(), _OFFSET.size, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"cannot read the clock file {path}") from error

    def now_ms(self) -> int:
        """UTC milliseconds since the epoch, shifted."""
        (offset,) = _OFFSET.unpack_from(self._offset)
        return time.time_ns() // 1_000_000 + int(offset)


def set_clock(path: Path, now_ms: int) -> None:
    """Let clocks of this file say `now_ms` now, and go on from there."""
    offset = _OFFSET.pack(now_ms - SystemClock().now_ms())
    if not path.exists():
        path.write_bytes(offset)
        return
    with path.open("r+b") as file:
        file.write(offset)
