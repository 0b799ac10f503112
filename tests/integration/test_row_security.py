"""The second wall: what Postgres itself shows of held records and of the index, whatever the query asks."""

from __future__ import annotations

import psycopg
import pytest
import pytest_asyncio
from psycopg import errors

from consortium.adapters.postgres.ledger import PostgresLedger
from consortium.adapters.postgres.party import PostgresParty
from consortium.adapters.postgres.pool import Database
from consortium.devnet.postgres import EmbeddedPostgres
from consortium.errors import ConfigurationError
from consortium.ports.party import IndexEntry
from tests.builders import T0, Chain, held_of, make_records, noise

pytestmark = pytest.mark.processes

ANN, BOB = (noise("party", name, size=16) for name in ("ann", "bob"))
HELD = "SELECT tree_index FROM node.held ORDER BY 1"
ENTRIES = "SELECT tree_index, party FROM node.entries ORDER BY 1, 2"


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def filled(database: Database) -> None:
    """Record 0 is Ann's, 1 is Bob's, 2 both's, 3 not indexed yet."""
    chain, records = Chain(), make_records("alpha", 4)
    step = chain.add("alpha", records)
    await PostgresLedger(database).commit(step, held_of(step, records))
    lines = [IndexEntry(index, party, "reading", T0) for index, party in ((0, ANN), (1, BOB), (2, ANN), (2, BOB))]
    await PostgresParty(database).add_index(lines, 3)


@pytest.fixture
def conn(postgres_url: str):
    """A connection of the role that owns the database, without any setting."""
    with psycopg.connect(postgres_url) as connection:
        yield connection


def visible(conn: psycopg.Connection) -> tuple[list[int], list[tuple[int, bytes]]]:
    return [i for (i,) in conn.execute(HELD)], conn.execute(ENTRIES).fetchall()


def as_parties(conn: psycopg.Connection, *parties: bytes) -> None:
    conn.execute("SELECT set_config('consortium.parties', %s, true)", [",".join(p.hex() for p in parties)])


def test_without_a_setting_nothing_is_visible_to_the_owner(conn):
    owner = conn.execute("SELECT tableowner = current_user FROM pg_tables WHERE tablename = 'held'").fetchone()
    bound = conn.execute("SELECT NOT (rolsuper OR rolbypassrls) FROM pg_roles WHERE rolname = current_user").fetchone()
    assert (owner, bound) == ((True,), (True,))
    assert visible(conn) == ([], [])


def test_the_node_itself_sees_every_row(conn):
    conn.execute("SET LOCAL consortium.scope = 'node'")
    held, entries = visible(conn)
    assert held == [0, 1, 2, 3]
    assert len(entries) == 4


def test_the_node_never_pays_for_looking_up_who_may_read(conn):
    """Else every pass of the indexer would read the whole index: the order of an OR's sides is Postgres' choice."""
    conn.execute("SET LOCAL consortium.scope = 'node'")
    assert len(conn.execute(HELD).fetchall()) == 4
    scans = "SELECT seq_scan + idx_scan FROM pg_stat_xact_user_tables WHERE relid = 'node.entries'::regclass"
    assert conn.execute(scans).fetchone() == (0,)
    as_parties(conn, ANN)
    conn.execute("SET LOCAL consortium.scope = ''")
    assert len(conn.execute(HELD).fetchall()) == 2
    assert conn.execute(scans).fetchone() > (0,)


@pytest.mark.parametrize("scope", ["", "Node", "node ", "reader", "node,reader"])
def test_any_other_scope_sees_nothing(conn, scope):
    conn.execute("SELECT set_config('consortium.scope', %s, true)", [scope])
    assert visible(conn) == ([], [])


def test_a_party_sees_its_own_rows_alone(conn):
    as_parties(conn, ANN)
    assert visible(conn) == ([0, 2], [(0, ANN), (2, ANN)])


def test_several_parties_see_their_rows_together(conn):
    as_parties(conn, ANN, BOB)
    held, entries = visible(conn)
    assert held == [0, 1, 2]
    assert len(entries) == 4


def test_a_party_without_rows_sees_nothing(conn):
    as_parties(conn, noise("party", "mallory", size=16))
    assert visible(conn) == ([], [])


def test_a_setting_ends_with_its_transaction(conn):
    with conn.transaction():
        as_parties(conn, ANN)
        assert visible(conn)[0] == [0, 2]
    conn.rollback()
    assert visible(conn) == ([], [])


def test_counting_and_joining_show_no_more(conn):
    as_parties(conn, ANN)
    assert conn.execute("SELECT count(*) FROM node.entries").fetchone() == (2,)
    query = "SELECT count(*) FROM ledger.records LEFT JOIN node.held USING (tree_index) WHERE bodies IS NOT NULL"
    assert conn.execute(query).fetchone() == (2,)


@pytest.mark.parametrize(
    "statement",
    [
        r"INSERT INTO node.held VALUES (9, '\x80', '\x00', '\x00')",
        r"INSERT INTO node.entries VALUES (9, 0, '\x00', 'reading')",
    ],
)
def test_only_the_node_writes(conn, statement):
    as_parties(conn, ANN)
    with pytest.raises(errors.InsufficientPrivilege):
        conn.execute(statement)


@pytest.mark.parametrize("statement", ["UPDATE node.held SET wraps = ''", "DELETE FROM node.entries"])
def test_a_reader_changes_and_deletes_no_row_even_of_its_own(conn, statement):
    as_parties(conn, ANN)
    assert conn.execute(statement).rowcount == 0


async def test_the_reader_pool_sees_nothing_by_itself_and_the_node_pool_all(database: Database):
    async with database.reader() as conn:
        assert await (await conn.execute(HELD)).fetchall() == []
        assert await (await conn.execute(ENTRIES)).fetchall() == []
    async with database.node() as conn:
        assert len(await (await conn.execute(HELD)).fetchall()) == 4


async def test_what_find_names_does_not_linger_on_its_connection(database: Database):
    party = PostgresParty(database)
    found = await party.find([ANN], type=None, from_ms=None, to_ms=None, after=-1, limit=10)
    assert [h.index for h in found] == [0, 2]
    async with database.reader() as conn:
        assert await (await conn.execute(HELD)).fetchall() == []


async def test_find_stands_behind_the_wall(database: Database, monkeypatch):
    """A query that forgot to ask for the party still gets only what the setting allows."""
    from consortium.adapters.postgres import party as module

    monkeypatch.setattr(module, "_FIND", module._FIND.replace("WHERE party = wanted AND", "WHERE"))
    found = await PostgresParty(database).find([ANN], type=None, from_ms=None, to_ms=None, after=-1, limit=10)
    assert [h.index for h in found] == [0, 2]


async def test_a_role_that_the_wall_does_not_bind_is_refused(postgres_server: EmbeddedPostgres):
    with pytest.raises(ConfigurationError, match="row-level security"):
        await Database.open(postgres_server.admin_url)
