"""The audit of a live store: a changed value in any column of any ledger table is named by its block or record."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest
import pytest_asyncio

from consortium.adapters.postgres.ledger import PostgresLedger
from consortium.adapters.postgres.pool import Database
from consortium.adapters.postgres.witness import PostgresWitness
from consortium.audit.export import export
from consortium.audit.live import StoreAudit, audit_store
from consortium.audit.offline import audit_export
from consortium.ledger.witnessing import trust_file, trust_policy
from tests.auditing import checkpoint, fill
from tests.builders import Chain, broken_body, broken_wraps, make_record, make_records, noise
from tests.fakes.store import MemoryStore
from tests.random_logs import GENESIS

pytestmark = pytest.mark.processes

TABLES = ("blocks", "records", "rejections", "refused_batches", "tiles", "public_records")


def make_chain() -> Chain:
    chain = Chain(GENESIS)
    chain.add("alpha", make_records("alpha", 270))
    chain.add("bravo", [make_record("bravo", 1), broken_body(make_record("bravo", 2)), make_record("bravo", 3)])
    chain.add_raw("charlie", b"garbage")
    chain.add("charlie", [broken_wraps(make_record("charlie", 9)), *make_records("charlie", 250)])
    chain.add("alpha", [make_record("alpha", "again", id=chain.steps[0].accepted[0].verdict.id)])
    chain.add("bravo", [make_record("bravo", 7)])
    return chain


@pytest.fixture(scope="module")
def chain() -> Chain:
    return make_chain()


@pytest_asyncio.fixture(loop_scope="session")
async def stores(database: Database, chain: Chain) -> tuple[PostgresLedger, PostgresWitness]:
    ledger, witness = PostgresLedger(database), PostgresWitness(database)
    await fill(ledger, witness, chain, [2, 4, 6], ["alpha", "bravo"])
    return ledger, witness


@pytest.fixture
def owner(postgres_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        for table in TABLES:
            conn.execute(f"ALTER TABLE ledger.{table} DISABLE TRIGGER USER")
        yield conn


async def test_a_sound_store_passes(stores, chain):
    report = await audit_store(*stores, GENESIS, trust_policy(GENESIS))
    assert report.findings == ()
    assert (report.height, report.size, report.digest) == (6, chain.state.tree.size, chain.state.digest)
    assert report.witnessed_size == report.size
    assert [(r.height, r.item, r.reason) for r in report.refused] == [
        (2, 1, "wrong-ciphertext"),
        (3, None, "malformed"),
        (4, 0, "wrong-wraps"),
        (5, 0, "duplicate-id"),
    ]


async def test_an_export_from_postgres_passes_offline(stores, tmp_path, chain):
    summary = await export(*stores, GENESIS, trust_file(GENESIS), tmp_path / "x", blocks_per_file=2)
    assert summary.checkpoints == 3
    report = await asyncio.to_thread(audit_export, tmp_path / "x")
    assert report.findings == ()
    assert report.digest == chain.state.digest


FLIP = "set_byte({0}, (octet_length({0}) - 1) / 2, get_byte({0}, (octet_length({0}) - 1) / 2) # 1)"
CHANGES = {
    "bigint": "{0} + 1",
    "integer": "{0} + 1",
    "smallint": "{0} + 1",
    "text": "'x' || {0}",
    "bytea": FLIP,
}
# One row of each sort per table: the condition that finds it, and the block (and record) that must be named.
ROWS = {
    "blocks": [("height = 1", 1, None), ("height = 3", 3, None), ("height = 4", 4, None), ("height = 6", 6, None)],
    "records": [("tree_index = 17", 1, 17), ("tree_index = 271", 2, 2), ("tree_index = 522", 6, 0)],
    "rejections": [("height = 2", 2, 1), ("height = 4", 4, 0), ("height = 5", 5, 0)],
    "refused_batches": [("height = 3", 3, None)],
}


async def test_a_changed_value_in_any_column_of_any_row_is_named(stores, owner):
    """A value of every column of rows of every sort; the block must be named, and for records the record."""
    columns = owner.execute(
        "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'ledger'"
    ).fetchall()
    assert {table for table, _, _ in columns} == set(TABLES)
    tried = 0
    for table, column, kind in columns:
        for where, height, item in ROWS.get(table, []):
            old = owner.execute(f"SELECT {column} FROM ledger.{table} WHERE {where}").fetchone()[0]
            if kind == "bytea" and old in (b"", None):
                change, params = "%s::bytea", [b"x"]
            else:
                change, params = CHANGES[kind].format(column), []
            if column == "tree_index" or (table, column) == ("rejections", "height"):
                change = "100000"
            if (table, column) == ("blocks", "height"):
                change = "900"
            key = owner.execute(
                f"UPDATE ledger.{table} SET {column} = {change} WHERE {where} RETURNING ctid::text", params
            ).fetchone()[0]
            report = await audit_store(*stores, GENESIS, trust_policy(GENESIS))
            owner.execute(f"UPDATE ledger.{table} SET {column} = %s WHERE ctid = %s::tid", [old, key])
            said = [str(f) for f in report.findings]
            assert any(f.height == height or f"block {height}:" in str(f) for f in report.findings), (
                table,
                where,
                column,
                said,
            )
            if table == "records":
                assert any((f.height, f.item) == (height, item) for f in report.findings), (table, where, column, said)
            assert len(report.findings) <= 8, (table, where, column, said)
            tried += 1
    assert tried > 60
    assert (await audit_store(*stores, GENESIS, trust_policy(GENESIS))).findings == ()


COPY_OF_A_RECORD = (
    "INSERT INTO ledger.records SELECT 900, {}, {}, substr(sha256(id), 1, 16), header FROM ledger.records LIMIT 1"
)


async def test_changed_tiles_are_named(stores, owner):
    for statement, back in [
        ("hashes = set_byte(hashes, 4000, get_byte(hashes, 4000) # 1)",) * 2,
        ("level = 5", "level = 0"),
        ("idx = 99", "idx = 1"),
    ]:
        owner.execute(f"UPDATE ledger.tiles SET {statement} WHERE level = 0 AND idx = 1")
        report = await audit_store(*stores, GENESIS, trust_policy(GENESIS))
        assert [f.place for f in report.findings] == ["tile/0/001"]
        owner.execute(
            f"UPDATE ledger.tiles SET {back} WHERE hashes NOT IN (SELECT hashes FROM ledger.tiles WHERE idx = 0)"
        )
    assert (await audit_store(*stores, GENESIS, trust_policy(GENESIS))).findings == ()


@pytest.mark.parametrize(
    ("statement", "height"),
    [
        ("DELETE FROM ledger.blocks WHERE height = 4", 4),
        ("DELETE FROM ledger.blocks WHERE height = 1", 1),
        ("DELETE FROM ledger.records WHERE tree_index = 17", 1),
        ("DELETE FROM ledger.rejections WHERE height = 2", 2),
        ("DELETE FROM ledger.refused_batches", 3),
        (
            COPY_OF_A_RECORD.format(6, 9),
            6,
        ),
        (
            COPY_OF_A_RECORD.format(77, 0),
            77,
        ),
        ("UPDATE ledger.records SET tree_index = 900 WHERE tree_index = 17", 1),
    ],
)
async def test_rows_that_are_missing_or_too_many_are_named(stores, owner, statement, height):
    assert owner.execute(statement).rowcount >= 1
    report = await audit_store(*stores, GENESIS, trust_policy(GENESIS))
    assert any(f.height == height for f in report.findings), [str(f) for f in report.findings]


async def test_a_lost_end_shows_in_what_the_node_itself_cosigned(stores, owner, chain):
    """A store that ends early is in itself a sound, shorter ledger."""
    size = chain.state.tree.size
    assert await stores[1].advance_cosigned(0, size)
    assert (await audit_store(*stores, GENESIS, trust_policy(GENESIS))).findings == ()
    owner.execute("DELETE FROM ledger.blocks WHERE height = 6")
    owner.execute("DELETE FROM ledger.records WHERE height = 6")
    report = await audit_store(*stores, GENESIS, trust_policy(GENESIS))
    assert [f.place for f in report.findings] == ["ledger state"]
    assert str(size) in report.findings[0].sentence


async def test_a_changed_checkpoint_is_named(stores, owner, chain):
    other = checkpoint(GENESIS, chain.steps[3].block.size, noise("other"), ["alpha", "bravo"])
    await stores[1].save(other)
    report = await audit_store(*stores, GENESIS, trust_policy(GENESIS))
    assert [f.place for f in report.findings] == [f"checkpoint of {chain.steps[3].block.size}"]


async def test_a_node_checks_itself_in_slices_while_blocks_come_in(chain):
    store = MemoryStore()
    audit, seen = StoreAudit(store, store, GENESIS, trust_policy(GENESIS)), []
    for step in chain.steps:
        await store.commit(step, ())
        assert await audit.advance(1)
        seen.append(audit.height)
        assert not await audit.advance(1)
    assert seen == [1, 2, 3, 4, 5, 6]
    assert (await audit.close()).findings == ()
