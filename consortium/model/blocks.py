"""Blocks, and the two forms in which a node meets a batch: fresh from the log, or kept by somebody after applying."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from consortium.model.encoding import encode
from consortium.model.records import Accepted, Rejected, parse_header

BLOCK_VERSION = 1
_BLOCK_CONTEXT = b"consortium/block/v1\n"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry as the log delivers it.

    `member` and `sequence` come from the key, which etcd lets only that member write; `position` is the log's
    revision; `data` is the batch's bytes, unchecked. A key that names no member has `sequence` 0 and `member` ''.
    """

    member: str
    sequence: int
    position: int
    data: bytes


@dataclass(frozen=True, slots=True)
class KeptBatch:
    """What a node keeps of an entry for ever, enough to apply it again: for catch-up, export and audit.

    Of a good batch: `head`, `signature`, `headers`, and in `evidence` the whole encoded record for those items whose
    refusal rests on more than the header. Of a refused batch: `raw` alone.
    """

    member: str
    sequence: int
    position: int
    head: bytes = b""
    signature: bytes = b""
    headers: tuple[bytes, ...] = ()
    evidence: Mapping[int, bytes] = field(default_factory=dict)
    raw: bytes | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """A batch at its position, with the verdicts that every node came to.

    `size` and `root` describe the tree after the block; `time_ms` is the ledger's time after it; `batch_digest` is
    SHA-256 over head, signature and the SHA-256 of each kept piece of evidence, or over the raw bytes of a refused
    batch. `refusal` is '' for a good batch.
    """

    height: int
    previous: bytes
    epoch: int
    position: int
    member: str
    sequence: int
    batch_digest: bytes
    batch_created_ms: int
    time_ms: int
    refusal: str
    count: int
    rejections: tuple[tuple[int, str], ...]
    size: int
    root: bytes

    def fields(self) -> list[Any]:
        """The block as plain values, version first: what is hashed, and how it travels."""
        return [
            BLOCK_VERSION,
            self.height,
            self.previous,
            self.epoch,
            self.position,
            self.member,
            self.sequence,
            self.batch_digest,
            self.batch_created_ms,
            self.time_ms,
            self.refusal,
            self.count,
            [[item, reason] for item, reason in self.rejections],
            self.size,
            self.root,
        ]

    def digest(self) -> bytes:
        """The block's hash, which the next block names as its `previous`."""
        return hashlib.sha256(_BLOCK_CONTEXT + encode(self.fields())).digest()


@dataclass(frozen=True, slots=True)
class KeptBlock:
    """A block with its batch, as a store, a peer or an export gives it."""

    block: Block
    batch: KeptBatch


@dataclass(frozen=True, slots=True)
class AcceptedRecord:
    """An accepted record with what a node may keep of it."""

    verdict: Accepted
    header_bytes: bytes
    leaf: bytes

    @property
    def kind(self) -> str:
        """The record's kind."""
        return parse_header(self.header_bytes).kind


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A rejected record: its header, and the whole record where the verdict rests on it (else b'')."""

    verdict: Rejected
    header_bytes: bytes
    evidence: bytes
