"""Trimming and catching up, on real processes: the log gets shorter, and who was away for longer gets all from the
other members' nodes, payloads included.
"""

from __future__ import annotations

import asyncio

import psycopg
import pytest
import pytest_asyncio

from consortium.adapters.postgres.migrate import upgrade
from tests.faults.support import (
    Hand,
    applied_up_to,
    broken_network,
    height_of,
    log_entries,
    rows,
    same_ledger,
    same_roots,
    start_node,
    stop_node,
)
from tests.fixtures.network import MEMBERS, Network, reading, wait_until

pytestmark = pytest.mark.processes
SETTINGS = {
    "trim_keep_batches": 3,
    "trim_interval_s": 0.5,
    "trim_away_s": 2,
    "heartbeat_s": 0.5,
    "cosign_interval_s": 0.2,
    "check_interval_s": 2,
}
AWAY = "suncoop"
OTHERS = tuple(member for member in MEMBERS if member != AWAY)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def network():
    async with broken_network(**SETTINGS) as running:
        yield running


async def sequences(network: Network, member: str) -> list[int]:
    return sorted(int(key.rpartition(b"/")[2]) for key, _ in await log_entries(network, member))


async def known_sequences(network: Network, member: str) -> dict[str, int]:
    """The newest batch of each member that a node has applied."""
    return dict(await rows(network, member, "SELECT member, max(sequence) FROM ledger.blocks GROUP BY member"))


async def trimmed_beyond(network: Network, known: dict[str, int]) -> None:
    """Wait until none of the batches that follow these stand in the log any more."""

    async def gone() -> bool:
        return all([(await sequences(network, member))[0] > newest + 1 for member, newest in known.items()])

    await wait_until(gone, f"the log begins after {known}", 60)


async def require_all_payloads(network: Network, member: str) -> None:
    """Wait until nothing is missing; then what is held is what the node is a party to, all of it indexed."""

    async def complete() -> bool:
        return (await rows(network, member, "SELECT count(*) FROM node.missing")) == [(0,)]

    await wait_until(complete, f"{member} has fetched what it missed", 60)


async def records_of(network: Network, home: str) -> dict[str, dict]:
    client = await network.client(home)
    page = (await client.get("/v1/records", params={"limit": 500})).json()
    assert page["next"] is None
    return {record["id"]: record for record in page["records"]}


async def test_the_log_gets_shorter_while_the_nodes_go_on(network: Network):
    for number in range(10):
        await network.submit_as_meters(reading("home-01@suncoop", load_wh=number))
        await network.submit_as_meters(reading("home-09@cityretail", load_wh=number))
    await trimmed_beyond(network, dict.fromkeys(MEMBERS, 2))
    answer = await network.submit_as_meters(reading(), wait="witnessed")
    assert answer["state"] == "witnessed"
    await same_roots(network, 21)
    for member in MEMBERS:
        found = await sequences(network, member)
        assert found == list(range(found[0], found[-1] + 1))
        assert len(found) >= SETTINGS["trim_keep_batches"]
    assert sum([len(await sequences(network, member)) for member in MEMBERS]) < await height_of(network, "gridco")
    await same_ledger(network)


async def test_a_node_that_was_away_for_longer_than_the_log_is_kept_catches_up(network: Network):
    await stop_node(network, AWAY)
    known = await known_sequences(network, AWAY)
    record_id = await write_to_the_home(network)
    for number in range(5):
        await network.submit_as_meters(reading("home-09@cityretail", load_wh=number))
    await trimmed_beyond(network, {member: known[member] for member in OTHERS})
    await start_node(network, AWAY)
    await same_roots(network, 27)
    await require_all_payloads(network, AWAY)
    client = await network.client("home-01")
    response = await client.get(f"/v1/records/{record_id}")
    assert response.status_code == 200, response.text
    assert response.json()["author"] == "regulator"
    assert response.json()["data"]["load_wh"] == 4711
    assert record_id in await records_of(network, "home-01")
    answer = await network.submit_as_meters(reading())
    await same_roots(network, answer["index"] + 1)
    await same_ledger(network)


async def write_to_the_home(network: Network) -> str:
    """A record for a home of the node that is away, by the regulator's keys; its node goes on afterwards."""
    await stop_node(network, "regulator")
    hand = Hand(network, "regulator")
    record, sequence = hand.record("home-01@suncoop", load_wh=4711), await hand.next_sequence()
    position = await hand.put(sequence, hand.batch(sequence, [record]))
    await start_node(network, "regulator")
    await applied_up_to(network, position, OTHERS)
    return record.header.id.hex()


async def test_a_node_that_lost_its_database_rebuilds_everything(network: Network):
    before, height = await records_of(network, "home-01"), await height_of(network, AWAY)
    assert len(before) == 13
    await stop_node(network, AWAY)
    await asyncio.to_thread(replace_database, network, AWAY)
    assert await height_of(network, AWAY) == 0
    await start_node(network, AWAY)
    await same_roots(network, 28)
    await require_all_payloads(network, AWAY)
    assert await records_of(network, "home-01") == before
    assert await same_ledger(network) >= height
    answer = await network.submit_as_meters(reading(), wait="witnessed")
    assert answer["state"] == "witnessed"
    await same_roots(network, answer["index"] + 1)


def replace_database(network: Network, member: str) -> None:
    """Drop the member's database and give it a new one, which has its accounts, signed in, and nothing else."""
    node = network.net.nodes[member]
    with psycopg.connect(node.database_url) as conn:
        kept = {table: conn.execute(f"SELECT * FROM node.{table}").fetchall() for table in ("accounts", "sessions")}
    old, new = node.databases, network.net.postgres.create_database(member, fresh=True)
    config = node.config.read_text().replace(old.node, new.node).replace(old.reader, new.reader)
    node.config.write_text(config)
    node.databases = new
    upgrade(new.owner, new.roles)
    with psycopg.connect(node.database_url) as conn, conn.cursor() as cursor:
        for table, rows in kept.items():
            places = ", ".join(["%s"] * len(rows[0]))
            cursor.executemany(f"INSERT INTO node.{table} VALUES ({places})", rows)
