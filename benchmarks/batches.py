"""Batches of really sealed records, as a member's node would append them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from itertools import islice

from benchmarks.readings import readings
from consortium.adapters.clock import SystemClock
from consortium.crypto.merkle import leaf_hash, root_of
from consortium.energy import catalogue
from consortium.energy.view.view import View
from consortium.model.batches import BATCH_CONTEXT, BatchHead, encode_batch
from consortium.model.blocks import LogEntry
from consortium.model.members import Genesis
from consortium.model.records import SEALED, Draft, SealedRecord
from consortium.pipeline.seal import Sealer
from consortium.ports.keys import KeyCustody
from consortium.ports.log import Appended, LogEvent, LogUsage
from consortium.web.submissions import parse_submission


class Author:
    """A member that seals its users' readings and signs batches of them."""

    def __init__(self, genesis: Genesis, member: str, custody: KeyCustody, subjects: Sequence[str]) -> None:
        self._genesis = genesis
        self._member = member
        self._custody = custody
        self._sealer = Sealer(genesis, custody, os.urandom)
        self._directory = View(genesis, member)
        self._bodies = readings(subjects)
        self._now_ms = SystemClock().now_ms()

    def records(self, count: int) -> list[SealedRecord]:
        """The next `count` readings, sealed to their home, its member and the grid operator."""
        return [self._sealed(body) for body in islice(self._bodies, count)]

    def entries(self, first: int, batches: int, size: int) -> Iterator[LogEntry]:
        """Entries of `size` records each from sequence `first` on, at positions that follow their sequences."""
        for sequence in range(first, first + batches):
            yield LogEntry(self._member, sequence, sequence + 2, self.batch(sequence, self.records(size)))

    def batch(self, sequence: int, records: Sequence[SealedRecord]) -> bytes:
        """A signed batch."""
        genesis, root = self._genesis, root_of([leaf_hash(r.header_bytes) for r in records])
        head = BatchHead(
            genesis.network, genesis.channel, genesis.epoch, self._member, sequence, self._now_ms, len(records), root
        ).encoded()
        return encode_batch(head, self._custody.sign_batch(BATCH_CONTEXT + head), records)

    def _sealed(self, body: bytes) -> SealedRecord:
        submission = parse_submission(body)
        content = catalogue.parse(submission.type, submission.data)
        record_id = submission.id or os.urandom(16)
        return self._sealer.seal(
            Draft(record_id, SEALED, self._member, self._now_ms, content.sections(self._directory))
        )


class EndOfLog(Exception):
    """All entries were applied."""


class RecordedLog:
    """An `OrderingLog` in memory, to be read to its end once."""

    def __init__(self, entries: Sequence[LogEntry]) -> None:
        self._entries = entries

    async def append(self, sequence: int, data: bytes, *, timeout_s: float) -> int:
        raise EndOfLog

    async def read(self, after: int, next_sequences: Mapping[str, int]) -> AsyncGenerator[LogEvent, None]:
        for entry in self._entries:
            await asyncio.sleep(0)  # as a real log would, so that a node's other work goes on
            yield Appended(entry)
        raise EndOfLog

    async def head(self, *, timeout_s: float) -> int:
        return self._entries[-1].position

    async def trim(self, below: int) -> int:
        return 0

    async def usage(self) -> LogUsage:
        return LogUsage(0, 1)

    async def close(self) -> None:
        """Nothing is held."""
