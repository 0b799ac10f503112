"""The values of listed entries, several requests at once, in order, in bounded memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable

from consortium.adapters.etcd.connection import REQUEST_TIMEOUT_S, Compacted, Connection
from consortium.adapters.etcd.listing import Listed


async def fetch(
    connection: Connection, entries: Iterable[Listed], revision: int, at_once: int
) -> AsyncGenerator[tuple[Listed, bytes], None]:
    """Each entry with its value as of `revision`; b'' for an overwritten one. Raises `LogUnavailable`, `Compacted`.

    No more than `at_once` values are held or under way.
    """
    waiting: deque[tuple[Listed, asyncio.Task[bytes]]] = deque()
    try:
        for entry in entries:
            waiting.append((entry, asyncio.create_task(_value(connection, entry, revision))))
            if len(waiting) == at_once:
                first, value = waiting.popleft()
                yield first, await value
        while waiting:
            first, value = waiting.popleft()
            yield first, await value
    finally:
        tasks = [task for _, task in waiting]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _value(connection: Connection, entry: Listed, revision: int) -> bytes:
    if entry.version > 1:
        return b""
    answer = await connection.call(
        "a read",
        lambda services, limit_s: services.kv.get(entry.key, revision=revision, timeout=limit_s),
        timeout_s=REQUEST_TIMEOUT_S,
    )
    if not answer.kvs:
        raise Compacted("an entry is not at the revision where it was listed")
    return bytes(answer.kvs[0].value)
