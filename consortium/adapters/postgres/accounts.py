"""`AccountStore` on Postgres: the member's own accounts. Contract: `consortium.ports.accounts`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from consortium.adapters.postgres.pool import Database, Row
from consortium.ports.accounts import Account

_COLUMNS = "name, kind, password_hash, public_key, own_key, disabled, duties, revoked_ms, mandate, key_sequence, key_ms"
_ADD = f"""
INSERT INTO node.accounts ({_COLUMNS})
VALUES (%b::text, %b::text, %b::text, %b, %b, %b, %b::text[], %b, %b::text[], %b, %b)
ON CONFLICT (name) DO """  # noqa: S608 - constants
_REPLACE = """UPDATE SET kind = excluded.kind, password_hash = excluded.password_hash,
    public_key = excluded.public_key, own_key = excluded.own_key, disabled = excluded.disabled,
    duties = excluded.duties, revoked_ms = excluded.revoked_ms, mandate = excluded.mandate,
    key_sequence = excluded.key_sequence, key_ms = excluded.key_ms
"""
_GET = f"SELECT {_COLUMNS} FROM node.accounts"  # noqa: S608 - constants


class PostgresAccounts:
    """The people and machines that one node knows, in its database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def account(self, name: str) -> Account | None:
        if "\0" in name:  # Postgres' text has none; anybody may ask for any name
            return None
        rows = await self._database.rows(f"{_GET} WHERE name = %b", [name])
        return _account(rows[0]) if rows else None

    async def put_account(self, account: Account) -> None:
        await self._database.execute(_ADD + _REPLACE, _values(account))

    async def add_account(self, account: Account) -> bool:
        return await self._database.execute(_ADD + "NOTHING", _values(account)) == 1

    async def revoke(self, name: str, now_ms: int) -> None:
        await self._database.execute("UPDATE node.accounts SET revoked_ms = %b WHERE name = %b::text", [now_ms, name])

    async def all_accounts(self) -> Sequence[Account]:
        return [_account(row) for row in await self._database.rows(f'{_GET} ORDER BY name COLLATE "C"')]

    async def set_own_key(self, name: str, key: bytes, mandate: frozenset[str], now_ms: int) -> Account | None:
        query = f"""
        UPDATE node.accounts
        SET own_key = %b, mandate = %b::text[], key_ms = %b, key_sequence = key_sequence + 1
        WHERE name = %b::text AND kind = 'user' RETURNING {_COLUMNS}
        """  # noqa: S608 - a constant
        rows = await self._database.rows(query, [key, sorted(mandate), now_ms, name])
        return _account(rows[0]) if rows else None

    async def users(self) -> Sequence[str]:
        # Byte order, whatever the database's collation.
        query = "SELECT name FROM node.accounts WHERE kind = 'user' ORDER BY name COLLATE \"C\""
        return [name for (name,) in await self._database.rows(query)]


def _account(row: Row) -> Account:
    *plain, duties, revoked_ms, mandate, key_sequence, key_ms = row
    name, kind, password_hash, public_key, own_key, disabled = plain
    return Account(
        name,
        kind,
        password_hash,
        public_key,
        own_key,
        disabled,
        frozenset(duties),
        revoked_ms,
        frozenset(mandate),
        key_sequence,
        key_ms,
    )


def _values(a: Account) -> list[Any]:
    plain = [a.name, a.kind, a.password_hash, a.public_key, a.own_key, a.disabled, sorted(a.duties), a.revoked_ms]
    return [*plain, sorted(a.mandate), a.key_sequence, a.key_ms]
