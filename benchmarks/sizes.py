"""Bytes in Postgres: tables, indexes and everything that belongs to them."""

from __future__ import annotations

import psycopg

_SIZE = """
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind = 'r' AND nspname IN ('ledger', 'node')
"""


def stored_bytes(url: str) -> int:
    """All that a node's database holds for the ledger and for itself."""
    with psycopg.connect(url) as conn:
        row = conn.execute(_SIZE).fetchone()
    return int(row[0]) if row else 0
