"""The audit of a node's own store, whole or in slices: what its tables hold beside what follows from the batches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from consortium.audit import layout
from consortium.audit.auditor import Auditor
from consortium.audit.checkpoints import CheckpointCheck
from consortium.audit.export import all_notes
from consortium.audit.outcome import Outcome
from consortium.audit.report import MAX_FINDINGS, AuditReport, Finding, Progress, Refused, at_block
from consortium.audit.stored import Row, compose, row_differences, stored_leaves
from consortium.crypto.trust import TrustPolicy
from consortium.errors import ConfigurationError, Malformed, Tampering
from consortium.ledger.state import LedgerState
from consortium.model.batches import MAX_BATCH_RECORDS
from consortium.model.members import Genesis
from consortium.ports.ledger import BlockRow, LedgerStore
from consortium.ports.witness import WitnessStore

_SLICE = 100
_MAX_HEIGHT = (1 << 63) - 1


async def audit_store(
    store: LedgerStore,
    witness: WitnessStore,
    genesis: Genesis,
    trust: TrustPolicy | None = None,
    progress: Progress | None = None,
) -> AuditReport:
    """Audit everything that the store holds. Without `trust` the ledger's own members of each height count.

    Raises `StoreUnavailable`.
    """
    audit = StoreAudit(store, witness, genesis, trust)
    stored = await audit.stored_state()
    height = stored.height if stored else 0
    while await audit.advance():
        if progress is not None:
            progress(audit.height, max(audit.height, height))
    return await audit.close()


class StoreAudit:
    """An audit in slices, for a node that checks itself in the background.

    `advance` until it returns False, then `close`. Blocks that are committed meanwhile are audited as well; `findings`
    grows as it goes.
    """

    def __init__(
        self, store: LedgerStore, witness: WitnessStore, genesis: Genesis, trust: TrustPolicy | None = None
    ) -> None:
        self._store, self._witness, self._genesis = store, witness, genesis
        self._auditor = Auditor(genesis)
        self._check = CheckpointCheck(trust, quorum_needed=False)
        self._started = False
        self._next = 1
        self.findings: list[Finding] = []
        self.refused: list[Refused] = []

    @property
    def height(self) -> int:
        """The last audited block."""
        return self._next - 1

    async def advance(self, limit: int = _SLICE) -> bool:
        """Audit up to `limit` more blocks; whether there were any, and there is a point in going on."""
        if not self._started:
            await self._read_notes()
        page = await self._store.block_rows(self._next, limit)
        if not page or len(self.findings) >= MAX_FINDINGS:
            return False
        outcomes = await self._feed(page)
        await self._compare_tiles(outcomes)
        self._next = max(self._next, page[-1].block.height) + 1
        return True

    async def close(self) -> AuditReport:
        """Compare what the store gives as its current state, and report."""
        state = self._auditor.state
        cosigned = await self._witness.cosigned_size()  # before the state, which may grow meanwhile
        stored = await self.stored_state()
        self.findings += self._check.judge()
        if stored is None or stored.height <= state.height:
            if cosigned > state.tree.size:
                sentence = f"this node cosigned a tree of {cosigned} leaves, and the store ends at {state.tree.size}"
                self.findings.append(Finding("ledger state", sentence, state.height))
            if not self.findings:
                self._compare_state(stored, state)
            await self._find_strays(state.height)
        return AuditReport(
            self._genesis.network,
            state.height,
            state.tree.size,
            state.tree.root(),
            state.digest,
            self._check.witnessed_size,
            tuple(self.refused),
            tuple(self.findings),
        )

    async def stored_state(self) -> LedgerState | None:
        """What the node would start from, or None if the store itself finds that its rows do not hold together."""
        try:
            return await self._store.load(self._genesis)
        except (Tampering, ConfigurationError, Malformed):
            return None

    def _compare_state(self, stored: LedgerState | None, state: LedgerState) -> None:
        if stored is None:
            self.findings.append(Finding("ledger state", "the store cannot give a state that its rows lead to"))
            return
        for name in ("height", "digest", "position", "time_ms", "tree", "members", "governance"):
            if getattr(stored, name) != getattr(state, name):
                sentence = f"the stored {name} is not what follows from the blocks"
                self.findings.append(Finding("ledger state", sentence, state.height))

    async def _find_strays(self, height: int) -> None:
        strays = [*await self._store.rows(-_MAX_HEIGHT, 0), *await self._store.rows(height + 1, _MAX_HEIGHT)]
        for row in strays:
            # A block may have been committed since.
            at = await self._store.block_rows(row.verdict.height, 1)
            if at and at[0].block.height == row.verdict.height:
                continue
            sentence = f"record {row.verdict.id.hex()} names block {row.verdict.height}, which is not there"
            self.findings.append(Finding("records", sentence, row.verdict.height, row.verdict.item))

    async def _read_notes(self) -> None:
        self._started = True
        for checkpoint, note in await all_notes(self._witness):
            self.findings += self._check.add(f"checkpoint of {checkpoint.size}", note)

    async def _feed(self, page: Sequence[BlockRow]) -> list[Outcome]:
        """The blocks of a page, each with the record rows that name it."""
        rows: dict[int, list[Row]] = {}
        for record in await self._store.rows(self._next, page[-1].block.height):
            rows.setdefault(record.verdict.height, []).append(record)
        start = self._auditor.state.tree.size
        most = max(sum(map(len, rows.values())), MAX_BATCH_RECORDS)
        end = min(max(row.block.size for row in page), start + most)
        known = await stored_leaves(self._store, start, max(start, end))
        outcomes = []
        for row in page:
            mine = rows.pop(row.block.height, [])
            kept = await compose(self._store, row, mine, self._auditor.state.tree.size)
            if kept.batch.raw != row.raw:
                self.findings.append(
                    at_block(row.block.height, "a refused batch is kept for it, and it was not refused")
                )
            # In a thread: a node that checks itself goes on serving, and a large block takes 50 ms.
            audited = await asyncio.to_thread(self._auditor.feed, kept, known, row.digest)
            self.findings += (*audited.findings, *row_differences(audited.outcome, mine))
            self.findings += self._check.pass_block(audited.outcome)
            self.refused += audited.refused
            outcomes.append(audited.outcome)
        for height, strays in rows.items():
            items = ", ".join(str(row.verdict.item) for row in strays)
            self.findings.append(
                Finding(f"block {height}", f"record rows {items} name it, and it is not there", height)
            )
        return outcomes

    async def _compare_tiles(self, outcomes: Sequence[Outcome]) -> None:
        full = [tile for outcome in outcomes for tile in outcome.tiles]
        stored = await self._store.tiles([(tile.level, tile.index) for tile in full])
        for tile in full:
            place = (tile.level, tile.index)
            problem = layout.tile_difference(place, tile.hashes, stored.get(place))
            if problem is not None:
                self.findings.append(Finding(layout.tile_path(*place), problem))
