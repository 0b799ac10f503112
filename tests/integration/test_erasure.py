"""Erasure over HTTP against running nodes: who may ask, what every node holds afterwards, what still verifies."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from consortium.model.encoding import decode
from tests.faults.support import audit
from tests.fixtures.network import ABSENT, MEMBERS, Network, fresh_day, hour_of, reading, wait_until

pytestmark = pytest.mark.processes
HOME = "home-01@suncoop"


async def ask(network: Network, who: str, *ids: str, ground: str = "user", at: str = ""):
    client = await network.client(who, at)
    return await client.post("/v1/erasures", json={"records": list(ids), "ground": ground})


async def ordered(network: Network, id: str) -> dict:
    response = await ask(network, "home-01", id)
    assert response.status_code == 200, response.text
    [row] = response.json()["rows"]
    assert (row["state"], row["reason"]) == ("ordered", "")
    return row


async def written(network: Network, home: str = HOME) -> dict:
    return await network.submit_as_meters(reading(home, start=hour_of(fresh_day(), 3)), wait="witnessed")


async def done(network: Network, tombstone: str, at: str = "gridco") -> dict:
    """Once every member has said its word."""
    client = await network.client(f"{at}-staff")

    async def all_said() -> dict | None:
        response = await client.get(f"/v1/erasures/{tombstone}")
        row = response.json() if response.status_code == 200 else {"acknowledged": []}
        return row if set(row["acknowledged"]) >= set(MEMBERS) else None

    return await wait_until(all_said, "every member has said that it erased")


async def payload(network: Network, member: str, index: int) -> tuple[bytes, bytes] | None:
    async with network.database(member) as conn:
        query = "SELECT bodies, wraps FROM node.held WHERE tree_index = %s"
        return await (await conn.execute(query, [index])).fetchone()


async def test_a_home_has_a_reading_erased_and_every_trace_of_it_goes(network: Network):
    answer = await written(network)
    home = await network.client("home-01")
    receipt = await home.get(f"/v1/records/{answer['id']}/receipt")
    assert receipt.status_code == 200
    before = {member: await payload(network, member, answer["index"]) for member in MEMBERS}
    assert {member for member, found in before.items() if found} == {"gridco", "suncoop"}

    row = await ordered(network, answer["id"])
    order = await done(network, row["by"])
    assert (order["by"], order["ground"], order["records"], order["overdue"]) == (
        "suncoop", "user", [answer["id"]], [],
    )  # fmt: skip

    for who in ("home-01", "suncoop-metering", "gridco-metering"):
        gone = await (await network.client(who)).get(f"/v1/records/{answer['id']}")
        absent = await (await network.client(who)).get(f"/v1/records/{ABSENT}")
        assert (gone.status_code, gone.json()) == (404, absent.json())
    listed = await home.get("/v1/records", params={"type": "reading", "limit": 500})
    assert answer["id"] not in {record["id"] for record in listed.json()["records"]}
    for member in MEMBERS:
        dump = await network.dump(member)
        bodies, wraps = before["suncoop"]
        assert all(body not in dump for body in decode(bodies)), member
        assert wraps not in dump, member


async def test_the_header_stays_and_the_databases_audit_clean(network: Network):
    answer = await written(network)
    client = await network.client("home-01")
    header = (await client.get(f"/v1/records/{answer['id']}/header")).json()
    row = await ordered(network, answer["id"])
    await done(network, row["by"])
    assert (await client.get(f"/v1/records/{answer['id']}/header")).json() == header
    for member in ("suncoop", "cityretail"):
        code, output = await audit(network, member)
        assert code == 0, output


async def test_an_export_holds_no_payload_before_or_after(network: Network, tmp_path: Path):
    answer = await written(network)
    found = await payload(network, "suncoop", answer["index"])
    assert found is not None
    bodies, wraps = found
    node = network.net.nodes["suncoop"]
    target = tmp_path / "export"
    command = ["-m", "consortium", "export", str(target), "--config", str(node.config)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    files = [path for path in [target, *target.rglob("*")] if path.is_file()]
    content = b"".join(path.read_bytes() for path in files)
    assert bytes.fromhex(answer["id"]) in content or answer["id"].encode() in content
    assert wraps not in content
    assert all(body not in content for body in decode(bodies))


@pytest.mark.parametrize(
    ("who", "at", "ground", "status"),
    [
        ("home-02", "", "user", 404),
        ("home-09", "", "user", 404),
        ("home-01", "", "author", 403),
        ("suncoop-staff", "", "user", 403),
        ("suncoop-staff", "", "author", 403),
        ("suncoop-meters", "", "author", 403),
        ("regulator-officer", "", "user", 403),
        ("cityretail-admin", "", "author", 404),
    ],
)
async def test_nobody_else_has_it_erased_nor_learns_whether_it_is_there(network: Network, who, at, ground, status):
    answer = await written(network)
    found = await ask(network, who, answer["id"], ground=ground, at=at)
    absent = await ask(network, who, ABSENT, ground=ground, at=at)
    assert found.status_code == absent.status_code == status
    assert found.json() == absent.json()
    assert await payload(network, "suncoop", answer["index"]) is not None


async def test_a_token_of_another_member_is_none_here(network: Network):
    answer = await written(network)
    assert (await ask(network, "home-01", answer["id"], at="cityretail")).status_code == 401


async def test_everybody_sees_what_was_ordered_and_nobody_whom_it_was_about(network: Network):
    answer = await written(network)
    row = await ordered(network, answer["id"])
    await done(network, row["by"])
    for who in ("home-09", "cityretail-staff", "regulator-officer"):
        client = await network.client(who)
        shown = (await client.get(f"/v1/erasures/{row['by']}")).json()
        assert "home" not in str(shown)
        assert shown in (await client.get("/v1/erasures")).json()["rows"]
        assert (await client.get(f"/v1/erasures/{ABSENT}")).status_code == 404
    assert (await (await network.client("", "suncoop")).get("/v1/erasures")).status_code == 401
