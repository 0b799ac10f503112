"""What the routes of accounts, sessions and second factors need of `app.state.services`, as contracts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from consortium.ports.accounts import Account
from consortium.ports.callers import Caller
from consortium.ports.sessions import Invitation, Session


class Invited(Protocol):
    """A one-time code, shown once; `until_ms` UTC. `needs_two`: another administrator must confirm it first."""

    @property
    def account(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def until_ms(self) -> int: ...
    @property
    def needs_two(self) -> bool: ...


class Enrolment(Protocol):
    """A new second factor: its secret (base32, and as a URI for an app), and the recovery codes."""

    @property
    def secret(self) -> str: ...
    @property
    def uri(self) -> str: ...
    @property
    def codes(self) -> tuple[str, ...]: ...


class People(Protocol):
    """The member's accounts. Whoever may not is refused with `Forbidden`."""

    async def all(self, caller: Caller) -> tuple[Sequence[Account], Sequence[Invitation]]:
        """Accounts, and invitations that were not accepted yet."""
        ...

    async def invite(self, caller: Caller, name: str, kind: str, duties: frozenset[str]) -> Invited:
        """A code with which somebody sets up an account. Raises `InvalidRequest`."""
        ...

    async def confirm(self, caller: Caller, name: str) -> None:
        """The second administrator's word. Raises `NotFound`."""
        ...

    async def withdraw(self, caller: Caller, name: str) -> None:
        """End an invitation."""
        ...

    async def accept(self, code: str, password: str = "", public_key: bytes = b"") -> Account:
        """Set up, or come back to, the account of a code. Raises `InvalidRequest`, `NotAuthenticated`."""
        ...

    async def set_disabled(self, caller: Caller, name: str, disabled: bool) -> None:
        """Shut an account or open it. Raises `NotFound`."""
        ...

    async def set_duties(self, caller: Caller, name: str, duties: frozenset[str]) -> None:
        """Of staff. Raises `NotFound`, `InvalidRequest`."""
        ...

    async def reset(self, caller: Caller, name: str, *, second_factor: bool) -> Invited:
        """A code back to an account. Raises `NotFound`."""
        ...

    async def revoke(self, caller: Caller, name: str) -> None:
        """Sign an account out everywhere. Raises `NotFound`."""
        ...


class Sessions(Protocol):
    """Sessions of one's own account."""

    async def of(self, account: str) -> Sequence[Session]:
        """Those that stand."""
        ...

    async def end(self, account: str, id: bytes) -> bool:
        """End one; whether it stood."""
        ...

    async def end_all(self, account: str) -> None:
        """Sign out everywhere."""
        ...


class SecondFactors(Protocol):
    """The second factor of one's own account."""

    async def enrol(self, account: str) -> Enrolment:
        """A new one; it counts once it was confirmed. Raises `InvalidRequest` if one counts already."""
        ...

    async def confirm(self, account: str, code: str) -> bool:
        """Whether the code is right; the factor counts from then on."""
        ...

    async def require(self, account: str, code: str) -> None:
        """Raises `InvalidRequest` if the account has a second factor and `code` is none of it."""
        ...

    async def take_off(self, account: str, code: str) -> bool:
        """Whether the code is right; the factor is gone then."""
        ...
