"""Who is a member now, as the node's parts see it, and the keys that two members share through all their rotations.

Apart from `opening` on purpose: applying needs the hint keys, and must not reach what opens (import-linter).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from consortium.model.members import Member, Membership
from consortium.ports.keys import KeyCustody, PairKeys


class LiveMembership:
    """The membership of the moment. Implements `Membership`; whoever was given it sees what the ledger decides."""

    def __init__(self, now: Membership) -> None:
        self._now = now
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each change; it must be quick and must not raise."""
        self._listeners.append(listener)

    def update(self, now: Membership) -> None:
        """Something was decided."""
        if now is self._now:
            return
        self._now = now
        for listener in self._listeners:
            listener()

    @property
    def network(self) -> str:
        return self._now.network

    @property
    def channel(self) -> str:
        return self._now.channel

    @property
    def epoch(self) -> int:
        return self._now.epoch

    @property
    def origin(self) -> str:
        return self._now.origin

    @property
    def members(self) -> tuple[Member, ...]:
        return self._now.members

    def member(self, name: str) -> Member | None:
        return self._now.member(name)

    def with_role(self, role: str) -> tuple[Member, ...]:
        return self._now.with_role(role)

    def encryption_keys(self, name: str) -> tuple[bytes, ...]:
        return self._now.encryption_keys(name)


def pairs_with(membership: Membership, custody: KeyCustody, name: str) -> list[PairKeys]:
    """The keys shared with a member, newest first: each of its keys with each of ours that is not destroyed."""
    return [pair for public in membership.encryption_keys(name) for pair in custody.pairs(public)]


def hint_keys(membership: Membership, custody: KeyCustody) -> Callable[[str], Sequence[bytes]]:
    """By author: the keys by which this member recognises what the author addressed to it; nothing for a stranger."""
    return lambda name: [hint for public in membership.encryption_keys(name) for hint in custody.hints(public)]
