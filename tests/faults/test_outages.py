"""Postgres restarts under running nodes, and etcd loses its majority: nothing is lost, and it heals by itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import httpx
import pytest
import pytest_asyncio

from tests.faults.support import broken_network, rows, same_ledger, same_roots
from tests.faults.writers import Writer, all_acknowledged, progress, writing
from tests.fixtures.network import MEMBERS, Network, new_id, reading, wait_until

pytestmark = pytest.mark.processes
GENEROUS_S = 3.0
"""What an answer may come later than its caller's limit on a machine that is busy with other things."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def network():
    async with broken_network(heartbeat_s=1) as running:
        yield running


async def size_of(network: Network) -> int:
    return int((await network.status("gridco"))["size"])


async def require_written(network: Network, writers: list[Writer], before: int) -> None:
    """What was acknowledged stands once on every node, and nothing else was added."""
    acknowledged = all_acknowledged(writers)
    await same_roots(network, before + len(acknowledged))
    query = "SELECT encode(id, 'hex'), height, item, tree_index FROM ledger.records WHERE tree_index >= %s"
    answered = {(a["id"], a["height"], a["item"], a["index"]) for a in acknowledged.values()}
    for member in MEMBERS:
        assert set(await rows(network, member, query, before)) == answered
    await same_ledger(network)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_nodes_resume_after_their_postgres_restarted(network: Network, mode):
    pids = {member: node.child.pid for member, node in network.net.nodes.items()}
    before = await size_of(network)
    writers = [Writer(network, "home-01@suncoop"), Writer(network, "home-09@cityretail", at_once=10)]
    async with writing(writers):
        for _ in range(2):
            await progress(writers, 10)
            await asyncio.to_thread(network.net.postgres.restart, mode)
        await progress(writers, 10)
    assert {member: node.child.pid for member, node in network.net.nodes.items()} == pids
    assert all(node.child.running for node in network.net.nodes.values())
    await require_written(network, writers, before)


async def test_while_postgres_is_away_every_call_is_a_clear_problem(network: Network):
    answer = await network.submit_as_meters(reading())
    client, submitter = await network.client("home-01"), await network.client("suncoop-meters")
    record = reading()
    await asyncio.to_thread(network.net.postgres.stop)
    try:
        calls: list[Callable[[], Awaitable]] = [
            lambda: client.get(f"/v1/records/{answer['id']}"),
            lambda: client.get("/v1/records"),
            lambda: client.get("/readyz"),
            lambda: submitter.post("/v1/records", json=record, params={"timeout_s": 1}),
        ]
        for response in await asyncio.gather(*(call() for call in calls)):
            assert response.status_code == 503, response.text
            assert response.headers["content-type"] == "application/problem+json"
        assert (await client.get("/healthz")).status_code == 200
    finally:
        await asyncio.to_thread(network.net.postgres.start)

    async def ready() -> bool:
        return all([(await (await network.client("", m)).get("/readyz")).status_code == 200 for m in MEMBERS])

    await wait_until(ready, "all nodes are ready again")
    assert (await client.get(f"/v1/records/{answer['id']}")).status_code == 200
    assert (await network.submit_as_meters(record))["id"] == record["id"]


async def test_without_a_majority_submitting_fails_in_time_reading_goes_on_and_it_heals(network: Network):
    answer = await network.submit_as_meters(reading())
    before = (await same_roots(network))["gridco"]["size"]
    lost = ("gridco", "cityretail")
    for member in lost:
        network.net.etcd.kill(member)
    client, refused = await network.client("suncoop-meters"), [reading(), reading(), reading()]
    home = await network.client("home-01")
    for limit_s, record in zip((0.5, 2, 2), refused, strict=True):
        began = asyncio.get_running_loop().time()
        response = await client.post("/v1/records", json=record, params={"timeout_s": limit_s})
        took = asyncio.get_running_loop().time() - began
        assert response.status_code == 503, response.text
        assert response.json()["type"] == "urn:consortium:problem:ordering-unavailable"
        assert response.json()["hint"]
        assert limit_s <= took < limit_s + GENEROUS_S
        assert (await home.get(f"/v1/records/{answer['id']}")).status_code == 200
    streamed = await client.post("/v1/records/stream", content=as_lines(refused), params={"timeout_s": 1})
    assert [line.count("ordering-unavailable") for line in streamed.text.splitlines()] == [1, 1, 1]

    async def alarmed() -> bool:
        return any(alarm.startswith("ordering") for alarm in (await network.status("suncoop"))["alarms"])

    await wait_until(alarmed, "the status tells that the log does not answer")
    for member in lost:
        await network.net.etcd.restart(member)
    answers = [await network.submit_as_meters(record) for record in [*refused, reading()]]
    again = [await network.submit_as_meters(record) for record in refused]
    assert again == answers[:3]

    async def quiet() -> bool:
        return not any([(await network.status(member))["alarms"] for member in MEMBERS])

    await wait_until(quiet, "the alarm is over")
    await same_roots(network, before + 4)
    for member in MEMBERS:
        query = "SELECT encode(id, 'hex') FROM ledger.records WHERE tree_index >= %s ORDER BY tree_index"
        found = [record_id for (record_id,) in await rows(network, member, query, before)]
        assert sorted(found) == sorted(answer["id"] for answer in answers)
    await same_ledger(network)


async def test_a_node_that_starts_without_a_majority_shows_nothing_and_takes_nothing_until_it_is_back(network: Network):
    """What was erased meanwhile it cannot know: so it shows nothing that may have been."""
    answer = await network.submit_as_meters(reading())
    lost = ("suncoop", "cityretail")
    for member in lost:
        network.net.etcd.kill(member)
    network.net.nodes["suncoop"].kill()
    network.net.launch("suncoop")
    home, client = await network.client("home-01"), await network.client("suncoop-meters")
    await wait_until(lambda: refuses(home, answer["id"]), "the node answers, and shows nothing")
    response = await client.post("/v1/records", json=reading(id=new_id()), params={"timeout_s": 1})
    assert response.status_code == 503
    assert response.json()["type"] == "urn:consortium:problem:not-ready"
    for member in lost:
        await network.net.etcd.restart(member)
    await network.net.wait_ready("suncoop")
    await wait_until(lambda: reads(home, answer["id"]), "the node answers reads")
    await network.submit_as_meters(reading())
    await same_roots(network)


async def refuses(client, record_id: str) -> bool:
    try:
        return (await client.get(f"/v1/records/{record_id}")).status_code == 503
    except httpx.TransportError:
        return False


async def reads(client, record_id: str) -> bool:
    try:
        return (await client.get(f"/v1/records/{record_id}")).status_code == 200
    except httpx.TransportError:
        return False


def as_lines(records) -> str:
    return "\n".join(map(json.dumps, records))
