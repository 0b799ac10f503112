"""In whose name a caller reads, and what the policies are told of them."""

from __future__ import annotations

from typing import Protocol

from consortium.model.names import Party
from consortium.policy.requests import Principal
from consortium.ports.callers import Caller

PARTY, DELEGATE, GRANT = "party", "delegate", "grant"
"""By what a caller reads a record: their party holds a key, a delegation covers it, a grant does."""
GRID_OPERATOR, MARKET_OPERATOR = "grid-operator", "market-operator"
"""What a caller's member is, as far as it matters."""


class Delegations(Protocol):
    """What users let others read: a pure lookup in memory, asked for every record type of a page."""

    def groups(self, caller: Caller, type: str, start_ms: int) -> frozenset[str]:
        """The field groups of records of `type`, about the time `start_ms`, that `caller.behalf` lets the caller read
        by delegations that are in force now; none if there is none.
        """
        ...

    def any(self, caller: Caller) -> bool:
        """Whether `caller.behalf` lets the caller read anything now."""
        ...


class NoDelegations:
    """Nobody lets anybody read."""

    def groups(self, caller: Caller, type: str, start_ms: int) -> frozenset[str]:
        """None."""
        return frozenset()

    def any(self, caller: Caller) -> bool:
        """No."""
        return False


def party_of(caller: Caller) -> Party:
    """The party in whose name a caller reads: whom they read for, else a user for itself, all others for their member.

    That a caller names somebody gives them nothing: what they may read of that party the policies say.
    """
    return caller.behalf if caller.behalf is not None else own_party(caller)


def is_delegate(caller: Caller) -> bool:
    """Whether the caller reads for somebody else."""
    return caller.behalf is not None and caller.behalf != own_party(caller)


def principal_of(caller: Caller) -> Principal:
    """The caller in the policies' words."""
    return Principal(caller.kind, str(Party(caller.member, caller.name)), caller.member, caller.duties)


def relation_of(caller: Caller) -> str:
    """What the caller claims: to read for somebody, or for their own party."""
    return DELEGATE if is_delegate(caller) else PARTY


def own_party(caller: Caller) -> Party:
    """A user, or the member of anybody else."""
    return Party(caller.member, caller.name if caller.kind == "user" else "")
