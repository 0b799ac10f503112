"""Which entries stand in the log, without their values."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from etcd3aio import prefix_range_end

from consortium.adapters.etcd.connection import Connection
from consortium.adapters.etcd.keys import entry_key, member_prefix, parse_key

# etcd reads the values too before it strips them, and holds a page in memory: pages are small.
PAGE = 200


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry without its value. Compares by position, then key: the order of the log."""

    position: int
    key: bytes
    member: str
    sequence: int
    version: int

    @property
    def place(self) -> tuple[int, bytes]:
        """Position and key: a total order, the same for one who lists and one who watches."""
        return self.position, self.key


def listed(log: bytes, kv: Any) -> Listed:
    """An entry from etcd's KeyValue."""
    member, sequence = parse_key(log, kv.key)
    return Listed(kv.mod_revision, kv.key, member, sequence, kv.version)


async def list_range(
    connection: Connection, log: bytes, start: bytes, end: bytes, *, revision: int = 0, timeout_s: float
) -> list[Listed]:
    """All entries with start <= key < end, in the order of keys, at a revision (0: each page as of now)."""
    entries: list[Listed] = []
    while True:
        page = await connection.call(
            "a listing",
            lambda services, limit_s, start=start: services.kv.get(  # type: ignore[misc]
                start, end, revision=revision, limit=PAGE, keys_only=True, timeout=limit_s
            ),
            timeout_s=timeout_s,
        )
        entries.extend(listed(log, kv) for kv in page.kvs)
        if not page.more:
            return entries
        start = page.kvs[-1].key + b"\0"


class Newest:
    """Finds the newest entry without listing the log every time.

    etcd would read every value under the prefix to sort its keys by revision. But a member's entries rise in sequence
    and in position alike: once a member's newest is known, only what stands from there on can be newer. If that one
    is gone, everything is listed again.
    """

    def __init__(self, connection: Connection, log: bytes) -> None:
        self._connection = connection
        self._log = log
        self._floors: dict[str, int] = {}

    async def position(self, *, timeout_s: float) -> int:
        """The greatest position of an entry, 0 without entries; linearizable. Raises `LogUnavailable`."""
        floors = dict(self._floors)
        entries = await self._list(floors, timeout_s)
        if floors and not floors.keys() <= {entry.member for entry in entries}:
            floors = {}
            entries = await self._list(floors, timeout_s)
        for entry in entries:
            if entry.member:
                floors[entry.member] = max(entry.sequence, floors.get(entry.member, 0))
        self._floors = floors
        return max((entry.position for entry in entries), default=0)

    async def _list(self, floors: dict[str, int], timeout_s: float) -> list[Listed]:
        pages = await asyncio.gather(
            *(
                list_range(self._connection, self._log, start, end, timeout_s=timeout_s)
                for start, end in self._ranges(floors)
            )
        )
        return [entry for page in pages for entry in page]

    def _ranges(self, floors: dict[str, int]) -> list[tuple[bytes, bytes]]:
        """The whole prefix, less what stands below each member's newest."""
        skipped = sorted((member_prefix(self._log, name), entry_key(self._log, name, floors[name])) for name in floors)
        starts = [self._log, *(floor for _, floor in skipped)]
        ends = [*(prefix for prefix, _ in skipped), prefix_range_end(self._log)]
        return list(zip(starts, ends, strict=True))
