"""Which of this node's keys are in force: custody follows the ledger, at the very block that changes them.

A batch that rotates its author's keys is the last one under the old: the orderer has one batch under way and waits
until its own is applied, and by then custody has switched. A node that does not hold the keys that the ledger names for
its member (they were stolen, and the others named new ones) writes nothing and says so; reading goes on.
"""

from __future__ import annotations

from collections.abc import Callable

from consortium.ledger.governance.state import Governance
from consortium.ledger.governance.terms import RevokeKeys
from consortium.ports.keys import KeyCustody, KeyKeeper

Switched = Callable[[bool], None]
"""Told of each change of the keys in force; whether the ones before were revoked."""


class KeyWatch:
    """Holds custody and ledger together."""

    def __init__(
        self,
        member: str,
        custody: KeyCustody,
        keeper: KeyKeeper,
        governance: Callable[[], Governance],
        *,
        alarm: Callable[[str], None],
        calm: Callable[[], None],
    ) -> None:
        self._member = member
        self._custody = custody
        self._keeper = keeper
        self._governance = governance
        self._alarm, self._calm = alarm, calm
        self._listeners: list[Switched] = []
        self._last = custody.public
        self.held = True

    def listen(self, listener: Switched) -> None:
        """Call `listener` after each switch; it must be quick and must not raise."""
        self._listeners.append(listener)

    def follow(self) -> None:
        """A listener of the live membership: what the ledger names is in force. Also for when the file has changed."""
        now = self._governance()
        member = now.member(self._member)
        if member is None:
            return
        self.held = self._custody.use(member.keys) or (self._keeper.reload() and self._custody.use(member.keys))
        if self.held:
            self._calm()
        else:
            self._alarm(
                f"the key file does not hold the keys that the ledger names for {self._member}: it takes no records; "
                "if its keys were stolen, put the new ones in place, else this is somebody else's file"
            )
        before, self._last = self._last, self._custody.public
        if self._last != before or not self.held:
            for listener in self._listeners:
                listener(was_revoked(now, self._member))

    @property
    def refusal(self) -> str:
        """Why the node takes no records; '' if its keys are those of the ledger."""
        return "" if self.held else f"the key file does not hold the keys that the ledger names for {self._member}"


def was_revoked(governance: Governance, member: str) -> bool:
    """Whether the member's keys of now took the place of stolen ones."""
    since = governance.standings[member].periods[-1].since
    return any(
        isinstance(p.terms, RevokeKeys) and p.terms.name == member and p.outcome == "passed" and p.decided == since - 1
        for p in governance.proposals.values()
    )
