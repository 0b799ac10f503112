"""A node tells users who read their records: what is noted goes to the ledger every few seconds, in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from consortium.errors import CallerError, OperatorError
from consortium.pipeline.telling import Teller
from consortium.ports.accesses import AccessStore, Backlog
from consortium.ports.clock import Clock

TIMEOUT_S = 10.0
_PAUSE_S = 0.2
LATE_S = 60.0
"""Whoever reads, its subject is told within a minute: later than that is an alarm."""


class Telling:
    """Flushes the noted reads every `interval_s`. `observe` is given how many wait, and the age of the oldest (s);
    `alarm` a sentence, and `calm` that it is over.
    """

    def __init__(
        self,
        teller: Teller,
        store: AccessStore,
        clock: Clock,
        *,
        interval_s: float,
        observe: Callable[[int, float], None],
        alarm: Callable[[str], None],
        calm: Callable[[], None],
    ) -> None:
        self._teller = teller
        self._store = store
        self._clock = clock
        self._interval_s = interval_s
        self._observe = observe
        self._alarm = alarm
        self._calm = calm

    async def run(self) -> None:
        """Tell for ever. What cannot be told now is told later: nothing is dropped."""
        while True:
            more = False
            # What fails waits on: the next round tries again, and its age says since when.
            with suppress(OperatorError, CallerError):
                more = await self._teller.flush(TIMEOUT_S)
            await self._measure()
            await asyncio.sleep(min(_PAUSE_S, self._interval_s) if more else self._interval_s)

    async def _measure(self) -> None:
        try:
            waiting: Backlog = await self._store.backlog()
        except OperatorError:
            return
        age_s = 0.0 if waiting.oldest_ms is None else max(0.0, (self._clock.now_ms() - waiting.oldest_ms) / 1000)
        self._observe(waiting.count, age_s)
        if age_s > LATE_S:
            self._alarm("reads of users' records wait for more than a minute to be told to them")
        else:
            self._calm()
