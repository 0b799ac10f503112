"""What one reading has delivered so far, and what that makes of the next thing that etcd shows it. No I/O.

A listing and a watch must tell two nodes the same, whichever of them saw an entry by which. So both deliver in the
order of (revision, key), and of several entries that one transaction wrote at one revision only the first counts: a
position belongs to one entry, and no honest member writes two at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from consortium.adapters.etcd.listing import Listed
from consortium.model.blocks import LogEntry
from consortium.ports.log import Appended, LogEvent, Overwritten, Removed, Trimmed

_AFTER_ALL_KEYS = b"\xff"


class Delivery:
    """How far a reading has come: its place, every member's next batch, and the keys that it knows to stand."""

    def __init__(self, after: int, next_sequences: Mapping[str, int]) -> None:
        self._place = (after, _AFTER_ALL_KEYS)
        # Of these alone: what stands under anybody else's name follows no rule that a gap could break.
        self._next = dict(next_sequences)
        self._begun: set[str] = set()
        self._last_appended = after
        self._standing: dict[bytes, Listed] = {}
        self._listed = False

    @property
    def position(self) -> int:
        """Everything up to here was delivered, except perhaps more of the same revision."""
        return self._place[0]

    def is_new(self, entry: Listed) -> bool:
        """Whether it comes after all that was delivered."""
        return entry.place > self._place

    def trimmed(self, entries: Sequence[Listed]) -> list[Trimmed]:
        """The members of whom a listing shows that their next batch was there, and is no more.

        Either it holds later ones, or not even the one before: a member never trims its newest, so there was a newer.
        """
        found: list[Trimmed] = []
        for member, expected in sorted(self._next.items()):
            known = [entry.sequence for entry in entries if entry.member == member and entry.sequence >= expected - 1]
            later = [sequence for sequence in known if sequence >= expected]
            if later:
                found += self._gap(member, min(later))
            elif expected and not known:
                found.append(Trimmed(member, expected, expected))
        return found

    def holes(self, entries: Sequence[Listed], revision: int) -> list[Removed]:
        """Batches that a reading's first listing lacks between others of the same member: trimming leaves no holes."""
        if self._listed:
            return []
        found = []
        for member, expected in sorted(self._next.items()):
            standing = {entry.sequence for entry in entries if entry.member == member}
            known = range(min(standing, default=expected), expected)
            found += [Removed(member, sequence, revision) for sequence in known if sequence not in standing]
        return found

    def written(self, entry: Listed, data: bytes) -> list[LogEvent]:
        """An entry's key was put."""
        self._place = entry.place
        self._standing[entry.key] = entry
        if entry.version > 1 or entry.position == self._last_appended:
            return [Overwritten(entry.member, entry.sequence, entry.position)]
        self._last_appended = entry.position
        # A member of whom the log held nothing at all may turn out to have been trimmed only now.
        gap = [] if entry.member in self._begun else self._gap(entry.member, entry.sequence)
        self._begun.add(entry.member)
        if entry.member in self._next:
            self._next[entry.member] = max(entry.sequence + 1, self._next[entry.member])
        return [*gap, Appended(LogEntry(entry.member, entry.sequence, entry.position, data))]

    def removed(self, entry: Listed) -> Removed:
        """An entry's key was deleted; `entry.position` is that of the deletion."""
        self._place = entry.place
        self._standing.pop(entry.key, None)
        return Removed(entry.member, entry.sequence, entry.position)

    def listed(self, entries: Iterable[Listed], revision: int) -> list[Removed]:
        """All of a listing as of `revision` was delivered: what had stood before, and is not in it, is gone.

        When exactly is not known, so such a removal carries the listing's position.
        """
        standing = {entry.key: entry for entry in entries}
        gone = sorted(self._standing.keys() - standing.keys())
        removed = [Removed(self._standing[key].member, self._standing[key].sequence, revision) for key in gone]
        self._standing = standing
        self._listed = True
        self._place = (revision, _AFTER_ALL_KEYS)
        return removed

    def _gap(self, member: str, first: int) -> list[Trimmed]:
        expected = self._next.get(member, first)
        if expected >= first:
            return []
        self._next[member] = first
        return [Trimmed(member, expected, first)]
