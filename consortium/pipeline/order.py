"""Step 3, order: put sealed records in a batch, sign it, append it to the log exactly once.

One batch is under way at a time: it goes at once when the line is idle, and collects while one is under way (group
commit), so latency is low when quiet and throughput high when busy, and a member's records keep their order. The line
counts as idle again once this node has applied its batch: a node never fills the log faster than it applies.

This module handles ciphertext only; it can never reach `consortium.crypto.sealing` (import-linter).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from consortium.crypto.merkle import leaf_hash, root_of
from consortium.errors import ConfigurationError, LogUnavailable, StoreUnavailable, Tampering
from consortium.model.batches import BATCH_CONTEXT, MAX_BATCH_BYTES, MAX_BATCH_RECORDS, BatchHead, encode_batch
from consortium.model.members import Membership
from consortium.model.records import Applied, Ordered, SealedRecord
from consortium.ports.clock import Clock
from consortium.ports.keys import KeyCustody
from consortium.ports.ledger import LedgerStore
from consortium.ports.log import OrderingLog

_ENVELOPE = 4096
_APPEND_TIMEOUT_S = 5.0
_RETRY_S = 0.2
_ENOUGH = 256
_LEAST_PATIENCE_S = 0.003
_MOST_PATIENCE_S = 0.03
_PATIENCE = 0.5


@dataclass(frozen=True, slots=True)
class AlreadyKnown:
    """The ledger holds an accepted record of this id: nothing was ordered."""

    id: bytes


@dataclass(frozen=True, slots=True)
class Indexed:
    """What this node's index will say of a record: who sealed it knows, and need not open it again.

    `parties` are the blinded tags of the parties of this node that may open it.
    """

    type: str
    start_ms: int
    parties: tuple[bytes, ...]


@dataclass(slots=True)
class Ticket:
    """A record on its way. `ordered` and `applied` are set once, in this order; `applied` after this node can also
    read the record. Both are `AlreadyKnown` if nothing was ordered.
    """

    record: SealedRecord
    indexed: Indexed | None
    ordered: asyncio.Future[Ordered | AlreadyKnown]
    applied: asyncio.Future[Applied | AlreadyKnown]

    def settle(self, ordered: Ordered | AlreadyKnown, applied: Applied | AlreadyKnown) -> None:
        """It is over."""
        if not self.ordered.done():
            self.ordered.set_result(ordered)
        if not self.applied.done():
            self.applied.set_result(applied)

    def fail(self, error: Exception) -> None:
        """It will never be ordered."""
        for future in (self.ordered, self.applied):
            if not future.done():
                future.set_exception(error)
                future.exception()  # seen: asyncio complains of failures that nobody waited for


@dataclass(slots=True)
class OrderMetrics:
    """Callbacks that the node hangs its metrics on."""

    batch: Callable[[int, int, float], None] = field(default=lambda records, size, seconds: None)


class Orderer:
    """The one writer of a member's log."""

    def __init__(
        self,
        membership: Membership,
        member: str,
        log: OrderingLog,
        store: LedgerStore,
        custody: KeyCustody,
        clock: Clock,
        *,
        heartbeat_s: float,
    ) -> None:
        self._membership = membership
        self._member = member
        self._log = log
        self._store = store
        self._custody = custody
        self._clock = clock
        self._heartbeat_s = heartbeat_s
        self._queue: deque[Ticket] = deque()
        self._wanted = 1
        self._sent = 0
        self._expected = 1
        self._took_s = 0.0
        self._wake = asyncio.Event()
        self._under_way: dict[bytes, Ticket] = {}
        self._applied_sequence = self._refused = -1
        self._applied = asyncio.Event()
        self.failure: Tampering | None = None
        self.metrics = OrderMetrics()

    def submit(self, record: SealedRecord, indexed: Indexed | None = None) -> Ticket:
        """Queue a record; the ticket tells what becomes of it."""
        loop = asyncio.get_running_loop()
        ticket = Ticket(record, indexed, loop.create_future(), loop.create_future())
        self._queue.append(ticket)
        if len(self._queue) >= self._wanted:
            self._wake.set()
        return ticket

    def indexed(self, record_id: bytes, header_bytes: bytes) -> Indexed | None:
        """What the index will say of an own record under way, if it is the very one that was sealed here."""
        ticket = self._under_way.get(record_id)
        return ticket.indexed if ticket is not None and ticket.record.header_bytes == header_bytes else None

    @property
    def pending(self) -> frozenset[bytes]:
        """Ids of the records that are queued or on their way."""
        return frozenset(ticket.record.header.id for ticket in self._queue) | self._under_way.keys()

    @property
    def backlog(self) -> int:
        """Records that wait for a batch."""
        return len(self._queue)

    def batch_applied(self, sequence: int, *, refused: bool = False) -> None:
        """Hear that this node applied its own batch `sequence`, or that all refused it: the line is idle."""
        self._refused = sequence if refused else self._refused
        self._applied_sequence = max(self._applied_sequence, sequence)
        self._expected = len(self._queue) + self._sent
        self._applied.set()

    def record_applied(self, verdict: Applied, header_bytes: bytes, position: int) -> None:
        """Hear that this node applied, and can read, a record of its own that stands at `position`.

        Another record of the same id (of an earlier life of this node) is not the one that was submitted.
        """
        ticket = self._under_way.get(verdict.id)
        if ticket is not None and ticket.record.header_bytes == header_bytes:
            del self._under_way[verdict.id]
            ticket.settle(Ordered(verdict.id, position), verdict)

    async def run(self, next_sequence: int) -> None:
        """Order for ever, from `next_sequence` on. Returns only after `failure` is set."""
        sequence = next_sequence
        loop = asyncio.get_running_loop()
        while True:
            tickets = await self._collect()
            began = loop.time()
            try:
                await self._order(sequence, tickets)
                await self._until_applied(sequence)
                self._took_s = loop.time() - began
                if self._refused == sequence:
                    self._again(tickets)
            except Tampering as error:
                await self._until_applied(sequence)
                if not await self._is_ours(sequence):
                    self.failure = error
                    self._abandon(tickets, error)
                    return
                self._again(tickets)
            sequence += 1

    def _again(self, tickets: list[Ticket]) -> None:
        """What was sent and has no verdict was in a batch that was refused (the members took this node's keys from it
        while it was under way), or not ours: it takes the next sequence.
        """
        self._queue.extendleft(reversed([t for t in tickets if not t.applied.done()]))

    async def _collect(self) -> list[Ticket]:
        """Wait for records, at most a heartbeat long, and take what fits into one batch.

        Who was answered just now may send the next record in a moment: a batch waits for as many as that, for a
        fraction of the time that the last one took. So a lone caller never waits, and under load batches are few and
        large; what a batch costs every node hardly depends on how much is in it.
        """
        while True:
            if not await self._until_queued(1, self._heartbeat_s):
                return []
            patience_s = min(max(_LEAST_PATIENCE_S, self._took_s * _PATIENCE), _MOST_PATIENCE_S)
            await self._until_queued(min(self._expected, _ENOUGH), patience_s)
            tickets = await self._drop_known(self._take())
            if tickets:
                return tickets

    async def _until_queued(self, count: int, timeout_s: float) -> bool:
        """Wait until so many records are queued, at most `timeout_s`; whether they are."""
        if len(self._queue) < count:
            self._wanted = count
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), timeout_s)
            except TimeoutError:
                return False
            finally:
                self._wanted = 1
        return True

    def _take(self) -> list[Ticket]:
        tickets: list[Ticket] = []
        room = MAX_BATCH_BYTES - _ENVELOPE
        while self._queue and len(tickets) < MAX_BATCH_RECORDS:
            size = self._queue[0].record.wire_size()
            if tickets and size > room:
                break
            room -= size
            tickets.append(self._queue.popleft())
        return tickets

    async def _drop_known(self, tickets: list[Ticket]) -> list[Ticket]:
        """Records whose id the ledger has already are answered, not ordered again."""
        taken = await self._taken([t.record.header.id for t in tickets])
        fresh = []
        for ticket in tickets:
            record_id = ticket.record.header.id
            if record_id in taken:
                self._under_way.pop(record_id, None)
                ticket.settle(AlreadyKnown(record_id), AlreadyKnown(record_id))
            else:
                fresh.append(ticket)
        return fresh

    async def _taken(self, ids: list[bytes]) -> set[bytes]:
        while True:
            try:
                return set(await self._store.taken(ids))
            except StoreUnavailable:
                await asyncio.sleep(_RETRY_S)

    async def _order(self, sequence: int, tickets: list[Ticket]) -> None:
        self._sent = len(tickets)
        for ticket in tickets:
            self._under_way[ticket.record.header.id] = ticket
        data = self._batch(sequence, [t.record for t in tickets])
        loop = asyncio.get_running_loop()
        began = loop.time()
        position = await self._append(sequence, data)
        self.metrics.batch(len(tickets), len(data), loop.time() - began)
        for ticket in tickets:
            if not ticket.ordered.done():
                ticket.ordered.set_result(Ordered(ticket.record.header.id, position))

    def _batch(self, sequence: int, records: list[SealedRecord]) -> bytes:
        created = max([self._clock.now_ms(), *(r.header.created_ms for r in records)])
        head = BatchHead(
            self._membership.network,
            self._membership.channel,
            self._membership.epoch,
            self._member,
            sequence,
            created,
            len(records),
            root_of([leaf_hash(r.header_bytes) for r in records]),
        ).encoded()
        return encode_batch(head, self._custody.sign_batch(BATCH_CONTEXT + head), records)

    async def _append(self, sequence: int, data: bytes) -> int:
        """The same bytes at the same sequence until the log says where they stand: exactly once.

        A log that refuses this member is asked again too: it may have been removed, and hears of it in a moment.
        """
        while True:
            try:
                return await self._log.append(sequence, data, timeout_s=_APPEND_TIMEOUT_S)
            except (LogUnavailable, ConfigurationError):
                await asyncio.sleep(_RETRY_S)

    async def _until_applied(self, sequence: int) -> None:
        while self._applied_sequence < sequence:
            self._applied.clear()
            await self._applied.wait()

    async def _is_ours(self, sequence: int) -> bool:
        """Whether the batch that stands at `sequence` bears our signature.

        Then an earlier life of this node had sent it when it was killed, and the log took it after this life had
        looked for the log's end. What it holds is applied by now; the records at hand take the next sequence.
        """
        while True:
            try:
                block = await self._store.block_of_batch(self._member, sequence)
                return block is not None and not block.refusal
            except StoreUnavailable:
                await asyncio.sleep(_RETRY_S)

    def abandon(self, error: Exception) -> None:
        """Fail all that waits or is under way: this member's batches are taken no more."""
        self._abandon(list(self._under_way.values()), error)
        self._under_way.clear()

    def _abandon(self, tickets: list[Ticket], error: Exception) -> None:
        for ticket in [*tickets, *self._queue]:
            ticket.fail(error)
        self._queue.clear()
