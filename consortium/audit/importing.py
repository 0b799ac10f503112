"""Brings the blocks of a verified export into a node's own database, by the code that applies the log."""

from __future__ import annotations

from pathlib import Path

from consortium.audit import layout
from consortium.audit.exported import ExportFiles
from consortium.audit.report import Progress
from consortium.crypto.notes import parse_note
from consortium.errors import Malformed, ProofInvalid
from consortium.pipeline.apply import Applier
from consortium.ports.witness import WitnessStore


async def bring_in(
    directory: Path, applier: Applier, witness: WitnessStore, height: int, progress: Progress | None = None
) -> int:
    """Apply the export's blocks that the database lacks, up to `height`; how many. May be broken off and repeated.

    Each is judged again as it is applied. Payloads are in no export: those that are addressed to this member are noted
    as missing, and its node fetches them. Raises `Tampering` for a block that does not follow, `ProofInvalid`.
    """
    files, brought = ExportFiles(directory), 0
    for kept in files.blocks():
        if applier.state.height < kept.block.height <= height:
            await applier.apply_kept(kept)
            brought += 1
            if progress is not None:
                progress(kept.block.height, height)
    if files.findings or applier.state.height < height:
        raise ProofInvalid(f"the export ends at block {applier.state.height}, before {height}")
    for name in files.names(layout.CHECKPOINTS, ".note"):
        await witness.save(parse_note(_text(files, name)))
    return brought


def _text(files: ExportFiles, name: str) -> str:
    text = files.text(name)
    if text is None:
        raise Malformed(f"{name} cannot be read")
    return text
