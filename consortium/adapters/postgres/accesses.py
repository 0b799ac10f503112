"""`AccessStore` on Postgres. Contract: `consortium.ports.accesses`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from psycopg import AsyncConnection

from consortium.adapters.postgres.arrays import ByteaArray, Int8Array
from consortium.adapters.postgres.pool import Database, fetch
from consortium.ports.accesses import Backlog, Noted, Step, Tail, Unwritten, Waiting

_NOTE = """
INSERT INTO node.accesses (subject, at_ms, body)
SELECT * FROM unnest(%b::bytea[], %b::bigint[], %b::bytea[]) AS given (subject, at_ms, body)
"""
_SUBJECTS = "SELECT subject FROM node.accesses GROUP BY subject ORDER BY min(number) LIMIT %b"
_WAITING = """
SELECT number, subject, at_ms, body FROM node.accesses WHERE subject = ANY (%b::bytea[]) ORDER BY number LIMIT %b
"""
_TAILS = "SELECT subject, sequence, digest FROM node.access_chains WHERE subject = ANY (%b::bytea[])"
# One statement for both: a chain that begins, and one that goes on. Whoever comes second waits for the row, sees that
# the chain stands elsewhere, and gets no row back.
_BEGIN = "INSERT INTO node.access_chains VALUES (%b, %b, %b) ON CONFLICT DO NOTHING"
_MOVE = """
UPDATE node.access_chains SET sequence = %b, digest = %b WHERE subject = %b AND sequence = %b AND digest = %b
"""
_ADD = "INSERT INTO node.access_records (id, subject, sequence, at_ms, body) VALUES (%b, %b, %b, %b, %b)"
_UNWRITTEN = "SELECT id, subject, sequence, at_ms, body FROM node.access_records ORDER BY number LIMIT %b"
_BACKLOG = """
SELECT count(*), min(at_ms) FROM (SELECT at_ms FROM node.accesses UNION ALL SELECT at_ms FROM node.access_records) AS w
"""


class _ElsewhereError(Exception):
    """A chain does not stand where it was thought to: the transaction is taken back."""


class PostgresAccesses:
    """The node's noted reads, in its database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, reads: Sequence[Noted]) -> None:
        if reads:
            columns = [
                ByteaArray([read.subject for read in reads]),
                Int8Array([read.at_ms for read in reads]),
                ByteaArray([read.body for read in reads]),
            ]
            await self._database.execute(_NOTE, columns)

    async def subjects(self, limit: int) -> Sequence[bytes]:
        return [subject for (subject,) in await self._database.rows(_SUBJECTS, [limit])]

    async def waiting(self, subjects: Collection[bytes], limit: int) -> Sequence[Waiting]:
        rows = await self._database.rows(_WAITING, [ByteaArray(sorted(subjects)), limit])
        return [Waiting(number, Noted(*noted)) for number, *noted in rows]

    async def tails(self, subjects: Collection[bytes]) -> Mapping[bytes, Tail]:
        rows = await self._database.rows(_TAILS, [ByteaArray(sorted(subjects))])
        return {subject: Tail(sequence, digest) for subject, sequence, digest in rows}

    async def go_on(self, steps: Sequence[Step]) -> bool:
        try:
            async with self._database.node() as conn, conn.transaction():
                for step in sorted(steps, key=lambda step: step.subject):  # one order of locks for all
                    await _go_on(conn, step)
        except _ElsewhereError:
            return False
        return True

    async def unwritten(self, limit: int) -> Sequence[Unwritten]:
        return [Unwritten(*row) for row in await self._database.rows(_UNWRITTEN, [limit])]

    async def written(self, ids: Collection[bytes]) -> None:
        if ids:
            query = "DELETE FROM node.access_records WHERE id = ANY (%b::bytea[])"
            await self._database.execute(query, [ByteaArray(sorted(ids))])

    async def backlog(self) -> Backlog:
        async with self._database.node() as conn:
            rows = await fetch(conn, _BACKLOG)
        count, oldest_ms = rows[0]
        return Backlog(count, oldest_ms)


async def _go_on(conn: AsyncConnection, step: Step) -> None:
    after = [step.after.sequence, step.after.digest]
    if step.before.sequence == 0:
        moved = await conn.execute(_BEGIN, [step.subject, *after], prepare=True)
    else:
        moved = await conn.execute(
            _MOVE, [*after, step.subject, step.before.sequence, step.before.digest], prepare=True
        )
    if moved.rowcount != 1:
        raise _ElsewhereError
    for one in step.records:
        await conn.execute(_ADD, [one.id, one.subject, one.sequence, one.at_ms, one.body], prepare=True)
    if step.told:
        told = [Int8Array(list(step.told))]
        await conn.execute("DELETE FROM node.accesses WHERE number = ANY (%b::bigint[])", told, prepare=True)
