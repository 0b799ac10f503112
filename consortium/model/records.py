"""A record's life, one frozen type per step: Draft -> SealedRecord -> Ordered -> Accepted | Rejected.

What is not sealed cannot be ordered: the type checker refuses it, since `consortium.pipeline.order` takes
`SealedRecord` and nothing but `consortium.pipeline.seal` and a batch's parser make one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from consortium.errors import Malformed
from consortium.model import names
from consortium.model.encoding import decode_flat, encode_ordered
from consortium.model.names import Party

HEADER_VERSION = 1
SEALED = "sealed"
PUBLIC_KINDS = frozenset({"proposal", "ballot", "tombstone", "acknowledgement", "escrow-key", "recovery"})
"""Records that everybody reads: their content is the header's body (`consortium.model.public`), nothing is sealed."""
HINT_BYTES = 16
DIGEST_BYTES = 32
MAX_SECTIONS = 8
MAX_SLOTS = 64
MAX_TIME_MS = 1 << 47
MAX_BODY_BYTES = 48 * 1024
"""A leaf of the tree is served with a length of 16 bits (C2SP tlog-tiles)."""
EMPTY_DIGEST = hashlib.sha256(b"").digest()


@dataclass(frozen=True, slots=True)
class DraftSection:
    """One part of a payload with readers of its own.

    `plaintext` is deterministic CBOR; `readers` are distinct parties, at least one.
    """

    name: str
    plaintext: bytes
    readers: tuple[Party, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """A well-formed record that its submitter may submit; nothing of it has left the node."""

    id: bytes
    kind: str
    author: str
    created_ms: int
    sections: tuple[DraftSection, ...]


@dataclass(frozen=True, slots=True)
class SectionSeal:
    """What the header says of one section: its commitment, its ciphertext's SHA-256, its padded size in bytes."""

    commitment: bytes
    digest: bytes
    size_class: int


@dataclass(frozen=True, slots=True)
class Header:
    """What every node keeps of a record, for ever. Field meanings: docs/formats.md, "Header".

    `hints` is a run of 16-byte hints, 2, 4, 8, ... of them, one per wrap, in no telling order. A record of a public
    kind has a `body` instead of sections and hints.
    """

    id: bytes
    kind: str
    author: str
    created_ms: int
    sections: tuple[SectionSeal, ...]
    hints: bytes
    wraps_digest: bytes
    body: bytes | None = None

    def encoded(self) -> bytes:
        """The header's bytes: the leaf of the tree, and what the batch signature covers."""
        seals = [[s.commitment, s.digest, s.size_class] for s in self.sections]
        return encode_ordered(
            [
                HEADER_VERSION,
                self.id,
                self.kind,
                self.author,
                self.created_ms,
                seals,
                self.hints,
                self.wraps_digest,
                self.body,
            ]
        )

    def slots(self) -> tuple[bytes, ...]:
        """The hints, one per wrap."""
        return tuple(self.hints[i : i + HINT_BYTES] for i in range(0, len(self.hints), HINT_BYTES))


@lru_cache(maxsize=8192)
def parse_header(data: bytes) -> Header:
    """A header from its bytes, every field checked. Raises `Malformed`.

    Remembered: a node meets a header when it admits the record, again when it indexes it, and when it is read.
    """
    raw = decode_flat(data)
    if type(raw) is not tuple or len(raw) != 9:
        raise Malformed("a header has nine fields")
    version, rid, kind, author, created, seals, hints, wraps_digest, body = raw
    if type(version) is not int or version != HEADER_VERSION:
        raise Malformed("unknown header version")
    if not _is_bytes(rid, names.ID_BYTES) or not _is_bytes(wraps_digest, DIGEST_BYTES):
        raise Malformed("header: id or wraps digest has a wrong length")
    if type(kind) is not str or (kind != SEALED and kind not in PUBLIC_KINDS):
        raise Malformed("header: unknown kind")
    if not names.is_name(author):
        raise Malformed("header: author is no name")
    if type(created) is not int or not 0 <= created < MAX_TIME_MS:
        raise Malformed("header: created is no time")
    if kind in PUBLIC_KINDS:
        return _parse_public(Header(rid, kind, author, created, (), b"", wraps_digest, body), seals, hints)
    if body is not None:
        raise Malformed("header: only public kinds have a body")
    return Header(rid, kind, author, created, _parse_seals(seals), _parse_hints(hints), wraps_digest)


def _parse_public(header: Header, seals: Any, hints: Any) -> Header:
    if seals != () or type(seals) is not tuple or hints != b"" or header.wraps_digest != EMPTY_DIGEST:
        raise Malformed("header: a public kind has nothing sealed")
    if type(header.body) is not bytes or not 0 < len(header.body) <= MAX_BODY_BYTES:
        raise Malformed("header: a public kind has a body")
    return header


def _is_bytes(value: Any, length: int) -> bool:
    return type(value) is bytes and len(value) == length


def _parse_seals(raw: Any) -> tuple[SectionSeal, ...]:
    if type(raw) is not tuple or not 1 <= len(raw) <= MAX_SECTIONS:
        raise Malformed("header: one to eight sections")
    seals = []
    for item in raw:
        if type(item) is not tuple or len(item) != 3:
            raise Malformed("header: a section has three fields")
        commitment, digest, size_class = item
        if not _is_bytes(commitment, DIGEST_BYTES) or not _is_bytes(digest, DIGEST_BYTES):
            raise Malformed("header: a section's digest has a wrong length")
        if type(size_class) is not int or not 0 < size_class < 1 << 20:
            raise Malformed("header: a section's size class is out of range")
        seals.append(SectionSeal(commitment, digest, size_class))
    return tuple(seals)


def _parse_hints(raw: Any) -> bytes:
    if type(raw) is not bytes or len(raw) % HINT_BYTES:
        raise Malformed("header: hints are a run of 16 bytes")
    count = len(raw) // HINT_BYTES
    if not 2 <= count <= MAX_SLOTS or count & (count - 1):
        raise Malformed("header: hints are padded to 2, 4, 8, ...")
    return raw


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """A record as it travels in a batch. Of a public kind it is its header alone.

    `bodies` are the sections' ciphertexts in the header's order; `wraps` is a run of equally long wraps, one per
    hint, in the hints' order.
    """

    header: Header
    header_bytes: bytes
    bodies: tuple[bytes, ...]
    wraps: bytes

    def wire_size(self) -> int:
        """An upper bound of the bytes that this record takes in a batch."""
        return len(self.header_bytes) + sum(map(len, self.bodies)) + len(self.wraps) + 5 * (3 + len(self.bodies))


@dataclass(frozen=True, slots=True)
class Ordered:
    """The record stands in the log at `position`; every node will come to the same verdict on it."""

    id: bytes
    position: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """The record was applied: leaf `index` of the tree (from 0), item `item` (from 0) of the block at `height`."""

    id: bytes
    height: int
    item: int
    index: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """The record was applied and refused, on every node alike, with `reason` (see `consortium.model.verdicts`)."""

    id: bytes
    height: int
    item: int
    reason: str


Applied = Accepted | Rejected
