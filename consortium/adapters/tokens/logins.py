"""Logins: a password for users, a signed challenge for all others, a second factor where there is one; then a session.

Whether an account exists shows in nothing: not in the answer, not in its cost, not in the throttle.
"""

from __future__ import annotations

from dataclasses import replace

from consortium.adapters.tokens import compact
from consortium.adapters.tokens.challenges import Challenge, Challenges
from consortium.adapters.tokens.devices import Devices
from consortium.adapters.tokens.dpop import Proofs
from consortium.adapters.tokens.node import IssuedToken
from consortium.adapters.tokens.passwords import PasswordCheck
from consortium.adapters.tokens.secondfactor import SecondFactors
from consortium.adapters.tokens.sessions import Sessions
from consortium.adapters.tokens.throttle import Throttle
from consortium.crypto import signing
from consortium.ports.accounts import KINDS, Account, AccountStore
from consortium.ports.callers import Proof
from consortium.ports.clock import Clock

CHALLENGE_CONTEXT = b"consortium/login/v1\n"
"""Prefixed to the challenge before signing: the signature serves for nothing else."""
PASSWORD_KINDS = frozenset({"user"})
CHALLENGE_KINDS = KINDS - PASSWORD_KINDS
_NOBODY = signing.public_key(bytes(32))


class Logins:
    """What the login routes need. Everything raises `NotAuthenticated`, always with the same words.

    `proof` is the DPoP proof that came with a request, or None: with one, the tokens are bound to its key. `code` is of
    the second factor, '' for none.
    """

    def __init__(
        self,
        accounts: AccountStore,
        sessions: Sessions,
        challenges: Challenges,
        factors: SecondFactors,
        devices: Devices,
        proofs: Proofs,
        clock: Clock,
        passwords: PasswordCheck | None = None,
    ) -> None:
        self._accounts, self._sessions, self._challenges = accounts, sessions, challenges
        self._factors, self._devices, self._proofs = factors, devices, proofs
        self._clock = clock
        self._passwords = passwords or PasswordCheck()
        self._throttle = Throttle()

    async def login(
        self, name: str, password: str, *, code: str = "", device: str = "", proof: Proof | None = None
    ) -> IssuedToken:
        """A session for a user's password."""
        key = self._key(proof)
        known = self._devices.of(name, device)
        if not self._throttle.enter(name, self._clock.now_ms(), known):
            raise compact.refused()
        account = _usable(await self._accounts.account(name), PASSWORD_KINDS)
        right = await self._passwords.check(account.password_hash if account else None, password)
        if account is None or not right:
            raise compact.refused()
        await self._require_second(account.name, code)
        self._throttle.succeeded(name, known)
        issued = await self._sessions.open(account, key)
        return replace(issued, device=device if known else self._devices.make(name))

    async def challenge(self, name: str) -> Challenge:
        """A text to sign; for any name alike."""
        return self._challenges.make(name)

    async def answer(
        self, challenge: str, signature: bytes, *, code: str = "", proof: Proof | None = None
    ) -> IssuedToken:
        """A session for an Ed25519 signature over `CHALLENGE_CONTEXT` and the challenge."""
        key = self._key(proof)
        name = self._challenges.name_of(challenge)
        account = _usable(await self._accounts.account(name), CHALLENGE_KINDS)
        public = account.public_key if account and account.public_key else _NOBODY
        right = signing.verify(CHALLENGE_CONTEXT + challenge.encode(), signature, public)
        if account is None or not account.public_key or not right:
            raise compact.refused()
        self._challenges.redeem(challenge)
        await self._require_second(account.name, code)
        return await self._sessions.open(account, key)

    async def refresh(self, refresh: bytes, *, proof: Proof | None = None) -> IssuedToken:
        """The next tokens of a session; of one that is bound to a key with that key's proof."""
        return await self._sessions.renew(refresh, self._key(proof))

    async def logout(self, refresh: bytes) -> None:
        """End a session; nothing is said of whether there was one."""
        await self._sessions.leave(refresh)

    def _key(self, proof: Proof | None) -> str:
        return "" if proof is None else self._proofs.check(proof)

    async def _require_second(self, name: str, code: str) -> None:
        factor = await self._factors.needed(name)
        if factor is not None and not await self._factors.passes(factor, code):
            raise compact.refused()


def _usable(account: Account | None, kinds: frozenset[str]) -> Account | None:
    return account if account is not None and not account.disabled and account.kind in kinds else None
