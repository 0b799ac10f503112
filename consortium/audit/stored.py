"""A node's tables, read for the audit: blocks are put together from rows that may say anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from consortium.audit.outcome import KnownLeaves, Outcome
from consortium.audit.report import Finding, at_block, at_record
from consortium.crypto.merkle import HASH_BYTES, TILE_WIDTH, TileId, leaf_hash
from consortium.errors import Malformed
from consortium.model.batches import MAX_BATCH_RECORDS, parse_head
from consortium.model.blocks import AcceptedRecord, KeptBatch, KeptBlock, RejectedRecord
from consortium.ports.ledger import BlockRow, LedgerStore

Row = AcceptedRecord | RejectedRecord


async def compose(store: LedgerStore, row: BlockRow, records: Sequence[Row], size: int) -> KeptBlock:
    """The block of a row and of the record rows that name its height; `size` is the tree's before it.

    Where those are not the records 0, 1, 2, ... that the signed head counts (a changed height or item), the accepted
    ones are looked up by their place in the tree.
    """
    block = row.block
    if row.raw is not None and (block.refusal or not row.head):
        place = (block.member, block.sequence, block.position)
        return KeptBlock(block, KeptBatch(*place, row.head, row.signature, raw=row.raw))
    count = _count(row.head)
    headers = {record.verdict.item: record.header_bytes for record in records}
    rejected = {r.verdict.item: r for r in records if isinstance(r, RejectedRecord)}
    if len(records) != count or sorted(headers) != list(range(count)):
        added = min(max(block.size - size, 0), MAX_BATCH_RECORDS)
        found = await store.headers(size, size + added)
        headers = _by_index(found, rejected) if len(found) + len(rejected) == count else headers
    evidence = {item: r.evidence for item, r in rejected.items() if r.evidence}
    # The count may be what was changed, and so may an item: missing rows leave a gap, and nothing else moves.
    total = max(count, len(headers))
    ordered = tuple(headers.get(item, b"") for item in range(total))
    batch = KeptBatch(block.member, block.sequence, block.position, row.head, row.signature, ordered, evidence)
    return KeptBlock(block, batch)


def _count(head: bytes) -> int:
    try:
        return parse_head(head).count
    except Malformed:
        return 0


def _by_index(accepted: Sequence[bytes], rejected: Mapping[int, RejectedRecord]) -> dict[int, bytes]:
    headers = {item: r.header_bytes for item, r in rejected.items()}
    rest = iter(accepted)
    for item in range(len(accepted) + len(rejected)):
        if item not in headers:
            headers[item] = next(rest, b"")
    return headers


async def stored_leaves(store: LedgerStore, start: int, end: int) -> KnownLeaves:
    """The leaves [start, end) as the full tiles have them, and after the last of those as the headers give them."""
    first = start // TILE_WIDTH
    tiles = await store.tiles([(0, index) for index in range(first, end // TILE_WIDTH + 1)])
    beyond = end // TILE_WIDTH * TILE_WIDTH
    tail = [leaf_hash(header) for header in await store.headers(beyond, end)]
    known = {(0, end // TILE_WIDTH): b"".join(tail), **tiles}
    return lambda low, high: _leaves(known, low, high)


def _leaves(tiles: Mapping[TileId, bytes], start: int, end: int) -> list[bytes] | None:
    leaves: list[bytes] = []
    for index in range(start, end):
        at = index % TILE_WIDTH * HASH_BYTES
        leaf = tiles.get((0, index // TILE_WIDTH), b"")[at : at + HASH_BYTES]
        if len(leaf) < HASH_BYTES:
            return None
        leaves.append(leaf)
    return leaves


def row_differences(outcome: Outcome, rows: Sequence[Row]) -> list[Finding]:
    """Record rows of a block that are missing, too many, or hold something else than follows."""
    height = outcome.block.height
    follow: list[Row] = [*outcome.accepted, *outcome.rejected]
    expected = {row.verdict.item: row for row in follow}
    findings = []
    for row in rows:
        item = row.verdict.item
        wanted = expected.pop(item, None)
        if wanted is None:
            findings.append(at_block(height, f"a record row names item {item}, which is not there or stands twice"))
        elif row != wanted:
            findings.append(at_record(height, item, f"the record's row differs: {_difference(row, wanted)}"))
    return findings + [at_record(height, item, "the record's row is missing") for item in sorted(expected)]


def _difference(row: Row, wanted: Row) -> str:
    if type(row) is not type(wanted):
        return "it says the opposite verdict"
    names = [n for n in wanted.verdict.__slots__ if getattr(row.verdict, n) != getattr(wanted.verdict, n)]
    names += [n for n in wanted.__slots__ if n != "verdict" and getattr(row, n) != getattr(wanted, n)]
    return ", ".join(names)
