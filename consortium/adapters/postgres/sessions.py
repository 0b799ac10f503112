"""`SessionStore`, `SecondFactorStore` and `InvitationStore` on Postgres. Contracts: `consortium.ports.sessions`."""

from __future__ import annotations

from collections.abc import Sequence

from consortium.adapters.postgres.pool import Database, fetch
from consortium.ports.sessions import Invitation, SecondFactor, Session

_COLUMNS = "id, account, key, created_ms, seen_ms, until_ms"
_INVITED = "digest, account, kind, duties, given_by, until_ms, recovers, needs_two, confirmed_by"
_GOOD = "digest = %b AND until_ms > %b AND (NOT needs_two OR confirmed_by <> '')"
# The row of the refresh token is locked by the update: of several exchanges at once the others find it used.
_EXCHANGE = """
UPDATE node.refresh_tokens t SET used = true FROM node.sessions s
WHERE t.digest = %b AND NOT t.used AND s.id = t.session AND s.key = %b::text AND s.ended_ms IS NULL AND s.until_ms > %b
RETURNING t.session
"""
_REUSED = """
UPDATE node.sessions SET ended_ms = %b
WHERE ended_ms IS NULL AND id = (SELECT session FROM node.refresh_tokens WHERE digest = %b AND used)
"""
_PUT_FACTOR = """
INSERT INTO node.second_factors VALUES (%b::text, %b, false, 0)
ON CONFLICT (account) DO UPDATE SET sealed = excluded.sealed, last_step = 0 WHERE NOT second_factors.confirmed
"""


class PostgresSessions:
    """Sessions and refresh tokens."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open_session(self, session: Session, refresh: bytes) -> None:
        s = session
        forget = "DELETE FROM node.sessions WHERE account = %b::text AND until_ms <= %b"
        add = f"INSERT INTO node.sessions ({_COLUMNS}) VALUES (%b, %b::text, %b::text, %b, %b, %b)"  # noqa: S608
        async with self._database.node() as conn, conn.transaction():
            await conn.execute(forget, [s.account, s.created_ms])
            await conn.execute(add, [s.id, s.account, s.key, s.created_ms, s.seen_ms, s.until_ms])
            await conn.execute("INSERT INTO node.refresh_tokens VALUES (%b, %b, false)", [refresh, s.id])

    async def stands(self, id: bytes, now_ms: int) -> bool:
        query = "SELECT 1 FROM node.sessions WHERE id = %b AND ended_ms IS NULL AND until_ms > %b"
        return bool(await self._database.rows(query, [id, now_ms]))

    async def rotate(self, old: bytes, new: bytes, key: str, now_ms: int) -> Session | None:
        seen = f"UPDATE node.sessions SET seen_ms = %b WHERE id = %b RETURNING {_COLUMNS}"  # noqa: S608 - a constant
        async with self._database.node() as conn, conn.transaction():
            exchanged = await fetch(conn, _EXCHANGE, [old, key, now_ms])
            if not exchanged:
                await conn.execute(_REUSED, [now_ms, old])
                return None
            id = exchanged[0][0]
            await conn.execute("INSERT INTO node.refresh_tokens VALUES (%b, %b, false)", [new, id])
            return Session(*(await fetch(conn, seen, [now_ms, id]))[0])

    async def sessions(self, account: str, now_ms: int) -> Sequence[Session]:
        query = f"""
        SELECT {_COLUMNS} FROM node.sessions WHERE account = %b::text AND ended_ms IS NULL AND until_ms > %b
        ORDER BY created_ms DESC, id
        """  # noqa: S608 - a constant
        return [Session(*row) for row in await self._database.rows(query, [account, now_ms])]

    async def end_session(self, account: str, id: bytes, now_ms: int) -> bool:
        query = "UPDATE node.sessions SET ended_ms = %b WHERE account = %b::text AND id = %b AND ended_ms IS NULL"
        return await self._database.execute(query, [now_ms, account, id]) == 1

    async def end_sessions(self, account: str, now_ms: int) -> None:
        query = "UPDATE node.sessions SET ended_ms = %b WHERE account = %b::text AND ended_ms IS NULL"
        await self._database.execute(query, [now_ms, account])

    async def end_by_refresh(self, refresh: bytes, now_ms: int) -> None:
        query = """
        UPDATE node.sessions SET ended_ms = %b
        WHERE ended_ms IS NULL AND id = (SELECT session FROM node.refresh_tokens WHERE digest = %b)
        """
        await self._database.execute(query, [now_ms, refresh])


class PostgresSecondFactors:
    """Second factors and their recovery codes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def factor(self, account: str) -> SecondFactor | None:
        query = "SELECT account, sealed, confirmed, last_step FROM node.second_factors WHERE account = %b::text"
        rows = await self._database.rows(query, [account])
        return SecondFactor(*rows[0]) if rows else None

    async def put_factor(self, factor: SecondFactor, codes: Sequence[bytes]) -> bool:
        async with self._database.node() as conn, conn.transaction():
            done = await conn.execute(_PUT_FACTOR, [factor.account, factor.sealed])
            if done.rowcount != 1:
                return False
            await conn.execute("DELETE FROM node.recovery_codes WHERE account = %b::text", [factor.account])
            for digest in codes:
                await conn.execute("INSERT INTO node.recovery_codes VALUES (%b::text, %b)", [factor.account, digest])
            return True

    async def use_step(self, account: str, step: int) -> bool:
        query = """
        UPDATE node.second_factors SET last_step = %b, confirmed = true WHERE account = %b::text AND last_step < %b
        """
        return await self._database.execute(query, [step, account, step]) == 1

    async def use_code(self, account: str, digest: bytes) -> bool:
        query = """
        DELETE FROM node.recovery_codes c USING node.second_factors f
        WHERE c.account = %b::text AND c.digest = %b AND f.account = c.account AND f.confirmed
        """
        return await self._database.execute(query, [account, digest]) == 1

    async def remove_factor(self, account: str) -> None:
        await self._database.execute("DELETE FROM node.second_factors WHERE account = %b::text", [account])


class PostgresInvitations:
    """One-time codes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put_invitation(self, invitation: Invitation) -> None:
        i = invitation
        query = f"""
        INSERT INTO node.invitations ({_INVITED})
        VALUES (%b, %b::text, %b::text, %b::text[], %b::text, %b, %b, %b, %b::text)
        ON CONFLICT (account) DO UPDATE SET digest = excluded.digest, kind = excluded.kind, duties = excluded.duties,
            given_by = excluded.given_by, until_ms = excluded.until_ms, recovers = excluded.recovers,
            needs_two = excluded.needs_two, confirmed_by = excluded.confirmed_by
        """  # noqa: S608 - a constant
        values = [i.digest, i.account, i.kind, sorted(i.duties), i.by, i.until_ms, i.recovers, i.needs_two]
        await self._database.execute(query, [*values, i.confirmed_by])

    async def invitation(self, account: str) -> Invitation | None:
        query = f"SELECT {_INVITED} FROM node.invitations WHERE account = %b::text"  # noqa: S608 - a constant
        rows = await self._database.rows(query, [account])
        return _invitation(*rows[0]) if rows else None

    async def invitations(self) -> Sequence[Invitation]:
        query = f'SELECT {_INVITED} FROM node.invitations ORDER BY account COLLATE "C"'  # noqa: S608 - a constant
        return [_invitation(*row) for row in await self._database.rows(query)]

    async def confirm_invitation(self, account: str, by: str) -> bool:
        query = """
        UPDATE node.invitations SET confirmed_by = %b::text
        WHERE account = %b::text AND needs_two AND confirmed_by = '' AND given_by <> %b::text
        """
        return await self._database.execute(query, [by, account, by]) == 1

    async def find_invitation(self, digest: bytes, now_ms: int) -> Invitation | None:
        query = f"SELECT {_INVITED} FROM node.invitations WHERE {_GOOD}"  # noqa: S608 - constants
        rows = await self._database.rows(query, [digest, now_ms])
        return _invitation(*rows[0]) if rows else None

    async def take_invitation(self, digest: bytes, now_ms: int) -> Invitation | None:
        query = f"DELETE FROM node.invitations WHERE {_GOOD} RETURNING {_INVITED}"  # noqa: S608 - constants
        rows = await self._database.rows(query, [digest, now_ms])
        return _invitation(*rows[0]) if rows else None

    async def drop_invitation(self, account: str) -> None:
        await self._database.execute("DELETE FROM node.invitations WHERE account = %b::text", [account])


def _invitation(
    digest: bytes,
    account: str,
    kind: str,
    duties: list[str],
    by: str,
    until_ms: int,
    recovers: bool,
    needs_two: bool,
    confirmed_by: str,
) -> Invitation:
    return Invitation(digest, account, kind, frozenset(duties), by, until_ms, recovers, needs_two, confirmed_by)
