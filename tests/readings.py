"""What tests do with a log's readings: take some events, or follow in the background until a condition holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing

from consortium.model.blocks import LogEntry
from consortium.ports.log import Appended, LogEvent, OrderingLog

DEADLINE_S = 20.0


async def take(
    log: OrderingLog, count: int, after: int = 0, next_sequences: Mapping[str, int] | None = None
) -> list[LogEvent]:
    """The first `count` events of a new reading."""
    events: list[LogEvent] = []
    async with asyncio.timeout(DEADLINE_S), aclosing(log.read(after, next_sequences or {})) as reading:
        while len(events) < count:
            events.append(await anext(reading))
    return events


def entries(events: list[LogEvent]) -> list[LogEntry]:
    return [event.entry for event in events if isinstance(event, Appended)]


def names(events: list[LogEvent]) -> list[tuple[str, int]]:
    """(member, sequence) of all that was appended."""
    return [(entry.member, entry.sequence) for entry in entries(events)]


class Follower:
    """Reads in the background and keeps what came; an async context manager."""

    def __init__(self, log: OrderingLog, after: int = 0, next_sequences: Mapping[str, int] | None = None) -> None:
        self.events: list[LogEvent] = []
        self._reading = log.read(after, next_sequences or {})
        self._came = asyncio.Condition()

    async def __aenter__(self):
        self._task = asyncio.create_task(self._follow(self._reading))
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def until(self, condition: Callable[[list[LogEvent]], bool], timeout_s: float = DEADLINE_S) -> list[LogEvent]:
        """The events, once the condition holds of them; whatever ended the reading otherwise."""
        async with asyncio.timeout(timeout_s), self._came:
            await self._came.wait_for(lambda: self._task.done() or condition(self.events))
        if self._task.done():
            self._task.result()
        return list(self.events)

    async def count(self, number: int, timeout_s: float = DEADLINE_S) -> list[LogEvent]:
        return await self.until(lambda events: len(events) >= number, timeout_s)

    async def _follow(self, reading: AsyncIterator[LogEvent]) -> None:
        try:
            async with aclosing(reading) as events:
                async for event in events:
                    async with self._came:
                        self.events.append(event)
                        self._came.notify_all()
        finally:
            async with self._came:
                self._came.notify_all()


async def eventually(condition: Callable[[], bool | Awaitable[bool]], what: str, timeout_s: float = DEADLINE_S) -> None:
    """Wait until a condition holds, which may be a coroutine function."""
    end = asyncio.get_running_loop().time() + timeout_s
    while True:
        holds = condition()
        if holds if isinstance(holds, bool) else await holds:
            return
        if asyncio.get_running_loop().time() > end:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        await asyncio.sleep(0.01)
