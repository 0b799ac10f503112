"""The people and machines that a member's node knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Account:
    """A person or machine that the member's node knows.

    `kind` is user, staff, machine or auditor. `password_hash` is an Argon2id string or ''; `public_key` an Ed25519
    key for signed challenges, or b''; `own_key` the X25519 key of a user who keeps their own, or b''.
    """

    name: str
    kind: str
    password_hash: str = ""
    public_key: bytes = b""
    own_key: bytes = b""
    disabled: bool = False


class AccountStore(Protocol):
    """The member's own accounts."""

    async def account(self, name: str) -> Account | None:
        """The account, or None."""
        ...

    async def put_account(self, account: Account) -> None:
        """Create or replace."""
        ...

    async def users(self) -> Sequence[str]:
        """Names of all accounts of kind user, sorted."""
        ...
