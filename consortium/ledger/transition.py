"""One block -> one deterministic transition.

No clock, no randomness, no environment: `state` and `batch` alone decide. What the state holds on disk (which ids
are taken) comes in as `taken`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from consortium.crypto.merkle import Tile
from consortium.errors import DefectError, Tampering
from consortium.ledger.admission import OpenedBatch, OpenedRecord, evidence_of
from consortium.ledger.governance.state import Governance
from consortium.ledger.governance.step import step
from consortium.ledger.recovery import reopened
from consortium.ledger.state import LedgerState, MemberState, ledger_time
from consortium.model.blocks import AcceptedRecord, Block, KeptBatch, RejectedRecord
from consortium.model.records import PUBLIC_KINDS, Accepted, Rejected
from consortium.model.verdicts import RecordRefusal


@dataclass(frozen=True, slots=True)
class Transition:
    """What one block changes. `batch` is what is kept of the batch; `tiles` became full by the block."""

    state: LedgerState
    block: Block
    batch: KeptBatch
    accepted: tuple[AcceptedRecord, ...]
    rejected: tuple[RejectedRecord, ...]
    tiles: tuple[Tile, ...]


def transition(state: LedgerState, batch: OpenedBatch, taken: Collection[bytes]) -> Transition:
    """Apply a batch.

    `taken` holds those of `batch.ids()` that accepted records of earlier blocks already have. Raises `Tampering` if
    the batch is not the member's next, or does not come after the last position: entries were taken out of the log,
    put in, or changed.
    """
    if batch.recovery is not None:
        state = reopened(state, batch.recovery)
    _check_place(state, batch)
    height = state.height + 1
    members = _members_after(state, batch)
    time_ms = ledger_time(state, members)
    judge = _Judge(state.governance, height, time_ms)
    accepted, rejected = _verdicts(judge, state.tree.size, batch, taken)
    tree, tiles = state.tree.extend(record.leaf for record in accepted)
    block = Block(
        height=height,
        previous=state.digest,
        epoch=state.governance.epoch,
        position=batch.position,
        member=batch.member,
        sequence=batch.sequence,
        batch_digest=batch.digest,
        batch_created_ms=batch.head.created_ms if batch.head else 0,
        time_ms=time_ms,
        refusal=batch.refusal or "",
        count=len(batch.records),
        rejections=tuple((r.verdict.item, r.verdict.reason) for r in rejected),
        size=tree.size,
        root=tree.root(),
    )
    after = replace(
        state,
        governance=judge.governance,
        height=height,
        digest=block.digest(),
        position=batch.position,
        time_ms=time_ms,
        tree=tree,
        members=_with_admitted(members, judge.governance),
    )
    return Transition(after, block, _kept(batch, rejected), accepted, rejected, tiles)


def _check_place(state: LedgerState, batch: OpenedBatch) -> None:
    if batch.position <= state.position:
        raise Tampering(f"the log's order went back from position {state.position} to {batch.position}")
    if state.governance.member(batch.member) is None:
        return
    expected = state.next_sequence(batch.member)
    if batch.sequence != expected:
        raise Tampering(
            f"the log of {batch.member} continues with batch {batch.sequence} where {expected} must stand",
            hint="an entry was taken out of the ordering log, or its author skipped a number",
        )


class _Judge:
    """Judges public records one after the other: what one decides holds for the next."""

    def __init__(self, governance: Governance, height: int, time_ms: int) -> None:
        self.governance, self.height, self._time_ms = governance, height, time_ms

    def refusal(self, record: OpenedRecord) -> RecordRefusal | None:
        """Why the record is refused by what stands decided; None for one that is taken."""
        if record.header is None or record.header.kind not in PUBLIC_KINDS:
            return None
        after = step(self.governance, record.header, self.height, self._time_ms)
        if isinstance(after, RecordRefusal):
            return after
        self.governance = after
        return None


def _verdicts(
    judge: _Judge, size: int, batch: OpenedBatch, taken: Collection[bytes]
) -> tuple[tuple[AcceptedRecord, ...], tuple[RejectedRecord, ...]]:
    accepted: list[AcceptedRecord] = []
    rejected: list[RejectedRecord] = []
    seen, height = set(taken), judge.height
    for item, record in enumerate(batch.records):
        reason = record.fault
        if reason is None and record.header is not None and record.header.id in seen:
            reason = RecordRefusal.DUPLICATE_ID
        if reason is None:
            reason = judge.refusal(record)
        record_id = record.header.id if record.header else b""
        if reason is None:
            seen.add(record_id)
            verdict = Accepted(record_id, height, item, size + len(accepted))
            accepted.append(AcceptedRecord(verdict, record.header_bytes, record.leaf))
        else:
            refusal = Rejected(record_id, height, item, reason)
            rejected.append(RejectedRecord(refusal, record.header_bytes, evidence_of(record, reason)))
    return tuple(accepted), tuple(rejected)


def _members_after(state: LedgerState, batch: OpenedBatch) -> dict[str, MemberState]:
    members = dict(state.members)
    known = members.get(batch.member)
    if known is not None:
        latest = batch.head.created_ms if batch.head else known.latest_ms
        # Of a removed member nobody checks the numbers; the highest one is where it would go on.
        members[batch.member] = MemberState(max(known.next_sequence, batch.sequence + 1), latest)
    return members


def _with_admitted(members: dict[str, MemberState], governance: Governance) -> dict[str, MemberState]:
    if len(members) == len(governance.standings):
        return members
    return {**{name: MemberState() for name in governance.standings}, **members}


def _kept(batch: OpenedBatch, rejected: tuple[RejectedRecord, ...]) -> KeptBatch:
    if batch.refusal is not None:
        return KeptBatch(batch.member, batch.sequence, batch.position, raw=batch.raw)
    if batch.head is None:
        raise DefectError("a batch without refusal has a head")
    return KeptBatch(
        batch.member,
        batch.sequence,
        batch.position,
        batch.head_bytes,
        batch.signature,
        tuple(r.header_bytes for r in batch.records),
        {r.verdict.item: r.evidence for r in rejected if r.evidence},
    )
