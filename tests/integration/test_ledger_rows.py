"""The ledger's rows: what is changed behind the node's back is noticed."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
import pytest_asyncio

from consortium.adapters.postgres.ledger import PostgresLedger
from consortium.adapters.postgres.migrate import upgrade
from consortium.adapters.postgres.pool import Database
from consortium.errors import Tampering
from tests.builders import Chain, broken_body, held_of, make_record, make_records

pytestmark = pytest.mark.processes

TABLES = ("blocks", "records", "rejections", "refused_batches", "tiles")


@pytest.fixture
def chain() -> Chain:
    chain = Chain()
    chain.add("alpha", make_records("alpha", 300))
    chain.add("bravo", [make_record("bravo", 1), broken_body(make_record("bravo", 2))])
    chain.add_raw("charlie", b"garbage")
    chain.add("charlie", make_records("charlie", 3))
    return chain


@pytest_asyncio.fixture(loop_scope="session")
async def ledger(database: Database, chain: Chain) -> PostgresLedger:
    ledger = PostgresLedger(database)
    for step in chain.steps:
        await ledger.commit(step, ())
    return ledger


@pytest.fixture
def owner(postgres_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        yield conn


def change(owner: psycopg.Connection, statement: str) -> None:
    """What a database administrator can do who means to."""
    assert owner.execute(statement).rowcount >= 1


@pytest.mark.parametrize(
    ("statement", "height"),
    [
        ("UPDATE ledger.blocks SET time_ms = time_ms + 1 WHERE height = 1", 1),
        ("UPDATE ledger.blocks SET digest = previous WHERE height = 3", 3),
        ("UPDATE ledger.blocks SET refusal = 'too-large' WHERE height = 3", 3),
        ("DELETE FROM ledger.blocks WHERE height = 2", 2),
        ("UPDATE ledger.records SET id = substr(sha256(id), 1, 16) WHERE tree_index = 17", 1),
        ("UPDATE ledger.records SET item = 999 WHERE tree_index = 17", 1),
        ("UPDATE ledger.records SET height = 4 WHERE tree_index = 17", 1),
        ("DELETE FROM ledger.records WHERE tree_index = 300", 2),
        ("UPDATE ledger.rejections SET reason = 'duplicate-id'", 2),
        ("UPDATE ledger.rejections SET id = sha256(id)", 2),
        ("DELETE FROM ledger.rejections", 2),
        ("DELETE FROM ledger.refused_batches", 3),
        ("UPDATE ledger.refused_batches SET height = 4", 3),
    ],
)
async def test_a_changed_row_is_named_by_its_block(ledger, owner, statement, height):
    assert len(await ledger.blocks(1, 10)) == 4
    change(owner, statement)
    with pytest.raises(Tampering, match=f"block {height} "):
        await ledger.blocks(1, 10)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger.blocks SET root = previous WHERE height = 4",
        "DELETE FROM ledger.blocks WHERE height = 1",
        "UPDATE ledger.records SET header = header || '\\x00' WHERE tree_index = 303",
        "DELETE FROM ledger.records WHERE tree_index = 302",
        "UPDATE ledger.tiles SET hashes = set_byte(hashes, 5000, 255 - get_byte(hashes, 5000))",
        "DELETE FROM ledger.tiles",
    ],
)
async def test_the_node_does_not_start_on_a_ledger_that_does_not_lead_to_its_root(ledger, owner, chain, statement):
    assert await ledger.load(chain.genesis) == chain.state
    change(owner, statement)
    with pytest.raises(Tampering):
        await ledger.load(chain.genesis)


async def test_a_record_whose_header_was_changed_is_not_served(ledger, owner):
    record = make_records("alpha", 300)[17]
    assert (await ledger.record(record.header.id)).header == record.header
    change(owner, "UPDATE ledger.records SET header = set_byte(header, 5, 0) WHERE tree_index = 17")
    with pytest.raises(Tampering, match="block 1 "):
        await ledger.record(record.header.id)


async def test_a_row_that_was_slipped_in_stops_the_next_block(ledger, owner, chain):
    owner.execute("INSERT INTO ledger.records VALUES (304, 5, 0, substr(sha256('x'), 1, 16), 'x')")
    with pytest.raises(Tampering):
        await ledger.commit(chain.add("alpha", make_records("alpha", 1, first=1000)), ())
    assert (await ledger.block(5)) is None


async def test_two_nodes_given_the_same_log_have_the_same_bytes_in_every_ledger_table(postgres_server, chain):
    """One is a party to everything and repeats each commit, the other to nothing."""
    contents = []
    for name, party in (("twin-1", True), ("twin-2", False)):
        url = postgres_server.create_database(name, fresh=True).owner
        upgrade(url)
        database = await Database.open(url)
        ledger = PostgresLedger(database)
        for step in chain.steps:
            held = held_of(step, make_records("alpha", 300)) if party else []
            await ledger.commit(step, held)
            if party:
                await ledger.commit(step, held)
        await database.close()
        with psycopg.connect(url) as conn:
            contents.append(
                {t: conn.execute(f"SELECT t::text FROM ledger.{t} AS t ORDER BY t").fetchall() for t in TABLES}
            )
        postgres_server.drop_database(name)
    assert contents[0] == contents[1]
    assert all(contents[0].values())
