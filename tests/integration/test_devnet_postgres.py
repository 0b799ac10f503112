"""The embedded Postgres: members' databases are closed to each other and owned by one of three roles each; it can be
stopped and started again.
"""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from consortium.adapters.postgres.migrate import upgrade
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


def all_of(urls):
    return urls.owner, urls.node, urls.reader


def test_one_of_three_roles_owns_the_database_and_none_is_a_superuser_or_another(two):
    owns = "SELECT pg_get_userbyid(datdba) = current_user FROM pg_database WHERE datname = current_database()"
    powers = (
        "SELECT rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
    )
    others = """
    SELECT count(*) FROM pg_roles
    WHERE rolname NOT IN (current_user, 'pg_database_owner') AND pg_has_role(current_user, oid, 'MEMBER')
    """
    for urls in two:
        assert [scalar(url, owns) for url in all_of(urls)] == [True, False, False]
        assert not any(scalar(url, powers) for url in all_of(urls))
        assert [scalar(url, others) for url in all_of(urls)] == [0, 0, 0]


def test_the_roles_have_passwords_of_their_own(two):
    passwords = {conninfo_to_dict(url)["password"] for urls in two for url in all_of(urls)}
    assert len(passwords) == 6
    mixed = with_settings(two[0].owner, password=str(conninfo_to_dict(two[0].node)["password"]))
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(mixed)


@pytest.mark.parametrize("database", ["consortium_wall-two", "postgres", "template1"])
def test_a_member_cannot_open_another_database(two, database):
    for url in all_of(two[0]):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(with_settings(url, dbname=database))


@pytest.mark.parametrize("role", ["consortium_wall-two", "consortium_wall-one_reader", "postgres"])
def test_nobody_is_let_in_without_the_password(two, role):
    for settings in ({"user": role}, {"user": role, "password": "guess"}):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(with_settings(two[0].owner, **settings))


def test_made_again_a_role_gets_a_new_password_and_keeps_its_data(postgres_server, two):
    with psycopg.connect(two[0].owner) as conn:
        conn.execute("CREATE SCHEMA kept")
    again = postgres_server.create_database("wall-one").owner
    assert scalar(again, "SELECT count(*) FROM pg_namespace WHERE nspname = 'kept'") == 1
    for url in all_of(two[0]):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(url)
    fresh = postgres_server.create_database("wall-one", fresh=True).owner
    assert scalar(fresh, "SELECT count(*) FROM pg_namespace WHERE nspname = 'kept'") == 0


def test_databases_are_made_on_any_server_by_a_role_that_may(postgres_server):
    with psycopg.connect(postgres_server.admin_url, autocommit=True) as conn:
        conn.execute("CREATE ROLE landlord LOGIN CREATEDB CREATEROLE PASSWORD 'pass/word?'")
        conn.execute("GRANT CONNECT ON DATABASE postgres TO landlord")
    server = external(with_settings(postgres_server.admin_url, user="landlord", password="pass/word?"))
    try:
        urls = server.create_database("tenant")
        names = [scalar(url, "SELECT current_user::text") for url in all_of(urls)]
        assert names == ["consortium_tenant", "consortium_tenant_node", "consortium_tenant_reader"]
        upgrade(urls.owner, urls.roles)
        assert scalar(urls.node, "SELECT count(*) FROM node.held") == 0
        assert scalar(server.create_database("tenant").reader, "SELECT count(*) FROM node.held") == 0
        server.drop_database("tenant")
        for url in all_of(urls):
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
        url = server.create_database("first").owner
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
        assert scalar(again.create_database("second").owner, "SELECT current_user::text") == "consortium_second"
        assert (deep / "admin-password").stat().st_mode & 0o777 == 0o600
    finally:
        server.stop()
