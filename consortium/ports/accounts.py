"""The people and machines that a member's node knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

KINDS = frozenset({"user", "staff", "machine", "officer", "administrator", "service"})
DUTIES = frozenset({"billing", "metering", "trading", "operations"})
"""Of staff: what each of them is there for, and hence may read."""


@dataclass(frozen=True, slots=True)
class Account:
    """A person or machine that the member's node knows.

    `kind` is one of `KINDS`. `password_hash` is an Argon2id string or ''; `public_key` an Ed25519 key for signed
    challenges, or b''; `own_key` the X25519 key of a user who keeps their own, or b''; `duties` some of `DUTIES`.
    Tokens from before `revoked_ms` (UTC) are void, whoever issued them. `mandate` names the record types that the
    node's custodial key may open beside the user's own; `key_sequence` counts changes of `own_key`, the last one at
    `key_ms` (UTC).
    """

    name: str
    kind: str
    password_hash: str = ""
    public_key: bytes = b""
    own_key: bytes = b""
    disabled: bool = False
    duties: frozenset[str] = frozenset()
    revoked_ms: int = 0
    mandate: frozenset[str] = frozenset()
    key_sequence: int = 0
    key_ms: int = 0


class AccountStore(Protocol):
    """The member's own accounts."""

    async def account(self, name: str) -> Account | None:
        """The account, or None."""
        ...

    async def put_account(self, account: Account) -> None:
        """Create or replace."""
        ...

    async def add_account(self, account: Account) -> bool:
        """Create it; False, and nothing is changed, if there is one of that name."""
        ...

    async def revoke(self, name: str, now_ms: int) -> None:
        """Tokens from before this moment are void from now on."""
        ...

    async def all_accounts(self) -> Sequence[Account]:
        """Every account, sorted by name."""
        ...

    async def set_own_key(self, name: str, key: bytes, mandate: frozenset[str], now_ms: int) -> Account | None:
        """The next own key of a user (b'': none), as the account is then; None if there is no such user."""
        ...

    async def users(self) -> Sequence[str]:
        """Names of all accounts of kind user, sorted."""
        ...
