"""Reads that their subjects have still to be told of, and where each subject's chain of access records stands."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Noted:
    """A read that waits: `subject` is the blinded tag of whom it is told to, `body` sealed at rest, `at_ms` UTC."""

    subject: bytes
    at_ms: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Waiting:
    """A noted read with the number that the store gave it; numbers rise."""

    number: int
    noted: Noted


@dataclass(frozen=True, slots=True)
class Tail:
    """Where a subject's chain stands: the number of its last record (0: none) and that one's digest (32 bytes)."""

    sequence: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Unwritten:
    """An access record that has its place in the chain and is not known to stand on the ledger yet.

    `id` is the record's, `body` its section sealed at rest, `at_ms` the first read that it tells of.
    """

    id: bytes
    subject: bytes
    sequence: int
    at_ms: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Step:
    """A chain goes on: from `before` to `after`, by `records`, in which the reads of those numbers are told."""

    subject: bytes
    before: Tail
    after: Tail
    records: tuple[Unwritten, ...]
    told: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Backlog:
    """Reads and records that wait, and the time of the oldest read among them, UTC ms (None: nothing waits)."""

    count: int
    oldest_ms: int | None


class AccessStore(Protocol):
    """What waits to be told. Raises `StoreUnavailable` from every method while Postgres is away."""

    async def note(self, reads: Sequence[Noted]) -> None:
        """Keep reads until they are told; all of them are durable when it returns, or none."""
        ...

    async def subjects(self, limit: int) -> Sequence[bytes]:
        """At most `limit` subjects that reads wait for, those first whose oldest read waits longest."""
        ...

    async def waiting(self, subjects: Collection[bytes], limit: int) -> Sequence[Waiting]:
        """At most `limit` reads of those subjects, the oldest first."""
        ...

    async def tails(self, subjects: Collection[bytes]) -> Mapping[bytes, Tail]:
        """Where chains stand; a subject without a chain is left out."""
        ...

    async def go_on(self, steps: Sequence[Step]) -> bool:
        """In one transaction: move the tails, add the records, drop the reads that they tell of.

        False, and nothing was done, if one of the chains does not stand at its `before` (number 0: no chain).
        """
        ...

    async def unwritten(self, limit: int) -> Sequence[Unwritten]:
        """At most `limit` records that are not known to be written, in the order in which they were added."""
        ...

    async def written(self, ids: Collection[bytes]) -> None:
        """These stand on the ledger."""
        ...

    async def backlog(self) -> Backlog:
        """What waits, unwritten records included."""
        ...
