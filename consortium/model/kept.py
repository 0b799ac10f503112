"""The wire form of a kept block: in exports, and between members for catch-up (`GET /v1/blocks`).

A block and its batch are one value: member, sequence and position stand in both and travel once. Formats:
docs/formats.md, "Kept block".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from consortium.errors import Malformed
from consortium.model.blocks import BLOCK_VERSION, Block, KeptBatch, KeptBlock
from consortium.model.encoding import decode, encode
from consortium.model.records import DIGEST_BYTES

KEPT_VERSION = 1
_SIGNATURE_BYTES = 64


def encode_kept_block(kept: KeptBlock) -> bytes:
    """`[1, block fields, batch]`, the batch being its raw bytes if it was refused, else
    `[head, signature, [header, ...], [[item, evidence], ...]]`.
    """
    batch = kept.batch
    body: Any = batch.raw
    if batch.raw is None:
        evidence = [[item, data] for item, data in sorted(batch.evidence.items())]
        body = [batch.head, batch.signature, list(batch.headers), evidence]
    return encode([KEPT_VERSION, kept.block.fields(), body])


def decode_kept_block(data: bytes) -> KeptBlock:
    """The inverse of `encode_kept_block`; types and ranges are checked, claims are not. Raises `Malformed`."""
    raw = decode(data)
    if type(raw) is not tuple or len(raw) != 3 or raw[0] != KEPT_VERSION or type(raw[0]) is not int:
        raise Malformed("unknown version of a kept block")
    block = _block(raw[1])
    return KeptBlock(block, _batch(block, raw[2]))


def _block(raw: Any) -> Block:
    if type(raw) is not tuple or len(raw) != 15 or type(raw[0]) is not int or raw[0] != BLOCK_VERSION:
        raise Malformed("unknown block version")
    for number, (check, value) in enumerate(zip(_BLOCK_FIELDS, raw[1:], strict=True), 1):
        if not check(value):
            raise Malformed(f"field {number} of a block has a wrong type or range")
    return Block(*raw[1:])  # decoded arrays are tuples, as `rejections` is


def _batch(block: Block, raw: Any) -> KeptBatch:
    place = (block.member, block.sequence, block.position)
    if type(raw) is bytes:
        return KeptBatch(*place, raw=raw)
    if type(raw) is not tuple or len(raw) != 4:
        raise Malformed("a kept batch is raw bytes, or head, signature, headers and evidence")
    head, signature, headers, evidence = raw
    if type(head) is not bytes or type(signature) is not bytes or len(signature) != _SIGNATURE_BYTES:
        raise Malformed("a kept batch has a head and a signature")
    if type(headers) is not tuple or any(type(header) is not bytes for header in headers):
        raise Malformed("a kept batch's headers are bytes")
    if not _is_pairs(evidence, bytes):
        raise Malformed("evidence is pairs of item and bytes, by rising item")
    return KeptBatch(*place, head, signature, headers, dict(evidence))


def _is_number(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_text(value: Any) -> bool:
    return type(value) is str


def _is_digest(value: Any) -> bool:
    return type(value) is bytes and len(value) == DIGEST_BYTES


def _is_pairs(value: Any, kind: type) -> bool:
    """Pairs of a number and a `kind`, by rising number."""
    if type(value) is not tuple or any(type(pair) is not tuple or len(pair) != 2 for pair in value):
        return False
    items = [item for item, _ in value]
    if any(not _is_number(item) for item in items) or items != sorted(set(items)):
        return False
    return all(type(content) is kind for _, content in value)


_BLOCK_FIELDS: tuple[Callable[[Any], bool], ...] = (
    _is_number,  # height
    _is_digest,  # previous
    _is_number,  # epoch
    _is_number,  # position
    _is_text,  # member
    _is_number,  # sequence
    _is_digest,  # batch_digest
    _is_number,  # batch_created_ms
    _is_number,  # time_ms
    _is_text,  # refusal
    _is_number,  # count
    lambda value: _is_pairs(value, str),  # rejections
    _is_number,  # size
    _is_digest,  # root
)
