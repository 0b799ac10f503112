"""`PartyStore` on Postgres: sealed payloads, and the node's index of what it may open. Contract: `consortium.ports`.

What is given `parties` answers a caller, and runs as the database role that sees no row but those of the parties that
its transaction names: should the query be wrong one day, Postgres still gives nobody else's rows. The rest is the
node's own work.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from consortium.adapters.postgres.arrays import Array, ByteaArray, Int8Array, TextArray
from consortium.adapters.postgres.committing import held_values
from consortium.adapters.postgres.pool import Database, Row
from consortium.adapters.postgres.rows import HELD, REWRAPS, held_of
from consortium.ports.party import Arrived, Count, HeldRecord, IndexEntry, Kind, MissingRecord

_ADD_ENTRIES = """
INSERT INTO node.entries (tree_index, start_ms, party, type)
SELECT * FROM unnest(%b::bigint[], %b::bigint[], %b::bytea[], %b::text[]) ON CONFLICT DO NOTHING
"""
_MOVE_MARK = "UPDATE node.marks SET value = %b WHERE name = 'indexed_up_to' AND value < %b"
# Only what is missing is filled in: of a record that was erased meanwhile the wish to have it is gone.
_FILL = """
WITH due AS (DELETE FROM node.missing WHERE tree_index = ANY (%(h_indexes)b::bigint[]) RETURNING tree_index),
lines AS (
    INSERT INTO node.entries (tree_index, start_ms, party, type)
    SELECT e.* FROM unnest(%(e_indexes)b::bigint[], %(e_starts)b::bigint[], %(e_parties)b::bytea[],
        %(e_types)b::text[]) AS e
    WHERE EXISTS (SELECT FROM due) ON CONFLICT DO NOTHING
)
INSERT INTO node.held (tree_index, bodies, wraps, slots)
SELECT h.* FROM unnest(%(h_indexes)b::bigint[], %(h_bodies)b::bytea[], %(h_wraps)b::bytea[], %(h_slots)b::bytea[]) AS h
WHERE EXISTS (SELECT FROM due) ON CONFLICT DO NOTHING
"""
# The few rows first, then their headers: a join of the whole tables would read all records before the mark.
_UNINDEXED = f"""
SELECT tree_index, id, header, bodies, wraps, slots, {REWRAPS.format(table="next")} FROM (
    SELECT * FROM node.held WHERE tree_index >= (SELECT value FROM node.marks WHERE name = 'indexed_up_to')
    ORDER BY tree_index LIMIT %b
) AS next JOIN ledger.records USING (tree_index) ORDER BY tree_index
"""  # noqa: S608 - constants
# As above, and what is missing is looked at afterwards: within, it would hide from the planner how few rows it takes.
_ARRIVED = f"""
SELECT tree_index, id, header, bodies, wraps, slots, {REWRAPS.format(table="next")}, time_ms FROM (
    SELECT * FROM node.held WHERE tree_index > %b ORDER BY tree_index LIMIT %b
) AS next JOIN ledger.records USING (tree_index) JOIN ledger.blocks USING (height)
WHERE tree_index < COALESCE((SELECT min(tree_index) FROM node.missing), 9223372036854775807)
ORDER BY tree_index
"""  # noqa: S608 - constants
# Each party's own first lines, then the first of them all: the work does not grow with the number of lines.
_FIND = """
SELECT found.tree_index, id, header, bodies, wraps, slots, {rewraps} FROM (
    SELECT DISTINCT line.tree_index FROM unnest(%(parties)b::bytea[]) AS wanted, LATERAL (
        SELECT tree_index FROM node.entries WHERE party = wanted AND tree_index > %(after)b {filters}
        ORDER BY tree_index LIMIT %(limit)b
    ) AS line ORDER BY line.tree_index LIMIT %(limit)b
) AS found
JOIN node.held ON held.tree_index = found.tree_index
JOIN ledger.records ON records.tree_index = found.tree_index
ORDER BY found.tree_index
"""
_FOUND_REWRAPS = REWRAPS.format(table="found")
_MINE = "SELECT FROM node.entries WHERE entries.tree_index = {table}.tree_index AND party = ANY (%(parties)b::bytea[])"
_HELD_BY = HELD + f"WHERE id = %(id)b AND EXISTS ({_MINE.format(table='held')})"
_IS_READER = f"SELECT 1 FROM ledger.records WHERE id = %(id)b AND EXISTS ({_MINE.format(table='records')})"  # noqa: S608

_KINDS = """
SELECT DISTINCT tree_index, type, start_ms FROM node.entries
WHERE tree_index = ANY (%(indexes)b::bigint[]) AND party = ANY (%(parties)b::bytea[])
"""


class PostgresParty:
    """What one node holds as a party, in its database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def unindexed(self, limit: int) -> Sequence[HeldRecord]:
        return held_of(await self._database.rows(_UNINDEXED, [limit]))

    async def indexed_up_to(self) -> int:
        rows = await self._database.rows("SELECT value FROM node.marks WHERE name = 'indexed_up_to'")
        return int(rows[0][0])

    async def add_index(self, entries: Sequence[IndexEntry], up_to: int) -> None:
        if not entries:
            await self._database.execute(_MOVE_MARK, [up_to, up_to])
            return
        # One statement is one transaction, and one round trip.
        await self._database.execute(f"WITH mark AS ({_MOVE_MARK}) {_ADD_ENTRIES}", [up_to, up_to, *_columns(entries)])

    async def arrived(self, after: int, limit: int) -> Sequence[Arrived]:
        rows = await self._database.rows(_ARRIVED, [after, limit])
        return [Arrived(held, row[7]) for held, row in zip(held_of(row[:7] for row in rows), rows, strict=True)]

    async def held(self, record_id: bytes, parties: Collection[bytes] | None = None) -> HeldRecord | None:
        if parties is None:
            found = held_of(await self._database.rows(HELD + "WHERE id = %b", [record_id]))
        else:
            found = held_of(await self._as_parties(parties, _HELD_BY, {"id": record_id}))
        return found[0] if found else None

    async def held_among(self, record_ids: Collection[bytes]) -> Mapping[bytes, HeldRecord]:
        rows = await self._database.rows(HELD + "WHERE id = ANY (%b::bytea[])", [ByteaArray(sorted(record_ids))])
        return {held.id: held for held in held_of(rows)}

    async def is_reader(self, record_id: bytes, parties: Collection[bytes]) -> bool:
        return bool(await self._as_parties(parties, _IS_READER, {"id": record_id}))

    async def find(
        self,
        parties: Collection[bytes],
        *,
        type: str | None,
        from_ms: int | None,
        to_ms: int | None,
        after: int,
        limit: int,
    ) -> Sequence[HeldRecord]:
        filters = "".join(
            text
            for text, value in (
                ("AND type = %(type)b::text ", type),
                ("AND start_ms >= %(from_ms)b ", from_ms),
                ("AND start_ms < %(to_ms)b ", to_ms),
            )
            if value is not None
        )
        values = {"type": type, "from_ms": from_ms, "to_ms": to_ms, "after": after, "limit": limit}
        return held_of(await self._as_parties(parties, _FIND.format(filters=filters, rewraps=_FOUND_REWRAPS), values))

    async def kinds_of(self, indexes: Collection[int], parties: Collection[bytes]) -> Mapping[int, Kind]:
        rows = await self._as_parties(parties, _KINDS, {"indexes": Int8Array(sorted(indexes))})
        return {row[0]: Kind(row[1], row[2]) for row in rows}

    async def census(self) -> Sequence[Count]:
        query = "SELECT party, type, count(*) FROM node.entries GROUP BY party, type ORDER BY party, type"
        return [Count(*row) for row in await self._database.rows(query)]

    async def _as_parties(self, parties: Collection[bytes], query: str, values: Mapping[str, Any]) -> list[Row]:
        """Rows of a query that asks for `parties`, on a connection that can see no other parties' rows."""
        if not parties:
            return []
        wanted = sorted(set(parties))
        setting = ",".join(party.hex() for party in wanted)
        async with self._database.reader() as conn, conn.pipeline(), conn.transaction():
            await conn.execute("SELECT set_config('consortium.parties', %b::text, true)", [setting], prepare=True)
            cursor = await conn.execute(query, {**values, "parties": wanted}, binary=True)
            return await cursor.fetchall()

    async def missing(self, limit: int, after: int = -1) -> Sequence[MissingRecord]:
        query = "SELECT tree_index, id, author FROM node.missing WHERE tree_index > %b ORDER BY tree_index LIMIT %b"
        return [MissingRecord(*row) for row in await self._database.rows(query, [after, limit])]

    async def fill(self, held: HeldRecord, entries: Sequence[IndexEntry]) -> None:
        # One statement is one transaction.
        names = ("e_indexes", "e_starts", "e_parties", "e_types")
        values = held_values([held]) | dict(zip(names, _columns(entries), strict=True))
        await self._database.execute(_FILL, values)


def _columns(entries: Sequence[IndexEntry]) -> list[Array]:
    return [
        Int8Array([e.index for e in entries]),
        Int8Array([e.start_ms for e in entries]),
        ByteaArray([e.party for e in entries]),
        TextArray([e.type for e in entries]),
    ]
