"""SIGKILL of any node and any etcd member under load, at random moments, many times.

Callers keep their own list of what was acknowledged as applied. At the end none of it is missing, none stands twice,
and all four databases hold the same bytes.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.faults.support import audit, broken_network, rows, same_ledger, same_roots
from tests.faults.writers import Writer, all_acknowledged, progress, writing
from tests.fixtures.network import MEMBERS, Network, reading, wait_until

pytestmark = pytest.mark.processes
KILLS = 12
# The log is trimmed as soon as may be: who was killed comes back now by the log, now by the other members' nodes.
SETTINGS = {
    "heartbeat_s": 0.5,
    "cosign_interval_s": 0.2,
    "check_interval_s": 20,
    "trim_keep_batches": 2,
    "trim_interval_s": 0.3,
    "trim_away_s": 1,
}
SEED = int(os.environ.get("CONSORTIUM_TEST_SEED", random.SystemRandom().randrange(1 << 32)))


@dataclass
class Aftermath:
    """The acknowledged answers by id, and what was sent under each id."""

    acknowledged: dict[str, dict[str, Any]]
    sent: dict[str, dict[str, Any]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def network():
    async with broken_network(**SETTINGS) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def aftermath(network: Network) -> Aftermath:
    sys.stdout.write(f"repeat with CONSORTIUM_TEST_SEED={SEED}\n")
    chance = random.Random(SEED)
    writers = [
        Writer(network, "home-01@suncoop"),
        Writer(network, "home-02@suncoop"),
        Writer(network, "home-03@suncoop", at_once=10),
        Writer(network, "home-09@cityretail"),
        Writer(network, "home-10@cityretail", at_once=10),
    ]
    async with writing(writers):
        await progress(writers, 1)
        killed = 0
        while killed < KILLS:
            killed += await kill_and_restart(network, chance)
            await progress(writers, chance.randrange(1, 5))
    for member in MEMBERS:
        await network.net.wait_ready(member)
    assert sum(writer.failures for writer in writers) > 0, "no kill hit anything"
    sent = {record_id: record for writer in writers for record_id, record in writer.sent.items()}
    return Aftermath(all_acknowledged(writers), sent)


async def kill_and_restart(network: Network, chance: random.Random) -> int:
    """One or two nodes, an etcd member, or both, at a random moment; how many were killed.

    A node is started again whatever state it was killed in, an etcd member only so that a majority always stays.
    """
    nodes = chance.sample(MEMBERS, chance.choice([0, 1, 1, 2]))
    etcd = chance.sample(network.net.etcd.members, 1 if not nodes else chance.choice([0, 1]))
    await asyncio.sleep(chance.uniform(0, 0.3))
    for member in nodes:
        network.net.nodes[member].kill()
    for member in etcd:
        network.net.etcd.kill(member)
    await asyncio.sleep(chance.uniform(0, 0.3))
    for member in nodes:
        network.net.launch(member)
    for member in etcd:
        await network.net.etcd.restart(member)
    return len(nodes) + len(etcd)


async def test_all_nodes_stand_at_one_root(network, aftermath):
    heads = await same_roots(network, len(aftermath.acknowledged))
    assert {head["size"] for head in heads.values()} == {len(aftermath.acknowledged)}


@pytest.mark.parametrize("member", MEMBERS)
async def test_what_was_acknowledged_stands_once_and_where_its_answer_said(network, aftermath, member):
    found = await rows(network, member, "SELECT encode(id, 'hex'), height, item, tree_index FROM ledger.records")
    assert len(found) == len(aftermath.acknowledged)
    answered = {(a["id"], a["height"], a["item"], a["index"]) for a in aftermath.acknowledged.values()}
    assert set(found) == answered


async def test_all_nodes_have_the_same_bytes_in_every_ledger_table(network, aftermath):
    assert await same_ledger(network) > KILLS


async def test_the_audit_of_every_database_is_clean(network, aftermath):
    for code, output in await asyncio.gather(*(audit(network, member) for member in MEMBERS)):
        assert code == 0, output
        assert "refused: " not in output


async def test_the_same_ids_give_the_same_answers_again(network, aftermath):
    for record_id in random.Random(SEED).sample(sorted(aftermath.acknowledged), 20):
        again = await network.submit_as_meters(aftermath.sent[record_id])
        assert again == aftermath.acknowledged[record_id]
    await same_roots(network, len(aftermath.acknowledged))
    other = reading(
        id=next(i for i, r in aftermath.sent.items() if r["data"]["subject"] == "home-01@suncoop"), load_wh=1
    )
    client = await network.client("suncoop-meters")
    assert (await client.post("/v1/records", json=other)).status_code == 409


async def test_each_home_reads_what_was_sent_for_it(network, aftermath):
    async def complete() -> bool:
        counts = [await rows(network, member, "SELECT count(*) FROM node.missing") for member in MEMBERS]
        return counts == [[(0,)]] * len(MEMBERS)

    await wait_until(complete, "all have fetched the payloads that they missed")
    for home in ("home-01", "home-09"):
        client, found, after = await network.client(home), {}, -1
        while after is not None:
            page = (await client.get("/v1/records", params={"limit": 500, "after": after})).json()
            found.update({record["id"]: record["data"]["load_wh"] for record in page["records"]})
            after = page["next"]
        sent = {
            i: r["data"]["load_wh"] for i, r in aftermath.sent.items() if r["data"]["subject"].startswith(f"{home}@")
        }
        assert found == sent
