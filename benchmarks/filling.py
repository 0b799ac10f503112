"""Rows of a ledger that nobody applied, of the same number, size and shape as if somebody had: for measuring growth."""

from __future__ import annotations

import hashlib

import psycopg

from consortium.model.encoding import encode
from consortium.model.records import SealedRecord

BLOCK = 500
_TABLES = ("ledger.blocks", "ledger.records", "ledger.tiles", "node.held", "node.entries")

_BLOCKS = """
INSERT INTO ledger.blocks (height, position, sequence, batch_created_ms, time_ms, size, epoch, count, member, refusal,
    digest, previous, batch_digest, root, head, signature)
SELECT h, 0, h, 1, 1, 0, 1, %(block)s, 'nobody', '', sha256(int8send(h)), sha256(int8send(h - 1)), sha256(int8send(-h)),
    sha256(int8send(h)), %(head)s, %(signature)s
FROM generate_series(%(first_height)s::bigint, %(last_height)s::bigint) AS h
"""
_RECORDS = """
INSERT INTO ledger.records (tree_index, height, item, id, header)
SELECT i, %(first_height)s + (i - %(first)s) / %(block)s, (i - %(first)s) %% %(block)s, uuid_send(gen_random_uuid()),
    %(header)s
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS i
"""
_HELD = """
INSERT INTO node.held (tree_index, bodies, wraps, slots)
SELECT i, %(bodies)s, %(wraps)s, '\\x00' FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS i
"""
_ENTRIES = """
INSERT INTO node.entries (tree_index, start_ms, party, type)
SELECT i, 1500000000000 + i %% 8760 * 3600000, %(party)s, 'reading'
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS i
"""
_TILES = """
INSERT INTO ledger.tiles (level, idx, hashes)
SELECT %(level)s, i, %(hashes)s FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS i ON CONFLICT DO NOTHING
"""
_MARK = "UPDATE node.marks SET value = %s WHERE name = 'indexed_up_to'"


class Filling:
    """Fills one node's database; `sample` says how long rows are."""

    def __init__(self, url: str, admin_url: str, sample: SealedRecord) -> None:
        self._url = url
        self._admin_url = admin_url
        self._sample = sample

    def fill(self, height: int, size: int, to: int) -> tuple[int, bytes]:
        """Blocks after `height` with the records from `size` up to `to`; the last one's height and digest."""
        last_height = height + -(-(to - size) // BLOCK)
        values = {
            "block": BLOCK,
            "first_height": height + 1,
            "last_height": last_height,
            "first": size,
            "last": to - 1,
            "head": bytes(120),
            "signature": bytes(64),
            "header": self._sample.header_bytes,
            "bodies": encode(list(self._sample.bodies)),
            "wraps": self._sample.wraps,
            "party": bytes(16),
        }
        with psycopg.connect(self._url) as conn:
            for statement in (_BLOCKS, _RECORDS, _HELD, _ENTRIES):
                conn.execute(statement, values)
            for level in range(3):
                width = 256 ** (level + 1)
                full = {"level": level, "first": size // width, "last": to // width - 1, "hashes": bytes(8192)}
                conn.execute(_TILES, full)
            conn.execute(_MARK, [to])
        self._settle()
        return last_height, hashlib.sha256(last_height.to_bytes(8, "big")).digest()

    def _settle(self) -> None:
        """Let no work that filling left behind fall into what is measured."""
        with psycopg.connect(self._url, autocommit=True) as conn:
            for table in _TABLES:
                conn.execute(f"VACUUM (ANALYZE) {table}")
        with psycopg.connect(self._admin_url, autocommit=True) as conn:
            conn.execute("CHECKPOINT")
