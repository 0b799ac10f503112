"""The members of a network through time, as the decided proposals made them: to judge what was signed back then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from consortium.ledger.governance.state import Governance, ProposalState
from consortium.ledger.governance.terms import AdmitMember, RemoveMember, RevokeKeys, RotateKeys
from consortium.model.members import Genesis, Member


@dataclass(frozen=True, slots=True)
class Roster:
    """The members, with their keys, from the block at height `since` on. Implements `Membership`."""

    genesis: Genesis
    members: tuple[Member, ...]
    since: int

    @property
    def network(self) -> str:
        return self.genesis.network

    @property
    def channel(self) -> str:
        return self.genesis.channel

    @property
    def epoch(self) -> int:
        return self.genesis.epoch

    @property
    def origin(self) -> str:
        return self.genesis.origin

    def member(self, name: str) -> Member | None:
        """The member of that name, or None."""
        return next((m for m in self.members if m.name == name), None)

    def with_role(self, role: str) -> tuple[Member, ...]:
        """The members that hold `role`."""
        return tuple(m for m in self.members if role in m.roles)

    def encryption_keys(self, name: str) -> tuple[bytes, ...]:
        """The member's key of then; nothing for a stranger."""
        member = self.member(name)
        return (member.keys.encryption,) if member else ()


def rosters(governance: Governance) -> tuple[Roster, ...]:
    """From the genesis' members on, one for each block that changed them, oldest first."""
    members = {m.name: m for m in governance.genesis.members}
    found = [Roster(governance.genesis, governance.genesis.members, 0)]
    for state in _changes(governance):
        since = (state.decided or 0) + 1
        members = _changed(members, state)
        roster = Roster(governance.genesis, tuple(members[name] for name in sorted(members)), since)
        found = [*(found[:-1] if found[-1].since == since else found), roster]
    found[-1] = replace(found[-1], members=governance.members)
    return tuple(found)


def _changes(governance: Governance) -> Iterator[ProposalState]:
    """What was decided about members and their keys, in the order of the ledger."""
    kinds = AdmitMember | RemoveMember | RevokeKeys | RotateKeys
    passed = [s for s in governance.proposals.values() if s.outcome == "passed" and isinstance(s.terms, kinds)]
    # Two in one block: what was proposed first need not be decided first, but then they are about other members.
    return iter(sorted(passed, key=lambda state: state.decided or 0))


def _changed(members: Mapping[str, Member], state: ProposalState) -> dict[str, Member]:
    terms = state.terms
    if isinstance(terms, AdmitMember):
        return {**members, terms.name: Member(terms.name, terms.roles, terms.keys.as_keys())}
    if isinstance(terms, RemoveMember):
        return {name: member for name, member in members.items() if name != terms.name}
    if isinstance(terms, RevokeKeys | RotateKeys) and terms.name in members:
        return {**members, terms.name: replace(members[terms.name], keys=terms.keys.as_keys())}
    return dict(members)
