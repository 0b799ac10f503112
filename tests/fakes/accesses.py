"""Noted reads in memory, held to the same suite as Postgres (tests/ports/test_access_store.py).

Set `away` to make every method raise `StoreUnavailable`, as when Postgres is down.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from consortium.errors import StoreUnavailable
from consortium.ports.accesses import Backlog, Noted, Step, Tail, Unwritten, Waiting


class MemoryAccesses:
    """An `AccessStore`."""

    def __init__(self) -> None:
        self.away = False
        self.reads: dict[int, Noted] = {}
        self.chains: dict[bytes, Tail] = {}
        self.records: dict[bytes, Unwritten] = {}
        self._number = 0

    def _require(self) -> None:
        if self.away:
            raise StoreUnavailable("the store is away")

    async def note(self, reads: Sequence[Noted]) -> None:
        self._require()
        for read in reads:
            self._number += 1
            self.reads[self._number] = read

    async def subjects(self, limit: int) -> Sequence[bytes]:
        self._require()
        return list(dict.fromkeys(self.reads[number].subject for number in sorted(self.reads)))[:limit]

    async def waiting(self, subjects: Collection[bytes], limit: int) -> Sequence[Waiting]:
        self._require()
        found = [Waiting(number, read) for number, read in sorted(self.reads.items()) if read.subject in subjects]
        return found[:limit]

    async def tails(self, subjects: Collection[bytes]) -> Mapping[bytes, Tail]:
        self._require()
        return {subject: tail for subject, tail in self.chains.items() if subject in subjects}

    async def go_on(self, steps: Sequence[Step]) -> bool:
        self._require()
        nothing = Tail(0, bytes(32))
        for step in steps:
            stands = self.chains.get(step.subject, nothing)
            if (stands if step.before.sequence else stands.sequence) != (step.before if step.before.sequence else 0):
                return False
        for step in steps:
            self.chains[step.subject] = step.after
            self.records |= {record.id: record for record in step.records}
            for number in step.told:
                self.reads.pop(number, None)
        return True

    async def unwritten(self, limit: int) -> Sequence[Unwritten]:
        self._require()
        return list(self.records.values())[:limit]

    async def written(self, ids: Collection[bytes]) -> None:
        self._require()
        for id in ids:
            self.records.pop(id, None)

    async def backlog(self) -> Backlog:
        self._require()
        times = [one.at_ms for one in (*self.reads.values(), *self.records.values())]
        return Backlog(len(times), min(times, default=None))
