"""The agent that tells: it goes on whatever fails, says how much waits and since when, and alarms after a minute."""

from __future__ import annotations

import asyncio

import pytest

from consortium.agents.tell import Telling
from consortium.errors import LogUnavailable
from consortium.ports.accesses import Noted
from tests.callers import FakeClock
from tests.fakes.accesses import MemoryAccesses


class Rounds:
    """A teller whose rounds fail, or empty the store; `done` is set after `count` rounds."""

    def __init__(self, store: MemoryAccesses, *fails: bool) -> None:
        self.store = store
        self.fails = list(fails)

    async def flush(self, timeout_s: float) -> bool:
        if self.fails and self.fails.pop(0):
            raise LogUnavailable("away")
        self.store.reads.clear()
        return False


async def watched(clock: FakeClock, store: MemoryAccesses, teller: Rounds, rounds: int) -> list[object]:
    """What the agent observes and says in so many rounds."""
    said: list[object] = []
    over = asyncio.Event()

    def observe(count: int, age_s: float) -> None:
        said.append((count, age_s))
        clock.turn(50)
        if sum(isinstance(one, tuple) for one in said) == rounds:
            over.set()

    agent = Telling(
        teller,  # type: ignore[arg-type]
        store,
        clock,
        interval_s=0.001,
        observe=observe,
        alarm=lambda sentence: said.append("alarm"),
        calm=lambda: said.append("calm"),
    )
    task = asyncio.create_task(agent.run())
    await asyncio.wait_for(over.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return said


async def test_what_cannot_be_told_waits_is_seen_and_told_later():
    clock, store = FakeClock(), MemoryAccesses()
    await store.note([Noted(b"s" * 16, clock.ms, b"body")])
    said = await watched(clock, store, Rounds(store, True, True, True), 4)
    assert said[:6] == [(1, 0.0), "calm", (1, 50.0), "calm", (1, 100.0), "alarm"]
    assert said[6:8] == [(0, 0.0)] or said[6:8] == [(0, 0.0), "calm"]


async def test_a_store_that_is_away_stops_nothing():
    clock, store = FakeClock(), MemoryAccesses()
    store.away = True
    agent = Telling(
        Rounds(store, True),  # type: ignore[arg-type]
        store,
        clock,
        interval_s=0.001,
        observe=lambda count, age_s: None,
        alarm=pytest.fail,
        calm=lambda: None,
    )
    task = asyncio.create_task(agent.run())
    await asyncio.sleep(0.05)
    assert not task.done()
    task.cancel()
