"""Logins: a password for users, a signed challenge for staff, machines and auditors; both give a node's token.

Whether an account exists shows in nothing: not in the answer, not in its cost, not in the throttle.
"""

from __future__ import annotations

from consortium.adapters.tokens import compact
from consortium.adapters.tokens.challenges import Challenge, Challenges
from consortium.adapters.tokens.node import IssuedToken, NodeTokens
from consortium.adapters.tokens.passwords import PasswordCheck
from consortium.adapters.tokens.throttle import Throttle
from consortium.crypto import signing
from consortium.ports.accounts import Account, AccountStore
from consortium.ports.clock import Clock

CHALLENGE_CONTEXT = b"consortium/login/v1\n"
"""Prefixed to the challenge before signing: the signature serves for nothing else."""
PASSWORD_KINDS = frozenset({"user"})
CHALLENGE_KINDS = frozenset({"staff", "machine", "auditor"})
_NOBODY = signing.public_key(bytes(32))


class Logins:
    """What the login routes need."""

    def __init__(
        self,
        accounts: AccountStore,
        tokens: NodeTokens,
        challenges: Challenges,
        clock: Clock,
        passwords: PasswordCheck | None = None,
    ) -> None:
        self._accounts = accounts
        self._tokens = tokens
        self._challenges = challenges
        self._clock = clock
        self._passwords = passwords or PasswordCheck()
        self._throttle = Throttle()

    async def login(self, name: str, password: str) -> IssuedToken:
        """A token for a user's password. Raises `NotAuthenticated`."""
        if not self._throttle.enter(name, self._clock.now_ms()):
            raise compact.refused()
        account = _usable(await self._accounts.account(name), PASSWORD_KINDS)
        right = await self._passwords.check(account.password_hash if account else None, password)
        if account is None or not right:
            raise compact.refused()
        self._throttle.succeeded(name)
        return self._tokens.issue(account.name, account.kind)

    async def challenge(self, name: str) -> Challenge:
        """A text to sign; for any name alike."""
        return self._challenges.make(name)

    async def answer(self, challenge: str, signature: bytes) -> IssuedToken:
        """A token for an Ed25519 signature over `CHALLENGE_CONTEXT` and the challenge. Raises `NotAuthenticated`."""
        name = self._challenges.name_of(challenge)
        account = _usable(await self._accounts.account(name), CHALLENGE_KINDS)
        public = account.public_key if account and account.public_key else _NOBODY
        right = signing.verify(CHALLENGE_CONTEXT + challenge.encode(), signature, public)
        if account is None or not account.public_key or not right:
            raise compact.refused()
        self._challenges.redeem(challenge)
        return self._tokens.issue(account.name, account.kind)


def _usable(account: Account | None, kinds: frozenset[str]) -> Account | None:
    return account if account is not None and not account.disabled and account.kind in kinds else None
