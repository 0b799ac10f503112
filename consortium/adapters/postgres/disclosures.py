"""`DisclosureStore` on Postgres. Contract: `consortium.ports.disclosures`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from consortium.adapters.postgres.arrays import Array, ByteaArray, Int8Array, TextArray
from consortium.adapters.postgres.pool import Database, Row
from consortium.ports.disclosures import Claim, Standing, State

_COLUMNS = "grant_id, id, holder, tree_index, sections, at_ms, sealed, state, type, start_ms, reason"
_GIVEN = """
unnest(%b::bytea[], %b::bytea[], %b::text[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bytea[], %b::bigint[],
    %b::text[], %b::bigint[], %b::text[])
"""
_ADD = f"INSERT INTO node.disclosed ({_COLUMNS}) SELECT * FROM {_GIVEN} ON CONFLICT DO NOTHING"  # noqa: S608  constants
_MOVE = "UPDATE node.marks SET value = %b WHERE name = 'disclosed_up_to' AND value < %b"
_SETTLE = f"""
UPDATE node.disclosed AS mine SET sealed = given.sealed, state = given.state, type = given.type,
    start_ms = given.start_ms, reason = given.reason
FROM {_GIVEN} AS given ({_COLUMNS})
WHERE mine.grant_id = given.grant_id AND mine.tree_index = given.tree_index AND mine.holder = given.holder
    AND mine.state = 0
"""  # noqa: S608  constants
_SELECT = f"SELECT {_COLUMNS} FROM node.disclosed "  # noqa: S608  constants
_PAGE = """
SELECT id FROM node.disclosed WHERE grant_id = %(grant)b AND state = 1 AND tree_index > %(after)b {filters}
GROUP BY tree_index, id ORDER BY tree_index LIMIT %(limit)b
"""
_ALL = """
SELECT grant_id, id, holder, tree_index, sections, at_ms, CASE WHEN state = 2 THEN ''::bytea ELSE sealed END, state,
    type, start_ms, reason
FROM node.disclosed WHERE grant_id = %b AND (tree_index, holder) > (%b, %b::text) ORDER BY tree_index, holder LIMIT %b
"""
_STANDING = """
SELECT id, tree_index, height, time_ms, header FROM ledger.records JOIN ledger.blocks USING (height)
WHERE id = ANY (%b::bytea[])
"""


_PUBLIC = """
SELECT tree_index, height, time_ms, header FROM ledger.public_records JOIN ledger.records USING (tree_index)
JOIN ledger.blocks USING (height) WHERE kind = ANY (%b::text[]) ORDER BY tree_index
"""


class PostgresDisclosures:
    """What was disclosed to a node's officers, in its database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save_key(self, grant: bytes, sealed: bytes) -> bytes:
        await self._database.execute(
            "INSERT INTO node.grant_keys (grant_id, sealed) VALUES (%b, %b) ON CONFLICT DO NOTHING", [grant, sealed]
        )
        return await self.key(grant) or sealed

    async def key(self, grant: bytes) -> bytes | None:
        rows = await self._database.rows("SELECT sealed FROM node.grant_keys WHERE grant_id = %b", [grant])
        return bytes(rows[0][0]) if rows else None

    async def keys(self) -> Sequence[bytes]:
        query = "SELECT grant_id FROM node.grant_keys UNION SELECT grant_id FROM node.disclosed ORDER BY 1"
        return [grant for (grant,) in await self._database.rows(query)]

    async def mark(self) -> int:
        rows = await self._database.rows("SELECT value FROM node.marks WHERE name = 'disclosed_up_to'")
        return int(rows[0][0])

    async def add(self, claims: Sequence[Claim], mark: int) -> None:
        if not claims:
            await self._database.execute(_MOVE, [mark, mark])
            return
        # One statement is one transaction, and one round trip.
        await self._database.execute(f"WITH mark AS ({_MOVE}) {_ADD}", [mark, mark, *_columns(claims)])

    async def waiting(self, grant: bytes, limit: int, without: Collection[str] = ()) -> Sequence[Claim]:
        query = _SELECT + (
            "WHERE grant_id = %b AND state = 0 AND holder <> ALL (%b::text[]) ORDER BY tree_index, holder LIMIT %b"
        )
        return _claims(await self._database.rows(query, [grant, TextArray(sorted(without)), limit]))

    async def settle(self, claims: Sequence[Claim]) -> None:
        if claims:
            await self._database.execute(_SETTLE, _columns(claims))

    async def of_records(self, grant: bytes, records: Collection[bytes]) -> Sequence[Claim]:
        query = _SELECT + "WHERE grant_id = %b AND id = ANY (%b::bytea[]) ORDER BY tree_index, holder"
        return _claims(await self._database.rows(query, [grant, ByteaArray(sorted(records))]))

    async def page(
        self, grant: bytes, *, type: str | None, from_ms: int | None, to_ms: int | None, after: int, limit: int
    ) -> Sequence[bytes]:
        filters = "".join(
            text
            for text, value in (
                ("AND type = %(type)b::text ", type),
                ("AND start_ms >= %(from_ms)b ", from_ms),
                ("AND start_ms < %(to_ms)b ", to_ms),
            )
            if value is not None
        )
        values = {"grant": grant, "type": type, "from_ms": from_ms, "to_ms": to_ms, "after": after, "limit": limit}
        return [id for (id,) in await self._database.rows(_PAGE.format(filters=filters), values)]

    async def all(self, grant: bytes, after: tuple[int, str] = (-1, ""), limit: int = 1000) -> Sequence[Claim]:
        return _claims(await self._database.rows(_ALL, [grant, *after, limit]))

    async def drop(self, grant: bytes) -> None:
        async with self._database.node() as conn, conn.transaction():
            await conn.execute("DELETE FROM node.grant_keys WHERE grant_id = %b", [grant])
            await conn.execute("DELETE FROM node.disclosed WHERE grant_id = %b", [grant])

    async def public(self, kinds: Collection[str]) -> Sequence[Standing]:
        return [Standing(*row) for row in await self._database.rows(_PUBLIC, [TextArray(sorted(kinds))])]

    async def standing(self, records: Collection[bytes]) -> Mapping[bytes, Standing]:
        rows = await self._database.rows(_STANDING, [ByteaArray(sorted(records))])
        return {row[0]: Standing(*row[1:]) for row in rows}


def _claims(rows: Iterable[Row]) -> list[Claim]:
    return [
        Claim(grant, record, holder, index, sections, at_ms, sealed, State(state), type, start_ms, reason)
        for grant, record, holder, index, sections, at_ms, sealed, state, type, start_ms, reason in rows
    ]


def _columns(claims: Sequence[Claim]) -> list[Array]:
    return [
        ByteaArray([one.grant for one in claims]),
        ByteaArray([one.record for one in claims]),
        TextArray([one.holder for one in claims]),
        Int8Array([one.index for one in claims]),
        Int8Array([one.sections for one in claims]),
        Int8Array([one.at_ms for one in claims]),
        ByteaArray([one.sealed for one in claims]),
        Int8Array([int(one.state) for one in claims]),
        TextArray([one.type for one in claims]),
        Int8Array([one.start_ms for one in claims]),
        TextArray([one.reason for one in claims]),
    ]
