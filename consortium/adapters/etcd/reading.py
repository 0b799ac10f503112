"""One reading of the log: list what stands, then watch for more, and start over whenever something is in doubt.

Starting over is always right: a reading knows the last place that it delivered, and a listing shows all that stands
after it. So no failure of a watch needs a repair of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import structlog
from etcd3aio import prefix_range_end

from consortium.adapters.etcd.connection import (
    FAILURES,
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    REQUEST_TIMEOUT_S,
    Compacted,
    Connection,
)
from consortium.adapters.etcd.delivery import Delivery
from consortium.adapters.etcd.fetching import fetch
from consortium.adapters.etcd.listing import Listed, Newest, list_range, listed
from consortium.adapters.etcd.watching import StartOver, Watch
from consortium.errors import LogUnavailable
from consortium.ports.log import LogEvent

_DELETE = 1
_log = structlog.get_logger(__name__)


class Reading:
    """Delivers the log's events from where `delivery` stands."""

    def __init__(
        self, connection: Connection, prefix: bytes, newest: Newest, delivery: Delivery, *, poll_s: float, fetches: int
    ) -> None:
        self._connection = connection
        self._prefix = prefix
        self._newest = newest
        self._delivery = delivery
        self._poll_s = poll_s
        self._fetches = fetches

    async def events(self) -> AsyncGenerator[LogEvent, None]:
        """Every event, for ever. Raises `ConfigurationError` if the cluster refuses this member."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                async with aclosing(self._list_then_watch()) as events:
                    async for event in events:
                        pause_s = FIRST_PAUSE_S
                        yield event
            except (StartOver, Compacted, LogUnavailable, *FAILURES) as reason:
                _log.info("log.reading.starts_over", reason=str(reason) or type(reason).__name__)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _list_then_watch(self) -> AsyncGenerator[LogEvent, None]:
        loop = asyncio.get_running_loop()
        busy_s = self._poll_s
        # After a long delivery much more may stand: it is listed too, because a watch would send it all at once.
        while busy_s >= self._poll_s:
            revision, entries = await self._list()
            began = loop.time()
            async with aclosing(self._deliver(entries, revision)) as delivered:
                async for event in delivered:
                    yield event
            busy_s = loop.time() - began
        async with aclosing(self._watch(revision + 1)) as watched:
            async for event in watched:
                yield event

    async def _list(self) -> tuple[int, list[Listed]]:
        """The newest revision by majority, and all that stands at it in the order of the log."""
        snapshot = await self._connection.call(
            "a read",
            lambda services, limit_s: services.kv.get(self._prefix, keys_only=True, timeout=limit_s),
            timeout_s=REQUEST_TIMEOUT_S,
        )
        revision = int(snapshot.header.revision)
        end = prefix_range_end(self._prefix)
        entries = await list_range(
            self._connection, self._prefix, self._prefix, end, revision=revision, timeout_s=REQUEST_TIMEOUT_S
        )
        return revision, sorted(entries, key=lambda entry: entry.place)

    async def _deliver(self, entries: list[Listed], revision: int) -> AsyncGenerator[LogEvent, None]:
        for trimmed in self._delivery.trimmed(entries):
            yield trimmed
        holes = self._delivery.holes(entries, revision)
        new = [entry for entry in entries if self._delivery.is_new(entry)]
        async with aclosing(fetch(self._connection, new, revision, self._fetches)) as fetched:
            async for entry, data in fetched:
                for event in self._delivery.written(entry, data):
                    yield event
        for removed in [*holes, *self._delivery.listed(entries, revision)]:
            yield removed

    async def _watch(self, start_revision: int) -> AsyncGenerator[LogEvent, None]:
        watch = Watch(self._connection, self._prefix, self._newest, self._delivery, self._poll_s)
        async with aclosing(watch.events(start_revision)) as answers:
            async for events in answers:
                for event in events:
                    entry = listed(self._prefix, event.kv)
                    if event.type == _DELETE:
                        yield self._delivery.removed(entry)
                        continue
                    for delivered in self._delivery.written(entry, event.kv.value):
                        yield delivered
