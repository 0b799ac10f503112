"""What applying a record would cost if there were nothing but its primitives: hash, CBOR, COPY.

Measured one after the other on the same records, in the same process and database as the replay beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cbor2
import psycopg

from consortium.crypto.hashing import sha256
from consortium.crypto.merkle import leaf_hash, node_hash
from consortium.model.batches import WireRecord, parse_batch
from consortium.model.blocks import LogEntry

_TABLES = """
CREATE TABLE bound_records (LIKE ledger.records INCLUDING ALL);
CREATE TABLE bound_held (LIKE node.held INCLUDING DEFAULTS INCLUDING INDEXES INCLUDING STORAGE);
"""


@dataclass(frozen=True, slots=True)
class Bound:
    """Seconds per record, on one core."""

    hash_s: float
    cbor_s: float
    copy_s: float

    @property
    def per_s(self) -> float:
        """Records per second at best."""
        return 1 / (self.hash_s + self.cbor_s + self.copy_s)


def bound(entries: Sequence[LogEntry], url: str, *, held: bool) -> Bound:
    """Of a node that keeps headers alone, or, if `held`, the payloads too."""
    batches = [parse_batch(entry.data).records for entry in entries]
    count = sum(map(len, batches))
    return Bound(
        _seconds(lambda: _hash(batches)) / count,
        _seconds(lambda: _decode(entries, batches)) / count,
        _copy(batches, url, held=held) / count,
    )


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _hash(batches: Sequence[Sequence[WireRecord]]) -> None:
    """Ciphertext, wraps and leaf, and the inner nodes: one per leaf in the batch's tree, one in the ledger's."""
    for records in batches:
        for record in records:
            leaf = leaf_hash(record.header)
            sha256(record.bodies[0])
            sha256(record.wraps)
            node_hash(leaf, leaf)
            node_hash(leaf, leaf)


def _decode(entries: Sequence[LogEntry], batches: Sequence[Sequence[WireRecord]]) -> None:
    for entry, records in zip(entries, batches, strict=True):
        cbor2.loads(entry.data)
        for record in records:
            cbor2.loads(record.header)


def _copy(batches: Sequence[Sequence[WireRecord]], url: str, *, held: bool) -> float:
    """COPY, one transaction a batch, each on disk before the next."""
    index, prepared = 0, []
    for height, records in enumerate(batches, 1):
        headers, payloads = [], []
        for item, record in enumerate(records):
            headers.append((index, height, item, record.header[3:19], record.header))
            payloads.append((index, cbor2.dumps(list(record.bodies)), record.wraps, b"\0"))
            index += 1
        prepared.append((headers, payloads))
    with psycopg.connect(url) as conn:
        conn.execute(_TABLES)
        conn.commit()
        began = time.perf_counter()
        for headers, payloads in prepared:
            _copy_rows(conn, "bound_records", ("int8", "int8", "int4", "bytea", "bytea"), headers)
            if held:
                _copy_rows(conn, "bound_held", ("int8", "bytea", "bytea", "bytea"), payloads)
            conn.commit()
        seconds = time.perf_counter() - began
        conn.execute("DROP TABLE bound_records, bound_held")
    return seconds


def _copy_rows(conn: psycopg.Connection, table: str, types: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
    with conn.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)
