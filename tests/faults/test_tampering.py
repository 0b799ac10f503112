"""Tampering with the log by etcd's root, and with a database by its owner, on real processes.

Whoever changes an entry of the log stops every node, which says so and goes on serving reads. Whoever changes one bit
of one row in any ledger table is found by the node's own check and by an audit, which name the place.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import pytest_asyncio
from etcd3aio import prefix_range_end
from psycopg import sql

from consortium.audit.export import export
from consortium.audit.live import audit_store
from consortium.audit.offline import audit_export
from consortium.bootstrap import Stores, open_stores
from consortium.errors import Tampering
from consortium.ledger import witnessing
from tests.builders import broken_body, broken_header, broken_wraps
from tests.faults.support import (
    Hand,
    applied_up_to,
    audit,
    broken_network,
    log_entries,
    log_key,
    metric,
    rows,
    same_ledger,
    same_roots,
    start_node,
    stop_node,
)
from tests.fixtures.network import MEMBERS, Network, reading, wait_until

pytestmark = pytest.mark.processes
VICTIM = "suncoop"

# --- the log -------------------------------------------------------------------------------------------------------


async def require_stopped(network: Network, member: str, record_id: str, *words: str) -> None:
    """The node says what it found, takes nothing more, and goes on serving reads."""
    staff = await network.client(f"{member}-staff")

    async def stopped() -> bool:
        return (await network.status(member))["state"] == "stopped"

    await wait_until(stopped, f"the node of {member} stops")
    [alarm] = [alarm for alarm in (await network.status(member))["alarms"] if alarm.startswith("tampering: ")]
    assert all(word in alarm for word in words), alarm
    assert await metric(network, member, "consortium_tampering") == 1
    assert any('"event": "alarm"' in line and words[0] in line for line in network.log_text(member).splitlines())
    assert (await staff.get("/healthz")).status_code == 200
    ready = await staff.get("/readyz")
    assert (ready.status_code, ready.json()["type"]) == (503, "urn:consortium:problem:not-ready")
    header = await staff.get(f"/v1/records/{record_id}/header")
    assert (header.status_code, header.json()["state"]) == (200, "accepted")


async def require_refusal(network: Network, member: str, home: str) -> None:
    client = await network.client(f"{member}-meters")
    response = await client.post("/v1/records", json=reading(f"{home}@{member}"), params={"timeout_s": 5})
    assert (response.status_code, response.json()["type"]) == (503, "urn:consortium:problem:not-ready")


@asynccontextmanager
async def unwitnessed() -> AsyncIterator[tuple[Network, str, int]]:
    """A network in which nobody cosigns; a record, and the batch of suncoop that it stands in, between others."""
    async with broken_network(cosign_interval_s=3600, heartbeat_s=1) as network:
        await network.submit_as_meters(reading())
        answer = await network.submit_as_meters(reading())
        query = "SELECT sequence FROM ledger.blocks WHERE height = %s"
        [(sequence,)] = await rows(network, VICTIM, query, answer["height"])
        later = await network.submit_as_meters(reading())
        await applied_up_to(network, later["position"])
        yield network, answer["id"], sequence


async def require_all_stopped(network: Network, record_id: str, *words: str) -> None:
    for member in MEMBERS:
        await require_stopped(network, member, record_id, *words)
    await require_refusal(network, "suncoop", "home-01")
    await require_refusal(network, "cityretail", "home-09")
    home = await network.client("home-01")
    assert (await home.get(f"/v1/records/{record_id}")).status_code == 200
    assert record_id in {record["id"] for record in (await home.get("/v1/records")).json()["records"]}


async def test_a_key_deleted_above_the_witnessed_checkpoint_stops_every_node_and_a_restart_forgets_nothing():
    async with unwitnessed() as (network, record_id, sequence):
        async with network.net.etcd.root() as root:
            assert (await root.kv.delete(log_key(network, VICTIM, sequence))).deleted == 1
        words = (f"batch {sequence} of {VICTIM}", "deleted", "witnessed checkpoint")
        await require_all_stopped(network, record_id, *words)
        await stop_node(network, VICTIM)
        network.net.launch(VICTIM)
        await wait_until(lambda: serves(network, VICTIM), "the node serves again")
        await require_stopped(network, VICTIM, record_id, *words)


async def serves(network: Network, member: str) -> bool:
    try:
        await network.status(member)
    except httpx.TransportError:
        return False
    return True


async def test_a_key_that_was_overwritten_stops_every_node():
    async with unwitnessed() as (network, record_id, sequence):
        key = log_key(network, VICTIM, sequence)
        async with network.net.etcd.root() as root:
            standing = (await root.kv.get(key)).kvs[0].value
            await root.kv.put(key, standing)  # not even the same bytes again
        await require_all_stopped(network, record_id, f"batch {sequence} of {VICTIM}", "overwritten")


# --- a database ------------------------------------------------------------------------------------------------------


@dataclass
class Ledger:
    """A network whose ledger has rows in every table, and the stores of the victim's database."""

    network: Network
    stores: Stores
    columns: list[tuple[str, str, str]]
    """Table, column and type of every column of every ledger table."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ledger() -> AsyncIterator[Ledger]:
    async with broken_network(check_interval_s=600, heartbeat_s=1) as network:
        await fill(network)
        config = network.net.nodes[VICTIM].config
        config.write_text(config.read_text().replace("check_interval_s = 600", "check_interval_s = 0.1"))
        await stop_node(network, VICTIM)
        await start_node(network, VICTIM)
        query = (
            "SELECT table_name, column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = 'ledger' AND table_name <> 'public_records' ORDER BY table_name, ordinal_position"
        )
        columns = await rows(network, VICTIM, query)
        async with open_stores(network.net.nodes[VICTIM].database_url) as stores:
            yield Ledger(network, stores, columns)


async def fill(network: Network) -> None:
    """Two full tiles, many blocks with records, refused batches, and refused records of several kinds."""
    meters = await network.client("suncoop-meters")
    for _ in range(20):
        await network.submit_as_meters(reading())
    lines = "\n".join(json.dumps(reading()) for _ in range(520))
    assert (await meters.post("/v1/records/stream", content=lines)).text.count('"accepted"') == 520
    await same_roots(network, 540)
    await stop_node(network, "regulator")
    hand = Hand(network, "regulator")
    sequence = await hand.next_sequence()
    for number in range(3):
        await hand.put(sequence + number, b"garbage %d" % number)
    record = hand.record()
    twice = [replace(record), replace(record)]
    bad = [make(hand.record()) for make in (broken_body, broken_wraps) for _ in range(3)] + [
        broken_header(hand.record())
    ]
    await hand.put(sequence + 3, hand.batch(sequence + 3, [*twice, *bad]))
    await start_node(network, "regulator")
    await same_roots(network, 541)


# A row for each column, so that every change is told from the one before it. `n` is the column's number in its table.
ROWS = {
    "blocks": "refusal = '' AND count > 0 AND height > 1 ORDER BY height OFFSET {n} LIMIT 1",
    "records": "tree_index > 100 AND item > 0 ORDER BY tree_index OFFSET {n} * 7 LIMIT 1",
    "rejections": "evidence <> '' ORDER BY height, item OFFSET {n} LIMIT 1",
    "refused_batches": "raw <> '' ORDER BY height OFFSET {n} LIMIT 1",
    "tiles": "level = 0 ORDER BY idx OFFSET {n} % 2 LIMIT 1",
}
FLIPPED = {
    "bytea": "set_byte({0}, length({0}) / 2, get_byte({0}, length({0}) / 2) # 1)",
    "text": "overlay({0} placing chr(ascii({0}) # 1) from 1 for 1)",
    "smallint": "{0} # 256::smallint",
    "integer": "{0} # 65536",
    "bigint": "{0} # 65536",
}
PLACES = {
    "blocks": "'block ' || height",
    "records": "'block ' || height || ', record ' || item",
    "rejections": "'block ' || height || ', record ' || item",
    "refused_batches": "'block ' || height",
    "tiles": "'tile/' || level || '/' || lpad(idx::text, 3, '0')",
}
"""How an audit names a row; a change of these columns by the record, of all others at least by the block or tile."""
PRECISE = {"records": ("id", "header"), "rejections": ("id", "reason")}


def flip(conn: psycopg.Connection, table: str, column: str, kind: str, ctid: str) -> str:
    """Change one bit of one value; where the row stands now. The same again restores it."""
    value = FLIPPED[kind].format(column)
    statement = f"UPDATE ledger.{table} SET {column} = {value} WHERE ctid = %s::tid RETURNING ctid::text"
    return str(conn.execute(sql.SQL(statement), [ctid]).fetchone()[0])


def chosen(conn: psycopg.Connection, table: str, column: str, number: int) -> tuple[str, str]:
    """The row to change: where it stands, and how an audit must name it."""
    where = ROWS[table].format(n=number)
    if column == "refusal":
        where = "refusal <> '' ORDER BY height LIMIT 1"
    found = conn.execute(sql.SQL(f"SELECT ctid::text, {PLACES[table]} FROM ledger.{table} WHERE {where}")).fetchone()
    assert found is not None, f"no row for {table}.{column}"
    return found


async def findings(ledger: Ledger) -> list[str]:
    genesis, stores = ledger.network.net.genesis, ledger.stores
    report = await audit_store(stores.ledger, stores.witness, genesis, witnessing.trust_policy(genesis))
    return [str(finding) for finding in report.findings]


async def exported_findings(ledger: Ledger, directory: Path) -> list[str]:
    """What exporting, or else the audit of the export, has to say."""
    genesis = ledger.network.net.genesis
    trust = witnessing.trust_file(genesis)
    try:
        await export(ledger.stores.ledger, ledger.stores.witness, genesis, trust, directory)
    except Tampering as error:
        return [str(error)]
    return [str(found) for found in audit_export(directory, witnessing.trust_policy(genesis)).findings]


async def test_one_bit_in_any_column_of_any_ledger_table_is_named(ledger: Ledger, tmp_path: Path):
    assert await findings(ledger) == []
    assert await exported_findings(ledger, tmp_path / "sound") == []
    assert {table for table, _, _ in ledger.columns} == set(ROWS)
    unnamed: list[Any] = []
    with psycopg.connect(ledger.network.net.nodes[VICTIM].database_url, autocommit=True) as conn:
        for table, columns in groupby(ledger.columns, key=lambda column: column[0]):
            for number, (_, column, kind) in enumerate(columns):
                ctid, place = chosen(conn, table, column, number)
                block = place.partition(",")[0]
                ctid = flip(conn, table, column, kind, ctid)
                found = await findings(ledger)
                if not any(line.startswith((f"{block}:", f"{block},")) for line in found):
                    unnamed.append(("by the audit", table, column, place, found))
                if column in PRECISE.get(table, ()) and not any(line.startswith(f"{place}:") for line in found):
                    unnamed.append(("by the audit as a record", table, column, place, found))
                if not await exported_findings(ledger, tmp_path / table / column):
                    unnamed.append(("by an export and its audit", table, column, place))
                if not number and not await is_alarmed(ledger, block):  # the same audit, in slices: once for each table
                    unnamed.append(("by the node itself", table, column, place, await alarms(ledger)))
                flip(conn, table, column, kind, ctid)
    assert unnamed == []
    assert await findings(ledger) == []


async def alarms(ledger: Ledger) -> list[str]:
    return list((await ledger.network.status(VICTIM))["alarms"])


async def is_alarmed(ledger: Ledger, place: str) -> bool:
    async def named() -> bool:
        return any(f"{place}:" in alarm or f"{place}," in alarm for alarm in await alarms(ledger))

    try:
        await wait_until(named, place, 120)
    except AssertionError:
        return False
    return True


async def test_the_command_names_the_place_and_the_node_goes_on(ledger: Ledger):
    with psycopg.connect(ledger.network.net.nodes[VICTIM].database_url, autocommit=True) as conn:
        ctid, place = chosen(conn, "records", "header", 1)
        ctid = flip(conn, "records", "header", "bytea", ctid)
        code, output = await audit(ledger.network, VICTIM)
        flip(conn, "records", "header", "bytea", ctid)
    assert code == 1
    assert f"does not hold: {place}: " in output
    code, output = await audit(ledger.network, VICTIM)
    assert code == 0, output
    assert await metric(ledger.network, VICTIM, "consortium_tampering") == 1
    assert (await ledger.network.submit_as_meters(reading()))["state"] == "accepted"


async def test_who_returns_to_a_log_without_a_members_newest_entries_does_not_go_on_without_them(ledger: Ledger):
    """Last in this file: it leaves every node stopped. Nobody else is left who could append for that member."""
    network, away, member = ledger.network, "regulator", "cityretail"
    await stop_node(network, away)
    answer = await network.submit_as_meters(reading("home-09@cityretail"), wait="witnessed")
    await stop_node(network, member)
    prefix = log_key(network, member, "").encode()
    async with network.net.etcd.root() as root:
        assert (await root.kv.delete(prefix, prefix_range_end(prefix))).deleted > 0
    for live in ("gridco", "suncoop"):
        await require_stopped(network, live, answer["id"], f"of {member}", "newest")
    standing = [await log_entries(network, live) for live in ("gridco", "suncoop")]
    for returned in (away, member):
        network.net.launch(returned)
        await wait_until(lambda returned=returned: serves(network, returned), "the node serves again")
    for returned in (away, member):
        await require_stopped(network, returned, answer["id"], "the log lacks entries")
    heads = [await network.status(name) for name in MEMBERS]
    assert len({(head["height"], head["block"]) for head in heads}) == 1
    await same_ledger(network)
    # Who applies no more appends no more: several signs of life would have been due by now.
    assert [await log_entries(network, live) for live in ("gridco", "suncoop")] == standing
