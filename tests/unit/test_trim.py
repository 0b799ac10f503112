"""Trimming: what goes out of the log, and what stays whoever is away."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from consortium.agents.trim import Trimmer
from consortium.ledger.state import LedgerState
from tests.builders import Chain, make_genesis, make_records
from tests.fakes.log import MemoryLog, MemoryLogServer
from tests.fakes.store import MemoryStore

MEMBERS = ("alpha", "bravo", "charlie", "delta")


@dataclass
class Applied:
    state: LedgerState


class World:
    """Alpha's log holds six batches of a record each; `witnessed` is what a quorum has cosigned."""

    def __init__(self) -> None:
        self.chain, self.store = Chain(make_genesis(4)), MemoryStore()
        self.log = MemoryLog(MemoryLogServer(), "alpha")
        self.witnessed = 0

    async def fill(self, *, present: tuple[str, ...] = MEMBERS) -> None:
        for name in MEMBERS:
            self.chain.add(name)
        self.chain.now_ms += 3_600_000
        for number in range(6):
            self.chain.add("alpha", make_records("alpha", 1, first=number))
            for name in present[1:]:
                self.chain.add(name)
        for step in self.chain.steps:
            await self.store.commit(step, ())
            if step.block.member == "alpha":
                await self.log.append(step.block.sequence, b"", timeout_s=1)

    async def cosigned(self, **sizes: int) -> None:
        for name, size in sizes.items():
            await self.store.saw(name, size)

    async def trim(self, keep: int = 1) -> int:
        trimmer = Trimmer(
            "alpha",
            self.log,
            self.store,
            self.store,
            Applied(self.chain.state),
            lambda: self.witnessed,
            interval_s=1,
            keep_batches=keep,
            away_ms=60_000,
        )
        return await trimmer.trim()


@pytest.fixture
def world() -> World:
    return World()


async def test_what_all_have_cosigned_goes(world):
    await world.fill()
    await world.cosigned(alpha=6, bravo=4, charlie=5, delta=6)
    world.witnessed = 6
    assert await world.trim() == 5  # the first batch has no record
    assert await world.trim() == 0


async def test_the_newest_batches_stay_and_the_very_newest_always(world):
    await world.fill()
    await world.cosigned(alpha=6, bravo=6, charlie=6, delta=6)
    world.witnessed = 6
    assert await world.trim(keep=3) == 4
    assert await world.trim(keep=0) == 2


async def test_who_is_away_by_the_ledgers_time_is_not_waited_for(world):
    await world.fill(present=("alpha", "bravo", "charlie"))
    await world.cosigned(alpha=6, bravo=6, charlie=6)
    world.witnessed = 6
    assert await world.trim() == 6


async def test_while_half_is_away_the_ledgers_time_stands_and_nothing_goes_that_they_have_not_cosigned(world):
    await world.fill(present=("alpha", "bravo"))
    await world.cosigned(alpha=6, bravo=6)
    world.witnessed = 6
    assert await world.trim() == 1


async def test_what_no_quorum_has_cosigned_stays(world):
    """Each has cosigned so much, but under checkpoints that no quorum stands under: nobody could prove it to others."""
    await world.fill()
    await world.cosigned(alpha=6, bravo=6, charlie=6, delta=6)
    world.witnessed = 2
    assert await world.trim() == 3


async def test_before_anything_is_cosigned_nothing_goes(world):
    """Signs of life fill the log of a young network: a member whose node starts late must find them, all of them."""
    for _ in range(5):
        for name in MEMBERS[:3]:
            world.chain.add(name)
        world.chain.now_ms += 3_600_000
    for step in world.chain.steps:
        await world.store.commit(step, ())
        if step.block.member == "alpha":
            await world.log.append(step.block.sequence, b"", timeout_s=1)
    assert await world.trim() == 0
