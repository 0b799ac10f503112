"""The second wall: what Postgres itself shows of held records and of the index, whatever the query asks, by role."""

from __future__ import annotations

import dataclasses

import psycopg
import pytest
import pytest_asyncio
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict

from consortium.adapters.postgres import party as party_module
from consortium.adapters.postgres.ledger import PostgresLedger
from consortium.adapters.postgres.migrate import upgrade
from consortium.adapters.postgres.party import PostgresParty
from consortium.adapters.postgres.pool import Database
from consortium.adapters.postgres.roles import ADD, ALL, NONE, RULES, DatabaseUrls, Roles
from consortium.devnet.postgres import EmbeddedPostgres, make_url
from consortium.errors import ConfigurationError, DefectError
from consortium.ports.party import IndexEntry
from tests.builders import T0, Chain, held_of, make_records, noise

pytestmark = pytest.mark.processes

ANN, BOB, MALLORY = (noise("party", name, size=16) for name in ("ann", "bob", "mallory"))
RECORDS = make_records("alpha", 4)
HELD = "SELECT tree_index FROM node.held ORDER BY 1"
ENTRIES = "SELECT tree_index, party FROM node.entries ORDER BY 1, 2"
ANYTHING = {"type": None, "from_ms": None, "to_ms": None, "after": -1, "limit": 10}
TABLES = """
SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
ORDER BY 1
"""
PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def filled(database: Database) -> None:
    """Record 0 is Ann's, 1 is Bob's, 2 both's, 3 not indexed yet."""
    chain = Chain()
    step = chain.add("alpha", RECORDS)
    await PostgresLedger(database).commit(step, held_of(step, RECORDS))
    lines = [IndexEntry(index, party, "reading", T0) for index, party in ((0, ANN), (1, BOB), (2, ANN), (2, BOB))]
    await PostgresParty(database).add_index(lines, 3)


@pytest.fixture
def owner(postgres_urls: DatabaseUrls):
    with psycopg.connect(postgres_urls.owner, autocommit=True) as connection:
        yield connection


@pytest.fixture
def node(postgres_urls: DatabaseUrls):
    """A connection of the role that does the node's work."""
    with psycopg.connect(postgres_urls.node) as connection:
        yield connection


@pytest.fixture
def reader(postgres_urls: DatabaseUrls):
    """A connection of the role that answers callers, in the hands of whoever can send it any SQL."""
    with psycopg.connect(postgres_urls.reader) as connection:
        yield connection


def visible(conn: psycopg.Connection) -> tuple[list[int], list[tuple[int, bytes]]]:
    return [i for (i,) in conn.execute(HELD)], conn.execute(ENTRIES).fetchall()


def as_parties(conn: psycopg.Connection, *parties: bytes) -> None:
    conn.execute("SELECT set_config('consortium.parties', %s, true)", [",".join(p.hex() for p in parties)])


# --- what the reader sees --------------------------------------------------------------------------------------------


def test_without_a_party_the_reader_sees_nothing(reader):
    assert visible(reader) == ([], [])


def test_a_party_sees_its_own_rows_alone(reader):
    as_parties(reader, ANN)
    assert visible(reader) == ([0, 2], [(0, ANN), (2, ANN)])


def test_several_parties_see_their_rows_together(reader):
    as_parties(reader, ANN, BOB)
    held, entries = visible(reader)
    assert held == [0, 1, 2]
    assert len(entries) == 4


def test_a_party_without_rows_sees_nothing(reader):
    as_parties(reader, MALLORY)
    assert visible(reader) == ([], [])


def test_a_setting_ends_with_its_transaction(reader):
    with reader.transaction():
        as_parties(reader, ANN)
        assert visible(reader)[0] == [0, 2]
    reader.rollback()
    assert visible(reader) == ([], [])


def test_counting_and_joining_show_no_more(reader):
    as_parties(reader, ANN)
    assert reader.execute("SELECT count(*) FROM node.entries").fetchone() == (2,)
    query = "SELECT count(*) FROM ledger.records LEFT JOIN node.held USING (tree_index) WHERE bodies IS NOT NULL"
    assert reader.execute(query).fetchone() == (2,)


@pytest.mark.parametrize(
    "statement",
    [
        "SET consortium.scope = 'node'",  # what opened everything before there were roles
        "SET row_security = off",
        "SET ROLE {node}",
        "SET ROLE {owner}",
        "SET SESSION AUTHORIZATION {node}",
        "ALTER TABLE node.held DISABLE ROW LEVEL SECURITY",
        "DROP POLICY answers ON node.held",
        "CREATE POLICY mine ON node.held USING (true)",
        "GRANT {node} TO {reader}",
        "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TEMPORARY TABLE t AS SELECT 1",
        "CREATE TABLE public.t (x int)",
        "RESET ALL",
    ],
)
def test_no_statement_of_the_readers_shows_it_more(reader, owner, postgres_urls, statement):
    """Whoever controls the SQL on the reader's connection sees what it saw before."""
    owner_name = owner.info.user
    names = {"node": postgres_urls.roles.node, "reader": postgres_urls.roles.reader, "owner": owner_name}
    quoted = {name: sql.Identifier(role).as_string(reader) for name, role in names.items()}
    try:
        reader.execute(statement.format(**quoted))
    except psycopg.Error:
        reader.rollback()
    try:
        assert visible(reader) == ([], [])
    except errors.InsufficientPrivilege:  # row_security off: an error in place of rows
        reader.rollback()
    reader.execute("RESET ALL")
    as_parties(reader, ANN)
    assert visible(reader)[0] == [0, 2]


def test_the_reader_cannot_list_the_tags_by_which_it_would_have_to_ask(reader):
    as_parties(reader, ANN)
    tags = {party for _, party in reader.execute(ENTRIES)}
    assert tags == {ANN}
    found = reader.execute("SELECT most_common_vals::text FROM pg_stats WHERE tablename = 'entries'").fetchall()
    assert found == []


@pytest.mark.parametrize("table", sorted(name for name, rule in RULES.items() if rule.reader == NONE))
def test_what_is_no_concern_of_callers_is_closed_to_the_reader(reader, table):
    schema, name = table.split(".")
    with pytest.raises(errors.InsufficientPrivilege):
        reader.execute(sql.SQL("SELECT FROM {}").format(sql.Identifier(schema, name)))


# --- what the node sees, and what it cannot do ------------------------------------------------------------------------


def test_the_node_itself_sees_every_row(node):
    held, entries = visible(node)
    assert held == [0, 1, 2, 3]
    assert len(entries) == 4


def test_the_node_never_pays_for_looking_up_who_may_read(node, reader):
    """Else every pass of the indexer would read the whole index."""
    scans = "SELECT seq_scan + idx_scan FROM pg_stat_xact_user_tables WHERE relid = 'node.entries'::regclass"
    assert len(node.execute(HELD).fetchall()) == 4
    assert node.execute(scans).fetchone() == (0,)
    as_parties(reader, ANN)
    assert len(reader.execute(HELD).fetchall()) == 2
    assert reader.execute(scans).fetchone() > (0,)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger.records SET header = ''",
        "DELETE FROM ledger.blocks",
        "TRUNCATE ledger.tiles",
        "UPDATE ledger.rejections SET reason = ''",
        "DELETE FROM ledger.refused_batches",
        "TRUNCATE node.held",
        "DROP TABLE node.held",
        "CREATE TABLE node.more (x int)",
        "CREATE TABLE ledger.more (x int)",
        "CREATE TEMPORARY TABLE more (x int)",
        "ALTER TABLE node.held DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE ledger.records DISABLE TRIGGER ALL",
        "DROP POLICY answers ON node.entries",
        "UPDATE node.schema_version SET version_num = '0001'",
        "CREATE ROLE another",
        "COPY ledger.blocks TO PROGRAM 'cat'",
    ],
)
def test_the_node_has_no_ddl_and_of_the_ledger_it_only_adds(node, statement):
    with pytest.raises((errors.InsufficientPrivilege, errors.WrongObjectType)):
        node.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        r"INSERT INTO node.held VALUES (9, '\x80', '\x00', '\x00')",
        r"INSERT INTO node.entries VALUES (9, 0, '\x00', 'reading')",
        "UPDATE node.held SET wraps = ''",
        "DELETE FROM node.entries",
        r"INSERT INTO ledger.records VALUES (9, 1, 1, '\x00000000000000000000000000000000', '\x00')",
    ],
)
def test_the_reader_writes_nothing_even_of_its_own(reader, statement):
    as_parties(reader, ANN)
    with pytest.raises(errors.InsufficientPrivilege):
        reader.execute(statement)


# --- every table has a rule ------------------------------------------------------------------------------------------


def test_every_table_has_a_stated_rule(owner):
    """A new table is open to nobody by accident: say in `adapters.postgres.roles` who may do what with it."""
    assert {name for (name,) in owner.execute(TABLES)} == set(RULES)


def test_the_rights_in_the_database_are_those_of_the_rules_and_no_more(owner, postgres_urls):
    roles = postgres_urls.roles
    for table, rule in RULES.items():
        for role, wanted in ((roles.node, set(rule.node)), (roles.reader, {"SELECT"} if rule.reader else set())):
            query = "SELECT p FROM unnest(%s::text[]) AS p WHERE has_table_privilege(%s, %s, p)"
            assert {p for (p,) in owner.execute(query, [list(PRIVILEGES), role, table])} == wanted, (table, role)
            query += " AND has_table_privilege(%s, %s, p || ' WITH GRANT OPTION')"
            assert owner.execute(query, [list(PRIVILEGES), role, table, role, table]).fetchall() == []


def test_of_the_ledger_nobody_may_do_more_than_add():
    assert {tuple(rule.node) for name, rule in RULES.items() if name.startswith("ledger.")} == {ADD}


def test_row_policies_stand_on_exactly_the_tables_whose_rule_is_by_row(owner, postgres_urls):
    query = """
    SELECT schemaname || '.' || tablename, policyname, roles, cmd FROM pg_policies ORDER BY 1, 2
    """
    roles = postgres_urls.roles
    wanted = {name for name, rule in RULES.items() if rule.by_row}
    found = owner.execute(query).fetchall()
    assert found == [
        row
        for name in sorted(wanted)
        for row in ((name, "answers", [roles.reader], "SELECT"), (name, "applies", [roles.node], "ALL"))
    ]
    enabled = "SELECT oid::regclass::text FROM pg_class WHERE relrowsecurity"
    assert {name for (name,) in owner.execute(enabled)} == wanted


def test_what_is_by_row_or_open_to_the_reader_is_a_short_list():
    """Who adds to it has thought about who reads it."""
    assert {name for name, rule in RULES.items() if rule.reader == ALL} == {"ledger.records"}
    assert {name for name, rule in RULES.items() if rule.by_row} == {"node.held", "node.entries", "node.rewraps"}


def test_nothing_is_open_to_everybody(owner):
    query = """
    SELECT nspname || '.' || relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace,
        aclexplode(relacl) WHERE nspname IN ('ledger', 'node') AND grantee = 0
    """
    assert owner.execute(query).fetchall() == []


# --- the rules are applied -------------------------------------------------------------------------------------------


def test_rules_are_applied_once_and_again_when_the_roles_change(owner, postgres_urls, postgres_server):
    noted = "SELECT obj_description('node'::regnamespace, 'pg_namespace')"
    first = owner.execute(noted).fetchone()
    with psycopg.connect(postgres_urls.reader) as busy:  # a policy could not be touched now
        busy.execute(HELD)
        upgrade(postgres_urls.owner, postgres_urls.roles, lock_timeout_ms=500)
    assert owner.execute(noted).fetchone() == first
    name = postgres_urls.roles.reader + "2"
    with psycopg.connect(postgres_server.admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        try:
            upgrade(postgres_urls.owner, Roles(postgres_urls.roles.node, name))
            assert owner.execute(noted).fetchone() != first
            query = "SELECT DISTINCT roles FROM pg_policies WHERE policyname = 'answers'"
            assert owner.execute(query).fetchall() == [([name],)]
            with psycopg.connect(postgres_urls.reader) as old, pytest.raises(errors.InsufficientPrivilege):
                old.execute(HELD)
        finally:
            admin_here = make_url(conninfo_to_dict(postgres_server.admin_url) | {"dbname": owner.info.dbname})
            with psycopg.connect(admin_here, autocommit=True) as here:
                here.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_what_was_granted_besides_is_taken_again(owner, reader, postgres_urls):
    owner.execute(sql.SQL("GRANT SELECT ON node.accounts TO {}").format(sql.Identifier(postgres_urls.roles.reader)))
    reader.execute("SELECT FROM node.accounts")
    reader.commit()
    upgrade(postgres_urls.owner, postgres_urls.roles)
    with pytest.raises(errors.InsufficientPrivilege):
        reader.execute("SELECT FROM node.accounts")


def test_what_was_lifted_stands_again(owner, reader, postgres_urls):
    """As after a restore from a dump, which brings the note of the rules and not the rights."""
    owner.execute("ALTER TABLE node.held DISABLE ROW LEVEL SECURITY")
    owner.execute(sql.SQL("REVOKE SELECT ON node.marks FROM {}").format(sql.Identifier(postgres_urls.roles.node)))
    assert visible(reader)[0] == [0, 1, 2, 3]
    reader.rollback()
    upgrade(postgres_urls.owner, postgres_urls.roles)
    assert visible(reader)[0] == []
    with psycopg.connect(postgres_urls.node) as node:
        assert len(node.execute("SELECT FROM node.marks").fetchall()) >= 2


def test_a_table_without_a_rule_is_closed_to_the_reader(owner, reader, node, postgres_urls):
    owner.execute("CREATE TABLE node.later (x int)")
    upgrade(postgres_urls.owner, postgres_urls.roles)
    node.execute("INSERT INTO node.later VALUES (1)")
    with pytest.raises(errors.InsufficientPrivilege):
        reader.execute("SELECT FROM node.later")


# --- roles that would be no wall --------------------------------------------------------------------------------------


async def refused(urls: DatabaseUrls) -> str:
    with pytest.raises(ConfigurationError) as error:
        await (await Database.open(urls.node, reader_url=urls.reader)).close()
    return str(error.value)


async def test_a_role_that_the_wall_does_not_bind_is_refused(postgres_server: EmbeddedPostgres, postgres_urls):
    admin = postgres_server.admin_url
    with pytest.raises(ConfigurationError, match="row-level security"):
        await Database.open(admin)
    assert "row-level security" in await refused(dataclasses.replace(postgres_urls, node=admin))


async def test_a_node_that_could_pass_its_own_walls_is_refused(postgres_urls, owner):
    u = postgres_urls
    assert "owns its tables" in await refused(dataclasses.replace(u, node=u.owner))
    assert "do more than read" in await refused(dataclasses.replace(u, reader=u.owner))
    assert "do more than read" in await refused(dataclasses.replace(u, reader=u.node))
    owner.execute(sql.SQL("GRANT UPDATE ON ledger.blocks TO {}").format(sql.Identifier(u.roles.node)))
    assert "change the ledger" in await refused(u)


async def test_a_reader_that_can_become_the_node_or_write_is_refused(postgres_server, postgres_urls, owner):
    node, reader = (sql.Identifier(name) for name in (postgres_urls.roles.node, postgres_urls.roles.reader))
    with psycopg.connect(postgres_server.admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("GRANT {} TO {} WITH INHERIT FALSE").format(node, reader))
        assert "do more than read" in await refused(postgres_urls)
        admin.execute(sql.SQL("REVOKE {} FROM {}").format(node, reader))
    owner.execute(sql.SQL("GRANT INSERT ON node.marks TO {}").format(reader))
    assert "do more than read" in await refused(postgres_urls)


@pytest.mark.parametrize("changed", [{"reader": "postgresql:///x"}, {"node": "postgresql:///x"}, {"node": "no url"}])
def test_urls_that_name_no_two_roles_are_refused(postgres_urls, changed):
    urls = dataclasses.replace(postgres_urls, **changed)
    with pytest.raises(ConfigurationError, match="two roles"):
        _ = urls.roles
    with pytest.raises(ConfigurationError, match="two roles"):
        _ = dataclasses.replace(postgres_urls, reader=postgres_urls.node).roles


def test_no_password_shows_in_what_is_printed(postgres_urls):
    assert "password" not in repr(postgres_urls).lower()
    assert psycopg.conninfo.conninfo_to_dict(postgres_urls.node)["password"] not in repr(postgres_urls)


# --- the adapter behind the wall -------------------------------------------------------------------------------------


async def test_the_reader_pool_sees_nothing_by_itself_and_the_node_pool_all(database: Database):
    async with database.reader() as conn:
        assert await (await conn.execute(HELD)).fetchall() == []
        assert await (await conn.execute(ENTRIES)).fetchall() == []
    async with database.node() as conn:
        assert len(await (await conn.execute(HELD)).fetchall()) == 4


async def test_a_tools_database_has_no_reader(postgres_urls):
    database = await Database.open(postgres_urls.owner)
    try:
        with pytest.raises(DefectError):
            await PostgresParty(database).find([ANN], **ANYTHING)
        assert await PostgresParty(database).held(RECORDS[0].header.id) is not None
    finally:
        await database.close()


async def test_what_find_names_does_not_linger_on_its_connection(database: Database):
    party = PostgresParty(database)
    found = await party.find([ANN], **ANYTHING)
    assert [h.index for h in found] == [0, 2]
    async with database.reader() as conn:
        assert await (await conn.execute(HELD)).fetchall() == []


async def test_queries_that_forgot_to_ask_for_the_party_still_get_only_its_rows(database: Database, monkeypatch):
    monkeypatch.setattr(party_module, "_FIND", party_module._FIND.replace("WHERE party = wanted AND", "WHERE"))
    monkeypatch.setattr(party_module, "_HELD_BY", party_module.HELD + "WHERE id = %(id)b OR true")
    monkeypatch.setattr(party_module, "_IS_READER", "SELECT 1 FROM node.entries")
    party = PostgresParty(database)
    assert [h.index for h in await party.find([ANN], **ANYTHING)] == [0, 2]
    assert await party.find([MALLORY], **ANYTHING) == []
    assert await party.held(RECORDS[1].header.id, [MALLORY]) is None
    assert (await party.held(RECORDS[1].header.id, [ANN])).index in (0, 2)
    assert not await party.is_reader(RECORDS[1].header.id, [MALLORY])
