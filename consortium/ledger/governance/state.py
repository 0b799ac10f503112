"""What stands decided at a height: members and their keys, rules, settings, policies, grants, holds, erasures.

A pure fold over the ledger's public records (`step.py`), so that every node holds the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from consortium.ledger.governance.rules import Rules
from consortium.ledger.governance.settings import LedgerSettings
from consortium.ledger.governance.terms import Terms
from consortium.model.members import Genesis, Member, MemberKeys
from consortium.model.public import EscrowKey, Proposal
from consortium.model.scope import Scope


@dataclass(frozen=True, slots=True)
class KeyPeriod:
    """Keys that hold from the block at height `since` on, until the next period's."""

    keys: MemberKeys
    since: int


@dataclass(frozen=True, slots=True)
class Standing:
    """A member through time. `periods` are never empty, oldest first; `removed` is the height from which on it is none
    (None: it is one).
    """

    name: str
    roles: tuple[str, ...]
    periods: tuple[KeyPeriod, ...]
    admitted: int
    first_admitted: int
    removed: int | None = None

    @property
    def keys(self) -> MemberKeys:
        """The newest keys."""
        return self.periods[-1].keys

    def keys_at(self, height: int) -> MemberKeys:
        """The keys that held at a height (the first ones before it)."""
        known = [period.keys for period in self.periods if period.since <= height]
        return known[-1] if known else self.periods[0].keys


@dataclass(frozen=True, slots=True)
class ProposalState:
    """A proposal and its count. `outcome`: open, passed or failed; whether an open one has expired is a matter of the
    time of asking (`expired`). `decided` is the height of the block that decided it.
    """

    id: bytes
    author: str
    height: int
    proposal: Proposal
    terms: Terms
    voters: frozenset[str]
    needed: int
    yes: frozenset[str] = frozenset()
    no: frozenset[str] = frozenset()
    outcome: str = "open"
    decided: int | None = None

    def state_at(self, time_ms: int) -> str:
        """open, passed, failed or expired at a ledger time."""
        late = self.outcome == "open" and time_ms > self.proposal.expires_ms
        return "expired" if late else self.outcome


@dataclass(frozen=True, slots=True)
class Grant:
    """A scope that an officer may read. `id` is its proposal's; `opened` and `ended` are heights from which on."""

    id: bytes
    officer: str
    key: bytes
    scope: Scope
    purpose: str
    basis: str
    from_ms: int
    until_ms: int
    emergency: bool
    opened: int
    confirmed: bool = False
    ended: int | None = None

    def in_force(self, height: int, time_ms: int) -> bool:
        """Whether it holds for the block at `height`, whose ledger time is `time_ms`."""
        return self.opened <= height and (self.ended is None or height < self.ended) and time_ms < self.until_ms


@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold from a height on."""

    id: bytes
    scope: Scope
    reference: str
    since: int
    released: int | None = None


@dataclass(frozen=True, slots=True)
class Erasure:
    """An order to erase. `author` is the member whose own records it binds, '' for a court's order, which binds all.

    `acknowledged` and `held_back` are members by their word.
    """

    id: bytes
    author: str
    records: tuple[bytes, ...]
    ground: str
    reference: str
    height: int
    time_ms: int
    acknowledged: frozenset[str] = frozenset()
    held_back: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Release:
    """A vote to open one area's and period's escrow keys. `until_ms` is its proposal's `expires_ms`."""

    id: bytes
    area: str
    period: str
    purpose: str
    since: int
    until_ms: int
    ended: int | None = None

    def in_force(self, height: int, time_ms: int) -> bool:
        """Whether it holds for the block at `height`, whose ledger time is `time_ms`."""
        return self.since <= height and (self.ended is None or height < self.ended) and time_ms < self.until_ms


@dataclass(frozen=True, slots=True)
class PolicySet:
    """The policy set in force from a height on. Without texts it is the one of the genesis, known by digest alone."""

    digest: bytes | None
    schema: str
    texts: Mapping[str, str]
    since: int


@dataclass(frozen=True)
class Governance:
    """All that is decided. Implements `consortium.model.members.Membership`: `members` are those of now."""

    genesis: Genesis
    standings: Mapping[str, Standing]
    rules: Rules
    settings: LedgerSettings
    policy: PolicySet
    proposals: Mapping[bytes, ProposalState] = field(default_factory=dict)
    grants: Mapping[bytes, Grant] = field(default_factory=dict)
    holds: Mapping[bytes, Hold] = field(default_factory=dict)
    erasures: Mapping[bytes, Erasure] = field(default_factory=dict)
    escrow_keys: Mapping[tuple[str, str, str], EscrowKey] = field(default_factory=dict)
    releases: Mapping[bytes, Release] = field(default_factory=dict)
    epoch: int = 1
    epoch_since: int = 0
    """The block that opened the epoch; 0 for the first one."""

    @property
    def network(self) -> str:
        return self.genesis.network

    @property
    def channel(self) -> str:
        return self.genesis.channel

    @property
    def origin(self) -> str:
        return self.genesis.origin

    @cached_property
    def members(self) -> tuple[Member, ...]:
        """The members of now with their newest keys, sorted by name."""
        active = (s for s in self.standings.values() if s.removed is None)
        return tuple(Member(s.name, s.roles, s.keys) for s in sorted(active, key=lambda s: s.name))

    @cached_property
    def _by_name(self) -> dict[str, Member]:
        return {member.name: member for member in self.members}

    def member(self, name: str) -> Member | None:
        """A member of now, or None."""
        return self._by_name.get(name)

    def with_role(self, role: str) -> tuple[Member, ...]:
        """The members of now that hold `role`."""
        return tuple(m for m in self.members if role in m.roles)

    def encryption_keys(self, name: str) -> tuple[bytes, ...]:
        """All X25519 keys that a member, or one that was removed, ever had here, newest first, each once."""
        standing = self.standings.get(name)
        periods = reversed(standing.periods) if standing else ()
        return tuple(dict.fromkeys(period.keys.encryption for period in periods))

    def erased_by(self, record_id: bytes, author: str) -> Erasure | None:
        """The order that binds holders of this record, which `author` wrote; None if there is none."""
        for erasure in self._erased.get(record_id, ()):
            if erasure.author in ("", author):
                return erasure
        return None

    @cached_property
    def _erased(self) -> dict[bytes, list[Erasure]]:
        found: dict[bytes, list[Erasure]] = {}
        for erasure in self.erasures.values():
            for record in erasure.records:
                found.setdefault(record, []).append(erasure)
        return found
