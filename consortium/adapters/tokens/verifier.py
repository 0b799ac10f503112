"""`TokenVerifier`: which issuer's rules a token falls under, whether its account and session still stand, a memory of
both, and the proof of the key that a token is bound to.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Sequence
from typing import Generic, TypeVar

from consortium.adapters.tokens import compact
from consortium.adapters.tokens.compact import Verified
from consortium.adapters.tokens.dpop import Proofs
from consortium.adapters.tokens.node import NodeTokens
from consortium.adapters.tokens.oidc import OidcTokens
from consortium.adapters.tokens.peers import PEER, PeerTokens
from consortium.adapters.tokens.sessions import BOUND_KINDS
from consortium.crypto.hashing import sha256
from consortium.errors import ConfigurationError
from consortium.ports.accounts import Account, AccountStore
from consortium.ports.callers import Caller, Proof
from consortium.ports.clock import Clock
from consortium.ports.sessions import SessionStore

MAX_REMEMBERED = 4096
ACCOUNT_MS = 3_000
"""A disabled account and an ended session are refused after this at the latest."""
TOKEN_MS = 300_000
"""A token is verified anew after this at the latest: so a key that its issuer withdrew does not live on."""

K = TypeVar("K")
V = TypeVar("V")


class Verifier:
    """Implements `consortium.ports.TokenVerifier`. Raises `ConfigurationError` if two issuers have one name."""

    def __init__(
        self,
        node: NodeTokens,
        peers: PeerTokens,
        oidc: Sequence[OidcTokens],
        accounts: AccountStore,
        sessions: SessionStore,
        proofs: Proofs,
        clock: Clock,
    ) -> None:
        names = [node.issuer, *peers.issuers, *(tokens.issuer for tokens in oidc)]
        if len(set(names)) != len(names):
            raise ConfigurationError("two token issuers have the same name", hint="check the OIDC settings")
        self._node = node
        self._peers = peers
        self._oidc = {tokens.issuer: tokens for tokens in oidc}
        self._accounts = accounts
        self._sessions = sessions
        self._proofs = proofs
        self._clock = clock
        self._tokens: _Memory[bytes, Verified] = _Memory(MAX_REMEMBERED)
        self._known: _Memory[str, Account | None] = _Memory(MAX_REMEMBERED)
        self._standing: _Memory[bytes, bool] = _Memory(MAX_REMEMBERED)

    def forget(self) -> None:
        """Members, or their keys, have changed: what was verified by the keys before is verified again."""
        self._tokens = _Memory(MAX_REMEMBERED)

    async def verify(self, token: str, proof: Proof | None = None) -> Caller:
        """Raises `NotAuthenticated`, always with the same words; `StoreUnavailable` while accounts cannot be read."""
        digest = sha256(token.encode(errors="surrogatepass"))
        now = self._clock.now_ms()
        verified = self._tokens.get(digest, now)
        if verified is None:
            verified = await self._verify(token)
            self._tokens.put(digest, verified, now, min(verified.expires_s * 1000, now + TOKEN_MS))
        if verified.kind == PEER:
            return Caller(verified.name, verified.member, PEER)
        found = await self._as_account(verified)
        self._require_key(verified, found.kind, proof, token)
        return found

    async def _verify(self, token: str) -> Verified:
        issuer = compact.text_claim(compact.peek(token)[1], "iss")
        if issuer == self._node.issuer:
            return self._node.verify(token)
        if issuer in self._peers.issuers:
            return self._peers.verify(token)
        if issuer in self._oidc:
            return await self._oidc[issuer].verify(token)
        raise compact.refused()

    def _require_key(self, verified: Verified, kind: str, proof: Proof | None, token: str) -> None:
        """A bound token needs its key, an unbound one is no DPoP token (RFC 9449 section 7.1); some kinds need one."""
        if not verified.key:
            if proof is not None or kind in BOUND_KINDS:
                raise compact.refused()
        elif proof is None or not hmac.compare_digest(self._proofs.check(proof, token), verified.key):
            raise compact.refused()

    async def _as_account(self, verified: Verified) -> Caller:
        account = await self._account(verified.name)
        if account is None or account.disabled or verified.kind not in ("", account.kind):
            raise compact.refused()
        if not await self._stands(verified, account):
            raise compact.refused()
        return Caller(account.name, verified.member, account.kind, account.duties)

    async def _stands(self, verified: Verified, account: Account) -> bool:
        """Whether it was not revoked: a token of the node with its session, one of another issuer by its time."""
        if not verified.session:
            return verified.issued_s * 1000 >= account.revoked_ms
        now = self._clock.now_ms()
        if self._standing.has(verified.session, now):
            return self._standing.get(verified.session, now) is True
        standing = await self._sessions.stands(verified.session, now)
        self._standing.put(verified.session, standing, now, now + ACCOUNT_MS)
        return standing

    async def _account(self, name: str) -> Account | None:
        now = self._clock.now_ms()
        if self._known.has(name, now):
            return self._known.get(name, now)
        account = await self._accounts.account(name)
        self._known.put(name, account, now, now + ACCOUNT_MS)
        return account


class _Memory(Generic[K, V]):
    """A bounded memory: an entry holds from when it was put until its end, and the oldest go first."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._entries: OrderedDict[K, tuple[V, int, int]] = OrderedDict()

    def has(self, key: K, now_ms: int) -> bool:
        """Whether there is an entry that still holds. A clock that was set back makes entries void."""
        entry = self._entries.get(key)
        return entry is not None and entry[1] <= now_ms < entry[2]

    def get(self, key: K, now_ms: int) -> V | None:
        return self._entries[key][0] if self.has(key, now_ms) else None

    def put(self, key: K, value: V, now_ms: int, until_ms: int) -> None:
        self._entries.pop(key, None)
        while len(self._entries) >= self._bound:
            self._entries.popitem(last=False)
        self._entries[key] = value, now_ms, until_ms
