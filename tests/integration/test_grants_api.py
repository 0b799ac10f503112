"""A grant over the API of a running consortium: asked for, voted for, read, seen by the home, taken along, ended."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from consortium.cli.main import app as cli
from tests.fixtures.network import ABSENT, Network, fresh_day, hour_of, reading, wait_until

pytestmark = pytest.mark.processes
HOME = "home-01@suncoop"
OFFICER = "regulator-officer"


def wanted(day, **changed):
    return {
        "types": ["reading"], "parties": [HOME], "groups": ["identity", "physical"], "from": hour_of(day, 0),
        "to": hour_of(day, 12), "until": "2090-01-01T00:00:00Z", "purpose": "complaint 17-204",
        "basis": "REMIT, Art. 13", **changed,
    }  # fmt: skip


async def vote(network: Network, grant: str, *members: str) -> None:
    for member in members:
        client = await network.client(f"{member}-admin")

        async def cast(client=client):
            answer = await client.post("/v1/governance/ballots", json={"proposal": grant, "yes": True})
            return answer.status_code == 200 and answer.json()["state"] == "accepted"

        await wait_until(cast, f"{member} has voted")


async def test_the_life_of_a_grant(network: Network, tmp_path):
    day = fresh_day()
    inside = await network.submit_as_meters(reading(HOME, start=hour_of(day, 8)))
    beside = await network.submit_as_meters(reading("home-02@suncoop", start=hour_of(day, 8)))
    later = await network.submit_as_meters(reading(HOME, start=hour_of(day, 18)))
    officer = await network.client(OFFICER)
    assert (await officer.get(f"/v1/records/{inside['id']}")).status_code == 404
    asked = await officer.post("/v1/grants", json=wanted(day))
    assert asked.status_code == 200, asked.text
    assert asked.json()["state"] == "accepted", asked.text
    grant = asked.json()["id"]
    path = f"/v1/grants/{grant}/records"
    assert (await officer.get(path)).status_code == 404, "nobody has voted"
    assert (await officer.get(f"/v1/grants/{grant}")).json()["state"] == "asked"

    await vote(network, grant, "gridco", "suncoop")

    async def readable():
        answer = await officer.get(f"{path}/{inside['id']}")
        return answer.json() if answer.status_code == 200 else None

    row = await wait_until(readable, "the reading was disclosed")
    assert row["data"]["load_wh"] == 1521
    assert row["grant"] == grant

    # One in the evening, one of another home, one that is not there: the same answer.
    words = [await officer.get(f"{path}/{id}") for id in (later["id"], beside["id"], ABSENT)]
    assert {answer.status_code for answer in words} == {404}
    assert len({answer.text for answer in words}) == 1

    # The home sees who read what, under which grant.
    home = await network.client("home-01")

    async def told():
        rows = (await home.get("/v1/me/accesses")).json()["rows"]
        return [one for one in rows if one["under"] == grant]

    one = (await wait_until(told, "the home sees the read"))[0]
    assert inside["id"] in str(one)

    # Nobody else's token opens anything of it, at this node or another.
    for who, status in (("regulator-staff", 403), ("regulator-admin", 404), ("gridco-admin", 403), ("home-01", 403)):
        at = "regulator" if who.startswith("regulator") else ""
        answer = await (await network.client(who, at)).get(path)
        assert answer.status_code in {status, 401, 403, 404}, (who, answer.status_code)
        assert "1521" not in answer.text

    # Evidence, verified offline with a trust file of one's own.
    async def witnessed():
        answer = await readable()
        return answer["proof"]["receipt"]

    await wait_until(witnessed, "a quorum has cosigned it")
    url, folder = network.net.nodes["regulator"].url, tmp_path / "evidence"
    token = network.tokens[OFFICER]
    key = network.net.dpop_keys[token]
    assert key is not None, "an officer's token is bound to a key"
    env = {"CONSORTIUM_TOKEN": token, "CONSORTIUM_DPOP_KEY": key.seed.hex(), "CONSORTIUM_URL": url}
    trust = str(network.net.trust_file)

    async def reported():
        target = folder.with_name(f"evidence-{os.urandom(3).hex()}")
        arguments = ["officer", "report", grant, str(target), "--url", url, "--trust", trust]
        done = await asyncio.to_thread(CliRunner().invoke, cli, arguments, env=env)
        return target if done.exit_code == 0 else None

    written = await wait_until(reported, "all of the evidence is cosigned")
    again = await asyncio.to_thread(CliRunner().invoke, cli, ["audit", "evidence", str(written), "--trust", trust])
    assert again.exit_code == 0, again.output
    assert "everything holds" in again.output

    # Its end.
    proposal = await (await network.client("gridco-admin")).post(
        "/v1/governance/proposals", json={"kind": "end-grant", "terms": {"grant": grant}}
    )
    assert proposal.status_code == 200, proposal.text
    await vote(network, proposal.json()["id"], "gridco", "suncoop")

    async def over():
        return (await officer.get(f"{path}/{inside['id']}")).status_code == 404

    await wait_until(over, "the grant has ended")

    async def destroyed():
        async with network.database("regulator") as conn:
            rows = await conn.execute(
                "SELECT (SELECT count(*) FROM node.grant_keys WHERE grant_id = %b)"
                " + (SELECT count(*) FROM node.disclosed WHERE grant_id = %b)",
                [bytes.fromhex(grant)] * 2,
            )
            return (await rows.fetchone())[0] == 0

    await wait_until(destroyed, "the key and what it opened are destroyed")


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"types": []}, "types"),
        ({"types": ["disclosure"]}, "types"),
        ({"groups": ["everything"]}, "groups"),
        ({"parties": [], "areas": ["area-1"], "groups": ["terms"]}, "groups"),
        ({"parties": ["nobody@@x"]}, "parties"),
        ({"until": "2001-01-01T00:00:00Z"}, "until"),
        ({"until": "9999-01-01T00:00:00Z"}, "until"),
        ({"from": "1969-01-01T00:00:00Z"}, "from"),
        ({"to": "9999-01-01T00:00:00Z"}, "to"),
        ({"more": 1}, ""),
    ],
)
async def test_a_request_that_cannot_be_is_refused_by_field(network: Network, changed, field):
    officer = await network.client(OFFICER)
    answer = await officer.post("/v1/grants", json=wanted(fresh_day(), **changed))
    assert answer.status_code == 422, answer.text
    assert field in answer.json().get("field", "")
    backwards = fresh_day()
    turned = await officer.post("/v1/grants", json=wanted(backwards, to=hour_of(backwards - timedelta(days=1), 0)))
    assert turned.status_code == 422


@pytest.mark.parametrize("who", ["regulator-staff", "regulator-admin", "home-01", "suncoop-staff", "suncoop-meters"])
async def test_nobody_but_an_officer_asks(network: Network, who):
    answer = await (await network.client(who)).post("/v1/grants", json=wanted(fresh_day()))
    assert answer.status_code == 403
