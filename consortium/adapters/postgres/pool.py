"""Connections to the node's database, in two pools that log in as two roles.

Those of `node` do the node's work and see every row; those of `reader` answer callers, write nothing, and see only rows
of the parties that their transaction names (`roles`). Both are in autocommit: one statement is one transaction, and
more than one is said so with `conn.transaction()`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, NoReturn

import psycopg
from psycopg import AsyncConnection
from psycopg.types.numeric import Int8BinaryDumper
from psycopg_pool import AsyncConnectionPool

from consortium.adapters.postgres import arrays, walls
from consortium.adapters.postgres.failures import translate, translated
from consortium.errors import DefectError

Row = tuple[Any, ...]
Params = Sequence[Any] | Mapping[str, Any]

_RECONNECT_S = 2.0
"""How long the pool tries by itself; after that each request tries anew, so that no long pause ever builds up."""


_WATCHED = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""A server that vanished without a word (power, network) is noticed within half a minute; else a statement would wait
for hours. Of no effect on a unix socket."""


class Database:
    """A node's database. Every method raises `StoreUnavailable` while Postgres is away and recovers by itself."""

    def __init__(self, node: AsyncConnectionPool, reader: AsyncConnectionPool | None) -> None:
        self._node = node
        self._reader = reader

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        reader_url: str = "",
        name: str = "consortium",
        connections: int = 4,
        timeout_s: float = 5.0,
    ) -> Database:
        """Connect to libpq URLs; at most `connections` of each kind.

        Without `reader_url` for tools that answer nobody (an audit, say): such a database has no reader. `timeout_s`
        is how long one request waits for a connection. Raises `StoreUnavailable`, and `ConfigurationError` for roles
        that may more than they should: then the wall would not stand.
        """
        database = cls(
            _pool(url, f"{name}-node", connections, timeout_s),
            _pool(reader_url, f"{name}-reader", connections, timeout_s) if reader_url else None,
        )
        try:
            await database._open()
        except BaseException:
            await database.close()
            raise
        return database

    async def _open(self) -> None:
        await self._node.open()
        async with self.node() as conn:
            await walls.require_bound(conn)
            if self._reader is None:
                return
            await self._reader.open()
            name = await walls.require_node(conn)
        async with self.reader() as conn:
            await walls.require_bound(conn)
            await walls.require_reader(conn, name)

    def node(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection that sees every row."""
        return _CheckedOut(self._node)

    def reader(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection that sees no row but those of the parties that its transaction names.

        Raises `DefectError` for a database that was opened without a reader.
        """
        if self._reader is None:
            raise DefectError("this database was opened for a tool that answers nobody")
        return _CheckedOut(self._reader)

    async def rows(self, query: str, params: Params = ()) -> list[Row]:
        """One statement as the node, prepared, values in binary."""
        async with self.node() as conn:
            return await fetch(conn, query, params)

    async def execute(self, query: str, params: Params = ()) -> int:
        """One statement as the node; the number of rows it touched."""
        async with self.node() as conn:
            return (await conn.execute(query, params, prepare=True)).rowcount

    async def close(self) -> None:
        """Give up all connections."""
        await self._node.close()
        if self._reader is not None:
            await self._reader.close()


async def fetch(conn: AsyncConnection, query: str, params: Params = ()) -> list[Row]:
    """All rows of one statement, prepared, values in binary."""
    cursor = await conn.execute(query, params, prepare=True, binary=True)
    return await cursor.fetchall()


class _CheckedOut(AbstractAsyncContextManager[AsyncConnection]):
    """A connection out of a pool, and the driver's failures in the project's words.

    In autocommit there is nothing to commit at the end; what is broken or in a transaction the pool sorts out itself.
    """

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool
        self._conn: AsyncConnection | None = None

    async def __aenter__(self) -> AsyncConnection:
        try:
            self._conn = await self._pool.getconn()
        except psycopg.Error as error:
            await self._fail(error)
        return self._conn

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._conn is not None:
            await self._pool.putconn(self._conn)
        if isinstance(error, psycopg.Error):
            await self._fail(error)

    async def _fail(self, error: psycopg.Error) -> NoReturn:
        if isinstance(error, psycopg.OperationalError):
            # After a restart of Postgres all idle connections are dead, and each would fail a request of its own.
            await self._pool.check()
        raise translate(error) from error


def _pool(url: str, name: str, connections: int, timeout_s: float) -> AsyncConnectionPool:
    with translated():
        return AsyncConnectionPool(
            url,
            kwargs={"autocommit": True, "application_name": name, **_WATCHED},
            configure=_configure,
            min_size=1,
            max_size=connections,
            timeout=timeout_s,
            reconnect_timeout=_RECONNECT_S,
            name=name,
            open=False,
        )


async def _configure(conn: AsyncConnection) -> None:
    # One width for all integers: a statement is then prepared once, not once per size of its numbers. It holds for
    # the placeholder %b, which all statements use: besides, lists travel ten times faster in binary than by %s.
    conn.adapters.register_dumper(int, Int8BinaryDumper)
    arrays.register(conn)
