"""Export: a ledger as a directory that anyone can audit with nothing but the public keys.

Streams: memory does not grow with the ledger (but for the manifest, a line a file).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from consortium.audit import layout
from consortium.audit.report import Progress
from consortium.audit.trusting import KeyHistory
from consortium.audit.writer import ExportWriter
from consortium.crypto.notes import Checkpoint, SignedNote
from consortium.crypto.trust import TrustPolicy, parse_policy
from consortium.ledger.governance.state import Governance
from consortium.model.members import Genesis
from consortium.ports.ledger import LedgerStore
from consortium.ports.witness import WitnessStore

_PAGE = 100


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """What was written. `checkpoints` counts the cosigned ones."""

    height: int
    size: int
    checkpoints: int
    files: int


async def export(
    store: LedgerStore,
    witness: WitnessStore,
    genesis: Genesis,
    trust: str,
    directory: Path,
    *,
    progress: Progress | None = None,
    blocks_per_file: int = layout.BLOCKS_PER_FILE,
) -> ExportSummary:
    """Write the ledger as it stands now. `trust` is a tlog-policy; checkpoints that it does not accept, with the keys
    that its members had then, are left out.

    Raises `InvalidRequest` if the directory holds anything, `Malformed` for a bad policy, `StoreUnavailable`.
    """
    policy = parse_policy(trust)
    end = await store.load(genesis)
    writer = ExportWriter(directory, genesis, trust, blocks_per_file)
    notes = await cosigned_notes(witness, policy, end.tree.size, await keys_by_size(store, end.governance))
    writer.write_notes(notes)
    start = 1
    while start <= end.height and (page := await store.blocks(start, _PAGE)):
        full = [tile for kept in page if kept.block.height <= end.height for tile in writer.write_block(kept)]
        writer.write_tiles(await store.tiles([(tile.level, tile.index) for tile in full]))
        start = max(start, page[-1].block.height) + 1
        if progress is not None:
            progress(min(start - 1, end.height), end.height)
    files = writer.finish()
    return ExportSummary(writer.height, writer.tree.size, len(notes), files)


async def all_notes(witness: WitnessStore) -> list[tuple[Checkpoint, SignedNote]]:
    """Every stored checkpoint, by size. Raises `Malformed` if one is none."""
    found: dict[str, tuple[Checkpoint, SignedNote]] = {}
    at = 0
    while page := await witness.notes(at, _PAGE):
        sizes = []
        for note in page:
            found[note.text] = Checkpoint.parse(note.text), note
            sizes.append(found[note.text][0].size)
        # Two notes may have one size, so a full page may have ended between them.
        at = max(sizes) if len(page) == _PAGE and max(sizes) > at else max(sizes) + 1
    return sorted(found.values(), key=lambda pair: pair[0].size)


async def cosigned_notes(
    witness: WitnessStore, policy: TrustPolicy, size: int, history: KeyHistory
) -> list[tuple[Checkpoint, SignedNote]]:
    """The checkpoints of trees up to `size` that the policy accepts with the keys that counted then, by size."""
    notes = [(checkpoint, note) for checkpoint, note in await all_notes(witness) if checkpoint.size <= size]
    return [
        (checkpoint, note)
        for checkpoint, note in notes
        if not history.refusal(policy, note, checkpoint.size) and not history.replaced(note, checkpoint.size)
    ]


async def keys_by_size(store: LedgerStore, governance: Governance) -> KeyHistory:
    """Whose keys count under which trees, by the tree's size after each block that took a key from somebody."""
    ends = set()
    for standing in governance.standings.values():
        ends |= {period.since for period in standing.periods[1:]} | ({standing.removed} if standing.removed else set())
    blocks = [await store.block(since - 1) for since in sorted(ends)]
    return KeyHistory(governance, {block.height: block.size for block in blocks if block is not None})
