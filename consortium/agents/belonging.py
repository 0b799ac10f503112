"""Whether this node's member is one now: who is none (not yet, or no more) follows the ledger, and writes nothing."""

from __future__ import annotations

import asyncio

from consortium.model.members import Membership


class Belonging:
    """Waits for the member to come and to go. `changed` is told of each change of the membership."""

    def __init__(self, membership: Membership, member: str) -> None:
        self._membership = membership
        self._member = member
        self._inside, self._outside = asyncio.Event(), asyncio.Event()
        self.changed()

    @property
    def now(self) -> bool:
        """Whether the ledger names the member, as far as this node has applied it."""
        return self._membership.member(self._member) is not None

    @property
    def refusal(self) -> str:
        """Why the node takes no records; '' if its member is one."""
        return "" if self.now else f"the ledger does not name {self._member} as a member now"

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
