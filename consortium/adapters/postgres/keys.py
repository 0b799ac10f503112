"""`RekeyStore` on Postgres. Contract: `consortium.ports.rekeying`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from consortium.adapters.postgres.arrays import ByteaArray
from consortium.adapters.postgres.pool import Database
from consortium.adapters.postgres.rows import HELD, held_of
from consortium.ports.party import HeldRecord
from consortium.ports.rekeying import SealedRow


@dataclass(frozen=True, slots=True)
class _Place:
    """A column of boxes; `key` are columns with their types, in the order of the primary key."""

    table: str
    column: str
    key: Mapping[str, str]


PLACES = {
    "rewrap": _Place("node.rewraps", "sealed", {"tree_index": "bigint", "ordinal": "bigint"}),
    "factor": _Place("node.second_factors", "sealed", {"account": "text"}),
    "read": _Place("node.accesses", "body", {"number": "bigint"}),
    "access": _Place("node.access_records", "body", {"number": "bigint"}),
    "grant-key": _Place("node.grant_keys", "sealed", {"grant_id": "bytea"}),
    "disclosed": _Place(
        "node.disclosed", "sealed", {"grant_id": "bytea", "tree_index": "bigint", "holder": "text", "id": "bytea"}
    ),
}
"""Who adds a column of boxes adds it here: one that is missing would not open once old storage keys are gone."""

_ADD_REWRAPS = """
INSERT INTO node.rewraps (tree_index, ordinal, sealed)
SELECT %b, number - 1, sealed FROM unnest(%b::bytea[]) WITH ORDINALITY AS one (sealed, number)
WHERE EXISTS (SELECT FROM node.held WHERE held.tree_index = %b)
ON CONFLICT DO NOTHING
"""


class PostgresKeys:
    """What one node rewrites in its database when its keys change."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def held_after(self, after: int, limit: int) -> Sequence[HeldRecord]:
        query = HELD + "WHERE tree_index > %b ORDER BY tree_index LIMIT %b"
        return held_of(await self._database.rows(query, [after, limit]))

    async def missing_count(self) -> int:
        return int((await self._database.rows("SELECT count(*) FROM node.missing"))[0][0])

    async def add_rewraps(self, held: HeldRecord, sealed: Sequence[bytes]) -> None:
        await self._database.execute(_ADD_REWRAPS, [held.index, ByteaArray(list(sealed)), held.index])

    @property
    def kinds(self) -> Sequence[str]:
        return tuple(PLACES)

    async def sealed_after(self, kind: str, after: tuple[object, ...] | None, limit: int) -> Sequence[SealedRow]:
        place = PLACES[kind]
        key = ", ".join(place.key)
        later = f"AND ({key}) > ({_values(place)}) " if after is not None else ""
        query = (
            f"SELECT {key}, {place.column} FROM {place.table} "  # noqa: S608 - constants
            f"WHERE octet_length({place.column}) > 0 {later}ORDER BY {key} LIMIT %b"
        )
        rows = await self._database.rows(query, [*(after or ()), limit])
        return [SealedRow(kind, tuple(row[:-1]), row[-1]) for row in rows]

    async def replace_sealed(self, row: SealedRow, sealed: bytes) -> bool:
        place = PLACES[row.kind]
        query = (
            f"UPDATE {place.table} SET {place.column} = %b "  # noqa: S608 - constants
            f"WHERE ({', '.join(place.key)}) = ({_values(place)}) AND {place.column} = %b"
        )
        return await self._database.execute(query, [sealed, *row.key, row.sealed]) == 1


def _values(place: _Place) -> str:
    return ", ".join(f"%b::{kind}" for kind in place.key.values())
