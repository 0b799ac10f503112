"""The audit of a node's own store, whole or in slices: what its tables hold beside what follows from the batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from consortium.audit import layout
from consortium.audit.auditor import Auditor
from consortium.audit.checkpoints import CheckpointCheck
from consortium.audit.export import all_notes
from consortium.audit.outcome import Outcome
from consortium.audit.report import MAX_FINDINGS, AuditReport, Finding, Progress, Refused, at_block, at_record
from consortium.crypto.merkle import HASH_BYTES, TILE_WIDTH, TileId
from consortium.crypto.trust import TrustPolicy
from consortium.model.blocks import AcceptedRecord, KeptBlock, RejectedRecord
from consortium.model.members import Genesis
from consortium.ports import LedgerStore, WitnessStore

_SLICE = 100
Row = AcceptedRecord | RejectedRecord


async def audit_store(
    store: LedgerStore,
    witness: WitnessStore,
    genesis: Genesis,
    trust: TrustPolicy,
    progress: Progress | None = None,
) -> AuditReport:
    """Audit everything that the store holds. Raises `StoreUnavailable`."""
    audit = StoreAudit(store, witness, genesis, trust)
    height = (await store.load(genesis)).height
    while await audit.advance():
        if progress is not None:
            progress(audit.height, max(audit.height, height))
    return await audit.close()


class StoreAudit:
    """An audit in slices, for a node that checks itself in the background.

    `advance` until it returns False, then `close`. Blocks that are committed meanwhile are audited as well; `findings`
    grows as it goes.
    """

    def __init__(self, store: LedgerStore, witness: WitnessStore, genesis: Genesis, trust: TrustPolicy) -> None:
        self._store, self._witness, self._genesis = store, witness, genesis
        self._auditor = Auditor(genesis)
        self._check = CheckpointCheck(trust, quorum_needed=False)
        self._started = False
        self._tail: dict[TileId, bytes] = {}
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
            await self._start()
        page = await self._store.blocks(self._next, limit)
        if not page or len(self.findings) >= MAX_FINDINGS:
            return False
        known = await self._known_tiles(page)
        outcomes = [self._feed(kept, known) for kept in page]
        await self._compare_tiles(outcomes)
        await self._compare_rows(page, outcomes)
        self._next = max(self._next, page[-1].block.height) + 1
        return True

    async def close(self) -> AuditReport:
        """Compare what the store holds as its current state, and report."""
        state = self._auditor.state
        stored = await self._store.load(self._genesis)
        if stored.height == state.height and not self.findings:
            for name in ("digest", "position", "time_ms", "tree", "members"):
                if getattr(stored, name) != getattr(state, name):
                    sentence = f"the stored {name} is not what follows from the blocks"
                    self.findings.append(Finding("ledger state", sentence, state.height))
        elif stored.height < state.height:
            self.findings.append(Finding("ledger state", f"it is that of block {stored.height}", state.height))
        if stored.height == state.height:
            self.findings += self._check.close(state.tree.size)
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

    async def _start(self) -> None:
        self._started = True
        tree = (await self._store.load(self._genesis)).tree
        self._tail = {(0, tree.size // TILE_WIDTH): b"".join(tree.tails[0])}
        for checkpoint, note in await all_notes(self._witness):
            self.findings += self._check.add(f"checkpoint of {checkpoint.size}", note)

    def _feed(self, kept: KeptBlock, known: Mapping[TileId, bytes]) -> Outcome:
        def leaves(start: int, end: int) -> list[bytes] | None:
            return _leaves(known, start, end)

        audited = self._auditor.feed(kept, leaves)
        self.findings += audited.findings
        self.refused += audited.refused
        self.findings += self._check.pass_block(audited.outcome)
        return audited.outcome

    async def _known_tiles(self, page: Sequence[KeptBlock]) -> Mapping[TileId, bytes]:
        """The level-0 tiles that hold the page's leaves."""
        first = self._auditor.state.tree.size
        last = first + sum(len(kept.batch.headers) for kept in page)
        ids = [(0, n) for n in range(first // TILE_WIDTH, last // TILE_WIDTH + 1)]
        return {**self._tail, **await self._store.tiles(ids)}

    async def _compare_tiles(self, outcomes: Sequence[Outcome]) -> None:
        full = [tile for outcome in outcomes for tile in outcome.tiles]
        stored = await self._store.tiles([(tile.level, tile.index) for tile in full])
        for tile in full:
            place = (tile.level, tile.index)
            problem = layout.tile_difference(place, tile.hashes, stored.get(place))
            if problem is not None:
                self.findings.append(Finding(layout.tile_path(*place), problem))

    async def _compare_rows(self, page: Sequence[KeptBlock], outcomes: Sequence[Outcome]) -> None:
        rows: dict[int, list[Row]] = {}
        for row in await self._store.rows(self._next, max(self._next, page[-1].block.height)):
            rows.setdefault(row.verdict.height, []).append(row)
        for outcome in outcomes:
            self.findings += row_differences(outcome, rows.get(outcome.block.height, []))


def row_differences(outcome: Outcome, rows: Sequence[Row]) -> list[Finding]:
    """Record rows of a block that are missing, too many, or hold something else than follows."""
    height = outcome.block.height
    follow: list[Row] = [*outcome.accepted, *outcome.rejected]
    expected = {row.verdict.item: row for row in follow}
    findings = []
    for row in rows:
        item = row.verdict.item
        wanted = expected.pop(item, None)
        if wanted is None:
            findings.append(at_block(height, f"a record row names item {item}, which is not there or stands twice"))
        elif row != wanted:
            findings.append(at_record(height, item, f"the record's row differs: {_difference(row, wanted)}"))
    return findings + [at_record(height, item, "the record's row is missing") for item in sorted(expected)]


def _difference(row: Row, wanted: Row) -> str:
    if type(row) is not type(wanted):
        return "it says the opposite verdict"
    names = [n for n in wanted.verdict.__slots__ if getattr(row.verdict, n) != getattr(wanted.verdict, n)]
    names += [n for n in wanted.__slots__ if n != "verdict" and getattr(row, n) != getattr(wanted, n)]
    return ", ".join(names)


def _leaves(tiles: Mapping[TileId, bytes], start: int, end: int) -> list[bytes] | None:
    leaves: list[bytes] = []
    for index in range(start, end):
        at = index % TILE_WIDTH * HASH_BYTES
        leaf = tiles.get((0, index // TILE_WIDTH), b"")[at : at + HASH_BYTES]
        if len(leaf) < HASH_BYTES:
            return None
        leaves.append(leaf)
    return leaves
