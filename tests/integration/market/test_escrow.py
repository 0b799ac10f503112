"""A release of escrow keys by the votes of running members: a party refuses, and its trades open all the same.

The first of the trading day's area and month alone: no other month, nothing without the votes, nothing after its end.
"""

from __future__ import annotations

import pytest

from consortium.devnet.market import AREA
from tests.fixtures.network import ABSENT, wait_until

pytestmark = pytest.mark.processes
OFFICER, HOME = "regulator-officer", "home-01"


async def propose(network, kind: str, terms: dict) -> str:
    client = await network.client("gridco-admin")
    answer = await client.post("/v1/governance/proposals", json={"kind": kind, "terms": terms, "reason": "a test"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "accepted", answer.text
    return str(answer.json()["id"])


async def vote(network, proposal: str, *members: str) -> None:
    for member in members:
        client = await network.client(f"{member}-admin")

        async def cast(client=client) -> bool:
            answer = await client.post("/v1/governance/ballots", json={"proposal": proposal, "yes": True})
            return answer.status_code == 200 and answer.json()["state"] == "accepted"

        await wait_until(cast, f"{member} has voted")


async def trades_of(network, release: str) -> list[dict] | None:
    """What the officer reads under it; None where the answer is that there is no such thing."""
    officer, rows, after = await network.client(OFFICER), [], -1
    while after is not None:
        answer = await officer.get(f"/v1/grants/{release}/records", params={"limit": 200, "after": after})
        if answer.status_code == 404:
            return None
        assert answer.status_code == 200, answer.text
        rows += answer.json()["rows"]
        after = answer.json()["next"]
    return rows


async def test_votes_and_shares_open_one_areas_and_months_trades_and_a_vote_ends_it(trading_day):
    network = trading_day.network
    home = await network.client(HOME)
    mine = (await home.get("/v1/records", params={"type": "trade", "limit": 500})).json()["records"]
    assert mine, "the home traded on that day"
    terms = {"area": AREA, "period": "2017-06", "purpose": "cityretail refuses"}
    proposal = await propose(network, "release-escrow", terms)
    assert await trades_of(network, proposal) is None, "nobody has voted"
    await vote(network, proposal, "gridco", "suncoop")  # not the retailer, whose node gives its shares by itself

    async def opened() -> list[dict] | None:
        rows = await trades_of(network, proposal)
        return rows if rows and {row["id"] for row in mine} <= {row["id"] for row in rows} else None

    rows = await wait_until(opened, "the trades of the home are opened", 60.0)
    assert {row["type"] for row in rows} == {"trade"}
    assert all(row["data"]["terms"]["price"] > 0 for row in rows)

    async def told() -> bool:
        accesses = (await home.get("/v1/me/accesses", params={"limit": 500})).json()["rows"]
        return any(row["under"] == proposal for row in accesses)

    await wait_until(told, "the home sees that its trades were read, and under what", 60.0)

    # Others than the officer are told nothing of what there is.
    staff = await network.client("cityretail-staff")
    refused = [await staff.get(f"/v1/grants/{id}/records") for id in (proposal, ABSENT)]
    assert len({(answer.status_code, answer.text) for answer in refused}) == 1
    assert refused[0].status_code == 403

    async def given() -> bool:  # by all who hold shares, so that no node writes more of it by itself
        async with network.database("regulator") as conn:
            query = "SELECT count(*) FROM node.entries WHERE type = 'escrow-share'"
            return (await (await conn.execute(query)).fetchone()) == (3,)

    await wait_until(given, "every participant has given its shares", 60.0)
    end = await propose(network, "end-grant", {"grant": proposal})
    await vote(network, end, "gridco", "cityretail")

    async def over() -> bool:
        return await trades_of(network, proposal) is None

    await wait_until(over, "the release has ended")
