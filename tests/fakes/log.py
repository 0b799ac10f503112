"""An ordering log in memory, held to the same suite as the one on etcd (`tests/ports/test_ordering_log.py`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field

from consortium.errors import LogUnavailable, Tampering
from consortium.model.blocks import LogEntry
from consortium.ports.log import Appended, LogEvent, LogUsage, Overwritten, Removed, Trimmed

Name = tuple[str, int]


@dataclass
class MemoryLogServer:
    """What all members share: one order. Tests may set `available`, and tamper with `put` and `delete`."""

    available: bool = True
    quota_bytes: int = 1 << 30
    history: list[LogEvent] = field(default_factory=list)
    standing: dict[Name, Appended | Overwritten] = field(default_factory=dict)
    values: dict[Name, bytes] = field(default_factory=dict)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    position: int = 1

    async def put(self, member: str, sequence: int, data: bytes) -> int:
        """Write whatever stands there, as an intruder could; its position."""
        name = (member, sequence)
        self.position += 1
        event: Appended | Overwritten = Appended(LogEntry(member, sequence, self.position, data))
        if name in self.standing:
            event = Overwritten(member, sequence, self.position)
        self.standing[name], self.values[name] = event, data
        await self._happened(event)
        return self.position

    async def delete(self, *names: Name) -> int:
        """Delete what stands there of `names`, all at one position; how many there were."""
        found = [name for name in names if name in self.standing]
        self.position += bool(found)
        for member, sequence in found:
            del self.standing[member, sequence], self.values[member, sequence]
            await self._happened(Removed(member, sequence, self.position))
        return len(found)

    async def set_available(self, available: bool) -> None:
        """Lose or regain the majority: nobody reads or writes meanwhile."""
        async with self.changed:
            self.available = available
            self.changed.notify_all()

    async def _happened(self, event: LogEvent) -> None:
        async with self.changed:
            self.history.append(event)
            self.changed.notify_all()


class MemoryLog:
    """One member's access. While `lost_answers` is above 0, an append happens and raises `LogUnavailable`."""

    def __init__(self, server: MemoryLogServer, member: str) -> None:
        self._server = server
        self._member = member
        self.lost_answers = 0

    async def append(self, sequence: int, data: bytes, *, timeout_s: float) -> int:
        await asyncio.sleep(0)
        self._check()
        name = (self._member, sequence)
        standing = self._server.standing.get(name)
        if standing is None:
            position = await self._server.put(*name, data)
        elif isinstance(standing, Overwritten) or standing.entry.data != data:
            raise Tampering(f"the log holds other bytes as batch {sequence} of {self._member}")
        else:
            position = standing.entry.position
        if self.lost_answers > 0:
            self.lost_answers -= 1
            raise LogUnavailable("the answer was lost")
        return position

    async def read(self, after: int, next_sequences: Mapping[str, int]) -> AsyncGenerator[LogEvent, None]:
        server, expected, begun = self._server, dict(next_sequences), set[str]()
        await self._until(0)
        seen, snapshot = len(server.history), sorted(server.standing.values(), key=_position)
        holes: list[LogEvent] = []
        for member in sorted(expected):
            standing = {name[1] for name in server.standing if name[0] == member}
            later = [sequence for sequence in standing if sequence >= expected[member]]
            known = range(min(standing, default=expected[member]), expected[member])
            holes += [Removed(member, sequence, server.position) for sequence in known if sequence not in standing]
            if later and min(later) > expected[member]:
                yield Trimmed(member, expected[member], min(later))
                expected[member] = min(later)
            elif expected[member] and not later and expected[member] - 1 not in standing:
                yield Trimmed(member, expected[member], expected[member])
        pending: list[LogEvent] = [*(event for event in snapshot if _position(event) > after), *holes]
        while True:
            for event in pending:
                if isinstance(event, Appended):
                    member, sequence = event.entry.member, event.entry.sequence
                    if member not in begun and sequence > expected.get(member, sequence):
                        yield Trimmed(member, expected[member], sequence)
                    begun.add(member)
                yield event
            await self._until(seen + 1)
            pending = server.history[seen:]
            seen += len(pending)

    async def head(self, *, timeout_s: float) -> int:
        self._check()
        return max((_position(event) for event in self._server.standing.values()), default=0)

    async def trim(self, below: int) -> int:
        self._check()
        own = [name for name in self._server.standing if name[0] == self._member and name[1] < below]
        return await self._server.delete(*sorted(own))

    async def usage(self) -> LogUsage:
        self._check()
        used = sum(len(data) for data in self._server.values.values())
        return LogUsage(used, self._server.quota_bytes)

    async def close(self) -> None:
        """Nothing is held."""

    async def _until(self, length: int) -> None:
        async with self._server.changed:
            await self._server.changed.wait_for(lambda: self._server.available and len(self._server.history) >= length)

    def _check(self) -> None:
        if not self._server.available:
            raise LogUnavailable("the log has no majority")


def _position(event: Appended | Overwritten) -> int:
    return event.entry.position if isinstance(event, Appended) else event.position
