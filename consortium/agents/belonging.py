"""Whether this node's member is one now: who is none (not yet, or no more) follows the ledger, and writes nothing.

Neither does a node without the keys that the ledger names: it cannot speak for its member.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from consortium.model.members import Membership


class Belonging:
    """Waits for the member to come and to go. `changed` is told of each change of the membership."""

    def __init__(self, membership: Membership, member: str, unheld: Callable[[], str] = str) -> None:
        """`unheld` says why this node cannot speak for the member; '' if it can."""
        self._membership = membership
        self._member = member
        self._unheld = unheld
        self._inside, self._outside = asyncio.Event(), asyncio.Event()
        self.changed()

    @property
    def now(self) -> bool:
        """Whether the ledger names the member, as far as this node has applied it, with keys that the node has."""
        return self._membership.member(self._member) is not None and not self._unheld()

    @property
    def refusal(self) -> str:
        """Why the node takes no records; '' if its member is one."""
        if self.now:
            return ""
        outside = self._membership.member(self._member) is None
        return f"the ledger does not name {self._member} as a member now" if outside else self._unheld()

    def changed(self) -> None:
        """A listener of the live membership."""
        here, there = (self._inside, self._outside) if self.now else (self._outside, self._inside)
        here.set()
        there.clear()

    async def until_inside(self) -> None:
        """Wait until the ledger names the member."""
        await self._inside.wait()

    async def until_outside(self) -> None:
        """Wait until it does not."""
        await self._outside.wait()
