"""A member's people: invited by an administrator, who never knows what they sign in with; changed, shut, brought back.

What one administrator may not do alone: change their own account, or make or take over another administrator's. A
kind is for good: who becomes somebody else gets another account.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import structlog

from consortium.adapters.tokens import compact
from consortium.adapters.tokens.logins import PASSWORD_KINDS
from consortium.adapters.tokens.passwords import PasswordCheck, require_good
from consortium.adapters.tokens.secondfactor import SecondFactors
from consortium.adapters.tokens.sessions import Sessions
from consortium.crypto.hashing import sha256
from consortium.errors import Forbidden, InvalidRequest, NotFound
from consortium.model.names import is_name
from consortium.ports.accounts import DUTIES, KINDS, Account, AccountStore
from consortium.ports.callers import Caller
from consortium.ports.clock import Clock
from consortium.ports.sessions import Invitation, InvitationStore

ADMINISTRATOR = "administrator"
_BY_TWO = frozenset({ADMINISTRATOR, "officer"})
"""Kinds of whom one administrator alone makes none, nor brings one back: they could be that one themselves."""
LIFETIME_S = 3 * 86_400
"""A code is good for this long."""
_CODE_BYTES = 20
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Invited:
    """A one-time code for its receiver; it is shown once. `needs_two`: another administrator must confirm it first."""

    account: str
    kind: str
    code: str = field(repr=False)
    until_ms: int
    needs_two: bool


class People:
    """What the routes of accounts need. Whoever is no administrator is refused with `Forbidden`."""

    def __init__(
        self,
        accounts: AccountStore,
        invitations: InvitationStore,
        sessions: Sessions,
        factors: SecondFactors,
        clock: Clock,
        passwords: PasswordCheck | None = None,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._accounts, self._invitations, self._sessions = accounts, invitations, sessions
        self._factors, self._clock, self._entropy = factors, clock, entropy
        self._passwords = passwords or PasswordCheck()
        self._one_at_a_time = asyncio.Lock()  # else two at once would both be the first

    async def all(self, caller: Caller) -> tuple[Sequence[Account], Sequence[Invitation]]:
        """Accounts, and invitations that were not accepted yet."""
        _require_administrator(caller)
        return await self._accounts.all_accounts(), await self._invitations.invitations()

    async def invite(self, caller: Caller, name: str, kind: str, duties: frozenset[str]) -> Invited:
        """A code with which somebody sets up the account `name`; it replaces one that was not used."""
        _require_administrator(caller)
        check_account(name, kind, duties)
        async with self._one_at_a_time:
            if await self._accounts.account(name) is not None:
                raise InvalidRequest("there is an account of this name", field="name")
            needs_two = kind in _BY_TWO and not await self._is_first(caller)
            return await self._give(Invitation(b"", name, kind, duties, caller.name, 0, needs_two=needs_two))

    async def confirm(self, caller: Caller, name: str) -> None:
        """The second administrator's word for an invitation that needs two."""
        _require_administrator(caller)
        if not await self._invitations.confirm_invitation(name, caller.name):
            raise NotFound("there is no invitation of another administrator's to confirm")
        _log.info("invitation_confirmed", account=name, by=caller.name)

    async def withdraw(self, caller: Caller, name: str) -> None:
        """End an invitation that was not accepted."""
        _require_administrator(caller)
        await self._invitations.drop_invitation(name)

    async def accept(self, code: str, password: str = "", public_key: bytes = b"") -> Account:
        """Set up, or come back to, the account of a code. Raises `InvalidRequest` for a bad password or key, else
        `NotAuthenticated`.
        """
        if password:
            require_good(password)
        if bool(password) == bool(public_key):
            raise InvalidRequest("give a password, or a public key")
        found = await self._invitations.find_invitation(_digest(code), self._clock.now_ms())
        if found is not None and (found.kind in PASSWORD_KINDS) != bool(password):  # the code stays good
            raise InvalidRequest("users set a password, all others register a public key")
        invitation = await self._invitations.take_invitation(_digest(code), self._clock.now_ms())
        if invitation is None:
            raise compact.refused()
        hashed = await self._passwords.hash(password) if password else ""
        return (
            await self._recovered(invitation, hashed, public_key)
            if invitation.recovers
            else await self._made(
                Account(invitation.account, invitation.kind, hashed, public_key, duties=invitation.duties)
            )
        )

    async def set_disabled(self, caller: Caller, name: str, disabled: bool) -> None:
        """Shut an account, which ends its sessions, or open it again."""
        account = await self._other(caller, name)
        await self._accounts.put_account(replace(account, disabled=disabled))
        if disabled:
            await self._sessions.end_all(name)
        _log.info("account_disabled" if disabled else "account_enabled", account=name, by=caller.name)

    async def set_duties(self, caller: Caller, name: str, duties: frozenset[str]) -> None:
        """Of staff: what they are there for."""
        account = await self._other(caller, name)
        check_account(name, account.kind, duties)
        await self._accounts.put_account(replace(account, duties=duties))
        _log.info("account_duties", account=name, by=caller.name)

    async def reset(self, caller: Caller, name: str, *, second_factor: bool) -> Invited:
        """A code back to an account: what it signed in with is void from now on, its sessions end.

        With `second_factor` that is taken off as well. An administrator's account is not reset here; an officer's code
        waits for another administrator, if there is one.
        """
        account = await self._other(caller, name)
        if account.kind == ADMINISTRATOR:
            raise Forbidden("an administrator is brought back on the node's own machine")
        await self._accounts.put_account(replace(account, password_hash="", public_key=b""))
        await self._sessions.end_all(name)
        if second_factor:
            await self._factors.remove(name)
        _log.info("account_reset", account=name, by=caller.name)
        needs_two = account.kind in _BY_TWO and not await self._is_first(caller)
        back = Invitation(b"", name, account.kind, account.duties, caller.name, 0, recovers=True, needs_two=needs_two)
        return await self._give(back)

    async def revoke(self, caller: Caller, name: str) -> None:
        """Sign an account out everywhere."""
        _require_administrator(caller)
        await self._existing(name)
        await self._sessions.end_all(name)

    async def _is_first(self, caller: Caller) -> bool:
        """Whether the caller is the only administrator that there is or is to be: then nobody could confirm."""
        names = {a.name for a in await self._accounts.all_accounts() if a.kind == ADMINISTRATOR}
        names |= {i.account for i in await self._invitations.invitations() if i.kind == ADMINISTRATOR}
        return names == {caller.name}

    async def _give(self, invitation: Invitation) -> Invited:
        code = base64.b32encode(self._entropy(_CODE_BYTES)).decode().lower()
        given = replace(invitation, digest=_digest(code), until_ms=self._clock.now_ms() + LIFETIME_S * 1000)
        await self._invitations.put_invitation(given)
        return Invited(given.account, given.kind, code, given.until_ms, given.needs_two)

    async def _made(self, account: Account) -> Account:
        if not await self._accounts.add_account(account):
            raise compact.refused()
        return account

    async def _recovered(self, invitation: Invitation, hashed: str, public_key: bytes) -> Account:
        account = await self._accounts.account(invitation.account)
        if account is None or account.kind != invitation.kind:
            raise compact.refused()
        account = replace(account, password_hash=hashed, public_key=public_key)
        await self._accounts.put_account(account)
        return account

    async def _other(self, caller: Caller, name: str) -> Account:
        """Somebody else's account: four eyes on one's own."""
        _require_administrator(caller)
        if name == caller.name:
            raise Forbidden("an administrator's own account is changed by another administrator")
        return await self._existing(name)

    async def _existing(self, name: str) -> Account:
        account = await self._accounts.account(name)
        if account is None:
            raise NotFound("no such account")
        return account


def check_account(name: str, kind: str, duties: frozenset[str]) -> None:
    """Raises `InvalidRequest`."""
    if not is_name(name):
        raise InvalidRequest("a name is 2 to 32 of a-z, 0-9 and hyphen, a letter first", field="name")
    if kind not in KINDS:
        raise InvalidRequest("a kind is one of " + ", ".join(sorted(KINDS)), field="kind")
    if not duties <= DUTIES or (duties and kind != "staff"):
        raise InvalidRequest("duties are of staff: " + ", ".join(sorted(DUTIES)), field="duties")


def _require_administrator(caller: Caller) -> None:
    if caller.kind != ADMINISTRATOR:
        raise Forbidden("your role does not include this")


def _digest(code: str) -> bytes:
    return sha256(code.strip().lower().encode(errors="surrogatepass"))
