"""Two nodes that are given the same log have the same bytes in every ledger table, however often each of them crashes.

A crash loses what was in memory: the state comes back from the store. It may strike before a block is judged, between
judging and storing, or after storing; and a block may be stored twice, since nobody knows whether the answer was lost
or the block.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from enum import Enum

import psycopg
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consortium.adapters.postgres.ledger import PostgresLedger
from consortium.adapters.postgres.migrate import upgrade
from consortium.adapters.postgres.pool import Database
from consortium.audit.live import audit_store
from consortium.errors import Tampering
from consortium.ledger.admission import open_entry, reopen
from consortium.ledger.state import LedgerState
from consortium.ledger.transition import transition
from consortium.ledger.witnessing import trust_policy
from consortium.model.blocks import LogEntry
from consortium.ports.ledger import LedgerStore
from tests.builders import make_record
from tests.fakes.store import MemoryStore
from tests.random_logs import GENESIS, Recipe, cook, logs, recipes

TABLES = ("blocks", "records", "rejections", "refused_batches", "tiles", "public_records")
ORDERS = {
    "tiles": "level, idx",
    "records": "height, item",
    "rejections": "height, item",
    "public_records": "tree_index",
}


class Fate(Enum):
    """What happens around one block."""

    FINE = "fine"
    BEFORE = "crash before the block is judged"
    BETWEEN = "crash between judging and storing"
    AFTER = "crash after storing"
    TWICE = "stored twice"
    KEPT = "taken from the other replica, not from the log"


fates = st.lists(st.sampled_from(Fate), max_size=30)


async def run(
    store: LedgerStore, entries: Sequence[LogEntry], fate_list: Sequence[Fate], other: LedgerStore | None = None
) -> LedgerState:
    """A node's life: it applies what it has not, from whatever state the store gives it."""
    fate_of = iter(fate_list)
    state = await store.load(GENESIS)
    while pending := [e for e in entries if e.position > state.position]:
        fate = next(fate_of, Fate.FINE)
        if fate is Fate.BEFORE:
            state = await store.load(GENESIS)
            continue
        opened = open_entry(state.governance, pending[0])
        if fate is Fate.KEPT and other is not None and (kept := await other.blocks(state.height + 1, 1)):
            opened = reopen(state.governance, kept[0].batch)
        step = transition(state, opened, await store.taken(opened.ids()))
        if fate is Fate.BETWEEN:
            state = await store.load(GENESIS)
            continue
        await store.commit(step, ())
        if fate is Fate.TWICE:
            await store.commit(step, ())
        state = await store.load(GENESIS) if fate is Fate.AFTER else step.state
        assert state == step.state
    return state


async def contents(store: LedgerStore, height: int) -> list[object]:
    """Everything that a store holds of the ledger."""
    state = await store.load(GENESIS)
    tiles = [(level, index) for level in range(3) for index in range(state.tree.size // 256 + 1)]
    return [
        list(await store.block_rows(1, height + 1)),
        list(await store.blocks(1, height + 1)),
        list(await store.rows(0, height + 1)),
        list(await store.headers(0, state.tree.size + 1)),
        dict(await store.tiles(tiles)),
        state,
    ]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(logs, fates, fates)
async def test_replicas_in_memory_agree(recipe_list, one, other):
    chain = cook(recipe_list)
    first, second = MemoryStore(), MemoryStore()
    ends = [await run(first, chain.entries, one), await run(second, chain.entries, other, first)]
    assert ends == [chain.state, chain.state]
    height = len(recipe_list)
    assert await contents(first, height) == await contents(second, height)
    assert (await audit_store(first, first, GENESIS, trust_policy(GENESIS))).findings == ()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(recipes, min_size=2, max_size=10), fates, st.data())
async def test_a_log_with_an_entry_taken_out_stops_every_replica_at_the_same_block(recipe_list, one, data):
    chain = cook(recipe_list)
    members = [e.member for e in chain.entries]
    # An entry is missed once its member writes again; strangers' entries carry no numbers.
    missed = [i for i, m in enumerate(members) if m in members[i + 1 :] and m != "stranger"]
    if not missed:
        return
    gone = data.draw(st.sampled_from(missed))
    log = chain.entries[:gone] + chain.entries[gone + 1 :]
    heights = []
    for fate_list in (one, []):
        store = MemoryStore()
        with pytest.raises(Tampering):
            await run(store, log, fate_list)
        heights.append((await store.load(GENESIS)).height)
    assert heights == [members.index(members[gone], gone + 1) - 1] * 2


# --- the same over Postgres ---


class Replica:
    """A store in a database of its own, and the owner's look at its tables."""

    def __init__(self, url: str, database: Database) -> None:
        self.store = PostgresLedger(database)
        self._owner = psycopg.connect(url, autocommit=True)

    def clear(self) -> None:
        for table in TABLES:
            self._owner.execute(f"ALTER TABLE ledger.{table} DISABLE TRIGGER USER")
            self._owner.execute(f"TRUNCATE ledger.{table}")
            self._owner.execute(f"ALTER TABLE ledger.{table} ENABLE TRIGGER USER")

    def tables(self) -> dict[str, bytes]:
        """Every table as COPY writes it, in the order of its first two columns."""
        dumped = {}
        for table in TABLES:
            order = ORDERS.get(table, "height")
            with self._owner.cursor().copy(f"COPY (SELECT * FROM ledger.{table} ORDER BY {order}) TO STDOUT") as copy:
                dumped[table] = b"".join(bytes(chunk) for chunk in copy)
        return dumped

    def close(self) -> None:
        self._owner.close()


@pytest.fixture(scope="module")
def urls(postgres_server) -> Iterator[list[str]]:
    names = [f"replica-{n}" for n in (1, 2)]
    made = [postgres_server.create_database(name, fresh=True).owner for name in names]
    for url in made:
        upgrade(url)
    yield made
    for name in names:
        postgres_server.drop_database(name)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def replicas(urls) -> AsyncIterator[list[Replica]]:
    databases = [await Database.open(url, connections=1) for url in urls]
    made = [Replica(url, database) for url, database in zip(urls, databases, strict=True)]
    yield made
    for replica, database in zip(made, databases, strict=True):
        replica.close()
        await database.close()


@pytest.mark.processes
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(recipe_list=logs, one=fates, other=fates)
async def test_replicas_in_postgres_have_the_same_bytes_in_every_table(replicas, recipe_list, one, other):
    await _compare(replicas, recipe_list, one, other)


@pytest.mark.processes
async def test_replicas_with_full_tiles_have_the_same_bytes_in_every_table(replicas):
    """One long log by hand: hypothesis' logs are too short to fill a tile."""
    many = Recipe("alpha", records=("good",) * 140)
    mixed = Recipe(
        "bravo", records=("good", "wrong-ciphertext", "good", "wrong-wraps", "malformed-header", "duplicate-id")
    )
    log = [many, mixed, Recipe("charlie", "garbage", spot=50), many, many, Recipe("alpha", "stranger"), mixed, many]
    await _compare(replicas, log, [Fate.AFTER, Fate.BETWEEN] * 9, [Fate.TWICE, Fate.BEFORE, Fate.KEPT] * 9)
    assert replicas[0].tables()["tiles"].count(b"\n") >= 2


async def _compare(replicas: list[Replica], recipe_list: list[Recipe], one: list[Fate], other: list[Fate]) -> None:
    chain = cook(recipe_list)
    first, second = replicas
    for replica in replicas:
        replica.clear()
    ends = [
        await run(first.store, chain.entries, one),
        await run(second.store, chain.entries, other, first.store),
    ]
    assert ends == [chain.state, chain.state]
    assert first.tables() == second.tables()
    memory = MemoryStore()
    await run(memory, chain.entries, [])
    height = len(recipe_list)
    assert await contents(first.store, height) == await contents(memory, height), "Postgres and the fake agree"


async def test_another_block_at_a_height_is_tampering():
    """A replica that was led astray cannot be led back over its own store."""
    chain, astray, store = cook([]), cook([]), MemoryStore()
    chain.add("alpha", [make_record("alpha", 1)])
    astray.add("alpha", [make_record("alpha", 2)])
    await store.commit(chain.steps[0], ())
    with pytest.raises(Tampering):
        await store.commit(astray.steps[0], ())
    assert await store.load(GENESIS) == chain.state
