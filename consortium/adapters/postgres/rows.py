"""Rows to values. Each block is checked against its own digest as it is read: a changed row never passes for one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from consortium.adapters.postgres.pool import Row
from consortium.errors import Malformed, Tampering
from consortium.model.blocks import Block, KeptBatch
from consortium.model.encoding import decode_flat
from consortium.model.records import Accepted, Rejected, parse_header
from consortium.ports.ledger import StoredRecord
from consortium.ports.party import HeldRecord

BLOCK = """
SELECT height, previous, epoch, position, member, sequence, batch_digest, batch_created_ms, time_ms, refusal, count,
    size, root, digest, head, signature, items, reasons
FROM ledger.blocks LEFT JOIN LATERAL (
    SELECT array_agg(item ORDER BY item) AS items, array_agg(reason ORDER BY item) AS reasons
    FROM ledger.rejections WHERE rejections.height = blocks.height
) AS rejected ON true
"""
"""Selects rows for `block_of`; continue it with WHERE."""

REWRAPS = "ARRAY(SELECT sealed FROM node.rewraps AS w WHERE w.tree_index = {table}.tree_index ORDER BY ordinal)"
"""The last column of rows for `held_of`, by the table that names the record."""

HELD = f"""
SELECT tree_index, id, header, bodies, wraps, slots, {REWRAPS.format(table="held")}
FROM node.held JOIN ledger.records USING (tree_index)
"""  # noqa: S608 - constants
"""Selects rows for `held_of`; continue it with WHERE."""


def block_of(row: Row) -> Block:
    """A block from a row of `BLOCK`. Raises `Tampering` if it is not the block that was stored."""
    block = unchecked(row)
    if block.digest() != row[13]:
        raise changed(block.height)
    return block


def unchecked(row: Row) -> Block:
    """The same, whatever it says."""
    rejections = tuple(zip(row[16] or (), row[17] or (), strict=True))
    fields: list[Any] = [*row[:11], rejections, *row[11:13]]
    return Block(*fields)


def kept_of(block: Block, row: Row, accepted: Iterator[Row], rejected: Sequence[Row], raw: bytes | None) -> KeptBatch:
    """What is kept of a block's batch.

    `row` is the block's, `accepted` gives exactly its accepted items (item, id, header, height), `rejected` are its
    rejections (item, id, header, evidence), `raw` its refused batch. Raises `Tampering` if they do not add up.
    """
    place = (block.member, block.sequence, block.position)
    good = list(accepted)
    if (raw is not None) != bool(block.refusal) or (raw is not None and (good or rejected)):
        raise changed(block.height)
    if raw is not None:
        return KeptBatch(*place, raw=raw)
    headers = {item: header for item, _, header, _ in (*good, *rejected)}
    if len(headers) != len(good) + len(rejected) or sorted(headers) != list(range(block.count)):
        raise changed(block.height)
    if not all(height == block.height and _is_id_of(id, header) for _, id, header, height in good):
        raise changed(block.height)
    if not all(_is_id_of(id, header) for _, id, header, _ in rejected if id):
        raise changed(block.height)
    evidence = {item: proof for item, _, _, proof in rejected if proof}
    return KeptBatch(*place, row[14], row[15], tuple(headers[i] for i in range(block.count)), evidence)


def _is_id_of(record_id: bytes, header: bytes) -> bool:
    # The id stands twice, as a key and inside the header: 0x89 (nine fields), 0x01 (version), 0x50 (16 bytes), id.
    return header[3:19] == record_id


def stored_of(verdict: Accepted | Rejected, header: bytes) -> StoredRecord:
    """A record from its verdict and header. Raises `Tampering` if the header is not that record's."""
    try:
        parsed = parse_header(header)
    except Malformed:
        raise changed(verdict.height) from None
    if parsed.id != verdict.id:
        raise changed(verdict.height)
    return StoredRecord(verdict, parsed, header)


def take(rows: Iterator[Row], count: int) -> Iterator[Row]:
    """The next `count` rows."""
    return islice(rows, count)


def held_of(rows: Iterable[Row]) -> list[HeldRecord]:
    """Held records from rows of `HELD`. Raises `Tampering`."""
    return [
        HeldRecord(index, id, header, _bodies(index, bodies), wraps, tuple(slots), tuple(rewraps))
        for index, id, header, bodies, wraps, slots, rewraps in rows
    ]


def _bodies(index: int, raw: bytes) -> tuple[bytes, ...]:
    try:
        bodies = decode_flat(raw)
    except Malformed:
        bodies = None
    if type(bodies) is not tuple or any(type(body) is not bytes for body in bodies):
        raise Tampering(f"the held payload of leaf {index} was changed in the store")
    return bodies


def changed(height: int) -> Tampering:
    """The exception for a stored block whose rows were changed."""
    return Tampering(f"block {height} was changed in the store", hint="run `consortium audit`; restore from a backup")
