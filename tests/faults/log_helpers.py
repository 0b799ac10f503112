"""What the tests of the ordering log's faults share."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from tests.fixtures.etcd import EtcdChannel
from tests.readings import entries, eventually, take

APPEND_S = 20.0
NOBODY_ANSWERS_S = 1.0


def batch(sequence: int) -> bytes:
    return b"batch %d" % sequence


async def append(log, *sequences):
    return [await log.append(sequence, batch(sequence), timeout_s=APPEND_S) for sequence in sequences]


@asynccontextmanager
async def operator(channel: EtcdChannel):
    """etcd's root user."""
    async with channel.cluster.root() as client:
        yield client.kv


async def stands(channel, member, sequence):
    """The entry's KeyValue, once it is there."""
    async with operator(channel) as kv:
        found = []

        async def there() -> bool:
            found.extend((await kv.get(channel.key(member, sequence))).kvs)
            return bool(found)

        await eventually(there, f"entry {sequence} of {member}")
        return found[0]


async def assert_log_holds(channel, acknowledged: dict[tuple[str, int], int]):
    """Exactly what was acknowledged stands in the log: none missing, none twice, each where its answer said."""
    listed = entries(await take(channel.log("regulator"), len(acknowledged)))
    assert {(entry.member, entry.sequence): entry.position for entry in listed} == acknowledged
    assert [entry.position for entry in listed] == sorted(acknowledged.values())
    assert all(entry.data == batch(entry.sequence) for entry in listed)
    assert await channel.log("regulator").head(timeout_s=APPEND_S) == max(acknowledged.values())


class Writer:
    """One member that appends batch after batch in the background, and keeps what was acknowledged."""

    def __init__(self, log, member: str) -> None:
        self._log, self._member, self._stopping = log, member, False
        self.acknowledged: dict[tuple[str, int], int] = {}

    async def __aenter__(self):
        self._task = asyncio.create_task(self._write())
        return self

    async def __aexit__(self, *_):
        self._stopping = True
        await self._task

    async def more(self, count: int) -> None:
        """Wait for so many more acknowledged appends."""
        enough = len(self.acknowledged) + count
        await eventually(lambda: len(self.acknowledged) >= enough or self._task.done(), f"{count} more appends")

    async def _write(self) -> None:
        sequence = 0
        while not self._stopping:
            position = await self._log.append(sequence, batch(sequence), timeout_s=APPEND_S)
            self.acknowledged[self._member, sequence] = position
            sequence += 1
