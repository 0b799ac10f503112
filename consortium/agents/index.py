"""Indexing: after a block is applied, find out which of this node's parties may open what came, and when it was.

Then, and not before, is a record's submitter told `applied`: a reader sees its own write.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from consortium.crypto.sealing import Wrap
from consortium.energy.metering import read_payload
from consortium.errors import CommitmentMismatch, Malformed, StoreUnavailable
from consortium.ledger.transition import Transition
from consortium.model.blocks import AcceptedRecord, RejectedRecord
from consortium.model.records import Header, parse_header
from consortium.pipeline.opening import Opener
from consortium.pipeline.order import Orderer
from consortium.ports.party import HeldRecord, IndexEntry, PartyStore

UNREADABLE = "unreadable"
"""The type under which a record is listed that its author sealed wrongly to us."""
_SLICE = 500
_RETRY_S = 0.2
Fault = Callable[[CommitmentMismatch], None]


def index_lines(opener: Opener, held: HeldRecord, fault: Fault) -> list[IndexEntry]:
    """The index lines of a held record, one per party of this node that may open any of it."""
    header = parse_header(held.header_bytes)
    wraps, wrong = opener.wraps(held, header)
    if wrong is not None:
        fault(wrong)  # nobody can tell for whom it was; the other parties' wraps are theirs all the same
    kind, start = UNREADABLE, header.created_ms
    try:
        kind, start = _what_and_when(opener, held, header, wraps)
    except CommitmentMismatch as error:
        fault(error)
    return [IndexEntry(held.index, tag, kind, start) for tag in dict.fromkeys(opener.blinded_readers(wraps))]


def _what_and_when(opener: Opener, held: HeldRecord, header: Header, wraps: tuple[Wrap, ...]) -> tuple[str, int]:
    """Every wrap's keys are tried, not the first one's alone: a dishonest author may have told two parties apart."""
    found: tuple[str, int] | None = None
    seen: set[tuple[bytes | None, ...]] = set()
    for wrap in wraps:
        if wrap.sealed_keys is not None or wrap.keys in seen:
            continue
        seen.add(wrap.keys)
        for plaintext in opener.open_sections(held, header, wrap):
            if plaintext is None:
                continue
            try:
                payload = read_payload(plaintext)
            except Malformed as error:
                raise CommitmentMismatch(header.author, header.id.hex(), 0) from error
            found = found or (payload["type"], payload["start_ms"])
    return found or ("sealed", header.created_ms)


class Indexer:
    """Follows the applier, block by block."""

    def __init__(self, member: str, opener: Opener, party: PartyStore, orderer: Orderer, fault: Fault) -> None:
        self._member = member
        self._opener = opener
        self._party = party
        self._orderer = orderer
        self._fault = fault
        self._pending: deque[tuple[Transition, Sequence[HeldRecord]]] = deque()
        self._wake = asyncio.Event()
        self.listener: Callable[[frozenset[str]], None] = lambda _: None
        """Told of the types of what was indexed."""

    def block_applied(self, step: Transition, held: Sequence[HeldRecord]) -> None:
        """Listener of the applier."""
        self._pending.append((step, held))
        self._wake.set()

    async def start(self) -> None:
        """Index what a crash left unindexed."""
        while held := await self._party.unindexed(_SLICE):
            await self._index(held)

    async def run(self) -> None:
        """Index for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                await self._round()

    async def _round(self) -> None:
        """What has gathered since the last round, in one transaction; then the submitters hear of it."""
        steps, held = [], list[HeldRecord]()
        while self._pending and len(held) < _SLICE:
            step, mine = self._pending.popleft()
            steps.append(step)
            held.extend(mine)
        if held:
            await self._index(held)
        for step in steps:
            self._tell(step)

    def _tell(self, step: Transition) -> None:
        if step.block.member != self._member:
            return
        records: tuple[AcceptedRecord | RejectedRecord, ...] = (*step.accepted, *step.rejected)
        for record in records:
            self._orderer.record_applied(record.verdict, record.header_bytes, step.block.position)
        self._orderer.batch_applied(step.block.sequence, refused=bool(step.block.refusal))

    def _lines(self, held: HeldRecord) -> list[IndexEntry]:
        own = self._orderer.indexed(held.id, held.header_bytes)
        if own is None:
            return index_lines(self._opener, held, self._fault)
        return [IndexEntry(held.index, party, own.type, own.start_ms) for party in own.parties]

    async def _index(self, held: Sequence[HeldRecord]) -> None:
        lines = [line for record in held for line in self._lines(record)]
        while True:
            try:
                await self._party.add_index(lines, held[-1].index + 1)
                self.listener(frozenset([line.type for line in lines]))
                return
            except StoreUnavailable:
                await asyncio.sleep(_RETRY_S)
