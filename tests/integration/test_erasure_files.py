"""What is left of an erased payload in the files of a real Postgres, step by step: so much as docs/operations.md says.

A search for the very bytes of ciphertext and wraps in every file of the server's directory.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psycopg
import pytest

from consortium.adapters.postgres.erasure import PostgresErasure, rewrite
from consortium.adapters.postgres.migrate import upgrade
from consortium.adapters.postgres.pool import Database
from consortium.adapters.postgres.roles import DatabaseUrls
from consortium.devnet.postgres import EmbeddedPostgres
from consortium.ports.erasure import Destroyed

pytestmark = pytest.mark.processes
ROWS = 2000
GONE = range(700, 760)
"""Enough in a row that whole pages are emptied: what stands alone in a page is written over as the page closes up."""
BIG = (ROWS, ROWS + 30)
"""Bodies that do not fit a page, before and behind the one that goes, which is the one in the middle."""
LARGE = sum(BIG) // 2


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="consortium-files-") as found:
        yield Path(found)


@pytest.fixture
def server(directory: Path) -> Iterator[EmbeddedPostgres]:
    """A server of its own: what others write into a shared one would hide, and overwrite, what is looked for."""
    made = EmbeddedPostgres(directory)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def urls(server: EmbeddedPostgres) -> DatabaseUrls:
    found = server.create_database("files", fresh=True)
    upgrade(found.owner, found.roles)
    with psycopg.connect(found.owner, autocommit=True) as conn:  # step by step: the server's own comes in between
        conn.execute("ALTER TABLE node.held SET (autovacuum_enabled = false, toast.autovacuum_enabled = false)")
    return found


@pytest.fixture
def rows(urls: DatabaseUrls) -> Mapping[int, tuple[bytes, bytes]]:
    """Held records: bodies and wraps of random bytes, so that nothing else looks like them."""
    made = {n: (os.urandom(420), os.urandom(300)) for n in range(ROWS)}
    made |= {n: (os.urandom(9000), os.urandom(300)) for n in range(*BIG)}
    with psycopg.connect(urls.owner, autocommit=True) as conn, conn.cursor() as cursor:
        cursor.executemany("INSERT INTO node.held VALUES (%s, %s, %s, '')", [(n, *both) for n, both in made.items()])
    return made


def checkpoint(server: EmbeddedPostgres, *statements: str) -> None:
    """Everything that is in memory goes to the files."""
    with psycopg.connect(server.admin_url, autocommit=True) as conn:
        for statement in (*statements, "CHECKPOINT"):
            conn.execute(statement.encode())


def found(
    directory: Path, wanted: Mapping[int, tuple[bytes, bytes]], records: Sequence[int]
) -> tuple[set[int], set[int]]:
    """Of which records bytes stand in the tables' files, and of which in the write-ahead log."""
    parts = {n: [value[100:160] for value in wanted[n]] for n in records}
    places: tuple[set[int], set[int]] = (set(), set())
    for path in directory.rglob("*"):
        try:
            content = path.read_bytes() if path.is_file() else b""
        except OSError:  # the server removes files as it goes
            continue
        hits = {n for n, values in parts.items() if any(value in content for value in values)}
        places["pg_wal" in path.parts].update(hits)
    return places


def segments(directory: Path) -> int:
    """Files of the write-ahead log."""
    return len([path for path in directory.rglob("pg_wal/0*") if path.is_file()])


async def test_what_each_step_leaves_in_the_files(directory: Path, server: EmbeddedPostgres, urls: DatabaseUrls, rows):
    erased, looked_for = [*GONE, LARGE], [*GONE[::10], LARGE]
    checkpoint(server)
    assert found(directory, rows, looked_for)[0] == set(looked_for), "the search finds what is there"

    database = await Database.open(urls.node, name="files", timeout_s=2)
    await PostgresErasure(database).destroy([Destroyed(n, n.to_bytes(16, "big"), bytes(16)) for n in erased])
    await database.close()
    checkpoint(server)
    assert found(directory, rows, looked_for)[0] == set(looked_for), "DELETE alone removes no byte"

    with psycopg.connect(urls.owner, autocommit=True) as conn:
        conn.execute("VACUUM node.held")
    checkpoint(server)
    tables, log = found(directory, rows, looked_for)
    assert tables, "VACUUM leaves the bytes of pages that it emptied"
    assert log == set(looked_for), "and the write-ahead log has them all"

    assert [table for table, _ in rewrite(urls.owner)].count("node.held") == 1
    checkpoint(server)
    tables, log = found(directory, rows, looked_for)
    assert tables == set(), "written anew the tables hold nothing of them"
    assert log == set(looked_for)
    kept = [n for n in rows if n not in erased][::100]
    assert found(directory, rows, kept)[0] == set(kept), "and all of the others"

    for _ in range(2 * segments(directory) + 2):  # a switch fills a segment up; recycled ones are written over in turn
        checkpoint(server, "SELECT pg_logical_emit_message(false, '', 'x')", "SELECT pg_switch_wal()")
    assert found(directory, rows, looked_for) == (set(), set())


def test_the_servers_own_vacuum_comes_for_a_single_dead_row(postgres_urls):
    with psycopg.connect(postgres_urls.owner, autocommit=True) as conn:
        query = "SELECT relname, reloptions FROM pg_class WHERE relnamespace = 'node'::regnamespace"
        options = {name: set(found or ()) for name, found in conn.execute(query)}
    wanted = {"autovacuum_vacuum_threshold=0", "autovacuum_vacuum_scale_factor=0"}
    assert all(wanted <= options[table] for table in ("held", "entries"))


def test_the_node_may_delete_from_every_table_with_rows_of_records(postgres_urls):
    """So that whoever adds such a table adds the right as well: else nothing could be erased any more."""
    query = """
    SELECT relname, has_table_privilege(pg_class.oid, 'DELETE') FROM pg_attribute
    JOIN pg_class ON pg_class.oid = attrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = 'node' AND relkind IN ('r', 'p') AND attname = 'tree_index'
    """
    with psycopg.connect(postgres_urls.node, autocommit=True) as conn:
        rights = dict(conn.execute(query).fetchall())
    assert {"held", "entries", "missing", "erased"} <= set(rights)
    assert [table for table, may in rights.items() if not may] == ["erased"]
