"""Step 4, apply: one block -> one deterministic transition -> one Postgres transaction.

The node keeps a payload only if a hint says that it is a party; of everybody else's records the header stays and the
ciphertext, once verified against the header, is dropped. Recognising needs no key that opens anything: this module
can never reach `consortium.crypto.sealing` (import-linter).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import aclosing
from functools import partial
from typing import TypeVar

from consortium.crypto.hints import my_slots
from consortium.errors import StoreUnavailable, Tampering
from consortium.ledger.admission import OpenedBatch, open_entry, reopen
from consortium.ledger.state import LedgerState
from consortium.ledger.transition import Transition, transition
from consortium.model.blocks import KeptBlock, LogEntry
from consortium.ports.ledger import LedgerStore
from consortium.ports.log import Appended, LogEvent, OrderingLog, Overwritten, Removed
from consortium.ports.party import HeldRecord, MissingRecord

_RETRY_S = 0.2
_WITNESS_WAIT_S = 3.0
T = TypeVar("T")
BlockListener = Callable[[Transition, Sequence[HeldRecord]], None]
WitnessedSize = Callable[[int], Awaitable[int]]
CatchUp = Callable[[LedgerState], Awaitable[None]]


class Applier:
    """Owns the ledger's state of this node; nothing else changes it."""

    def __init__(
        self,
        store: LedgerStore,
        state: LedgerState,
        hint_keys: Callable[[str], Sequence[bytes]],
        witnessed_size: WitnessedSize,
    ) -> None:
        """`hint_keys` by author, newest first; `witnessed_size(wanted)` is the largest tree that a quorum is known to
        have cosigned, after asking the other members if it is below `wanted`.
        """
        self._store = store
        self._witnessed_size = witnessed_size
        self._hint_keys = hint_keys
        self.state = state
        self._listeners: list[BlockListener] = []
        self._may_go: dict[str, int] = {}
        self._advanced = asyncio.Condition()
        self.observe: Callable[[float], None] = lambda seconds: None

    def listen(self, listener: BlockListener) -> None:
        """Call `listener` after each block's commit, in order. It must be quick and must not raise."""
        self._listeners.append(listener)

    async def until_height(self, height: int) -> None:
        """Wait until the block at `height` is applied."""
        async with self._advanced:
            await self._advanced.wait_for(lambda: self.state.height >= height)

    async def until_position(self, position: int) -> None:
        """Wait until everything up to a position of the log is applied."""
        async with self._advanced:
            await self._advanced.wait_for(lambda: self.state.position >= position)

    async def until_size(self, size: int) -> None:
        """Wait until the tree has `size` leaves."""
        async with self._advanced:
            await self._advanced.wait_for(lambda: self.state.tree.size >= size)

    async def run(self, log: OrderingLog, catch_up: CatchUp) -> None:
        """Apply the log for ever. `catch_up` brings the state forward when the log begins too late for this node.

        Raises `Tampering`: then nothing more may be applied, while reading goes on.
        """
        while True:
            if not await self._follow(log):
                await catch_up(self.state)

    async def _follow(self, log: OrderingLog) -> bool:
        """Apply until the log turns out to begin after what this node needs (False), or until members come or go.

        Then (True) the log is read anew from there: a reading knows from whom it must miss nothing. What a removed
        member, or a stranger, still gets into the log follows no rule that a gap could break.
        """
        names = _names(self.state)
        sequences = {name: self.state.next_sequence(name) for name in names}
        async with aclosing(log.read(self.state.position, sequences)) as events:
            async for event in events:
                if not await self._handle(event):
                    return False
                if _names(self.state) != names:
                    return True
        return True

    async def _handle(self, event: LogEvent) -> bool:
        match event:
            case Appended(entry):
                await self.apply_entry(entry)
            case Overwritten(member, sequence, position):
                raise Tampering(f"batch {sequence} of {member} was overwritten at position {position}")
            case Removed(member, sequence, position):
                await self._judge_removal(member, sequence, position)
            case _:
                return False
        return True

    async def apply_entry(self, entry: LogEntry) -> None:
        """Apply an entry of the log."""
        await self._apply(open_entry(self.state.governance, entry))

    async def apply_kept(self, kept: KeptBlock) -> None:
        """Apply a block that another member kept (catch-up).

        Raises `Tampering` if the block that follows from its batch is not the block that it was given with.
        """
        opened = reopen(self.state.governance, kept.batch)
        ids = opened.ids()
        taken = await self._patiently(lambda: self._store.taken(ids)) if ids else frozenset[bytes]()
        if transition(self.state, opened, taken).block != kept.block:
            raise Tampering(f"block {kept.block.height} does not follow from its batch as its keeper claims")
        await self._commit(opened, taken)

    async def _apply(self, opened: OpenedBatch) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self._commit(opened, frozenset())
        self.observe(loop.time() - began)

    async def _commit(self, opened: OpenedBatch, taken: Collection[bytes]) -> None:
        """Judge and store. Whether ids are taken is asked while storing: they hardly ever are, and asking first would
        be one more round trip for every block.
        """
        while True:
            step = transition(self.state, opened, taken)
            held, missing = self._mine(opened, step)
            found = await self._patiently(partial(self._store.commit, step, held, missing))
            if not found:
                break
            taken = {*taken, *found}
        self.state = step.state
        for listener in self._listeners:
            listener(step, held)
        async with self._advanced:
            self._advanced.notify_all()

    def _mine(self, opened: OpenedBatch, step: Transition) -> tuple[list[HeldRecord], list[MissingRecord]]:
        """The records that are addressed to this node: with their payloads, or (catch-up) without."""
        keys = self._hint_keys(opened.member) if step.accepted else ()
        held: list[HeldRecord] = []
        missing: list[MissingRecord] = []
        if not keys:
            return held, missing
        for accepted in step.accepted:
            verdict = accepted.verdict
            record = opened.records[verdict.item]
            if record.header is None or step.state.governance.erased_by(verdict.id, opened.member) is not None:
                continue  # what is to be erased by now is not kept at all
            slots = _slots(keys, verdict.id, record.header.slots())
            if not slots:
                continue
            if record.wire is None:
                missing.append(MissingRecord(verdict.index, verdict.id, opened.member))
            else:
                wire = record.wire
                held.append(HeldRecord(verdict.index, verdict.id, wire.header, wire.bodies, wire.wraps, slots))
        return held, missing

    async def _judge_removal(self, member: str, sequence: int, position: int) -> None:
        """A member trims what is applied here and cosigned by a quorum, and never its newest; all else is tampering."""
        if sequence <= self._may_go.get(member, -1):
            return
        block = await self._patiently(lambda: self._store.block_of_batch(member, sequence))
        if block is None and self._is_skipped(member, sequence):
            return
        stranger = member not in self.state.members  # nobody trims what no member wrote
        newest = not stranger and sequence + 1 >= self.state.next_sequence(member)
        if block is None or stranger or newest or not await self._is_witnessed(block.size):
            raise Tampering(
                f"batch {sequence} of {member} was deleted from the log at position {position}, above the witnessed "
                f"checkpoint of {await self._witnessed_size(0)} records"
                + (": it is the member's newest, which is never trimmed" if newest else "")
            )
        self._may_go[member] = await self._last_witnessed(member, sequence)

    def _is_skipped(self, member: str, sequence: int) -> bool:
        """Whether it is a number that a member left out while it was removed: nobody checks the numbers then."""
        standing = self.state.governance.standings.get(member)
        was_removed = standing is not None and standing.admitted != standing.first_admitted
        return was_removed and sequence < self.state.next_sequence(member)

    async def _last_witnessed(self, member: str, sequence: int) -> int:
        """The last batch from `sequence` on, short of the member's newest, that the witnessed tree covers.

        Trees grow with every batch, so a search by halves finds it: trimming removes thousands of batches at once,
        and to ask the store for each would hold up all that comes after them.
        """
        size = await self._witnessed_size(0)
        low, high = sequence, self.state.next_sequence(member) - 2
        while low < high:
            middle = (low + high + 1) // 2
            block = await self._patiently(partial(self._store.block_of_batch, member, middle))
            low, high = (middle, high) if block is not None and block.size <= size else (low, middle - 1)
        return low

    async def _is_witnessed(self, size: int) -> bool:
        """Whoever trimmed knows a checkpoint, but may have been stopped before it told: so this asks for a while."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _WITNESS_WAIT_S
        while await self._witnessed_size(size) < size:
            if loop.time() > end:
                return False
            await asyncio.sleep(_RETRY_S)
        return True

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Postgres may restart under a node: the same call again until it is back."""
        while True:
            try:
                return await call()
            except StoreUnavailable:
                await asyncio.sleep(_RETRY_S)


def _names(state: LedgerState) -> list[str]:
    return [member.name for member in state.governance.members]


def _slots(keys: Sequence[bytes], record_id: bytes, hints: Sequence[bytes]) -> tuple[int, ...]:
    """The slots that are addressed to this node under any of its keys with the author."""
    for key in keys:
        if found := my_slots(key, record_id, hints):
            return found
    return ()
