"""The replay, a block at a time: feed blocks in order, get what does not hold.

It has no I/O, so an export, a live store and a node's check of itself use it alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from consortium.audit.differences import batch_differences, block_differences, broken_batch, verdict_differences
from consortium.audit.ids import IdSet
from consortium.audit.outcome import Filling, KnownLeaves, Outcome, followed, told
from consortium.audit.report import Finding, Refused, at_block
from consortium.ledger.admission import OpenedBatch, reopen
from consortium.ledger.state import LedgerState, MemberState, initial
from consortium.ledger.transition import transition
from consortium.model.blocks import Block, KeptBlock
from consortium.model.members import Genesis
from consortium.model.public import Recovery
from consortium.model.verdicts import RecordRefusal


@dataclass(frozen=True, slots=True)
class Audited:
    """What one block came to."""

    outcome: Outcome
    findings: tuple[Finding, ...]
    refused: tuple[Refused, ...]


def no_leaves(start: int, end: int) -> None:
    """No tiles are at hand."""


class Auditor:
    """Replays a ledger. Memory: 32 to 64 bytes a record, whatever the records' size."""

    def __init__(self, genesis: Genesis) -> None:
        self.state = initial(genesis)
        self._ids = IdSet()
        self._last: Block | None = None
        self._chained: set[bytes] = set()
        self._lost = self._gaps = False
        self._also: dict[str, int] = {}
        self._unsure: set[str] = set()  # members whose latest batch may stand in a missing block

    def feed(self, kept: KeptBlock, known: KnownLeaves = no_leaves, digest: bytes | None = None) -> Audited:
        """The next block. `known` is asked for leaves only where the block's own headers do not fit its root.

        `digest` is the block's digest where it is stored beside the block.
        """
        state, findings = self._aligned(kept)
        filled = None
        if self._is_after_gap(state, kept.block):
            state, filled, findings = self._after_gap(state, kept, known)
        batch = reopen(state.governance, kept.batch)
        outcome, more = self._outcome(state, kept, batch, known)
        findings += more
        if filled is not None:
            outcome = outcome.after(filled)
        if digest is not None and digest != outcome.block.digest() and not findings:
            sentence = "digest is not that of the block: it, or the block's position, was changed"
            findings.append(at_block(outcome.block.height, sentence))
        self.state, self._last = outcome.state, kept.block
        if self._unsure:
            self.state = replace(self.state, time_ms=kept.block.time_ms, digest=kept.block.digest())
        self._chained = {kept.block.digest(), digest or b""}
        self._unsure.discard(kept.block.member if not kept.block.refusal else "")
        for record in outcome.accepted:
            if record.verdict.id:
                self._ids.add(record.verdict.id)
        outcome = replace(outcome, certain=not self._lost)
        return Audited(outcome, tuple(findings), _refused(outcome))

    def _outcome(
        self, state: LedgerState, kept: KeptBlock, batch: OpenedBatch, known: KnownLeaves
    ) -> tuple[Outcome, list[Finding]]:
        taken = frozenset(i for i in batch.ids() if i in self._ids)
        step = transition(state, batch, taken)
        height = step.block.height
        if batch.refusal is not None and kept.batch.raw is None:
            outcome, findings = told(state, kept, known)
            fits = outcome.block.root == kept.block.root
            self._lost = self._lost or not fits
            findings += broken_batch(height, kept, batch.refusal, blame_rejected=fits and not findings)
            return outcome, findings + block_differences(self._comparable(kept.block, outcome.block), outcome.block)
        outcome = followed(state, step)
        if step.block.root != kept.block.root:
            other, findings = told(state, kept, known)
            if other.block.root == kept.block.root:
                findings += verdict_differences(self._comparable(kept.block, step.block), step.block)
                return other, findings + block_differences(self._comparable(kept.block, other.block), other.block)
        findings = block_differences(self._comparable(kept.block, outcome.block), outcome.block)
        return outcome, findings + batch_differences(height, kept.batch, outcome.batch)

    @staticmethod
    def _opened(state: LedgerState, recovery: Recovery) -> tuple[LedgerState, list[Finding]]:
        """Of a batch that opens an epoch: positions and numbers begin anew, from the block that was agreed on."""
        if (recovery.height, recovery.block) == (state.height, state.digest):
            return state, []
        sentence = f"it opens epoch {recovery.epoch} from block {recovery.height}, which is not the one before it"
        finding = at_block(state.height + 1, sentence)
        return replace(state, height=recovery.height, digest=recovery.block), [finding]

    def _comparable(self, stored: Block, computed: Block) -> Block:
        """The stored block with what can no longer be judged made equal: roots once a leaf is lost (its header was
        changed, and no tile has it), times and doubled ids after blocks that are missing.
        """
        if self._lost:
            stored = replace(stored, root=computed.root)
        if self._unsure:
            stored = replace(stored, time_ms=computed.time_ms)
        if self._gaps:
            ours = dict(computed.rejections)
            theirs = ((i, r) for i, r in stored.rejections if r != RecordRefusal.DUPLICATE_ID or i in ours)
            stored = replace(stored, rejections=tuple(theirs))
        return stored

    def _aligned(self, kept: KeptBlock) -> tuple[LedgerState, list[Finding]]:
        """The state to apply the batch to: chained to the block before as computed or, failing that, as stored.

        What fits neither stays as computed, and the comparison of the blocks will name it. Places that a transition
        would refuse are named here, and made to fit.
        """
        state, last, stored = self.state, self._last, kept.block
        if last is not None and stored.height == last.height + 1:
            state = replace(state, height=last.height)
        if stored.previous in self._chained:
            state = replace(state, digest=stored.previous)
        if self._is_after_gap(state, stored):
            return state, []
        recovery = reopen(state.governance, kept.batch).recovery
        if recovery is not None:
            return self._opened(state, recovery)
        findings = []
        if kept.batch.position <= state.position:
            sentence = f"position {kept.batch.position} does not come after {state.position}"
            findings.append(at_block(state.height + 1, sentence))
            state = replace(state, position=kept.batch.position - 1)
        return self._in_sequence(state, kept, findings)

    @staticmethod
    def _is_after_gap(state: LedgerState, stored: Block) -> bool:
        return stored.height > state.height + 1 and stored.previous != state.digest

    def _after_gap(
        self, state: LedgerState, kept: KeptBlock, known: KnownLeaves
    ) -> tuple[LedgerState, Filling, list[Finding]]:
        """Blocks are missing: go on from where the next one stands, and do not blame it for what they changed.

        Their leaves may still stand in the tiles.
        """
        stored = kept.block
        added = len(kept.batch.headers) - len(stored.rejections)
        leaves = known(state.tree.size, stored.size - added)
        self._lost = self._lost or leaves is None
        tree, tiles = state.tree.extend(leaves or ())
        self._unsure, self._gaps = set(state.members), True
        members = dict(state.members)
        if stored.member in members:
            members[stored.member] = replace(members[stored.member], next_sequence=stored.sequence)
        after = replace(
            state,
            height=stored.height - 1,
            digest=stored.previous,
            position=kept.batch.position - 1,
            tree=tree,
            members=members,
        )
        sentence = f"blocks {state.height + 1} to {stored.height - 1} are missing"
        return after, Filling(state.tree, tuple(leaves or ()), tiles), [at_block(state.height + 1, sentence)]

    def _in_sequence(
        self, state: LedgerState, kept: KeptBlock, findings: list[Finding]
    ) -> tuple[LedgerState, list[Finding]]:
        member, sequence = kept.batch.member, kept.batch.sequence
        known = state.members.get(member)
        if known is None or sequence == known.next_sequence or state.governance.member(member) is None:
            return state, findings  # of one that was removed nobody checks the numbers
        if sequence != self._also.get(member) and member not in self._unsure:
            sentence = f"{member} continues with batch {sequence} where {known.next_sequence} must stand"
            findings.append(at_block(state.height + 1, sentence))
        # Either batches are missing, or this one number was changed: the member's next batch may go on from both.
        self._also[member] = known.next_sequence + 1
        members = {**state.members, member: MemberState(sequence, known.latest_ms)}
        return replace(state, members=members), findings


def _refused(outcome: Outcome) -> tuple[Refused, ...]:
    block = outcome.block
    if block.refusal:
        return (Refused(block.height, None, b"", block.member, block.refusal),)
    return tuple(
        Refused(block.height, r.verdict.item, r.verdict.id, block.member, r.verdict.reason) for r in outcome.rejected
    )
