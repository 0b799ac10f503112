"""Erasure when nodes are killed, and when a database comes back from a backup that still has what was erased."""

from __future__ import annotations

import asyncio

import httpx
import pytest
import pytest_asyncio
from psycopg import sql

from tests.faults.support import audit, broken_network, rows
from tests.fixtures.network import MEMBERS, Network, fresh_day, hour_of, reading, wait_until

pytestmark = pytest.mark.processes
LEDGER = ("blocks", "records", "rejections", "refused_batches", "tiles", "public_records")
NODE = ("held", "entries", "missing", "erased", "closed", "marks", "checkpoints", "cosigners")
Backup = list[tuple[sql.Identifier, bytes]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def network():
    async with broken_network() as running:
        yield running


async def written(network: Network) -> dict:
    return await network.submit_as_meters(reading(start=hour_of(fresh_day(), 3)))


async def erase(network: Network, id: str) -> str:
    client = await network.client("home-01")
    response = await client.post("/v1/erasures", json={"records": [id]})
    [row] = response.json()["rows"]
    assert row["state"] == "ordered", row
    return row["by"]


async def done(network: Network, order: str) -> None:
    client = await network.client("cityretail-staff")

    async def said() -> bool:
        response = await client.get(f"/v1/erasures/{order}")
        return response.status_code == 200 and set(response.json()["acknowledged"]) == set(MEMBERS)

    await wait_until(said, "every member has acknowledged", 90)


async def held(network: Network, index: int) -> set[str]:
    query = "SELECT 1 FROM node.held WHERE tree_index = %s"
    return {member for member in MEMBERS if await rows(network, member, query, index)}


async def test_nodes_killed_between_the_order_and_their_word_destroy_and_say_it_once(network: Network):
    answer = await written(network)
    order = await erase(network, answer["id"])
    for member in ("gridco", "suncoop"):
        network.net.nodes[member].kill()
    for member in ("gridco", "suncoop"):
        network.net.launch(member)
    for member in ("gridco", "suncoop"):
        await network.net.wait_ready(member)
    await done(network, order)
    assert await held(network, answer["index"]) == set()
    query = "SELECT count(*) FROM ledger.public_records WHERE kind = 'acknowledgement'"
    assert await rows(network, "cityretail", query) == [(len(MEMBERS),)]


async def backup(network: Network, member: str, tables: tuple[sql.Identifier, ...]) -> Backup:
    found: Backup = []
    async with network.database(member) as conn:
        for table in tables:
            async with conn.cursor().copy(sql.SQL("COPY {} TO STDOUT (FORMAT binary)").format(table)) as copy:
                found.append((table, b"".join([bytes(part) async for part in copy])))
    return found


async def restore(network: Network, member: str, saved: Backup) -> None:
    async with network.database(member) as conn, conn.transaction():
        for table, content in saved:
            await conn.execute(sql.SQL("DELETE FROM {}").format(table))
            async with conn.cursor().copy(sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(table)) as copy:
                await copy.write(content)


def stop(network: Network, member: str) -> None:
    child = network.net.nodes[member].child
    assert child is not None
    child.stop()


@pytest.mark.parametrize("schemas", ["ledger and node", "node"])
async def test_a_restored_backup_shows_nothing_that_was_erased_since(network: Network, schemas: str):
    answer = await written(network)
    stop(network, "suncoop")
    tables = tuple(sql.Identifier("node", table) for table in NODE)
    if schemas != "node":
        tables += tuple(sql.Identifier("ledger", table) for table in LEDGER)
    saved = await backup(network, "suncoop", tables)
    network.net.launch("suncoop")
    await network.net.wait_ready("suncoop")
    await done(network, await erase(network, answer["id"]))

    stop(network, "suncoop")
    await restore(network, "suncoop", saved)
    assert await held(network, answer["index"]) == {"suncoop"}, "the backup has it"
    network.net.launch("suncoop")
    seen = await asks_until_ready(network, f"/v1/records/{answer['id']}")
    assert 200 not in seen
    assert 404 in seen
    assert await held(network, answer["index"]) == set()
    code, output = await audit(network, "suncoop")
    assert code == 0, output


async def asks_until_ready(network: Network, path: str) -> list[int]:
    """Every answer from the first moment that the node listens, up to the first after it is ready."""
    home, found = await network.client("home-01"), []
    while True:
        try:
            ready = (await home.get("/readyz")).status_code == 200
            found.append((await home.get(path)).status_code)
        except httpx.HTTPError:
            await asyncio.sleep(0.01)
            continue
        if ready:
            return found
