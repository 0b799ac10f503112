"""Postgres goes away under a node: a clear failure, then the same call succeeds, and nothing stands twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from consortium.adapters.postgres.ledger import PostgresLedger
from consortium.adapters.postgres.party import PostgresParty
from consortium.adapters.postgres.pool import Database
from consortium.adapters.postgres.roles import DatabaseUrls
from consortium.adapters.postgres.witness import PostgresWitness
from consortium.devnet.postgres import EmbeddedPostgres
from consortium.errors import StoreUnavailable
from consortium.ledger.transition import Transition
from consortium.model.blocks import KeptBlock
from tests.builders import Chain, held_of, make_records

pytestmark = pytest.mark.processes


@pytest_asyncio.fixture(loop_scope="session")
async def impatient(postgres_urls: DatabaseUrls) -> AsyncIterator[Database]:
    opened = await Database.open(postgres_urls.node, reader_url=postgres_urls.reader, timeout_s=0.3)
    yield opened
    await opened.close()


async def commit_until_done(ledger: PostgresLedger, step: Transition, held=()) -> int:
    """How often Postgres was away meanwhile."""
    async with asyncio.timeout(30):
        failures = 0
        while True:
            try:
                await ledger.commit(step, held)
            except StoreUnavailable:
                failures += 1
                await asyncio.sleep(0.01)
            else:
                return failures


async def require_whole(database: Database, chain: Chain) -> None:
    ledger = PostgresLedger(database)
    assert await ledger.load(chain.genesis) == chain.state
    kept = await ledger.blocks(1, len(chain.steps) + 1)
    assert list(kept) == [KeptBlock(step.block, step.batch) for step in chain.steps]
    rows = await database.rows("SELECT count(*), count(DISTINCT id), max(tree_index) + 1 FROM ledger.records")
    assert rows == [(chain.state.tree.size,) * 3]


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_restart_between_two_commits(postgres_server: EmbeddedPostgres, database: Database, mode):
    chain, ledger = Chain(), PostgresLedger(database)
    await ledger.commit(chain.add("alpha", make_records("alpha", 5)), ())
    await asyncio.to_thread(postgres_server.restart, mode)
    step = chain.add("alpha", make_records("alpha", 5, first=5))
    with pytest.raises(StoreUnavailable):
        await ledger.commit(step, ())
    await ledger.commit(step, ())
    await require_whole(database, chain)


async def test_while_postgres_is_away_every_call_says_so_and_then_succeeds(
    postgres_server: EmbeddedPostgres, impatient: Database
):
    chain, records = Chain(), make_records("alpha", 3)
    ledger, party, witness = PostgresLedger(impatient), PostgresParty(impatient), PostgresWitness(impatient)
    step = chain.add("alpha", records)
    held = held_of(step, records)
    calls = [
        lambda: ledger.commit(step, held),
        lambda: ledger.load(chain.genesis),
        lambda: ledger.taken([records[0].header.id]),
        lambda: ledger.blocks(1, 5),
        lambda: party.add_index([], 3),
        lambda: party.held(records[0].header.id),
        lambda: party.find([bytes(16)], type=None, from_ms=None, to_ms=None, after=-1, limit=5),
        lambda: witness.advance_cosigned(0, 3),
    ]
    await asyncio.to_thread(postgres_server.stop)
    try:
        for call in calls:
            with pytest.raises(StoreUnavailable):
                await call()
    finally:
        await asyncio.to_thread(postgres_server.start)
    await commit_until_done(ledger, step, held)
    for call in calls[1:-1]:
        await eventually(call)
    assert await witness.advance_cosigned(0, 3)
    assert await party.held(records[0].header.id) == held[0]
    await require_whole(impatient, chain)


async def eventually(call) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                return await call()
            except StoreUnavailable:
                await asyncio.sleep(0.01)


async def test_restarts_and_crashes_during_commits(postgres_server: EmbeddedPostgres, database: Database):
    chain, ledger = Chain(), PostgresLedger(database)

    for mode in ("fast", "immediate", "fast", "immediate"):
        restart = asyncio.create_task(asyncio.to_thread(postgres_server.restart, mode))
        failures = 0
        while not restart.done() or not failures:
            records = make_records("alpha", 20, first=chain.state.tree.size)
            step = chain.add("alpha", records)
            failures += await commit_until_done(ledger, step, held_of(step, records))
        await restart
    await require_whole(database, chain)
    assert len(await PostgresParty(database).unindexed(1 << 20)) == chain.state.tree.size


async def test_a_cancelled_commit_is_whole_or_absent_and_can_be_repeated(database: Database):
    chain, ledger = Chain(), PostgresLedger(database)
    stored = []
    for turns in range(24):
        records = make_records("alpha", 50, first=chain.state.tree.size)
        step = chain.add("alpha", records)
        held = held_of(step, records)
        task = asyncio.create_task(ledger.commit(step, held))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        loaded = await ledger.load(chain.genesis)
        assert loaded.height in (step.block.height, step.block.height - 1)
        stored.append(loaded.height == step.block.height)
        await ledger.commit(step, held)
    assert False in stored
    await require_whole(database, chain)
