"""What an officer's read costs: how many records the ledger has more afterwards, and how they share batches under load.

Each read is ordered on the ledger, sealed to its subject, before the answer leaves; so its time is that of a record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

import psycopg

from benchmarks.asking import Asker, ms
from benchmarks.disclosing import OFFICE
from consortium.devnet.network import Devnet

READERS = 16
PAGE = 100
_SIZE = "SELECT max(height), coalesce(sum(count), 0)::bigint FROM ledger.blocks"
_BATCHES = """
SELECT count(*), coalesce(sum(count), 0)::bigint FROM ledger.blocks WHERE height > %s AND member = %s AND count > 0
"""


async def measure(net: Devnet, token: str, grant: str, reads: int) -> dict[str, Any]:
    """`reads` records one after the other, as many by 16 at a time, and one page. Raises `OperatorError`."""
    path = f"/v1/grants/{grant}/records"
    with Asker(net, net.nodes[OFFICE], token) as asker:
        ids = await asyncio.to_thread(_ids, asker, path, 2 * reads)
        alone = await asyncio.to_thread(_one_by_one, net, asker, path, ids[:reads])
        page = await asyncio.to_thread(_page, net, asker, path)
    return alone | page | await _together(net, token, path, ids[reads:])


def _ids(asker: Asker, path: str, count: int) -> list[str]:
    """Records that can be read; looking for them is a read as well."""
    found: list[str] = []
    after: int | None = -1
    while len(found) < count and after is not None:
        page = asker.get(f"{path}?limit=200&after={after}")
        found += [row["id"] for row in page["rows"]]
        after = page["next"]
    return found[:count]


def _one_by_one(net: Devnet, asker: Asker, path: str, ids: Sequence[str]) -> dict[str, Any]:
    before = _stands(net)
    asker.times.clear()
    for id in ids:
        asker.get(f"{path}/{id}")
    records = _stands(net)[1] - before[1]
    return {
        "reads": len(ids),
        "records_per_read": records / len(ids),
        "p50_ms": ms(asker.times, 0.5),
        "p99_ms": ms(asker.times, 0.99),
    }


def _page(net: Devnet, asker: Asker, path: str) -> dict[str, Any]:
    before = _stands(net)
    asker.times.clear()
    rows = asker.get(f"{path}?limit={PAGE}")["rows"]
    subjects = len({row["data"]["subject"] for row in rows})
    records = _stands(net)[1] - before[1]
    return {
        "page": {
            "rows": len(rows),
            "subjects": subjects,
            "records_per_subject": records / subjects,
            "ms": asker.times[0] * 1000,
        }
    }


async def _together(net: Devnet, token: str, path: str, ids: Sequence[str]) -> dict[str, Any]:
    """16 readers, each with its next record when it has the last one."""
    height, size = _stands(net)
    loop = asyncio.get_running_loop()
    began = perf_counter()
    with ThreadPoolExecutor(READERS) as threads:
        lines = [
            loop.run_in_executor(threads, _read_all, net, token, [f"{path}/{id}" for id in ids[n::READERS]])
            for n in range(READERS)
        ]
        times = [time for line in await asyncio.gather(*lines) for time in line]
    seconds = perf_counter() - began
    with psycopg.connect(net.nodes[OFFICE].database_url) as connection:
        batches, records = connection.execute(_BATCHES, [height, OFFICE]).fetchone() or (0, 0)
    return {
        "together": {
            "readers": READERS,
            "reads": len(ids),
            "reads_per_s": len(ids) / seconds,
            "p50_ms": ms(times, 0.5),
            "records_per_read": (_stands(net)[1] - size) / len(ids),
            "records_per_batch": records / batches,
        }
    }


def _read_all(net: Devnet, token: str, paths: Sequence[str]) -> list[float]:
    with Asker(net, net.nodes[OFFICE], token) as asker:
        for path in paths:
            asker.get(path)
        return asker.times


def _stands(net: Devnet) -> tuple[int, int]:
    """Height and number of records at the officer's node: a read's answer leaves after its record was applied there."""
    with psycopg.connect(net.nodes[OFFICE].database_url) as connection:
        height, size = connection.execute(_SIZE).fetchone() or (0, 0)
    return height, size
