"""`ErasureStore` on Postgres. Contract: `consortium.ports.erasure`.

Which tables hold rows of a record is not listed here: every table of the schema `node` that has a column `tree_index`
does. So what somebody adds later is destroyed as well; a test holds the node's rights to it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence

import psycopg
from psycopg import AsyncConnection, sql

from consortium.adapters.postgres.arrays import ByteaArray, Int8Array
from consortium.adapters.postgres.failures import translated
from consortium.adapters.postgres.pool import Database, fetch
from consortium.adapters.postgres.rows import REWRAPS, held_of
from consortium.ports.erasure import Destroyed, Remains

# The ids first, each by its own look into the index: see committing.TAKEN.
_REMAINS = """
SELECT r.tree_index, r.id, r.header, held.tree_index IS NOT NULL, held.bodies, held.wraps, held.slots,
    {rewraps}
FROM unnest(%b::bytea[]) AS wanted (id)
CROSS JOIN LATERAL (SELECT tree_index, id, header FROM ledger.records WHERE records.id = wanted.id OFFSET 0) AS r
LEFT JOIN node.held ON held.tree_index = r.tree_index
WHERE {any}
ORDER BY r.tree_index
"""
_ANY = "EXISTS (SELECT FROM {} AS one WHERE one.tree_index = r.tree_index)"
_NOTE = """
INSERT INTO node.erased (tree_index, id, erasure)
SELECT * FROM unnest(%b::bigint[], %b::bytea[], %b::bytea[]) ON CONFLICT DO NOTHING
"""
_CLOSE = "INSERT INTO node.closed (tag) SELECT * FROM unnest(%b::bytea[]) ON CONFLICT DO NOTHING"
_TABLES = """
SELECT relname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = 'node' AND relkind IN ('r', 'p') AND attname = 'tree_index' AND NOT attisdropped
ORDER BY relname
"""
_ERASED = "SELECT erased.id FROM unnest(%b::bytea[]) AS wanted (id) JOIN node.erased ON erased.id = wanted.id"
_FIRST, _KEPT = "missing", "erased"


class PostgresErasure:
    """Erasing in one node's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def remains(self, ids: Collection[bytes]) -> Sequence[Remains]:
        if not ids:
            return []
        async with self._database.node() as conn:
            query = _remains(await _tables(conn)).as_string(conn)
            rows = await fetch(conn, query, [ByteaArray(sorted(set(ids)))])
        held = {one.index: one for one in held_of((*row[:3], *row[4:]) for row in rows if row[3])}
        return [Remains(row[0], row[1], row[2], held.get(row[0])) for row in rows]

    async def destroy(self, records: Sequence[Destroyed]) -> None:
        if not records:
            return
        indexes = Int8Array([record.index for record in records])
        noted = [indexes, ByteaArray([r.id for r in records]), ByteaArray([r.order for r in records])]
        tags = ByteaArray(sorted({tag for record in records for tag in record.closed}))
        async with self._database.node() as conn, conn.transaction():
            await conn.execute(_NOTE, noted)
            await conn.execute(_CLOSE, [tags])
            for table in await _tables(conn):
                await conn.execute(_delete(table), [indexes])

    async def erased(self, ids: Collection[bytes]) -> Collection[bytes]:
        return frozenset(id for (id,) in await self._database.rows(_ERASED, [ByteaArray(sorted(set(ids)))]))

    async def closed(self) -> frozenset[bytes]:
        return frozenset(tag for (tag,) in await self._database.rows("SELECT tag FROM node.closed"))


async def _tables(conn: AsyncConnection) -> list[str]:
    """The tables with rows of records; `missing` first: who fills in a payload holds its row there, and is waited for.

    Each statement sees what was committed before it (READ COMMITTED): the row that was filled in meanwhile goes too.
    """
    found = [table for (table,) in await fetch(conn, _TABLES) if table != _KEPT]
    return sorted(found, key=lambda table: (table != _FIRST, table))


def _remains(tables: Sequence[str]) -> sql.Composed:
    found = [sql.SQL(_ANY).format(sql.Identifier("node", table)) for table in tables]
    return sql.SQL(_REMAINS).format(any=sql.SQL(" OR ").join(found), rewraps=sql.SQL(REWRAPS.format(table="r")))


def _delete(table: str) -> sql.Composed:
    return sql.SQL("DELETE FROM {} WHERE tree_index = ANY (%b::bigint[])").format(sql.Identifier("node", table))


def rewrite(url: str) -> Iterator[tuple[str, float]]:
    """Write every table with rows of records anew (VACUUM FULL), as their owner: table by table, and how long it took.

    A plain VACUUM takes dead rows out of a page only where something else takes their place; their bytes stay
    otherwise. Each table is locked meanwhile. Blocks. Raises `StoreUnavailable`.
    """
    with translated(), psycopg.connect(url, autocommit=True, connect_timeout=10) as conn:
        for (table,) in conn.execute(_TABLES.encode()).fetchall():
            began = time.monotonic()
            conn.execute(sql.SQL("VACUUM (FULL, ANALYZE) {}").format(sql.Identifier("node", table)))
            yield f"node.{table}", time.monotonic() - began
