"""The embedded Postgres: members' databases are closed to each other, and it can be stopped and started again."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from consortium.devnet.postgres import EmbeddedPostgres, external, make_url
from consortium.errors import StoreUnavailable

pytestmark = pytest.mark.processes


@pytest.fixture
def two(postgres_server: EmbeddedPostgres):
    names = ("wall-one", "wall-two")
    yield tuple(postgres_server.create_database(name) for name in names)
    for name in names:
        postgres_server.drop_database(name)


def with_settings(url: str, **changes: str) -> str:
    return make_url(conninfo_to_dict(url) | changes)


def scalar(url: str, query: str):
    with psycopg.connect(url) as conn:
        return conn.execute(query).fetchone()[0]


def test_a_member_owns_its_database_and_is_no_superuser(two):
    for url in two:
        assert scalar(
            url, "SELECT pg_get_userbyid(datdba) = current_user FROM pg_database WHERE datname = current_database()"
        )
        query = (
            "SELECT rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
        )
        assert not scalar(url, query)


@pytest.mark.parametrize("database", ["consortium_wall-two", "postgres", "template1"])
def test_a_member_cannot_open_another_database(two, database):
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(with_settings(two[0], dbname=database))


@pytest.mark.parametrize("role", ["consortium_wall-two", "postgres"])
def test_nobody_is_let_in_without_the_password(two, role):
    for settings in ({"user": role}, {"user": role, "password": "guess"}):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(with_settings(two[0], **settings))


def test_made_again_a_role_gets_a_new_password_and_keeps_its_data(postgres_server, two):
    with psycopg.connect(two[0]) as conn:
        conn.execute("CREATE SCHEMA kept")
    again = postgres_server.create_database("wall-one")
    assert scalar(again, "SELECT count(*) FROM pg_namespace WHERE nspname = 'kept'") == 1
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(two[0])
    fresh = postgres_server.create_database("wall-one", fresh=True)
    assert scalar(fresh, "SELECT count(*) FROM pg_namespace WHERE nspname = 'kept'") == 0


def test_databases_are_made_on_any_server_by_a_role_that_may(postgres_server):
    with psycopg.connect(postgres_server.admin_url, autocommit=True) as conn:
        conn.execute("CREATE ROLE landlord LOGIN CREATEDB CREATEROLE PASSWORD 'pass/word?'")
        conn.execute("GRANT CONNECT ON DATABASE postgres TO landlord")
    server = external(with_settings(postgres_server.admin_url, user="landlord", password="pass/word?"))
    try:
        url = server.create_database("tenant")
        assert scalar(url, "SELECT current_user::text") == "consortium_tenant"
        server.drop_database("tenant")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url)
    finally:
        postgres_server.drop_database("tenant")
        with psycopg.connect(postgres_server.admin_url, autocommit=True) as conn:
            conn.execute("REVOKE ALL ON DATABASE postgres FROM landlord")
            conn.execute("DROP ROLE landlord")


def test_a_server_keeps_its_data_and_its_passwords_over_stop_start_and_crash(postgres_dir: Path):
    deep = postgres_dir / ("long-" * 12) / ("name-" * 10)  # a socket's path has at most 107 bytes
    server = EmbeddedPostgres(deep)
    server.start()
    try:
        url = server.create_database("first")
        with psycopg.connect(url) as conn:
            conn.execute("CREATE TABLE kept AS SELECT 1 AS x")
        server.restart("immediate")
        assert scalar(url, "SELECT x FROM kept") == 1
        server.stop()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url)
        with pytest.raises(StoreUnavailable):
            server.create_database("second")
        server = again = EmbeddedPostgres(deep)
        again.start()
        assert scalar(url, "SELECT x FROM kept") == 1
        assert scalar(again.create_database("second"), "SELECT current_user::text") == "consortium_second"
        assert (deep / "admin-password").stat().st_mode & 0o777 == 0o600
    finally:
        server.stop()
