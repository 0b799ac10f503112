"""An invitation: what a member hands to a newcomer, and how the newcomer checks all of it before it believes any.

A folder with `invitation.json` and `ledger/`, an export. The one thing that must come another way is the digest of the
genesis: whoever knows it needs to trust nobody else, since every block, vote and cosignature follows from there.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from consortium.audit import layout
from consortium.audit.offline import replay_export
from consortium.audit.report import AuditReport, Progress
from consortium.crypto.notes import parse_note
from consortium.errors import InvalidRequest, Malformed, ProofInvalid
from consortium.ledger import witnessing
from consortium.ledger.state import LedgerState
from consortium.model.members import Genesis

VERSION = 1
FILE = "invitation.json"
LEDGER = "ledger"


@dataclass(frozen=True, slots=True)
class Invitation:
    """`height`, `size`, `block` and `root` (hex) are where the export ends; `checkpoint` its newest cosigned one, as a
    note; `trust` the trust file of then; `peers` and `etcd` are addresses, `ca` the authority's certificate (PEM).
    """

    inviter: str
    genesis: str
    height: int
    size: int
    block: str
    root: str
    checkpoint: str
    trust: str
    peers: dict[str, str]
    etcd: tuple[str, ...]
    etcd_server_name: str
    ca: str

    def to_json(self) -> str:
        """The file."""
        return json.dumps({"version": VERSION, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Invitation:
        """Raises `Malformed`."""
        try:
            raw = json.loads(text)
        except (ValueError, RecursionError):
            raise Malformed("the invitation is no JSON") from None
        if not isinstance(raw, dict) or raw.pop("version", None) != VERSION or set(raw) != set(cls.__slots__):
            raise Malformed("the invitation has unknown or missing fields, or another version")
        if not _is_sound(raw):
            raise Malformed("the invitation has a field of another type")
        return cls(**{**raw, "etcd": tuple(raw["etcd"])})


def _is_sound(raw: dict[str, Any]) -> bool:
    numbers, lists = ("height", "size"), ("peers", "etcd")
    texts = [raw[name] for name in raw if name not in (*numbers, *lists)]
    if not isinstance(raw["peers"], dict) or not isinstance(raw["etcd"], list):
        return False
    texts += [*raw["peers"].values(), *raw["etcd"]]
    return all(isinstance(text, str) for text in texts) and all(type(raw[name]) is int for name in numbers)


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was checked, whether it holds, and what was seen."""

    name: str
    held: bool
    seen: str


@dataclass(frozen=True, slots=True)
class Verified:
    """An invitation, what was checked of it, and the genesis and state that it leads to if all of it holds."""

    invitation: Invitation
    genesis: Genesis
    lines: tuple[Line, ...]
    state: LedgerState | None

    @property
    def sound(self) -> bool:
        """Whether everything holds."""
        return all(line.held for line in self.lines)


def read(directory: Path) -> Invitation:
    """Raises `InvalidRequest` for a folder without one, `Malformed`."""
    try:
        return Invitation.from_json((directory / FILE).read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        raise InvalidRequest(f"there is no {FILE} in {directory}") from None


def verify(directory: Path, genesis_digest: str, progress: Progress | None = None) -> Verified:
    """Check everything. `genesis_digest` (hex) is what the newcomer was told in person, not by this folder.

    Raises `InvalidRequest`, `Malformed`.
    """
    invitation = read(directory)
    genesis = Genesis.from_json(invitation.genesis)
    digest = genesis.digest().hex()
    known = digest == genesis_digest.strip().lower()
    first = Line("the genesis is the one that you were told of", known, digest)
    if not known:
        return Verified(invitation, genesis, (first,), None)  # of a stranger's ledger nothing else matters
    report, state = replay_export(directory / LEDGER, genesis=genesis, progress=progress)
    lines = (first, *_ledger_lines(report), *(_claims(directory, invitation, state) if state is not None else ()))
    return Verified(invitation, genesis, lines, state)


def _ledger_lines(report: AuditReport) -> tuple[Line, ...]:
    trouble = str(report.findings[0]) if report.findings else ""
    more = f" (and {len(report.findings) - 1} more)" if len(report.findings) > 1 else ""
    replayed = f"{report.height} blocks, {report.size} records, {len(report.refused)} refused"
    vouched = f"{report.witnessed_size} of {report.size} records"
    return (
        Line("every block follows from a signed batch", report.sound, trouble + more if trouble else replayed),
        Line("a quorum of the members cosigned the tree", report.witnessed_size > 0 or report.size == 0, vouched),
    )


def _claims(directory: Path, invitation: Invitation, state: LedgerState) -> tuple[Line, ...]:
    trust = witnessing.trust_file(state.governance)
    members = ", ".join(member.name for member in state.governance.members)
    claimed = (invitation.height, invitation.size, invitation.block, invitation.root)
    follows = (state.height, state.tree.size, state.digest.hex(), state.tree.root().hex())
    return (
        Line("the invitation ends where the ledger does", claimed == follows, f"block {state.height}, {follows[2]}"),
        Line("its trust file is the members' of then", invitation.trust == trust, members),
        Line("its checkpoint has a quorum of cosignatures", *_checkpoint(directory, invitation, state)),
    )


def _checkpoint(directory: Path, invitation: Invitation, state: LedgerState) -> tuple[bool, str]:
    """It must be the newest of the export's, whose roots were compared with the tree."""
    try:
        checkpoint = witnessing.trust_policy(state.governance).verify(parse_note(invitation.checkpoint))
        replayed = (directory / LEDGER / layout.CHECKPOINT).read_bytes() == invitation.checkpoint.encode()
    except (Malformed, ProofInvalid, OSError) as error:
        return False, str(error)
    return replayed, f"{checkpoint.size} records" if replayed else "the export ends with another one"
