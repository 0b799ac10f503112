"""The batch: what one node appends to the log at once, and what is kept of it afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from consortium.errors import Malformed
from consortium.model.encoding import decode_flat, encode_ordered
from consortium.model.names import is_name
from consortium.model.records import DIGEST_BYTES, MAX_TIME_MS, SealedRecord

BATCH_VERSION = 1
BATCH_CONTEXT = b"consortium/batch/v1\n"
"""Prefixed to the head before signing: a signature for one purpose can serve no other."""
MAX_BATCH_BYTES = 1 << 20
MAX_BATCH_RECORDS = 4096


@dataclass(frozen=True, slots=True)
class BatchHead:
    """The signed part. `root` is the RFC 6962 root of the batch's own header bytes; `count` is their number."""

    network: str
    channel: str
    epoch: int
    member: str
    sequence: int
    created_ms: int
    count: int
    root: bytes

    def encoded(self) -> bytes:
        """The bytes that are signed, after `BATCH_CONTEXT`."""
        return encode_ordered(
            [
                BATCH_VERSION,
                self.network,
                self.channel,
                self.epoch,
                self.member,
                self.sequence,
                self.created_ms,
                self.count,
                self.root,
            ]
        )


def parse_head(data: bytes) -> BatchHead:
    """A head from its bytes, every field checked. Raises `Malformed`."""
    raw = decode_flat(data)
    if type(raw) is not tuple or len(raw) != 9 or type(raw[0]) is not int or raw[0] != BATCH_VERSION:
        raise Malformed("unknown batch version")
    _, network, channel, epoch, member, sequence, created, count, root = raw
    if not (is_name(network) and is_name(channel) and is_name(member)):
        raise Malformed("batch: network, channel and member are names")
    if any(type(n) is not int or n < 0 for n in (epoch, sequence, created, count)):
        raise Malformed("batch: epoch, sequence, created and count are numbers")
    if created >= MAX_TIME_MS or count > MAX_BATCH_RECORDS or epoch >= 1 << 32 or sequence >= 1 << 53:
        raise Malformed("batch: a number is out of range")
    if type(root) is not bytes or len(root) != DIGEST_BYTES:
        raise Malformed("batch: the root has a wrong length")
    return BatchHead(network, channel, epoch, member, sequence, created, count, root)


def encode_batch(head: bytes, signature: bytes, records: Sequence[SealedRecord]) -> bytes:
    """The value that is appended to the log."""
    return encode_ordered([head, signature, [[r.header_bytes, list(r.bodies), r.wraps] for r in records]])


@dataclass(frozen=True, slots=True)
class WireRecord:
    """A record as a batch carries it, before anyone believes it."""

    header: bytes
    bodies: tuple[bytes, ...]
    wraps: bytes

    def encoded(self) -> bytes:
        """Its bytes, as evidence keeps them."""
        return encode_ordered([self.header, list(self.bodies), self.wraps])


@dataclass(frozen=True, slots=True)
class WireBatch:
    """A batch's three parts, before anyone believes it. A record of a wrong shape refuses the whole batch."""

    head: bytes
    signature: bytes
    records: tuple[WireRecord, ...]


def parse_batch(data: bytes) -> WireBatch:
    """A batch from the log's bytes. Raises `Malformed`."""
    raw = decode_flat(data)
    if type(raw) is not tuple or len(raw) != 3:
        raise Malformed("a batch has three parts")
    head, signature, records = raw
    if type(head) is not bytes or type(signature) is not bytes or len(signature) != 64 or type(records) is not tuple:
        raise Malformed("a batch has a head, a signature and records")
    return WireBatch(head, signature, tuple(_wire_record(r) for r in records))


def parse_wire_record(data: bytes) -> WireRecord:
    """The inverse of `WireRecord.encoded`. Raises `Malformed`."""
    return _wire_record(decode_flat(data))


def _wire_record(raw: Any) -> WireRecord:
    if type(raw) is not tuple or len(raw) != 3:
        raise Malformed("a record has a header, bodies and wraps")
    header, bodies, wraps = raw
    if type(header) is not bytes or type(bodies) is not tuple or type(wraps) is not bytes:
        raise Malformed("a record has a header, bodies and wraps")
    for body in bodies:
        if type(body) is not bytes:
            raise Malformed("a ciphertext is bytes")
    return WireRecord(header, bodies, wraps)
