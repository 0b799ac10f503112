"""What one caller may see of each record: decided by the index, before anything is opened, and noted before it leaves.

Shared by all that reads for callers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from consortium.energy.field_groups import IDENTITY, Permitted, users_in
from consortium.energy.sections import typed
from consortium.errors import CommitmentMismatch, NotFound
from consortium.model.names import Party
from consortium.pipeline.access import Access, party_of
from consortium.pipeline.opening import OpenedPayload, Opener
from consortium.pipeline.showing import Seen, Showing
from consortium.ports.callers import Caller
from consortium.ports.party import HeldRecord, Kind

Shown = tuple[HeldRecord, OpenedPayload, Permitted]


class Rights:
    """Opens for this member's callers what the policies permit."""

    def __init__(self, access: Access, opener: Opener, showing: Showing) -> None:
        self._access = access
        self._opener = opener
        self._showing = showing

    def of(self, caller: Caller, kind: Kind) -> Permitted:
        """What the caller may see of a record of that type and time."""
        return Permitted(kind.type, self._access.groups(caller, kind.type, start_ms=kind.start_ms))

    def open_all(
        self, caller: Caller, rows: Sequence[HeldRecord], kinds: Mapping[int, Kind], *, sealed: bool = False
    ) -> list[Shown]:
        """What the caller may see of these records. Left out is what they may see nothing of, and what its author
        sealed wrongly; without `sealed` also what only the caller's own key opens.
        """
        party: Party = party_of(caller)
        found = []
        for held in rows:
            kind = kinds.get(held.index)
            permitted = self.of(caller, kind) if kind is not None else None
            if permitted is None or not permitted.groups:
                continue
            try:
                opened = self._opener.open_for(held, party, permitted)
            except (CommitmentMismatch, NotFound):
                continue
            if any(text is not None for text in opened.sections) or (sealed and opened.sealed is not None):
                found.append((held, opened, permitted))
        return found

    async def show(self, caller: Caller, shown: Sequence[Shown]) -> None:
        """Returns when what was opened may leave. Raises as `Showing.show`."""
        shown = [one for one in shown if any(text is not None for text in one[1].sections)]
        if shown and self._showing.noted(caller):
            await self._showing.show(caller, [_seen(*one) for one in shown])


def _seen(held: HeldRecord, opened: OpenedPayload, permitted: Permitted) -> Seen:
    plaintexts = [text for text in opened.sections if text is not None]
    parts = [part for text in plaintexts if (part := typed(text)) is not None]
    known = frozenset(part.GROUP for part in parts)
    # Of what this code does not know nobody can tell the group: whoever was given it was given all.
    groups = known if len(parts) == len(plaintexts) else permitted.groups
    if permitted.names:
        groups |= {IDENTITY}
    start_ms = parts[0].start_ms if parts else 0
    return Seen(held.id, permitted.type, groups, opened.tags, users_in(parts), start_ms, tuple(parts))
