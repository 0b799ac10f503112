"""What a node keeps of those who signed in: sessions, second factors, one-time codes. No secret stands in it in clear.

Of refresh tokens and codes only their SHA-256 is kept (they are 32 random bytes: there is nothing to guess), of the
secrets of second factors what the key custody sealed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Session:
    """One signing-in of an account, and the tokens that came of it. Times in UTC milliseconds.

    `id` has 16 bytes; `key` is the thumbprint (RFC 7638) of the key that its tokens are bound to, or ''. `seen_ms` is
    the latest exchange of its refresh token, `until_ms` its end in any case.
    """

    id: bytes
    account: str
    key: str
    created_ms: int
    seen_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """The TOTP secret of an account, sealed; `last_step` is the last time step (RFC 6238) whose code was used."""

    account: str
    sealed: bytes
    confirmed: bool = False
    last_step: int = 0


@dataclass(frozen=True, slots=True)
class Invitation:
    """A one-time code to an account that is to be (`recovers` False), or back to one that is.

    `digest` is SHA-256 of the code; `by` the administrator who gave it, `confirmed_by` the second one where two are
    needed (`needs_two`).
    """

    digest: bytes
    account: str
    kind: str
    duties: frozenset[str]
    by: str
    until_ms: int
    recovers: bool = False
    needs_two: bool = False
    confirmed_by: str = ""


class SessionStore(Protocol):
    """Sessions and their refresh tokens."""

    async def open_session(self, session: Session, refresh: bytes) -> None:
        """Keep a new session with the digest of its first refresh token; forget those of the account that are over."""
        ...

    async def stands(self, id: bytes, now_ms: int) -> bool:
        """Whether there is such a session, not ended and not over."""
        ...

    async def rotate(self, old: bytes, new: bytes, key: str, now_ms: int) -> Session | None:
        """Exchange a refresh token (digests) for the next of its session, bound to `key`; None if it does not hold.

        A token that was exchanged before ends its session (RFC 9700 section 4.14.2): either a thief uses it, or a
        thief did. Of several at once one is served.
        """
        ...

    async def sessions(self, account: str, now_ms: int) -> Sequence[Session]:
        """Those of an account that stand, latest first."""
        ...

    async def end_session(self, account: str, id: bytes, now_ms: int) -> bool:
        """Whether it stood and was the account's."""
        ...

    async def end_sessions(self, account: str, now_ms: int) -> None:
        """All of an account."""
        ...

    async def end_by_refresh(self, refresh: bytes, now_ms: int) -> None:
        """The session that a refresh token (digest) is or was of, if there is one."""
        ...


class SecondFactorStore(Protocol):
    """Second factors and their recovery codes."""

    async def factor(self, account: str) -> SecondFactor | None:
        """That of an account, confirmed or not."""
        ...

    async def put_factor(self, factor: SecondFactor, codes: Sequence[bytes]) -> bool:
        """Keep a new one with the digests of its recovery codes; False if the account has a confirmed one."""
        ...

    async def use_step(self, account: str, step: int) -> bool:
        """Use up a time step, and confirm. False if it, or a later one, was used; of several at once one is True."""
        ...

    async def use_code(self, account: str, digest: bytes) -> bool:
        """Use up a recovery code of a confirmed factor. Whether it was one."""
        ...

    async def remove_factor(self, account: str) -> None:
        """With its codes."""
        ...


class InvitationStore(Protocol):
    """One-time codes, at most one per account: a new one replaces the old."""

    async def put_invitation(self, invitation: Invitation) -> None:
        """Create or replace."""
        ...

    async def invitation(self, account: str) -> Invitation | None:
        """That of an account."""
        ...

    async def invitations(self) -> Sequence[Invitation]:
        """All, sorted by account."""
        ...

    async def confirm_invitation(self, account: str, by: str) -> bool:
        """By a second administrator. False if there is none to confirm, it is confirmed, or it is `by`'s own."""
        ...

    async def find_invitation(self, digest: bytes, now_ms: int) -> Invitation | None:
        """The invitation of a code, if `take_invitation` would give it now; it stays."""
        ...

    async def take_invitation(self, digest: bytes, now_ms: int) -> Invitation | None:
        """Use it up, if it stands, and is confirmed where that is needed. Of several at once one gets it."""
        ...

    async def drop_invitation(self, account: str) -> None:
        """Withdraw it."""
        ...
