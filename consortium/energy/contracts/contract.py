"""A contract as its records leave it, and what it is at a time. `lifecycle` is the fold that makes it.

**In force** from the frame's start to its end, once countersigned. Times are those of the energy, not of the records.
**Disputed** is in force with statements that differ: it goes on executing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from consortium.energy.contracts.terms import Terms
from consortium.energy.payloads.contracts import ContractFrame, ContractStep
from consortium.model.names import Party

DAY_MS = 86_400_000


class State(StrEnum):
    """Where a contract stands at a time."""

    PROPOSED = "proposed"
    COUNTERSIGNED = "countersigned"
    IN_FORCE = "in force"
    SUSPENDED = "suspended"
    DISPUTED = "disputed"
    ENDED = "ended"


EXECUTES = frozenset({State.IN_FORCE, State.DISPUTED})


@dataclass(frozen=True, slots=True)
class Suspension:
    """From `from_ms` up to `until_ms` (None: until resumed). `party` is the one meant, None the whole contract."""

    by: str
    party: str | None
    from_ms: int
    until_ms: int | None = None

    def covers(self, ms: int) -> bool:
        """Whether it stands at that time."""
        return self.from_ms <= ms and (self.until_ms is None or ms < self.until_ms)


@dataclass(frozen=True, slots=True)
class StepSeen:
    """A step that had an effect, with its record's author and tree index."""

    step: ContractStep
    author: str
    index: int


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract as its records leave it. `terms` and `currency` are None on a node that may not read them.

    `index` is the tree index of the record that proposed it, `in_force_index` of the one that brought it into force.
    `stopped_ms` is when a notice or an amendment ends it before its term, `disputes` are the starts of the intervals in
    dispute.
    """

    id: bytes
    index: int
    author: str
    frame: ContractFrame
    terms: Terms | None = None
    currency: str | None = None
    in_force_index: int | None = None
    stopped_ms: int | None = None
    replaced_by: bytes | None = None
    suspensions: tuple[Suspension, ...] = ()
    disputes: tuple[int, ...] = ()
    steps: tuple[StepSeen, ...] = ()

    @property
    def sides(self) -> tuple[str, str]:
        """Provider and customer."""
        return self.frame.provider, self.frame.customer

    @property
    def other_side(self) -> str:
        """Whose signature the proposal waits for."""
        return self.frame.customer if self.frame.proposer == self.frame.provider else self.frame.provider

    @property
    def notice_days(self) -> int:
        """The notice period; a node that may not read the terms knows it by the frame."""
        return max(self.frame.notice_days, getattr(self.terms, "notice_days", 0))

    @property
    def notice_ms(self) -> int:
        """The notice period in ms."""
        return self.notice_days * DAY_MS

    def side_of(self, party: str) -> str | None:
        """Which side it is, provider or customer, or None."""
        return "provider" if party == self.frame.provider else "customer" if party == self.frame.customer else None


def state_at(contract: Contract, ms: int) -> State:
    """Where the contract stands for what happens at `ms`, as far as its records go by now."""
    frame, stopped = contract.frame, contract.stopped_ms
    if (stopped is not None and ms >= stopped) or (frame.end_ms and ms >= frame.end_ms):
        return State.ENDED
    if contract.in_force_index is None:
        return State.PROPOSED
    if ms < frame.start_ms:
        return State.COUNTERSIGNED
    if contract.suspensions and any(s.party is None and s.covers(ms) for s in contract.suspensions):
        return State.SUSPENDED
    return State.DISPUTED if contract.disputes else State.IN_FORCE


def executes(contract: Contract, ms: int) -> bool:
    """Whether it holds at `ms`: in force, disputed or not."""
    return state_at(contract, ms) in EXECUTES


def party_suspended(contract: Contract, party: str, ms: int) -> bool:
    """Whether the market suspended that party, or the member it belongs to."""
    names = (party, Party.parse(party).member)
    return any(s.party in names and s.covers(ms) for s in contract.suspensions)


def all_in_force(
    contracts: Mapping[bytes, Contract] | tuple[Contract, ...], kind: str, customer: str, ms: int
) -> tuple[Contract, ...]:
    """The customer's contracts of that kind that hold at `ms`, the longest in force first."""
    values = contracts.values() if isinstance(contracts, Mapping) else contracts
    found = [c for c in values if c.frame.customer == customer and c.frame.kind == kind and executes(c, ms)]
    return tuple(sorted(found, key=lambda c: (c.in_force_index or 0, c.id)))


def in_force(
    contracts: Mapping[bytes, Contract] | tuple[Contract, ...], kind: str, customer: str, ms: int
) -> Contract | None:
    """The customer's contract of that kind at `ms`. A second one does not displace the first, whoever wrote it."""
    found = all_in_force(contracts, kind, customer, ms)
    return found[0] if found else None
