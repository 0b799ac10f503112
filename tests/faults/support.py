"""What the fault tests share: a network to break, a hand that writes in a member's name, and what all must agree on."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import httpx
import psycopg
from etcd3aio import prefix_range_end
from psycopg import sql

from consortium.adapters.keyfile import KeyFile
from consortium.crypto.merkle import leaf_hash, root_of
from consortium.energy.metering import Reading
from consortium.model.batches import BATCH_CONTEXT, BatchHead, encode_batch
from consortium.model.names import Party
from consortium.model.records import SEALED, Draft, DraftSection, SealedRecord
from consortium.pipeline.seal import Sealer
from tests.fixtures.network import MEMBERS, Network, running_network, short_directory, wait_until

LEDGER_TABLES = ("blocks", "records", "rejections", "refused_batches", "tiles")
"""All but `public_records`, which says of some records where they stand: the audit compares what follows from it."""
SUBJECT = "home-01@suncoop"


@asynccontextmanager
async def broken_network(**settings: Any) -> AsyncIterator[Network]:
    """A network of its own that a test may leave in any state; it ends quickly, by SIGKILL."""
    async with short_directory() as directory, running_network(directory, settings=settings) as network:
        yield network
        for child in network.net.processes.children:
            child.kill()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


# --- writing straight into the log ---------------------------------------------------------------------------------


class Hand:
    """Acts for a member whose node is stopped: its real keys, its etcd certificate, and no scruples."""

    def __init__(self, network: Network, member: str) -> None:
        self.network, self.member = network, member
        self.genesis = network.net.genesis
        self.keys = network.custody(member)

    def record(self, subject: str = SUBJECT, *, load_wh: int = 100, created_ms: int | None = None) -> SealedRecord:
        """A reading, sealed as an honest node would."""
        data = {"subject": subject, "interval_start": "2017-06-15T10:00:00Z", "load_wh": load_wh}
        grid = tuple(Party(m.name) for m in self.genesis.with_role("grid-operator"))
        sections = Reading.model_validate(data).sections(SimpleNamespace(grid_operators=grid))
        return self.seal(sections, created_ms=created_ms)

    def sealed(self, plaintext: bytes, *readers: str) -> SealedRecord:
        """Any bytes as a payload, properly committed to."""
        return self.seal((DraftSection("physical", plaintext, tuple(Party.parse(reader) for reader in readers)),))

    def seal(self, sections: tuple[DraftSection, ...], created_ms: int | None = None) -> SealedRecord:
        created = now_ms() if created_ms is None else created_ms
        draft = Draft(os.urandom(16), SEALED, self.member, created, sections)
        return Sealer(self.genesis, self.keys, os.urandom).seal(draft)

    def batch(
        self, sequence: int, records: Sequence[SealedRecord] = (), *, signer: KeyFile | None = None, **changed: Any
    ) -> bytes:
        """A batch; `changed` replaces fields of its head, `signer` signs in the member's place."""
        genesis, root = self.genesis, root_of([leaf_hash(record.header_bytes) for record in records])
        place = (genesis.network, genesis.channel, genesis.epoch, self.member, sequence)
        head = replace(BatchHead(*place, now_ms(), len(records), root), **changed).encoded()
        return encode_batch(head, (signer or self.keys).sign_batch(BATCH_CONTEXT + head), records)

    async def next_sequence(self) -> int:
        """The one after the newest in the log."""
        names = [key.rpartition(b"/")[2] for key, _ in await log_entries(self.network, self.member)]
        return max((int(name) for name in names if name.isdigit()), default=-1) + 1

    async def put(self, sequence: int, data: bytes) -> int:
        """Write an entry with the member's own certificate; its position."""
        async with self.network.net.etcd.client(self.member) as client:
            return int((await client.kv.put(log_key(self.network, self.member, sequence), data)).header.revision)


def log_key(network: Network, member: str, sequence: int | str) -> str:
    genesis = network.net.genesis
    name = f"{sequence:016d}" if isinstance(sequence, int) else sequence
    return f"/{genesis.network}/{genesis.channel}/{genesis.epoch}/log/{member}/{name}"


async def log_entries(network: Network, member: str) -> list[tuple[bytes, int]]:
    """Key and position of a member's entries that stand in the log, as etcd's root sees them."""
    prefix = log_key(network, member, "").encode()
    async with network.net.etcd.root() as client:
        found = await client.kv.get(prefix, prefix_range_end(prefix), keys_only=True)
    return [(kv.key, kv.mod_revision) for kv in found.kvs]


async def put_as_root(network: Network, key: str, data: bytes) -> int:
    async with network.net.etcd.root() as client:
        return int((await client.kv.put(key, data)).header.revision)


# --- what all nodes must agree on ------------------------------------------------------------------------------------


async def rows(network: Network, member: str, query: str, *params: Any) -> list[tuple[Any, ...]]:
    async with network.database(member) as conn:
        return await (await conn.execute(query, params or None)).fetchall()


async def height_of(network: Network, member: str) -> int:
    return int((await rows(network, member, "SELECT coalesce(max(height), 0) FROM ledger.blocks"))[0][0])


async def applied_up_to(network: Network, position: int, members: Sequence[str] = MEMBERS) -> None:
    """Wait until every one of these nodes has applied the log up to a position."""

    async def done() -> bool:
        query = "SELECT coalesce(max(position), 0) FROM ledger.blocks"
        return all([(await rows(network, member, query))[0][0] >= position for member in members])

    await wait_until(done, f"all have applied position {position}", 60)


async def same_ledger(network: Network, members: Sequence[str] = MEMBERS) -> int:
    """Every column of every row of every ledger table is the same, up to the least height; that height.

    Tiles stand in no block, so those are compared that are full at that height.
    """
    height = min([await height_of(network, member) for member in members])
    dumps = {member: await _ledger(network, member, height) for member in members}
    first = dumps[members[0]]
    for table in LEDGER_TABLES:
        for member in members[1:]:
            assert dumps[member][table] == first[table], f"{table} of {member} is not {table} of {members[0]}"
    return height


async def _ledger(network: Network, member: str, height: int) -> dict[str, list[tuple[Any, ...]]]:
    size = (await rows(network, member, "SELECT size FROM ledger.blocks WHERE height = %s", height))[0][0]
    found = {}
    for table in LEDGER_TABLES:
        where = "((idx + 1) << (8 * (level + 1))) <= %s" if table == "tiles" else "height <= %s"
        query = f"SELECT * FROM ledger.{table} WHERE {where} ORDER BY 1, 2"
        found[table] = await rows(network, member, query, size if table == "tiles" else height)
    return found


async def same_roots(network: Network, size: int = 0, members: Sequence[str] = MEMBERS) -> dict[str, dict[str, Any]]:
    """Every node's status, once all stand at one tree of at least `size` records and raise no alarm.

    The alarm `ordering` comes and goes with etcd: after an outage a node keeps it until the log answers again. Every
    other alarm stays, and fails the test at once.
    """

    async def agreed() -> dict[str, dict[str, Any]] | None:
        heads = {}
        for member in members:
            try:
                heads[member] = await network.status(member)
            except httpx.TransportError:
                return None
        alarms = [alarm for head in heads.values() for alarm in head["alarms"]]
        assert all(alarm.startswith("ordering:") for alarm in alarms), heads
        same = len({(head["size"], head["root"]) for head in heads.values()}) == 1
        return heads if same and not alarms and heads[members[0]]["size"] >= size else None

    return await wait_until(agreed, f"all stand at one tree of at least {size} records", 60)


# --- processes -------------------------------------------------------------------------------------------------------


async def stop_node(network: Network, member: str) -> None:
    child = network.net.nodes[member].child
    assert child is not None
    await asyncio.to_thread(child.stop)


async def start_node(network: Network, member: str) -> None:
    network.net.launch(member)
    await network.net.wait_ready(member)


async def consortium(*arguments: object) -> tuple[int, str]:
    """Run a command of the project; its exit code, and all that it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "consortium",
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def audit(network: Network, member: str) -> tuple[int, str]:
    """`consortium audit` over a member's database."""
    return await consortium("audit", "--config", network.net.nodes[member].config)


async def metric(network: Network, member: str, line: str) -> float:
    """The value of a metric's line at a node; 0 if it has none."""
    client = await network.client("", member)
    for found in (await client.get("/metrics")).text.splitlines():
        if found.startswith(line + " "):
            return float(found.rpartition(" ")[2])
    return 0.0


def execute(network: Network, member: str, statement: str, *params: Any) -> int:
    """A statement as the owner of the member's database; the number of rows it touched."""
    with psycopg.connect(network.net.nodes[member].database_url, autocommit=True) as conn:
        return conn.execute(sql.SQL(statement), params).rowcount
