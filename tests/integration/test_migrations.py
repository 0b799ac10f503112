"""Migrations on a real server: from nothing, again, against a newer schema, and under their timeouts."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import psycopg
import pytest

from consortium.adapters.postgres.migrate import check, current, migrations_path, upgrade
from consortium.adapters.postgres.roles import RULES
from consortium.bootstrap import prepare_database
from consortium.errors import ConfigurationError, StoreUnavailable

pytestmark = pytest.mark.processes

HEAD = sorted(file.name.split("_")[0] for file in (migrations_path() / "versions").glob("[0-9]*.py"))[-1]
NEXT = """
from alembic import op
revision, down_revision, branch_labels, depends_on = "9999", {before!r}, None, None
def upgrade():
    op.execute({statement!r})
"""
SHAPE = """
SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns
WHERE table_schema IN ('ledger', 'node') ORDER BY 1, 2, 3
"""


@pytest.fixture
def future(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The migrations of a later version of the program; a function of its one more statement."""

    def make(statement: str) -> None:
        here = migrations_path()
        shutil.copytree(here, tmp_path / "migrations", ignore=shutil.ignore_patterns("__pycache__"))
        file = tmp_path / "migrations" / "versions" / "9999_future.py"
        file.write_text(NEXT.format(before=HEAD, statement=statement))
        monkeypatch.setenv("CONSORTIUM_MIGRATIONS", str(tmp_path / "migrations"))

    return make


def shape(url: str) -> list[tuple[str, ...]]:
    with psycopg.connect(url) as conn:
        return conn.execute(SHAPE).fetchall()


def test_an_empty_database_is_brought_up_to_date(empty_postgres_url):
    assert current(empty_postgres_url) is None
    with pytest.raises(ConfigurationError, match="missing"):
        check(empty_postgres_url)
    upgrade(empty_postgres_url)
    assert current(empty_postgres_url) == HEAD
    check(empty_postgres_url)
    tables = {f"{schema}.{table}" for schema, table, *_ in shape(empty_postgres_url)}
    assert tables == set(RULES)
    only_the_owner = (
        "SELECT count(*) FROM pg_class WHERE relnamespace::regnamespace::text = ANY (%s) AND relacl IS NOT NULL"
    )
    with psycopg.connect(empty_postgres_url) as conn:
        assert conn.execute(only_the_owner, [["ledger", "node"]]).fetchone() == (0,)


def test_the_node_checks_the_schema_and_cannot_migrate_it(empty_postgres_urls):
    urls = empty_postgres_urls
    with pytest.raises(ConfigurationError):
        check(urls.node)
    with pytest.raises(ConfigurationError, match="not set up"):
        upgrade(urls.node)
    with pytest.raises(ConfigurationError, match="missing"):
        prepare_database(dataclasses.replace(urls, owner=""))
    prepare_database(urls)
    check(urls.node)
    prepare_database(dataclasses.replace(urls, owner=""))


def test_a_database_from_before_there_were_roles_loses_the_policies_that_a_setting_opened(
    empty_postgres_urls, tmp_path, monkeypatch
):
    shutil.copytree(migrations_path(), tmp_path / "old", ignore=shutil.ignore_patterns("__pycache__", "000[2-9]*"))
    monkeypatch.setenv("CONSORTIUM_MIGRATIONS", str(tmp_path / "old"))
    urls = empty_postgres_urls
    upgrade(urls.owner)
    with psycopg.connect(urls.owner) as conn:
        conn.execute("SET consortium.scope = 'node'")
        conn.execute(r"INSERT INTO node.held VALUES (7, '\x80', '\x00', '\x00')")
    monkeypatch.delenv("CONSORTIUM_MIGRATIONS")
    upgrade(urls.owner, urls.roles)
    for url, rows in ((urls.owner, 1), (urls.node, 1), (urls.reader, 0)):
        with psycopg.connect(url) as conn:
            conn.execute("SET consortium.scope = 'node'")
            assert conn.execute("SELECT count(*) FROM node.held").fetchone() == (rows,)


def test_upgrading_again_changes_nothing(postgres_url):
    with psycopg.connect(postgres_url) as conn:
        conn.execute("UPDATE node.marks SET value = 7 WHERE name = 'cosigned_size'")
    before = shape(postgres_url)
    upgrade(postgres_url)
    assert shape(postgres_url) == before
    with psycopg.connect(postgres_url) as conn:
        assert conn.execute("SELECT value FROM node.marks WHERE name = 'cosigned_size'").fetchone() == (7,)


def test_a_newer_schema_is_refused(postgres_url, future, monkeypatch):
    future("CREATE TABLE node.later (x int)")
    upgrade(postgres_url)
    assert current(postgres_url) == "9999"
    monkeypatch.delenv("CONSORTIUM_MIGRATIONS")
    for refused in (upgrade, check):
        with pytest.raises(ConfigurationError, match="newer"):
            refused(postgres_url)
    assert current(postgres_url) == "9999"


def test_an_older_schema_is_refused_at_the_start_and_can_be_upgraded(postgres_url, future):
    future("CREATE TABLE node.later (x int)")
    with pytest.raises(ConfigurationError, match=f"{HEAD}, not 9999"):
        check(postgres_url)
    upgrade(postgres_url)
    check(postgres_url)


def test_a_migration_gives_up_on_a_lock_that_it_cannot_have(postgres_url, future):
    future("ALTER TABLE node.accounts ADD COLUMN later int")
    with psycopg.connect(postgres_url) as reader:
        reader.execute("SELECT FROM node.accounts")
        with pytest.raises(StoreUnavailable, match="55P03"):
            upgrade(postgres_url, lock_timeout_ms=50)
        assert current(postgres_url) == HEAD
    upgrade(postgres_url, lock_timeout_ms=50)
    assert current(postgres_url) == "9999"


def test_a_statement_that_takes_too_long_is_ended_and_leaves_nothing(postgres_url, future):
    future("CREATE TABLE node.later AS SELECT 1 AS x FROM pg_sleep(60)")
    with pytest.raises(StoreUnavailable, match="57014"):
        upgrade(postgres_url, statement_timeout_ms=200)
    assert current(postgres_url) == HEAD
    assert not [row for row in shape(postgres_url) if row[1] == "later"]


def test_the_timeouts_are_set_unless_said_otherwise(postgres_url, future):
    settings = "current_setting('lock_timeout') AS lock, current_setting('statement_timeout') AS statement"
    future(f"CREATE TABLE node.later AS SELECT {settings}")
    upgrade(postgres_url)
    with psycopg.connect(postgres_url) as conn:
        assert conn.execute("SELECT lock, statement FROM node.later").fetchone() == ("5s", "10min")


def test_missing_migrations_are_named(postgres_url, monkeypatch, tmp_path):
    monkeypatch.setenv("CONSORTIUM_MIGRATIONS", str(tmp_path))
    with pytest.raises(ConfigurationError, match="no migrations"):
        upgrade(postgres_url)


def test_a_server_that_is_away_is_said_so(tmp_path):
    with pytest.raises(StoreUnavailable):
        upgrade(f"postgresql://nobody@/nothing?host={tmp_path}")
