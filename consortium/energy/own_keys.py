"""Who keeps their own encryption key: the directory that sealing asks, as the ledger's records leave it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from consortium.energy.payloads.keys import UserKey
from consortium.energy.view.facts import Fact
from consortium.model.names import Party


@dataclass(frozen=True, slots=True)
class OwnKey:
    """A user's key (None: custodial again), the types that the node may open as well, and which registration it is."""

    key: bytes | None
    mandate: frozenset[str]
    sequence: int


class OwnKeys:
    """By party. `loaded` says whether all is known that this node holds: before that nothing is sealed for users."""

    def __init__(self) -> None:
        self._by_party: dict[Party, OwnKey] = {}
        self._mandated: frozenset[str] = frozenset()
        self.loaded = False

    def see(self, fact: Fact) -> bool:
        """Fold a record; whether anything changed. A member speaks for its own users, and for nobody else's."""
        said = fact.find(UserKey)
        if said is None or not fact.speaks_for(said.subject):
            return False
        party = Party.parse(said.subject)
        known = self._by_party.get(party)
        if not party.user or (known is not None and known.sequence >= said.sequence):
            return False
        self._by_party[party] = OwnKey(said.key, frozenset(said.mandate), said.sequence)
        self._mandated = frozenset(type for own in self._by_party.values() for type in own.mandate)
        return True

    def of(self, party: Party) -> OwnKey | None:
        """The key that the party keeps, or None of a custodial one."""
        own = self._by_party.get(party)
        return own if own is not None and own.key is not None else None

    def sorted_out(self, type: str) -> str:
        """The type if it makes a difference to anybody's wraps, else ''."""
        return type if type in self._mandated else ""
