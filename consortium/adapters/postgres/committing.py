"""The hot path: one block and all that follows from it, as one statement.

One statement is one transaction and one round trip: atomic without BEGIN and COMMIT, and a block that is already
there inserts nothing, since every part reads from the row that the first one inserted. Measured against COPY in a
transaction: the same work for Postgres at 500 records, half of the client's time, and a third of the latency at one
record; and COPY cannot write into tables with row-level security at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from consortium.adapters.postgres.arrays import ByteaArray, Int8Array, TextArray
from consortium.ledger.transition import Transition
from consortium.model.encoding import encode_ordered
from consortium.model.records import PUBLIC_KINDS
from consortium.ports.party import HeldRecord, MissingRecord

# The chain is held together here too: a block goes in only on top of the one that it names.
_BLOCK = """
WITH block AS (
  INSERT INTO ledger.blocks (height, position, sequence, batch_created_ms, time_ms, size, epoch, count, member,
    refusal, digest, previous, batch_digest, root, head, signature)
  SELECT %(height)b, %(position)b, %(sequence)b, %(batch_created_ms)b, %(time_ms)b, %(size)b, %(epoch)b, %(count)b,
    %(member)b::text, %(refusal)b::text, %(digest)b, %(previous)b, %(batch_digest)b, %(root)b, %(head)b, %(signature)b
  WHERE (%(height)b = 1 OR EXISTS (
    SELECT FROM ledger.blocks WHERE height = %(height)b - 1 AND digest = %(previous)b)){unless}
  ON CONFLICT (height) DO NOTHING RETURNING height)"""

TAKEN = """
SELECT taken.id FROM unnest({ids}::bytea[]) AS wanted (id), LATERAL (
    SELECT id FROM ledger.records WHERE records.id = wanted.id OFFSET 0) AS taken"""
"""Ids that records have. So, and not by ANY: one look into the index for each, also by a plan that Postgres made, and
keeps, while the table was so small that reading all of it was cheaper.
"""
_UNLESS_TAKEN = f"""
    AND NOT EXISTS ({TAKEN.format(ids="%(r_ids)b")})"""

_PARTS = {
    "records": """
INSERT INTO ledger.records (tree_index, height, item, id, header)
  SELECT %(r_first)b + n - 1, height, item, id, header
  FROM block, unnest(%(r_items)b::bigint[], %(r_ids)b::bytea[], %(r_headers)b::bytea[])
    WITH ORDINALITY AS r (item, id, header, n)""",
    "rejections": """
INSERT INTO ledger.rejections (height, item, id, reason, header, evidence)
  SELECT height, j.* FROM block, unnest(%(j_items)b::bigint[], %(j_ids)b::bytea[], %(j_reasons)b::text[],
    %(j_headers)b::bytea[], %(j_evidence)b::bytea[]) AS j""",
    "refused_batches": """
INSERT INTO ledger.refused_batches (height, raw) SELECT height, %(raw)b FROM block""",
    "public": """
INSERT INTO ledger.public_records (tree_index, kind)
  SELECT p.* FROM block, unnest(%(p_indexes)b::bigint[], %(p_kinds)b::text[]) AS p""",
    "tiles": """
INSERT INTO ledger.tiles (level, idx, hashes)
  SELECT t.* FROM block, unnest(%(t_levels)b::bigint[], %(t_indexes)b::bigint[], %(t_hashes)b::bytea[]) AS t""",
    "held": """
INSERT INTO node.held (tree_index, bodies, wraps, slots)
  SELECT h.* FROM block, unnest(%(h_indexes)b::bigint[], %(h_bodies)b::bytea[], %(h_wraps)b::bytea[],
    %(h_slots)b::bytea[]) AS h""",
    "missing": """
INSERT INTO node.missing (tree_index, id, author)
  SELECT m.* FROM block, unnest(%(m_indexes)b::bigint[], %(m_ids)b::bytea[], %(m_authors)b::text[]) AS m""",
}


@cache
def statement(parts: tuple[str, ...]) -> str:
    """The statement that stores a block with these parts; it returns a row if the block was new."""
    inserts = "".join(f", {name} AS ({_PARTS[name]})" for name in parts)
    block = _BLOCK.format(unless=_UNLESS_TAKEN if "records" in parts else "")
    return f"{block}{inserts} SELECT height FROM block"  # noqa: S608  constants alone


def parameters(
    step: Transition, held: Sequence[HeldRecord], missing: Sequence[MissingRecord]
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The parts that the block has, and the values of all parameters."""
    values = _block_values(step)
    parts: list[str] = []
    tables: tuple[tuple[str, Sequence[Any], Callable[[Any], dict[str, Any]]], ...] = (
        ("records", step.accepted, _record_values),
        ("public", [r for r in step.accepted if r.kind in PUBLIC_KINDS], _public_values),
        ("rejections", step.rejected, _rejection_values),
        ("tiles", step.tiles, _tile_values),
        ("held", held, held_values),
        ("missing", missing, _missing_values),
    )
    for name, rows, add in tables:
        if rows:
            parts.append(name)
            values.update(add(rows))
    if step.batch.raw is not None:
        parts.append("refused_batches")
        values["raw"] = step.batch.raw
    return tuple(parts), values


def _block_values(step: Transition) -> dict[str, Any]:
    block, batch = step.block, step.batch
    return {
        "height": block.height,
        "position": block.position,
        "sequence": block.sequence,
        "batch_created_ms": block.batch_created_ms,
        "time_ms": block.time_ms,
        "size": block.size,
        "epoch": block.epoch,
        "count": block.count,
        "member": block.member,
        "refusal": str(block.refusal),
        "digest": step.state.digest,
        "previous": block.previous,
        "batch_digest": block.batch_digest,
        "root": block.root,
        "head": batch.head,
        "signature": batch.signature,
    }


def _record_values(accepted: Sequence[Any]) -> dict[str, Any]:
    # Accepted records take consecutive leaves, so the first one's index gives all.
    return {
        "r_first": accepted[0].verdict.index,
        "r_items": Int8Array([r.verdict.item for r in accepted]),
        "r_ids": ByteaArray([r.verdict.id for r in accepted]),
        "r_headers": ByteaArray([r.header_bytes for r in accepted]),
    }


def _public_values(public: Sequence[Any]) -> dict[str, Any]:
    return {
        "p_indexes": Int8Array([r.verdict.index for r in public]),
        "p_kinds": TextArray([r.kind for r in public]),
    }


def _rejection_values(rejected: Sequence[Any]) -> dict[str, Any]:
    return {
        "j_items": Int8Array([r.verdict.item for r in rejected]),
        "j_ids": ByteaArray([r.verdict.id for r in rejected]),
        "j_reasons": TextArray([str(r.verdict.reason) for r in rejected]),
        "j_headers": ByteaArray([r.header_bytes for r in rejected]),
        "j_evidence": ByteaArray([r.evidence for r in rejected]),
    }


def _tile_values(tiles: Sequence[Any]) -> dict[str, Any]:
    return {
        "t_levels": Int8Array([t.level for t in tiles]),
        "t_indexes": Int8Array([t.index for t in tiles]),
        "t_hashes": ByteaArray([t.hashes for t in tiles]),
    }


def held_values(held: Sequence[HeldRecord]) -> dict[str, Any]:
    """Parameters of the part `held`: ciphertexts as one CBOR array, slot numbers as bytes."""
    return {
        "h_indexes": Int8Array([h.index for h in held]),
        "h_bodies": ByteaArray([encode_ordered(list(h.bodies)) for h in held]),
        "h_wraps": ByteaArray([h.wraps for h in held]),
        "h_slots": ByteaArray([bytes(h.slots) for h in held]),
    }


def _missing_values(missing: Sequence[MissingRecord]) -> dict[str, Any]:
    return {
        "m_indexes": Int8Array([m.index for m in missing]),
        "m_ids": ByteaArray([m.id for m in missing]),
        "m_authors": TextArray([m.author for m in missing]),
    }
