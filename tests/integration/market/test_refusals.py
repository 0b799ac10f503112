"""What the market does not take, over HTTP on real nodes: each a problem that names the field, and nothing moved.

Nothing moved: no node's ledger is longer, and nobody's wallet holds or reserves anything else than before.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import pytest_asyncio

from tests.fixtures.day import HOMES
from tests.fixtures.network import MEMBERS, new_id, reading, wait_until

pytestmark = pytest.mark.processes

HOME, SUSPENDED, SELLER = "home-09@cityretail", "home-10@cityretail", "home-01@suncoop"
BEFORE_END = timedelta(hours=3)
"""So long before the market's end lies a session that takes orders."""
SIDED = {"provider": SELLER, "customer": HOME, "proposer": SELLER}
PPA = {"kind": "ppa", "currency": "USD", **SIDED, "terms": {"price": 90, "profile": [10] * 24, "zone": "-08:00"}}

CASES = {
    # name: who, what is changed in a good order, (status, field), words of the detail
    "after the gate": ("home-09", {"start": -1}, (422, "data.start"), "gate is closed"),
    "after the market's last session": ("home-09", {"start": 3}, (422, "data.market"), "no such market"),
    "between two sessions": ("home-09", {"start": 0.5}, (422, "data.start"), "no session"),
    "another currency": ("home-09", {"currency": "EUR"}, (422, "data.currency"), "another currency"),
    "an absurd price": ("home-09", {"price_micro_per_wh": 10**9}, (422, "data.price_micro_per_wh"), "bounds"),
    "an absurd price to be paid": ("home-09", {"price_micro_per_wh": -(10**9)}, (422, "data.price_micro_per_wh"), ""),
    "a price beyond all numbers": ("home-09", {"price_micro_per_wh": 10**30}, (422, "data.price_micro_per_wh"), ""),
    "half a micro-unit": ("home-09", {"price_micro_per_wh": 150.5}, (422, "data.price_micro_per_wh"), "integer"),
    "over the funds": ("home-09", {"wh": 100_000_000}, (422, "data.wh"), "does not hold"),
    "nothing": ("home-09", {"wh": 0}, (422, "data.wh"), "greater than 0"),
    "a market that is not there": ("home-09", {"market": "elsewhere"}, (422, "data.market"), "no such market"),
    "from a suspended party": ("home-10", {"owner": SUSPENDED}, (422, "data.owner"), "suspended"),
    "in a neighbour's name": ("home-09", {"owner": SUSPENDED}, (403, None), ""),
    "in a home's name, by its member": ("cityretail-staff", {}, (403, None), ""),
}
READINGS = {
    # name: who, subject, status
    "of another member's home": ("suncoop-meters", HOME, 422),
    "of no home": ("suncoop-meters", "home-77@suncoop", 422),
    "by the home itself": ("home-09", HOME, 403),
    "by who runs the grid": ("gridco-staff", HOME, 422),
}


def session(lived, hours=0.0):
    return (lived.day.end - BEFORE_END + timedelta(hours=hours)).isoformat()


def order(lived, **changed):
    start = changed.pop("start", 0)
    moment = lived.day.start.isoformat() if start == -1 else session(lived, start)
    good = {"market": "local", "side": "bid", "wh": 500, "price_micro_per_wh": 150, "currency": "USD", "owner": HOME}
    return {**good, "start": moment, "id": new_id(), **changed}


async def post(lived, who, path, body):
    return await (await lived.network.client(who)).post(path, json=body)


async def state(lived):
    """The ledger's size, the same everywhere, and every wallet. What users are told of reads does not count."""
    heads = await lived.calls.until_quiet()
    owners = [*(home.party for home in lived.day.homes), "cityretail", "gridco"]
    wallets = await asyncio.gather(*(lived.calls.get(owner, "/v1/wallet") for owner in owners))
    assert len({heads[member]["size"] for member in MEMBERS}) == 1
    return await lived.network.size_without_reads(), wallets


async def same_state(lived, before):
    return await state(lived) == before


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lived(trading_day):
    """The day, with one party suspended in its market from that session on."""
    calls = trading_day.calls
    found = (await calls.get("gridco", "/v1/contracts", limit=500))["rows"]
    market = next(row["id"] for row in found if row["frame"]["kind"] == "market")
    step = {"by": "gridco", "step": "suspended", "party": SUSPENDED, "effective": session(trading_day)}
    await calls.post("gridco", f"/v1/contracts/{market}/steps", step)
    await calls.until_quiet()
    return trading_day


@pytest_asyncio.fixture
async def unmoved(lived):
    before = await state(lived)
    assert len(before[1]) == len(HOMES) + 2
    yield
    await wait_until(lambda: same_state(lived, before), "the ledger and the wallets are what they were")


def problem(response, status, field):
    """Clear, in the API's form."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["type"].startswith("urn:consortium:problem:")
    assert body["detail"]
    assert body.get("field") == field, body
    return body


@pytest.mark.parametrize("name", CASES)
async def test_an_order_that_is_not_taken(lived, unmoved, name):
    who, changed, (status, field), words = CASES[name]
    body = problem(await post(lived, who, "/v1/orders", order(lived, **changed)), status, field)
    assert words in body["detail"]
    assert status == 403 or body["hint"]


@pytest.mark.parametrize("name", READINGS)
async def test_a_reading_of_a_meter_that_is_not_ones_own(lived, unmoved, name):
    who, subject, status = READINGS[name]
    record = reading(subject, start=lived.day.start.isoformat(), quality="corrected")
    response = await post(lived, who, "/v1/records", record)
    assert problem(response, status, response.json().get("field"))["status"] == status


async def propose(lived, proposal):
    """By its proposer; the contract's id, once both sides' nodes know it."""
    start = (lived.day.end + timedelta(hours=1)).isoformat()
    answer = await lived.calls.propose({"from": start, **proposal})
    await lived.calls.until_quiet()
    return answer["id"]


async def test_one_side_cannot_sign_for_both(lived):
    id = await propose(lived, PPA)
    before = await state(lived)
    for who, party in (("home-01", SELLER), ("home-09", SELLER), ("suncoop-staff", HOME), ("home-10", SUSPENDED)):
        step = {"by": party, "step": "countersigned", "effective": session(lived), "id": new_id()}
        response = await post(lived, who, f"/v1/contracts/{id}/steps", step)
        assert response.status_code in (403, 404, 422), (who, response.text)
        problem(response, response.status_code, response.json().get("field"))
    for party in (SELLER, HOME):
        found = await lived.calls.get(party, f"/v1/contracts/{id}", at=session(lived))
        assert (found["state"], found["history"]) == ("proposed", [])
    assert await state(lived) == before


async def test_an_account_that_its_owner_has_not_signed_for_takes_no_money(lived):
    sides = {"provider": "gridco", "customer": HOME, "proposer": "gridco", "currency": "USD"}
    await propose(lived, {"kind": "wallet", **sides, "terms": {"account": "spare", "credit_limit": 0}})
    before = await state(lived)
    deposit = {"agent": "gridco", "account": "spare", "owner": HOME, "amount": 5, "currency": "USD", "id": new_id()}
    response = await post(lived, "gridco-staff", "/v1/deposits", {**deposit, "booked": lived.now})
    assert "no such account" in problem(response, 422, "data.account")["detail"]
    assert await state(lived) == before


async def test_the_same_order_in_order_is_taken(lived):
    """Else the refusals above would say little."""
    before = await state(lived)
    response = await post(lived, "home-09", "/v1/orders", order(lived))
    assert response.json()["state"] == "accepted", response.text
    size, wallets = await state(lived)
    assert size == before[0] + 2  # the order, and the word that its money is held
    own = lived.day.homes.index(next(home for home in lived.day.homes if home.party == HOME))
    assert wallets[own]["reserved"] == 500 * (150 + 20)
    assert wallets[own]["balance"] == before[1][own]["balance"]
