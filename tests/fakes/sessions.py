"""`SessionStore`, `SecondFactorStore` and `InvitationStore` in memory, held to the suite of the real ones."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from consortium.ports.sessions import Invitation, SecondFactor, Session


class MemorySessions:
    """Sessions and refresh tokens."""

    def __init__(self) -> None:
        self._sessions: dict[bytes, Session] = {}
        self._ended: set[bytes] = set()
        self._refresh: dict[bytes, tuple[bytes, bool]] = {}
        self.asked = 0

    async def open_session(self, session: Session, refresh: bytes) -> None:
        for old in [s for s in self._sessions.values() if s.account == session.account]:
            if old.until_ms <= session.created_ms:
                del self._sessions[old.id]
                self._refresh = {d: t for d, t in self._refresh.items() if t[0] != old.id}
        self._sessions[session.id] = session
        self._refresh[refresh] = session.id, False

    async def stands(self, id: bytes, now_ms: int) -> bool:
        self.asked += 1
        session = self._sessions.get(id)
        return session is not None and id not in self._ended and session.until_ms > now_ms

    async def rotate(self, old: bytes, new: bytes, key: str, now_ms: int) -> Session | None:
        id, used = self._refresh.get(old, (b"", False))
        if used:
            self._ended.add(id)
        if used or not await self.stands(id, now_ms) or self._sessions[id].key != key:
            return None
        self._refresh |= {old: (id, True), new: (id, False)}
        self._sessions[id] = replace(self._sessions[id], seen_ms=now_ms)
        return self._sessions[id]

    async def sessions(self, account: str, now_ms: int) -> Sequence[Session]:
        own = [s for s in self._sessions.values() if s.account == account and s.until_ms > now_ms]
        return sorted((s for s in own if s.id not in self._ended), key=lambda s: (-s.created_ms, s.id))

    async def end_session(self, account: str, id: bytes, now_ms: int) -> bool:
        stood = id in self._sessions and self._sessions[id].account == account and id not in self._ended
        if stood:
            self._ended.add(id)
        return stood

    async def end_sessions(self, account: str, now_ms: int) -> None:
        self._ended |= {s.id for s in self._sessions.values() if s.account == account}

    async def end_by_refresh(self, refresh: bytes, now_ms: int) -> None:
        if refresh in self._refresh:
            self._ended.add(self._refresh[refresh][0])


class MemorySecondFactors:
    """Second factors and their recovery codes."""

    def __init__(self) -> None:
        self._factors: dict[str, SecondFactor] = {}
        self._codes: dict[str, set[bytes]] = {}

    async def factor(self, account: str) -> SecondFactor | None:
        return self._factors.get(account)

    async def put_factor(self, factor: SecondFactor, codes: Sequence[bytes]) -> bool:
        if factor.account in self._factors and self._factors[factor.account].confirmed:
            return False
        self._factors[factor.account] = factor
        self._codes[factor.account] = set(codes)
        return True

    async def use_step(self, account: str, step: int) -> bool:
        factor = self._factors.get(account)
        if factor is None or factor.last_step >= step:
            return False
        self._factors[account] = replace(factor, last_step=step, confirmed=True)
        return True

    async def use_code(self, account: str, digest: bytes) -> bool:
        codes = self._codes.get(account, set())
        if digest not in codes or not self._factors[account].confirmed:
            return False
        codes.remove(digest)
        return True

    async def remove_factor(self, account: str) -> None:
        self._factors.pop(account, None)
        self._codes.pop(account, None)


class MemoryInvitations:
    """One-time codes."""

    def __init__(self) -> None:
        self._by_account: dict[str, Invitation] = {}

    async def put_invitation(self, invitation: Invitation) -> None:
        self._by_account[invitation.account] = invitation

    async def invitation(self, account: str) -> Invitation | None:
        return self._by_account.get(account)

    async def invitations(self) -> Sequence[Invitation]:
        found = [self._by_account[name] for name in sorted(self._by_account)]
        await asyncio.sleep(0)  # a real store lets others run here
        return found

    async def confirm_invitation(self, account: str, by: str) -> bool:
        found = self._by_account.get(account)
        if found is None or not found.needs_two or found.confirmed_by or found.by == by:
            return False
        self._by_account[account] = replace(found, confirmed_by=by)
        return True

    async def find_invitation(self, digest: bytes, now_ms: int) -> Invitation | None:
        for found in self._by_account.values():
            if found.digest == digest and found.until_ms > now_ms and (found.confirmed_by or not found.needs_two):
                return found
        return None

    async def take_invitation(self, digest: bytes, now_ms: int) -> Invitation | None:
        found = await self.find_invitation(digest, now_ms)
        return self._by_account.pop(found.account) if found else None

    async def drop_invitation(self, account: str) -> None:
        self._by_account.pop(account, None)
