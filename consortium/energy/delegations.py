"""Who may read for whom: delegations as the ledger's records leave them. Pure.

A user lets another user or a service of the same member read some of their records. What counts is checked here: that
their own member wrote it, that both are of that member, and the ledger's time; a delegation reaches no further than
what it says, and two of them are never added up to more than each covers by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from consortium.energy.payloads.access import Delegation, DelegationEnd
from consortium.energy.view.facts import Fact
from consortium.model.names import Party

NEVER = frozenset({"delegation", "delegation-end"})
"""Types that no delegation covers: whom else a user lets read is not the delegate's to see."""


@dataclass(frozen=True, slots=True)
class Delegated:
    """A delegation and its state: `id` is its record's, `index` its place in the tree, `given_ms` the ledger's time of
    it; `ended_ms` the ledger's time of its end by the user (None: not ended so).
    """

    id: bytes
    index: int
    given_ms: int
    terms: Delegation
    ended_ms: int | None = None

    def in_force(self, now_ms: int) -> bool:
        """At the ledger's time `now_ms`."""
        return self.ended_ms is None and now_ms < self.terms.until_ms

    def covers(self, type: str, start_ms: int, group: str) -> bool:
        """Whether a record's fields of that group are in it, by the record's type and the start of its period."""
        terms = self.terms
        in_period = terms.start_ms <= start_ms and (not terms.to_ms or start_ms < terms.to_ms)
        in_types = type not in NEVER and (not terms.types or type in terms.types)
        return in_period and in_types and (not terms.groups or group in terms.groups)


class Delegations:
    """All that a node knows, in the ledger's order."""

    def __init__(self) -> None:
        self._by_id: dict[bytes, Delegated] = {}

    def give(self, fact: Fact) -> None:
        """Fold a delegation; what breaks a rule is left out."""
        terms = fact.find(Delegation)
        if terms is None or fact.id in self._by_id or not _are_of(fact, terms.subject, terms.delegate):
            return
        self._by_id[fact.id] = Delegated(fact.id, fact.index, fact.time_ms, terms)

    def end(self, fact: Fact) -> None:
        """Fold an end: only the subject's, in the words of the delegation."""
        said = fact.find(DelegationEnd)
        known = self._by_id.get(said.delegation) if said is not None else None
        if said is None or known is None or known.ended_ms is not None:
            return
        if (said.subject, said.delegate) == (known.terms.subject, known.terms.delegate) and fact.speaks_for(
            said.subject
        ):
            self._by_id[known.id] = replace(known, ended_ms=fact.time_ms)

    def get(self, id: bytes) -> Delegated | None:
        """One of them."""
        return self._by_id.get(id)

    def about(self, party: str) -> Iterator[Delegated]:
        """Those that a party gave or was given, in the ledger's order."""
        return (one for one in self._by_id.values() if party in (one.terms.subject, one.terms.delegate))

    def between(self, subject: str, delegate: str, now_ms: int) -> Iterator[Delegated]:
        """Those in force by which `delegate` reads for `subject`, both as party texts (home-01@suncoop)."""
        for one in self.about(delegate):
            if (one.terms.subject, one.terms.delegate) == (subject, delegate) and one.in_force(now_ms):
                yield one


def delegation_for(
    known: Delegations, subject: str, delegate: str, now_ms: int, *, type: str, start_ms: int, group: str
) -> Delegated | None:
    """The first delegation in force at the ledger's time `now_ms` by which `delegate` may read this group of fields of
    a record of that type, whose period starts at `start_ms`, for `subject`. None: there is none.
    """
    return next((d for d in known.between(subject, delegate, now_ms) if d.covers(type, start_ms, group)), None)


def _are_of(fact: Fact, subject: str, delegate: str) -> bool:
    """Two of one member, that member wrote it, the subject is a user, and nobody delegates to themself."""
    one, other = Party.parse(subject), Party.parse(delegate)
    if not one.user or not other.user or one == other:
        return False
    return one.member == other.member == fact.author
