"""The replay, a block at a time: feed blocks in order, get what does not hold.

It has no I/O, so an export, a live store and a node's check of itself use it alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from consortium.audit.differences import batch_differences, block_differences, broken_batch, verdict_differences
from consortium.audit.ids import IdSet
from consortium.audit.outcome import KnownLeaves, Outcome, followed, told
from consortium.audit.report import Finding, Refused, at_block
from consortium.ledger.admission import OpenedBatch, reopen
from consortium.ledger.state import LedgerState, MemberState, initial
from consortium.ledger.transition import transition
from consortium.model.blocks import Block, KeptBlock
from consortium.model.members import Genesis


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
        self._lost = False
        self._also: dict[str, int] = {}
        self._unsure: set[str] = set()  # members whose latest batch may stand in a missing block

    def feed(self, kept: KeptBlock, known: KnownLeaves = no_leaves, digest: bytes | None = None) -> Audited:
        """The next block. `known` is asked for leaves only where the block's own headers do not fit its root.

        `digest` is the block's digest where it is stored beside the block.
        """
        state, findings = self._aligned(kept)
        batch = reopen(state.genesis, kept.batch)
        outcome, more = self._outcome(state, kept, batch, known)
        findings += more
        if digest is not None and digest != outcome.block.digest() and not findings:
            sentence = "digest is not that of the block: it, or the block's position, was changed"
            findings.append(at_block(outcome.block.height, sentence))
        self.state, self._last = outcome.state, kept.block
        self._chained = {kept.block.digest(), digest or b""}
        self._unsure.discard(kept.block.member if not kept.block.refusal else "")
        for record in outcome.accepted:
            if record.verdict.id:
                self._ids.add(record.verdict.id)
        return Audited(outcome, tuple(findings), _refused(outcome))

    def _outcome(
        self, state: LedgerState, kept: KeptBlock, batch: OpenedBatch, known: KnownLeaves
    ) -> tuple[Outcome, list[Finding]]:
        taken = frozenset(i for i in batch.ids() if i in self._ids)
        step = transition(state, batch, taken)
        stored, height = self._without_lost(kept.block, step.block), step.block.height
        if batch.refusal is not None and kept.batch.raw is None:
            outcome, findings = told(state, kept, known)
            fits = outcome.block.root == kept.block.root
            self._lost = self._lost or not fits
            findings += broken_batch(height, kept, batch.refusal, blame_rejected=fits and not findings)
            return outcome, findings + block_differences(self._without_lost(kept.block, outcome.block), outcome.block)
        outcome = followed(state, step)
        if step.block.root != kept.block.root:
            other, findings = told(state, kept, known)
            if other.block.root == kept.block.root:
                findings += verdict_differences(kept.block, step.block)
                return other, findings + block_differences(kept.block, other.block)
        findings = block_differences(stored, outcome.block)
        return outcome, findings + batch_differences(height, kept.batch, outcome.batch)

    def _without_lost(self, stored: Block, computed: Block) -> Block:
        """Once a leaf is lost (its header was changed, and no tile has it) roots cannot be compared any more."""
        return replace(stored, root=computed.root) if self._lost else stored

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
        if stored.height > state.height + 1 and stored.previous != state.digest:
            return self._after_gap(state, kept)
        if self._unsure:
            state = replace(state, time_ms=max(state.time_ms, stored.time_ms))
        findings = []
        if kept.batch.position <= state.position:
            sentence = f"position {kept.batch.position} does not come after {state.position}"
            findings.append(at_block(state.height + 1, sentence))
            state = replace(state, position=kept.batch.position - 1)
        return self._in_sequence(state, kept, findings)

    def _after_gap(self, state: LedgerState, kept: KeptBlock) -> tuple[LedgerState, list[Finding]]:
        """Blocks are missing: go on from where the next one stands, and do not blame it for what they changed."""
        stored = kept.block
        sentence = f"blocks {state.height + 1} to {stored.height - 1} are missing"
        finding = Finding(f"block {state.height + 1}", sentence, state.height + 1)
        self._unsure = set(state.members)
        members = dict(state.members)
        if stored.member in members:
            members[stored.member] = replace(members[stored.member], next_sequence=stored.sequence)
        after = replace(
            state,
            height=stored.height - 1,
            digest=stored.previous,
            position=kept.batch.position - 1,
            time_ms=max(state.time_ms, stored.time_ms),
            members=members,
        )
        return after, [finding]

    def _in_sequence(
        self, state: LedgerState, kept: KeptBlock, findings: list[Finding]
    ) -> tuple[LedgerState, list[Finding]]:
        member, sequence = kept.batch.member, kept.batch.sequence
        known = state.members.get(member)
        if known is None or sequence == known.next_sequence:
            return state, findings
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
