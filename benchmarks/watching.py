"""When each node had applied what: its database is asked again and again, by one process with one clock."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import psycopg

from consortium.devnet.network import Devnet

POLL_S = 0.01
_HEIGHT = "SELECT max(height) FROM ledger.blocks"
_ENTRIES = """
SELECT type, min(height), max(height), count(DISTINCT tree_index)
FROM node.entries JOIN ledger.records USING (tree_index) WHERE height > %s GROUP BY type
"""


class Watched:
    """What was seen of each node: times (seconds of `time.perf_counter`) and the heights at them, both rising."""

    def __init__(self, members: Sequence[str]) -> None:
        self._times: dict[str, list[float]] = {member: [] for member in members}
        self._heights: dict[str, list[int]] = {member: [] for member in members}
        self._moved = asyncio.Event()

    def note(self, member: str, height: int) -> None:
        """A node stands at that height now."""
        if not self._heights[member] or height > self._heights[member][-1]:
            self._times[member].append(time.perf_counter())
            self._heights[member].append(height)
            self._moved.set()

    def height(self, member: str) -> int:
        """The last height that was seen of a node."""
        return self._heights[member][-1]

    def at(self, member: str, height: int) -> float:
        """When a node was first seen at that height or above; it was there at most one look before."""
        return self._times[member][bisect_left(self._heights[member], height)]

    def everywhere(self, height: int) -> float:
        """When the last node was."""
        return max(self.at(member, height) for member in self._times)

    async def until(self, height: int) -> None:
        """Wait until all nodes were seen there."""
        while any(heights[-1] < height for heights in self._heights.values()):
            self._moved.clear()
            await self._moved.wait()


@asynccontextmanager
async def watching(net: Devnet) -> AsyncIterator[Watched]:
    """Look at all nodes, 10 ms after the last look, as long as the context is open."""
    async with AsyncExitStack() as stack:
        watched = Watched(list(net.nodes))
        looks = []
        for name, node in net.nodes.items():
            connection = await psycopg.AsyncConnection.connect(node.database_url, autocommit=True)
            await stack.enter_async_context(connection)
            await _look(watched, name, connection)
            looks.append(asyncio.create_task(_keep_looking(watched, name, connection)))
        try:
            yield watched
        finally:
            for look in looks:
                look.cancel()
            await asyncio.gather(*looks, return_exceptions=True)


async def _keep_looking(watched: Watched, member: str, connection: psycopg.AsyncConnection) -> None:
    while True:
        await _look(watched, member, connection)
        await asyncio.sleep(POLL_S)


async def _look(watched: Watched, member: str, connection: psycopg.AsyncConnection) -> None:
    row = await (await connection.execute(_HEIGHT, prepare=True)).fetchone()
    watched.note(member, (row[0] if row else None) or 0)


def written(url: str, after: int) -> dict[str, tuple[int, int, int]]:
    """By type, what a node may open of the records above a height: first and last height, and how many."""
    with psycopg.connect(url) as connection:
        return {kind: (first, last, count) for kind, first, last, count in connection.execute(_ENTRIES, [after])}
