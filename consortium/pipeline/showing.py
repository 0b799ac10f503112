"""The last step before an opened payload goes to a caller: to note it, where the rules say so.

Whoever reads their own is never noted; for all others nothing leaves unless `Releases.release` returned.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from consortium.crypto.sealing import party_tag
from consortium.model.names import Party
from consortium.pipeline.access import is_delegate
from consortium.pipeline.release import Released, Releases
from consortium.ports.callers import Caller

Users = Callable[[], Awaitable[Sequence[str]]]
Concerned = Callable[[Sequence[Any]], frozenset[Party]]


@dataclass(frozen=True, slots=True)
class Seen:
    """A record that was opened for a caller: the field groups of it, the tags of all parties of this node that hold a
    key to it, the users whom the opened sections name, the start of its period (UTC ms), and the sections themselves,
    in which others may be meant without being named.
    """

    id: bytes
    type: str
    groups: frozenset[str]
    tags: tuple[bytes, ...]
    users: tuple[Party, ...]
    start_ms: int = 0
    parts: tuple[Any, ...] = ()


class Showing:
    """Notes what is shown to this member's callers. `users` are the names of the member's own users, `concerned` says
    whom opened sections are about without naming them.
    """

    def __init__(
        self, releases: Releases, member: str, users: Users, concerned: Concerned = lambda parts: frozenset()
    ) -> None:
        self._concerned = concerned
        self._releases = releases
        self._member = member
        self._users = users
        self._by_tag: dict[bytes, Party] = {}
        self._own = party_tag(Party(member))

    @staticmethod
    def noted(caller: Caller) -> bool:
        """Whether what this caller is shown is noted: all but a user's reading of their own."""
        return caller.kind != "user" or is_delegate(caller)

    async def show(self, caller: Caller, seen: Sequence[Seen]) -> None:
        """Returns when these records may leave. Raises `NotReady`, `StoreUnavailable`: then they may not."""
        if not seen or not self.noted(caller):
            return
        await self._learn({tag for one in seen for tag in one.tags})
        await self._releases.release(caller, [self._released(one) for one in seen])

    def _released(self, seen: Seen) -> Released:
        """A record is about those whom it names, and about this node's users who are party to it whether or not the
        sections that were opened name them.
        """
        mine = {self._by_tag[tag] for tag in seen.tags if tag in self._by_tag} | self._concerned(seen.parts)
        return Released(seen.id, seen.type, seen.groups, tuple(sorted(mine | set(seen.users))), start_ms=seen.start_ms)

    async def _learn(self, tags: set[bytes]) -> None:
        """Whose tags these are: users may have come since."""
        if not tags <= {self._own, *self._by_tag}:
            parties = [Party(self._member, name) for name in await self._users()]
            self._by_tag = {party_tag(party): party for party in parties}
