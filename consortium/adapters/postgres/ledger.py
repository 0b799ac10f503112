"""`LedgerStore` on Postgres: blocks, records, tiles. Contract: `consortium.ports`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from psycopg import AsyncConnection

from consortium.adapters.postgres import committing, loading
from consortium.adapters.postgres.arrays import ByteaArray
from consortium.adapters.postgres.pool import Database, Row, fetch
from consortium.adapters.postgres.rows import BLOCK, block_of, kept_of, stored_of, take, unchecked
from consortium.crypto.merkle import TileId, leaf_hash
from consortium.errors import Tampering
from consortium.ledger.state import LedgerState
from consortium.ledger.transition import Transition
from consortium.model.blocks import AcceptedRecord, Block, KeptBlock, RejectedRecord
from consortium.model.members import Genesis
from consortium.model.records import Accepted, Rejected
from consortium.ports.ledger import BlockRow, StoredRecord
from consortium.ports.party import HeldRecord, MissingRecord

# One statement whatever there is: how long the answer takes tells nothing.
_RECORD = """
SELECT id, height, item, tree_index, NULL::text AS reason, header FROM ledger.records WHERE id = %b
UNION ALL (
    SELECT id, height, item, NULL, reason, header FROM ledger.rejections WHERE id = %b ORDER BY height, item LIMIT 1
)
"""
_TAKEN = committing.TAKEN.format(ids="%b")


class PostgresLedger:
    """The ledger of one node in its database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, genesis: Genesis) -> LedgerState:
        async with self._database.node() as conn, conn.transaction():
            # One snapshot: the node's own check loads while the node commits.
            await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            return await loading.load(conn, genesis)

    async def taken(self, ids: Sequence[bytes]) -> Collection[bytes]:
        if not ids:
            return frozenset()
        return frozenset(id for (id,) in await self._database.rows(_TAKEN, [ByteaArray(ids)]))

    async def commit(
        self, step: Transition, held: Sequence[HeldRecord], missing: Sequence[MissingRecord] = ()
    ) -> Collection[bytes]:
        parts, values = committing.parameters(step, held, missing)
        async with self._database.node() as conn:
            if await fetch(conn, committing.statement(parts), values):
                return frozenset()
            return await _why_not(conn, step)

    async def blocks(self, start: int, limit: int) -> Sequence[KeptBlock]:
        async with self._database.node() as conn:
            return await _blocks(conn, max(start, 1), limit)

    async def block_rows(self, start: int, limit: int) -> Sequence[BlockRow]:
        async with self._database.node() as conn:
            rows = await fetch(conn, BLOCK + "WHERE height >= %b ORDER BY height LIMIT %b", [start, limit])
            heights = [rows[0][0], rows[-1][0]] if rows else [0, 0]
            refused = await _by_height(conn, "SELECT height, raw FROM ledger.refused_batches", heights)
        return [
            BlockRow(unchecked(row), row[13], row[14], row[15], refused[row[0]][0][0] if row[0] in refused else None)
            for row in rows
        ]

    async def rows(self, first: int, last: int) -> Sequence[AcceptedRecord | RejectedRecord]:
        accepted = await self._database.rows(
            "SELECT id, height, item, tree_index, header FROM ledger.records WHERE height BETWEEN %b AND %b",
            [first, last],
        )
        rejected = await self._database.rows(
            "SELECT id, height, item, reason, header, evidence FROM ledger.rejections WHERE height BETWEEN %b AND %b",
            [first, last],
        )
        found: list[AcceptedRecord | RejectedRecord] = [
            AcceptedRecord(Accepted(*row[:4]), row[4], leaf_hash(row[4])) for row in accepted
        ]
        found += [RejectedRecord(Rejected(*row[:4]), row[4], row[5]) for row in rejected]
        return sorted(found, key=lambda row: (row.verdict.height, row.verdict.item))

    async def block(self, height: int) -> Block | None:
        return _one(await self._database.rows(BLOCK + "WHERE height = %b", [height]))

    async def block_of_size(self, size: int) -> Block | None:
        if size <= 0:
            return await self.block(1)
        # The block that brought the last of these leaves.
        query = BLOCK + "WHERE height = (SELECT height FROM ledger.records WHERE tree_index = %b)"  # noqa: S608  constants
        return _one(await self._database.rows(query, [size - 1]))

    async def block_of_batch(self, member: str, sequence: int) -> Block | None:
        query = BLOCK + "WHERE member = %b AND sequence = %b ORDER BY height DESC LIMIT 1"
        return _one(await self._database.rows(query, [member, sequence]))

    async def record(self, record_id: bytes) -> StoredRecord | None:
        if not record_id:
            return None
        rows = await self._database.rows(_RECORD, [record_id, record_id])
        if not rows:
            return None
        row = min(rows, key=lambda row: row[4] is not None)
        return stored_of(Accepted(*row[:4]) if row[4] is None else Rejected(row[0], row[1], row[2], row[4]), row[5])

    async def headers(self, start: int, end: int) -> Sequence[bytes]:
        query = "SELECT header FROM ledger.records WHERE tree_index >= %b AND tree_index < %b ORDER BY tree_index"
        return [header for (header,) in await self._database.rows(query, [start, end])]

    async def tiles(self, ids: Collection[TileId]) -> Mapping[TileId, bytes]:
        if not ids:
            return {}
        query = (
            "SELECT level, idx, hashes FROM ledger.tiles "
            "JOIN unnest(%b::bigint[], %b::bigint[]) AS wanted (level, idx) USING (level, idx)"
        )
        wanted = sorted(ids)
        rows = await self._database.rows(query, [[level for level, _ in wanted], [index for _, index in wanted]])
        return {(level, index): hashes for level, index, hashes in rows}


def _one(rows: Sequence[Row]) -> Block | None:
    return block_of(rows[0]) if rows else None


async def _why_not(conn: AsyncConnection, step: Transition) -> Collection[bytes]:
    """Nothing was inserted: this very block is there, or ids are taken; else somebody changed the store."""
    height = step.block.height
    rows = await fetch(conn, "SELECT digest FROM ledger.blocks WHERE height = %b", [height])
    if rows:
        if rows[0][0] != step.state.digest:
            raise Tampering(f"the store holds another block at height {height}", hint="run an audit")
        return frozenset()
    taken = await fetch(conn, _TAKEN, [ByteaArray([r.verdict.id for r in step.accepted])])
    if not taken:
        raise Tampering(f"the store does not hold the block that block {height} builds on", hint="restart the node")
    return frozenset(id for (id,) in taken)


async def _blocks(conn: AsyncConnection, start: int, limit: int) -> list[KeptBlock]:
    """Blocks are written once and in order, so that four queries need no common snapshot."""
    rows = await fetch(conn, BLOCK + "WHERE height >= %b AND height < %b ORDER BY height", [start - 1, start + limit])
    before = rows.pop(0)[11] if rows and rows[0][0] < start else 0
    if not rows or limit < 1:
        return []
    heights = [rows[0][0], rows[-1][0]]
    records = iter(
        await fetch(
            conn,
            "SELECT item, id, header, height FROM ledger.records WHERE tree_index >= %b AND tree_index < %b "
            "ORDER BY tree_index",
            [before, rows[-1][11]],
        )
    )
    rejections = await _by_height(conn, "SELECT height, item, id, header, evidence FROM ledger.rejections", heights)
    refused = await _by_height(conn, "SELECT height, raw FROM ledger.refused_batches", heights)
    kept = []
    for number, row in enumerate(rows):
        block = block_of(row)
        if block.height != start + number:
            raise Tampering(f"block {start + number} was taken out of the store", hint="run an audit")
        raw = refused[block.height][0][0] if block.height in refused else None
        accepted = take(records, block.size - before)
        kept.append(KeptBlock(block, kept_of(block, row, accepted, rejections.get(block.height, []), raw)))
        before = block.size
    return kept


async def _by_height(conn: AsyncConnection, query: str, heights: Sequence[int]) -> dict[int, list[Row]]:
    rows = defaultdict(list)
    for row in await fetch(conn, query + " WHERE height BETWEEN %b AND %b ORDER BY 1, 2", heights):
        rows[row[0]].append(row[1:])
    return dict(rows)
