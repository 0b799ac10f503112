"""The schema's versions: bring a database up to date, and refuse one that is newer than the program.

Only the owner of the database migrates, and gives the node's two roles what they may touch (`roles`). The node itself
starts with `check`, unless it is told the owner's URL.

The migrations stand in `migrations/` beside the package in a checkout; an installed program is told where by the
environment variable CONSORTIUM_MIGRATIONS. Everything here blocks: call it at the start, or in a thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from consortium.adapters.postgres.failures import translate, translated
from consortium.adapters.postgres.roles import Roles, apply_rules
from consortium.errors import ConfigurationError, DefectError

_ADVISORY_LOCK = 0x636F6E736F727431  # "consort1": two starting processes migrate one after the other


def upgrade(
    url: str, roles: Roles | None = None, *, lock_timeout_ms: int = 5_000, statement_timeout_ms: int = 600_000
) -> None:
    """Bring the database to the newest schema and the rights of `roles` to its rules; nothing happens if it has them.

    `url` is the owner's. Without `roles` nobody but the owner may do anything.

    Raises `StoreUnavailable` (Postgres is away, or a lock or statement took too long: call again) and
    `ConfigurationError` (the schema is newer than this program, or the role may not create it).
    """
    with _connection(url) as connection:
        for name, value in (("lock_timeout", lock_timeout_ms), ("statement_timeout", statement_timeout_ms)):
            connection.exec_driver_sql(f"SET {name} = {int(value)}")
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({_ADVISORY_LOCK})")
        connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS node")
        _refuse_newer(_current(connection))
        connection.commit()
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        if roles is not None:
            _apply_rules(connection, roles)


def _apply_rules(connection: Connection, roles: Roles) -> None:
    raw = connection.connection.driver_connection
    if not isinstance(raw, psycopg.Connection):
        raise DefectError("the migrations do not run on psycopg")
    connection.commit()
    with translated(), raw.transaction():
        apply_rules(raw, roles)


def current(url: str) -> str | None:
    """The database's schema version, or None for an empty database. For the owner, and for the node's role."""
    with _connection(url) as connection:
        return _current(connection)


def check(url: str) -> None:
    """Raises `ConfigurationError` unless the database has exactly the schema that this program was written for."""
    version = current(url)
    _refuse_newer(version)
    head = _scripts().get_current_head()
    if version != head:
        raise ConfigurationError(
            f"the database's schema is {version or 'missing'}, not {head}", hint="consortium node migrate"
        )


def migrations_path() -> Path:
    """Where the migrations are. Raises `ConfigurationError`."""
    named = os.environ.get("CONSORTIUM_MIGRATIONS")
    path = Path(named) if named else Path(__file__).resolve().parents[3] / "migrations"
    if not (path / "env.py").is_file():
        raise ConfigurationError(f"there are no migrations in {path}", hint="set CONSORTIUM_MIGRATIONS")
    return path


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_path()).replace("%", "%%"))
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _refuse_newer(version: str | None) -> None:
    known = {script.revision for script in _scripts().walk_revisions()}
    if version is not None and version not in known:
        raise ConfigurationError(
            f"the database's schema {version} is newer than this program", hint="upgrade the program"
        )


def _current(connection: Connection) -> str | None:
    options = {"version_table": "schema_version", "version_table_schema": "node"}
    return MigrationContext.configure(connection, opts=options).get_current_revision()


@contextmanager
def _connection(url: str) -> Iterator[Connection]:
    # The URL goes to libpq as it is: every form that libpq takes will do, and no password passes through a setting.
    engine = create_engine("postgresql+psycopg://", creator=lambda: _connect(url), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.Error):
            raise translate(error.orig) from error
        raise
    finally:
        engine.dispose()


def _connect(url: str) -> psycopg.Connection:
    try:
        with translated():
            return psycopg.connect(url, application_name="consortium-migrate", connect_timeout=10)
    except DefectError:  # libpq could not read it, and would quote it
        raise ConfigurationError(
            "the database URL is none", hint="for example postgresql://user:password@host:5432/name"
        ) from None
