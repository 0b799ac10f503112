"""`Releases` as a node keeps it: whose reads are told, to whom, and what has to stand before anything leaves.

==============  ==============================  ==========================================================
who reads       who is told                     before the answer leaves
==============  ==============================  ==========================================================
a user          nobody: it is theirs            -
an officer      every user in the record; of    the access record is ordered and applied
                a record without users its
                member parties
a delegate      in whose place they read        the read is kept; its record follows within a minute
anybody else    every user in the record        the read is kept; its record follows within a minute
==============  ==============================  ==========================================================

Officers and delegates are told by name, all others by role, duties and member, unless the ledger's settings say
`name_staff`: what is not told is not kept either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import get_args

from consortium.energy.payloads.access import Basis, Role
from consortium.energy.reads import Read, Source, reads_of
from consortium.errors import CallerError, ConsortiumError, NotReady, OperatorError
from consortium.model.names import Party, is_name
from consortium.pipeline.access import is_delegate
from consortium.pipeline.delegating import LiveDelegations
from consortium.pipeline.release import Released
from consortium.pipeline.telling import Teller
from consortium.ports.callers import Caller
from consortium.ports.clock import Clock

_ROLES = get_args(Role)
DELEGATE_KINDS = frozenset({"user", "service"})
"""Who may have a delegation (policies/delegate.cedar)."""
UNKNOWN = "unknown"
"""The type of what this version cannot name."""


class AccessLog:
    """Notes who is shown what. `name_staff` is the ledger's setting of the moment, `clock` that of the records."""

    def __init__(
        self,
        teller: Teller,
        delegations: LiveDelegations,
        name_staff: Callable[[], bool],
        clock: Clock,
        timeout_s: float,
    ) -> None:
        self._teller = teller
        self._delegations = delegations
        self._name_staff = name_staff
        self._clock = clock
        self._timeout_s = timeout_s

    async def release(self, caller: Caller, released: Sequence[Released]) -> None:
        """See `pipeline.release.Releases`."""
        reads = self._reads(caller, released)
        if not reads:
            return
        try:
            if caller.kind == "officer":
                await self._teller.tell(reads, self._timeout_s)
            else:
                await self._teller.note(reads)
        except (OperatorError, CallerError) as error:
            raise _not_noted() from error

    def _reads(self, caller: Caller, released: Sequence[Released]) -> list[Read]:
        told: dict[tuple[Party, bytes], list[Released]] = {}
        for one in released:
            under = one.under
            if _reads_for_another(caller):
                under = under or self._delegations.under(caller, one.type, one.start_ms, one.groups)
            for subject in _subjects(caller, one):
                told.setdefault((subject, under), []).append(one)
        now = self._clock.now_ms()
        return [
            read
            for (subject, under), found in told.items()
            for read in reads_of(subject, self._source(caller, under), now, _what(found))
        ]

    def _source(self, caller: Caller, under: bytes) -> Source:
        named = caller.kind == "officer" or _reads_for_another(caller) or self._name_staff()
        role: Role = caller.kind if caller.kind in _ROLES else "machine"  # type: ignore[assignment]
        return Source(
            role=role,
            duties=tuple(sorted(caller.duties)),
            name=caller.name if named else "",
            member=caller.member,
            basis=_basis(caller, under),
            under=under or None,
            purpose=caller.purpose,
        )


def _reads_for_another(caller: Caller) -> bool:
    """Whether by a delegation: of an officer or staff the header that claims so means nothing, and hides nothing."""
    return caller.kind in DELEGATE_KINDS and is_delegate(caller)


def _basis(caller: Caller, under: bytes) -> Basis:
    if _reads_for_another(caller):
        return "delegation"
    return "grant" if under else "duties"


def _subjects(caller: Caller, one: Released) -> Iterable[Party]:
    if _reads_for_another(caller) and caller.behalf is not None:
        return (caller.behalf,)
    if caller.kind == "user":
        return ()
    users = [party for party in one.subjects if party.user]
    return users or (one.members if caller.kind == "officer" else ())


def _what(found: Iterable[Released]) -> Iterable[tuple[bytes, str, Iterable[str]]]:
    return ((one.id, one.type if is_name(one.type) else UNKNOWN, one.groups) for one in found)


def _not_noted() -> ConsortiumError:
    hint = "nothing was shown; try again later"
    return NotReady("that this is read cannot be noted at this moment", hint=hint)
