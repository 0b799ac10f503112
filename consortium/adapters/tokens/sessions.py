"""Sessions: an access token that is short, and a refresh token that is exchanged at each use (RFC 9700, 4.14)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from consortium.adapters.tokens import compact
from consortium.adapters.tokens.node import IssuedToken, NodeTokens
from consortium.crypto.hashing import sha256
from consortium.ports.accounts import Account, AccountStore
from consortium.ports.clock import Clock
from consortium.ports.sessions import Session, SessionStore

LIFETIME_S = 12 * 3600
"""A session ends after this in any case: then its account signs in anew (NIST SP 800-63B section 4.2.3)."""
BOUND_KINDS = frozenset({"officer", "machine", "administrator"})
"""Kinds whose tokens are bound to a key: a token alone that was stolen of them is worth nothing."""
_REFRESH_BYTES = 32


class Sessions:
    """Opens, renews and ends sessions. `lifetime_s` is the longest life of one."""

    def __init__(
        self,
        accounts: AccountStore,
        store: SessionStore,
        tokens: NodeTokens,
        clock: Clock,
        *,
        lifetime_s: int = LIFETIME_S,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._accounts, self._store, self._tokens, self._clock = accounts, store, tokens, clock
        self._lifetime_ms = lifetime_s * 1000
        self._entropy = entropy

    async def open(self, account: Account, key: str) -> IssuedToken:
        """For an account that has just proved itself; `key` is the thumbprint its tokens are bound to, or ''.

        Raises `NotAuthenticated` for a kind that must have one.
        """
        if account.kind in BOUND_KINDS and not key:
            raise compact.refused()
        now_ms = self._clock.now_ms()
        session = Session(self._entropy(16), account.name, key, now_ms, now_ms, now_ms + self._lifetime_ms)
        refresh = self._entropy(_REFRESH_BYTES)
        await self._store.open_session(session, sha256(refresh))
        return self._issued(account, session, refresh)

    async def renew(self, refresh: bytes, key: str) -> IssuedToken:
        """New tokens for a refresh token, which is used up. Raises `NotAuthenticated`."""
        following = self._entropy(_REFRESH_BYTES)
        now_ms = self._clock.now_ms()
        session = await self._store.rotate(sha256(refresh), sha256(following), key, now_ms)
        account = await self._accounts.account(session.account) if session else None
        if session is None or account is None or account.disabled or session.created_ms < account.revoked_ms:
            raise compact.refused()
        return self._issued(account, session, following)

    async def leave(self, refresh: bytes) -> None:
        """End the session of a refresh token; nothing happens if it is none."""
        await self._store.end_by_refresh(sha256(refresh), self._clock.now_ms())

    async def of(self, account: str) -> Sequence[Session]:
        """Those of an account that stand."""
        return await self._store.sessions(account, self._clock.now_ms())

    async def end(self, account: str, id: bytes) -> bool:
        """End one of an account's; whether it stood."""
        return await self._store.end_session(account, id, self._clock.now_ms())

    async def end_all(self, account: str) -> None:
        """Sign out everywhere: sessions, and tokens of other issuers that were made before now."""
        now_ms = self._clock.now_ms()
        await self._accounts.revoke(account, now_ms)
        await self._store.end_sessions(account, now_ms)

    def _issued(self, account: Account, session: Session, refresh: bytes) -> IssuedToken:
        return self._tokens.issue(
            account.name,
            account.kind,
            session=session.id,
            key=session.key,
            refresh=refresh.hex(),
            until_s=session.until_ms // 1000,
        )
