"""etcd3aio's watch, distrusted: its answers as long as nothing can be missing between them, then `StartOver`.

These put it in doubt:

- etcd3aio reconnected by itself: it resumes after the revision in the last answer's header, which during catch-up is
  later than the last event that it delivered, so events would be skipped. A second `created` answer betrays it.
- etcd cancelled the watch, or the revision where it starts is compacted;
- what was the newest entry one poll ago has not come since: the watch hangs on a member without a leader;
- the consumer was busy for long: what piled up shall come by bounded fetches rather than in one huge answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from consortium.adapters.etcd.connection import FAILURES, Connection
from consortium.adapters.etcd.delivery import Delivery
from consortium.adapters.etcd.listing import Newest
from consortium.errors import LogUnavailable


class StartOver(Exception):
    """The watch can no longer be trusted to deliver everything."""


class Watch:
    """One watch over a prefix from a revision on; `delivery` tells how far its answers were delivered."""

    def __init__(
        self, connection: Connection, prefix: bytes, newest: Newest, delivery: Delivery, poll_s: float
    ) -> None:
        self._connection = connection
        self._prefix = prefix
        self._newest = newest
        self._delivery = delivery
        self._poll_s = poll_s
        self._polled = asyncio.get_running_loop().time()
        self._renewals = connection.renewals
        self._owed = 0
        self._created = False

    async def events(self, start_revision: int) -> AsyncGenerator[list[Any], None]:
        """The events of one answer after the other, each in the order of the log. Ends by `StartOver`."""
        stream = self._connection.watch(self._prefix, start_revision)
        arriving = asyncio.create_task(_next(stream))
        try:
            while True:
                await asyncio.wait({arriving}, timeout=self._until_poll())
                if self._until_poll() == 0:
                    await self._poll()
                if arriving.done():
                    events = self._checked(arriving.result())
                    arriving = asyncio.create_task(_next(stream))
                    if events:
                        yield events
        finally:
            arriving.cancel()
            await asyncio.gather(arriving, return_exceptions=True)
            await stream.aclose()

    def _checked(self, answer: Any | None) -> list[Any]:
        if answer is None:
            raise StartOver("the watch ended")
        if answer.canceled or answer.compact_revision:
            raise StartOver(f"etcd cancelled the watch: {answer.cancel_reason or 'compacted'}")
        if answer.created and self._created:
            raise StartOver("the watch reconnected")
        self._created = self._created or answer.created
        return sorted(answer.events, key=lambda event: (event.kv.mod_revision, event.kv.key))

    def _until_poll(self) -> float:
        return max(0.0, self._polled + self._poll_s - asyncio.get_running_loop().time())

    async def _poll(self) -> None:
        """Compare what was delivered with what stands. A cluster that does not answer leaves the question open."""
        now = asyncio.get_running_loop().time()
        if now - self._polled > 2 * self._poll_s:
            raise StartOver("the consumer was busy")
        if self._owed > self._delivery.position:
            raise StartOver("the watch fell behind the log")
        if self._renewals != self._connection.renewals:
            raise StartOver("the member shows another certificate")
        try:
            self._owed = await self._newest.position(timeout_s=self._poll_s)
        except (LogUnavailable, *FAILURES):
            self._owed = 0
        self._polled = asyncio.get_running_loop().time()


async def _next(stream: AsyncIterator[Any]) -> Any | None:
    """The next answer, or None at the end."""
    async for answer in stream:
        return answer
    return None
