"""The audit of an export: no network, no database, no private key."""

from __future__ import annotations

from pathlib import Path

from consortium.audit import layout
from consortium.audit.auditor import Auditor
from consortium.audit.checkpoints import CheckpointCheck, foreign_keys
from consortium.audit.exported import ExportFiles
from consortium.audit.manifest import Manifest, check_files
from consortium.audit.outcome import Outcome
from consortium.audit.report import MAX_FINDINGS, AuditReport, Finding, Progress, Refused
from consortium.crypto.merkle import TileId, Tree
from consortium.crypto.notes import parse_note
from consortium.crypto.trust import TrustPolicy, parse_policy
from consortium.errors import ConsortiumError, Malformed
from consortium.ledger.state import LedgerState
from consortium.model.members import Genesis


def audit_export(
    directory: Path,
    trust: TrustPolicy | None = None,
    *,
    genesis: Genesis | None = None,
    progress: Progress | None = None,
) -> AuditReport:
    """Replay an export.

    `trust` and `genesis` are what the auditor believes in; without them the export's own are used, which shows that
    it holds together, not whose it is. What counts under a checkpoint are the keys that members had then. Raises
    nothing for what is in the directory: that is what findings are for.
    """
    return replay_export(directory, trust, genesis=genesis, progress=progress)[0]


def replay_export(
    directory: Path,
    trust: TrustPolicy | None = None,
    *,
    genesis: Genesis | None = None,
    progress: Progress | None = None,
) -> tuple[AuditReport, LedgerState | None]:
    """The same, with the state that the replay came to; None where not even a genesis could be read."""
    files = ExportFiles(directory)
    manifest = _manifest(files)
    genesis = _genesis(files, genesis)
    if genesis is None:
        return AuditReport("", 0, 0, b"", b"", 0, (), tuple(files.findings)), None
    own = _own_trust(files) if trust is None else None
    check = _checkpoints(files, trust or own)
    replay = _Replay(files, manifest, genesis, check, own)
    return replay.run(progress), replay.state


def _manifest(files: ExportFiles) -> Manifest | None:
    text = files.text(layout.MANIFEST)
    try:
        manifest = Manifest.from_json(text) if text is not None else None
    except Malformed as error:
        files.findings.append(Finding(layout.MANIFEST, str(error)))
        return None
    if manifest is not None:
        files.findings += check_files(files.directory, manifest)
    return manifest


def _genesis(files: ExportFiles, believed: Genesis | None) -> Genesis | None:
    text = files.text(layout.GENESIS)
    try:
        genesis = Genesis.from_json(text) if text is not None else None
    except (Malformed, RecursionError) as error:
        files.findings.append(Finding(layout.GENESIS, str(error)))
        return believed
    if genesis is not None and believed is not None and genesis.digest() != believed.digest():
        files.findings.append(Finding(layout.GENESIS, "this is another genesis than the one that the auditor holds"))
    return believed or genesis


def _own_trust(files: ExportFiles) -> TrustPolicy | None:
    text = files.text(layout.TRUST)
    try:
        return parse_policy(text) if text is not None else None
    except (Malformed, ValueError) as error:
        files.findings.append(Finding(layout.TRUST, str(error)))
        return None


def _checkpoints(files: ExportFiles, policy: TrustPolicy | None) -> CheckpointCheck | None:
    if policy is None:
        return None
    check = CheckpointCheck(policy, quorum_needed=True)
    newest = None
    for name in files.names(layout.CHECKPOINTS, ".note"):
        newest = files.text(name)
        try:
            files.findings += check.add(name, parse_note(newest or ""))
        except ConsortiumError as error:
            files.findings.append(Finding(name, str(error)))
    if newest is not None and files.text(layout.CHECKPOINT) != newest:
        files.findings.append(Finding(layout.CHECKPOINT, "this is not the newest of the checkpoints"))
    return check


class _Replay:
    """The blocks, one after the other, and what must agree with them."""

    def __init__(
        self,
        files: ExportFiles,
        manifest: Manifest | None,
        genesis: Genesis,
        check: CheckpointCheck | None,
        own: TrustPolicy | None,
    ) -> None:
        self._files, self._manifest, self._check, self._own = files, manifest, check, own
        self._auditor = Auditor(genesis)
        self._findings = files.findings
        self._refused: list[Refused] = []
        self._tiles: set[str] = set()
        self._cosigned = Tree()

    @property
    def state(self) -> LedgerState:
        """What the replay came to."""
        return self._auditor.state

    def run(self, progress: Progress | None) -> AuditReport:
        total = self._manifest.height if self._manifest else 0
        for done, kept in enumerate(self._files.blocks(), 1):
            audited = self._auditor.feed(kept, self._files.leaves)
            self._findings += audited.findings
            self._refused += audited.refused
            self._follow(audited.outcome)
            if progress is not None:
                progress(done, max(done, total))
            if len(self._findings) >= MAX_FINDINGS:
                self._findings.append(Finding("audit", f"stopped at block {done}, after {MAX_FINDINGS} findings"))
                return self._report()
        self._close()
        return self._report()

    def _report(self) -> AuditReport:
        state = self._auditor.state
        witnessed = self._check.witnessed_size if self._check else 0
        return AuditReport(
            state.genesis.network,
            state.height,
            state.tree.size,
            state.tree.root(),
            state.digest,
            witnessed,
            tuple(self._refused),
            tuple(self._findings),
        )

    def _follow(self, outcome: Outcome) -> None:
        if self._check is not None:
            before = self._check.followed_size
            self._findings += self._check.pass_block(outcome)
            if self._check.followed_size > before:
                self._cosigned = outcome.tree_at(self._check.followed_size)
        for tile in outcome.tiles:
            self._compare_tile((tile.level, tile.index), tile.hashes)

    def _compare_tile(self, tile: TileId, hashes: bytes) -> None:
        name = layout.path_of(tile, hashes)
        self._tiles.add(name)
        problem = layout.tile_difference(tile, hashes, self._files.tile(name))
        if problem is not None:
            self._findings.append(Finding(name, problem))

    def _close(self) -> None:
        tree = self._auditor.state.tree
        if self._own is not None:
            self._findings += foreign_keys(self._own, self._auditor.state.governance, layout.TRUST)
        for tile, hashes in layout.partial_tiles(tree, self._cosigned):
            self._compare_tile(tile, hashes)
        if self._check is not None:
            self._findings += self._check.close(tree.size)
        if self._manifest is not None:
            self._compare_manifest(self._manifest)

    def _compare_manifest(self, manifest: Manifest) -> None:
        state = self._auditor.state
        ours = (state.genesis.network, state.height, state.tree.size, state.tree.root().hex(), state.digest.hex())
        theirs = (manifest.network, manifest.height, manifest.size, manifest.root, manifest.digest)
        for name, mine, claimed in zip(("network", "height", "size", "root", "digest"), ours, theirs, strict=True):
            if mine != claimed:
                sentence = f"{name} is stated as {claimed}, and follows as {mine}"
                self._findings.append(Finding(layout.MANIFEST, sentence))
        strange = (f for f in manifest.files if f.startswith(f"{layout.TILES}/") and f not in self._tiles)
        self._findings += [Finding(name, "the tree has no such tile") for name in strange]
