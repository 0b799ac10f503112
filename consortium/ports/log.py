"""The ordering log: one total order of all members' batches."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Protocol

from consortium.model.blocks import LogEntry


@dataclass(frozen=True, slots=True)
class Appended:
    """A new entry. Entries come in rising `position`, each exactly once."""

    entry: LogEntry


@dataclass(frozen=True, slots=True)
class Removed:
    """An entry's key was deleted (by trimming, or by tampering: the reader judges)."""

    member: str
    sequence: int
    position: int


@dataclass(frozen=True, slots=True)
class Overwritten:
    """An entry's key was written a second time: tampering."""

    member: str
    sequence: int
    position: int


@dataclass(frozen=True, slots=True)
class Trimmed:
    """The log no longer holds the batches of `member` from `expected` up to, not with, `first`.

    If it holds none of them, nor the one before, `first` is `expected`: nobody can tell how many there were.
    """

    member: str
    expected: int
    first: int


LogEvent = Appended | Removed | Overwritten | Trimmed


@dataclass(frozen=True, slots=True)
class LogUsage:
    """Bytes that the log's store takes, and the most that it may take."""

    used_bytes: int
    quota_bytes: int


class OrderingLog(Protocol):
    """One total order of all members' batches. One instance belongs to one member, and appends only as that one."""

    async def append(self, sequence: int, data: bytes, *, timeout_s: float) -> int:
        """Append `data` as the member's batch `sequence`, exactly once; its position.

        The same call again, after any error, finds the entry if the first one had succeeded. Raises `LogUnavailable`
        when it cannot say within `timeout_s` whether the entry stands (repeat the same call); `Tampering` if the
        sequence holds other bytes.
        """
        ...

    def read(self, after: int, next_sequences: Mapping[str, int]) -> AsyncGenerator[LogEvent, None]:
        """Every event after position `after`, in order, for ever; reconnects by itself.

        `next_sequences` says which batch of each member comes next: where the log begins later, or holds nothing from
        the batch before that on (a member never trims its newest), `Trimmed` is yielded before any `Appended` of that
        reading. Entries from before `after` are not repeated; holes between them are told as `Removed`. Nothing is
        expected of members that it does not name.
        """
        ...

    async def head(self, *, timeout_s: float) -> int:
        """The position of the newest entry (0 if none), as of now by majority. Raises `LogUnavailable`."""
        ...

    async def trim(self, below: int) -> int:
        """Delete this member's own entries of sequences < `below`; how many were there. Not the newest: see `read`."""
        ...

    async def usage(self) -> LogUsage:
        """Raises `LogUnavailable`."""
        ...

    async def close(self) -> None:
        """Give up all connections."""
        ...
