"""`WitnessStore` on Postgres: checkpoints, cosignatures, and how far this node has cosigned. Contract:
`consortium.ports`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from consortium.adapters.postgres.pool import Database, Row, fetch
from consortium.crypto.notes import Checkpoint, NoteSignature, SignedNote, parse_signatures

_SAW = """
INSERT INTO node.cosigners (name, size) VALUES (%b::text, %b)
ON CONFLICT (name) DO UPDATE SET size = excluded.size WHERE cosigners.size < excluded.size
"""


class PostgresWitness:
    """Checkpoints and cosignatures that one node has seen, in its database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, note: SignedNote) -> SignedNote:
        key = [Checkpoint.parse(note.text).size, note.text]
        async with self._database.node() as conn, conn.transaction():
            # The row first, then its lock: two savers at once both find their signatures in the end.
            insert = "INSERT INTO node.checkpoints (size, text, note) VALUES (%b, %b::text, '') ON CONFLICT DO NOTHING"
            await conn.execute(insert, key, prepare=True)
            select = "SELECT text, note FROM node.checkpoints WHERE size = %b AND text = %b::text FOR UPDATE"
            rows = await fetch(conn, select, key)  # none if it was pruned in between
            merged = _note(rows).with_signatures(note.signatures) if rows else note
            update = "UPDATE node.checkpoints SET note = %b::text WHERE size = %b AND text = %b::text"
            await conn.execute(update, ["".join(s.line() for s in merged.signatures), *key], prepare=True)
        return merged

    async def latest(self) -> SignedNote | None:
        rows = await self._database.rows("SELECT text, note FROM node.checkpoints ORDER BY size DESC, text LIMIT 1")
        return _note(rows) if rows else None

    async def notes(self, min_size: int, limit: int) -> Sequence[SignedNote]:
        query = "SELECT text, note FROM node.checkpoints WHERE size >= %b ORDER BY size, text LIMIT %b"
        return [_note([row]) for row in await self._database.rows(query, [min_size, limit])]

    async def prune(self, keep_below: Collection[int], newest: int) -> None:
        query = """
            DELETE FROM node.checkpoints WHERE size <> ALL (%b::bigint[])
            AND size NOT IN (SELECT DISTINCT size FROM node.checkpoints ORDER BY size DESC LIMIT %b)
        """
        await self._database.execute(query, [list(keep_below), newest])

    async def cosigned_size(self) -> int:
        rows = await self._database.rows("SELECT value FROM node.marks WHERE name = 'cosigned_size'")
        return int(rows[0][0])

    async def advance_cosigned(self, old: int, new: int) -> bool:
        query = "UPDATE node.marks SET value = %b WHERE name = 'cosigned_size' AND value = %b"
        return await self._database.execute(query, [new, old]) == 1

    async def member_sizes(self) -> Mapping[str, int]:
        return dict(await self._database.rows("SELECT name, size FROM node.cosigners"))

    async def saw(self, cosigner: str, size: int) -> None:
        await self._database.execute(_SAW, [cosigner, size])


def _note(rows: Sequence[Row]) -> SignedNote:
    text, lines = rows[0]
    return SignedNote(text, _signatures(lines))


def _signatures(lines: str) -> tuple[NoteSignature, ...]:
    # Line by line: a stored note may have none yet, which a note on the wire may not.
    return tuple(s for line in lines.splitlines(keepends=True) for s in parse_signatures(line))
