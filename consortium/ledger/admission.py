"""Admission: what can be said of a batch and its records by themselves, before the ledger's state is asked.

Opening a batch never raises for what is in it: whatever bytes the log holds, the verdict is a value and the same on
every node. Checked in this order, the first failure being the verdict: size, encoding, member, place, signature,
count, Merkle root. Then each record by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from consortium.crypto import signing
from consortium.crypto.hashing import sha256
from consortium.crypto.merkle import leaf_hash, root_of
from consortium.errors import Malformed
from consortium.ledger.recovery import opening
from consortium.model.batches import (
    BATCH_CONTEXT,
    MAX_BATCH_BYTES,
    BatchHead,
    WireRecord,
    parse_batch,
    parse_head,
    parse_wire_record,
)
from consortium.model.blocks import KeptBatch, LogEntry
from consortium.model.members import Membership
from consortium.model.public import Recovery
from consortium.model.records import Header, parse_header
from consortium.model.verdicts import EVIDENCE_NEEDED, BatchRefusal, RecordRefusal


@dataclass(frozen=True, slots=True)
class OpenedRecord:
    """A record of a good batch.

    `header` is None if its bytes are no header; `fault` is what admission found, or None; `wire` is the whole record
    as the log carried it, or None where it was dropped after somebody had applied it.
    """

    header_bytes: bytes
    leaf: bytes
    header: Header | None
    fault: RecordRefusal | None
    wire: WireRecord | None


@dataclass(frozen=True, slots=True)
class OpenedBatch:
    """A batch that the ledger can judge: either `refusal` is set, or `head` and `records` are.

    `recovery` is the agreement by which it opens the next epoch; None for every other batch.
    """

    member: str
    sequence: int
    position: int
    digest: bytes
    refusal: BatchRefusal | None
    head: BatchHead | None = None
    head_bytes: bytes = b""
    signature: bytes = b""
    records: tuple[OpenedRecord, ...] = ()
    raw: bytes = b""
    recovery: Recovery | None = None

    def ids(self) -> list[bytes]:
        """The ids that the ledger's state must be asked for."""
        return [r.header.id for r in self.records if r.header is not None and r.fault is None]


def open_entry(membership: Membership, entry: LogEntry) -> OpenedBatch:
    """An entry as it comes from the log, judged by who is a member then."""
    if len(entry.data) > MAX_BATCH_BYTES:
        return _refused(entry, BatchRefusal.TOO_LARGE)
    try:
        wire = parse_batch(entry.data)
        head = parse_head(wire.head)
    except Malformed:
        return _refused(entry, BatchRefusal.MALFORMED)
    headers = [record.header for record in wire.records]
    leaves = [leaf_hash(header) for header in headers]
    recovery = opening(membership, head, headers)
    refusal = _judge(membership, entry, head, wire.head, wire.signature, leaves, recovery)
    if refusal is not None:
        return _refused(entry, refusal)
    records = tuple(
        _open_record(head, record.header, leaf, record) for record, leaf in zip(wire.records, leaves, strict=True)
    )
    return _good(entry, head, wire.head, wire.signature, records, recovery)


def reopen(membership: Membership, kept: KeptBatch) -> OpenedBatch:
    """A batch that somebody applied and kept.

    Where the record itself was dropped its ciphertext is taken to have matched: the tree's root, which includes
    every accepted record, is what convicts whoever kept something else.
    """
    entry = LogEntry(kept.member, kept.sequence, kept.position, kept.raw or b"")
    if kept.raw is not None:
        # A sound batch among the refused is itself an untruth; judging it again brings that out.
        return open_entry(membership, entry)
    try:
        head = parse_head(kept.head)
    except Malformed:
        return _refused(entry, BatchRefusal.MALFORMED)
    leaves = [leaf_hash(header) for header in kept.headers]
    recovery = opening(membership, head, kept.headers)
    refusal = _judge(membership, entry, head, kept.head, kept.signature, leaves, recovery)
    if refusal is not None:
        return _refused(entry, refusal)
    records = _reopen_records(head, kept.headers, leaves, kept.evidence)
    return _good(entry, head, kept.head, kept.signature, records, recovery)


def _reopen_records(
    head: BatchHead, headers: Sequence[bytes], leaves: Sequence[bytes], evidence: Mapping[int, bytes]
) -> tuple[OpenedRecord, ...]:
    records = []
    for item, (header, leaf) in enumerate(zip(headers, leaves, strict=True)):
        wire = None
        if item in evidence:
            try:
                wire = parse_wire_record(evidence[item])
            except Malformed:
                wire = None
        records.append(_open_record(head, header, leaf, wire))
    return tuple(records)


def _judge(
    membership: Membership,
    entry: LogEntry,
    head: BatchHead,
    head_bytes: bytes,
    signature: bytes,
    leaves: Sequence[bytes],
    recovery: Recovery | None,
) -> BatchRefusal | None:
    member = membership.member(entry.member)
    if member is None:
        return BatchRefusal.UNKNOWN_MEMBER
    place = (head.network, head.channel, head.member, head.sequence)
    if place != (membership.network, membership.channel, entry.member, entry.sequence):
        return BatchRefusal.MISPLACED
    if head.epoch != membership.epoch and recovery is None:
        return BatchRefusal.MISPLACED
    if not signing.verify(BATCH_CONTEXT + head_bytes, signature, member.keys.signing):
        return BatchRefusal.BAD_SIGNATURE
    if head.count != len(leaves):
        return BatchRefusal.WRONG_COUNT
    if head.root != root_of(leaves):
        return BatchRefusal.WRONG_ROOT
    return None


def _refused(entry: LogEntry, refusal: BatchRefusal) -> OpenedBatch:
    return OpenedBatch(entry.member, entry.sequence, entry.position, sha256(entry.data), refusal, raw=entry.data)


def _good(
    entry: LogEntry,
    head: BatchHead,
    head_bytes: bytes,
    signature: bytes,
    records: tuple[OpenedRecord, ...],
    recovery: Recovery | None,
) -> OpenedBatch:
    # Without it evidence could be changed afterwards: nothing else that is signed or chained covers a bad ciphertext.
    evidence = b"".join(sha256(kept) for r in records if r.fault and (kept := evidence_of(r, r.fault)))
    digest = sha256(head_bytes + signature + evidence)
    return OpenedBatch(
        entry.member,
        entry.sequence,
        entry.position,
        digest,
        None,
        head,
        head_bytes,
        signature,
        records,
        recovery=recovery,
    )


def _open_record(head: BatchHead, header_bytes: bytes, leaf: bytes, wire: WireRecord | None) -> OpenedRecord:
    try:
        header = parse_header(header_bytes)
    except Malformed:
        return OpenedRecord(header_bytes, leaf, None, RecordRefusal.MALFORMED_HEADER, wire)
    return OpenedRecord(header_bytes, leaf, header, _fault(head, header, wire), wire)


def _fault(head: BatchHead, header: Header, wire: WireRecord | None) -> RecordRefusal | None:
    if header.author != head.member:
        return RecordRefusal.WRONG_AUTHOR
    if header.created_ms > head.created_ms:
        return RecordRefusal.CREATED_AFTER_BATCH
    if wire is None:
        return None
    if len(wire.bodies) != len(header.sections):
        return RecordRefusal.WRONG_CIPHERTEXT
    for seal, body in zip(header.sections, wire.bodies, strict=True):
        if len(body) != seal.size_class + 16 or sha256(body) != seal.digest:
            return RecordRefusal.WRONG_CIPHERTEXT
    if sha256(wire.wraps) != header.wraps_digest:
        return RecordRefusal.WRONG_WRAPS
    return None


def evidence_of(record: OpenedRecord, reason: RecordRefusal) -> bytes:
    """The bytes to keep so that anyone can check the refusal again: b'' where the header suffices."""
    return record.wire.encoded() if reason in EVIDENCE_NEEDED and record.wire is not None else b""
