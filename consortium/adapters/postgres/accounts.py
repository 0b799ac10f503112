"""`AccountStore` on Postgres: the member's own accounts. Contract: `consortium.ports`."""

from __future__ import annotations

from collections.abc import Sequence

from consortium.adapters.postgres.pool import Database
from consortium.ports.accounts import Account

_PUT = """
INSERT INTO node.accounts (name, kind, password_hash, public_key, own_key, disabled)
VALUES (%b::text, %b::text, %b::text, %b, %b, %b)
ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, password_hash = excluded.password_hash,
    public_key = excluded.public_key, own_key = excluded.own_key, disabled = excluded.disabled
"""


class PostgresAccounts:
    """The people and machines that one node knows, in its database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def account(self, name: str) -> Account | None:
        if "\0" in name:  # Postgres' text has none; anybody may ask for any name
            return None
        query = "SELECT name, kind, password_hash, public_key, own_key, disabled FROM node.accounts WHERE name = %b"
        rows = await self._database.rows(query, [name])
        return Account(*rows[0]) if rows else None

    async def put_account(self, account: Account) -> None:
        a = account
        await self._database.execute(_PUT, [a.name, a.kind, a.password_hash, a.public_key, a.own_key, a.disabled])

    async def users(self) -> Sequence[str]:
        # Byte order, whatever the database's collation.
        query = "SELECT name FROM node.accounts WHERE kind = 'user' ORDER BY name COLLATE \"C\""
        return [name for (name,) in await self._database.rows(query)]
