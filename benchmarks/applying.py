"""One node's apply path without the node around it: a log in, its own Postgres out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.batches import EndOfLog, RecordedLog
from consortium.adapters import keyfile
from consortium.adapters.clock import SystemClock
from consortium.adapters.unlock import MountedSecret
from consortium.agents.index import Indexer
from consortium.bootstrap import Stores, open_stores
from consortium.errors import CommitmentMismatch
from consortium.ledger.state import LedgerState
from consortium.ledger.transition import Transition
from consortium.model.blocks import LogEntry
from consortium.model.members import Genesis
from consortium.pipeline.apply import Applier
from consortium.pipeline.opening import Opener
from consortium.pipeline.order import Orderer
from consortium.ports.keys import KeyCustody
from consortium.ports.party import HeldRecord


def open_keys(directory: Path, member: str) -> KeyCustody:
    """A devnet member's keys."""
    return keyfile.open(directory / member / "keys.sealed", MountedSecret.read(directory / member / "secret"))


class Node:
    """Applier and indexer of one member over its stores."""

    def __init__(self, genesis: Genesis, member: str, custody: KeyCustody, stores: Stores, state: LedgerState) -> None:
        hints = {m.name: custody.pair(m.keys.encryption).hint for m in genesis.members}
        log, clock = RecordedLog([]), SystemClock()
        orderer = Orderer(genesis, member, log, stores.ledger, custody, clock, heartbeat_s=10)
        known = {name: (hint,) for name, hint in hints.items()}
        self.applier = Applier(stores.ledger, state, lambda name: known.get(name, ()), _nothing_witnessed)
        self.indexer = Indexer(member, Opener(genesis, custody), stores.party, orderer, _impossible)
        self.applier.listen(self.indexer.block_applied)
        self.applier.listen(self._note_held)
        self._stores = stores
        self._to_index = self._kept = 0

    async def replay(self, entries: Sequence[LogEntry], *, index: bool) -> tuple[float, int]:
        """Apply all entries, and at the same time index what this member may read of them, or not at all.

        The seconds until all of it is done, and how many payloads were kept.
        """
        loop = asyncio.get_running_loop()
        indexing = asyncio.create_task(self.indexer.run()) if index else None
        began = loop.time()
        with contextlib.suppress(EndOfLog):
            await self.applier.run(RecordedLog(entries), _impossible_gap)
        while indexing and await self._stores.party.indexed_up_to() < self._to_index:  # noqa: ASYNC110 - it is in the database
            await asyncio.sleep(0.002)
        seconds = loop.time() - began
        if indexing:
            indexing.cancel()
        return seconds, self._kept

    def _note_held(self, step: Transition, held: Sequence[HeldRecord]) -> None:
        self._kept += len(held)
        if held:
            self._to_index = held[-1].index + 1


@asynccontextmanager
async def node(genesis: Genesis, member: str, custody: KeyCustody, url: str) -> AsyncIterator[Node]:
    """A node on a migrated database, from where that stands."""
    async with open_stores(url) as stores:
        yield Node(genesis, member, custody, stores, await stores.ledger.load(genesis))


async def _nothing_witnessed(size: int) -> int:
    return 0


async def _impossible_gap(state: LedgerState) -> None:
    raise RuntimeError("the recorded log has a gap")


def _impossible(error: CommitmentMismatch) -> None:
    raise error
