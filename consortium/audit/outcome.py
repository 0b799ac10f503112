"""How the audit goes on after a block: by what follows from its batch, or, where that no longer holds, by what the
block itself tells, so that one changed byte gives one finding and not one for every block that comes after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from consortium.audit.report import Finding, at_record
from consortium.crypto.hashing import sha256
from consortium.crypto.merkle import Tile, Tree, leaf_hash
from consortium.errors import Malformed
from consortium.ledger.state import LedgerState, MemberState, ledger_time
from consortium.ledger.transition import Transition
from consortium.model.batches import BatchHead, parse_head
from consortium.model.blocks import AcceptedRecord, Block, KeptBatch, KeptBlock, RejectedRecord
from consortium.model.records import Accepted, Rejected, parse_header

KnownLeaves = Callable[[int, int], Sequence[bytes] | None]
"""The leaf hashes [start, end) as the stored tiles have them, or None where they do not reach."""


@dataclass(frozen=True, slots=True)
class Filling:
    """Leaves that the tiles have of blocks that are missing, onto the tree `before`, and the tiles they fill."""

    before: Tree
    leaves: tuple[bytes, ...]
    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A block as the audit takes it. `before` is the tree before it, `leaves` what it added.

    Not `certain` is the tree once a leaf is lost: what is compared with it then says nothing.
    """

    state: LedgerState
    block: Block
    batch: KeptBatch
    before: Tree
    leaves: tuple[bytes, ...]
    accepted: tuple[AcceptedRecord, ...]
    rejected: tuple[RejectedRecord, ...]
    tiles: tuple[Tile, ...]
    certain: bool = True

    def after(self, filling: Filling) -> Outcome:
        """The outcome together with the leaves of missing blocks before it."""
        leaves, tiles = filling.leaves + self.leaves, filling.tiles + self.tiles
        return replace(self, before=filling.before, leaves=leaves, tiles=tiles)

    def tree_at(self, size: int) -> Tree:
        """The tree of `size` leaves, for a size between before the block and after it."""
        return self.before.extend(self.leaves[: size - self.before.size])[0]


def followed(before: LedgerState, step: Transition) -> Outcome:
    """The outcome that follows from the batch."""
    leaves = tuple(record.leaf for record in step.accepted)
    return Outcome(step.state, step.block, step.batch, before.tree, leaves, step.accepted, step.rejected, step.tiles)


def told(state: LedgerState, kept: KeptBlock, known: KnownLeaves) -> tuple[Outcome, list[Finding]]:
    """The outcome by the verdicts that the block tells, and the records that the tree contradicts.

    Where the headers do not lead to the block's root, the leaves that the tiles hold may.
    """
    height, stored = state.height + 1, kept.block
    accepted, rejected = _told_records(kept, height, state.tree.size)
    leaves: tuple[bytes, ...] = tuple(record.leaf for record in accepted)
    tree, tiles = state.tree.extend(leaves)
    findings: list[Finding] = []
    if tree.root() != stored.root:
        for held in (known(state.tree.size, stored.size), _only_leaf(kept)):
            other, other_tiles = state.tree.extend(held or ())
            if held and other.root() == stored.root:
                findings = _contradicted(height, accepted, held)
                tree, tiles, leaves = other, other_tiles, tuple(held)
    members = _told_members(state, kept)
    time_ms = ledger_time(state, members)
    block = replace(_told_block(state, kept, tree), time_ms=time_ms)
    after = replace(
        state,
        height=height,
        digest=block.digest(),
        position=stored.position,
        time_ms=time_ms,
        tree=tree,
        members=members,
    )
    return Outcome(after, block, kept.batch, state.tree, leaves, accepted, rejected, tiles), findings


def _only_leaf(kept: KeptBlock) -> tuple[bytes, ...]:
    """The leaf of a batch of one record is the root that its head was signed with."""
    head = _head_of(kept)
    return (head.root,) if head is not None and head.count == 1 and not kept.block.rejections else ()


def _head_of(kept: KeptBlock) -> BatchHead | None:
    try:
        return parse_head(kept.batch.head)
    except Malformed:
        return None


def _contradicted(height: int, accepted: Sequence[AcceptedRecord], held: Sequence[bytes]) -> list[Finding]:
    if len(accepted) != len(held):
        return []
    return [
        at_record(height, record.verdict.item, f"the header is not leaf {record.verdict.index} of the tree")
        for record, leaf in zip(accepted, held, strict=True)
        if record.leaf != leaf
    ]


def _told_records(
    kept: KeptBlock, height: int, size: int
) -> tuple[tuple[AcceptedRecord, ...], tuple[RejectedRecord, ...]]:
    reasons = dict(kept.block.rejections)
    accepted: list[AcceptedRecord] = []
    rejected: list[RejectedRecord] = []
    for item, header in enumerate(kept.batch.headers):
        record_id = _id_of(header)
        if item in reasons:
            evidence = kept.batch.evidence.get(item, b"")
            rejected.append(RejectedRecord(Rejected(record_id, height, item, reasons[item]), header, evidence))
        elif header:  # of a row that is missing there is nothing to take
            verdict = Accepted(record_id, height, item, size + len(accepted))
            accepted.append(AcceptedRecord(verdict, header, leaf_hash(header)))
    return tuple(accepted), tuple(rejected)


def _id_of(header: bytes) -> bytes:
    try:
        return parse_header(header).id
    except Malformed:
        return b""


def _told_members(state: LedgerState, kept: KeptBlock) -> dict[str, MemberState]:
    """The batch counts for the member of its block, or for that of its head if it is exactly that one's next."""
    members = dict(state.members)
    member, sequence = kept.block.member, kept.block.sequence
    head = _head_of(kept)
    if head and head.member in members and head.sequence == state.next_sequence(head.member):
        member, sequence = head.member, head.sequence
    if member in members:
        members[member] = MemberState(sequence + 1, kept.block.batch_created_ms)
    return members


def _told_block(state: LedgerState, kept: KeptBlock, tree: Tree) -> Block:
    """The block with everything computed that can be without believing its signature."""
    batch = kept.batch
    evidence = b"".join(sha256(data) for _, data in sorted(batch.evidence.items()))
    head = _head_of(kept)
    created_ms = head.created_ms if head else kept.block.batch_created_ms
    return replace(
        kept.block,
        height=state.height + 1,
        previous=state.digest,
        epoch=state.governance.epoch,
        position=batch.position,
        member=batch.member,
        sequence=batch.sequence,
        batch_digest=sha256(batch.head + batch.signature + evidence),
        batch_created_ms=created_ms,
        refusal="",
        count=len(batch.headers),
        size=tree.size,
        root=tree.root(),
    )
