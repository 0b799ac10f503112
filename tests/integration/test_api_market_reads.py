"""What people see of a market, over HTTP on running nodes: their own part, the public side, and no more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.fixtures.network import ABSENT, new_id, wait_until

pytestmark = pytest.mark.processes

MARKET, HOME, POINT = "seen-market", "home-02@suncoop", "pt-home-02"
RULES = {
    "name": MARKET,
    "zone": "-08:00",
    "currency": "USD",
    "session_s": 3600,
    "opens_s": 1_209_600,
    "gate_s": 600,
    "price_min": 0,
    "price_max": 1000,
    "operators": ["gridco", "suncoop"],
    "agree": 2,
    "settlement_agent": "gridco",
    "grid_operator": "gridco",
    "members": ["gridco", "suncoop", "cityretail"],
    "local_fee": 20,
}


def from_now(hours):
    return (datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=hours)).isoformat()


# The session lies days ahead: its gate does not close while the test looks at it.
FROM, TO, SESSION = from_now(74), from_now(96), from_now(78)


async def get(network, who, path, node="", **params):
    return await (await network.client(who, node)).get(path, params=params)


async def rows(network, who, path, **params):
    response = await get(network, who, path, **params)
    assert response.status_code == 200, response.text
    return response.json()["rows"]


async def taken(network, who, path, data, not_yet=(503,)):
    """Bring it, again while the node answers so: 503 before the ledger has a time, 404 before it knows the contract."""
    client = await network.client(who)
    body = {"id": new_id(), **data}

    async def done():
        response = await client.post(path, json=body)
        assert response.status_code in (200, *not_yet), response.text
        return response.json() if response.status_code == 200 else None

    return (await wait_until(done, f"{who} can bring it"))["id"]


async def signed(network, other, kind, customer, terms, **more):
    """A contract that gridco proposes and the other side countersigns once its node knows it."""
    sides = {"provider": "gridco", "customer": customer, "proposer": "gridco"}
    data = {"kind": kind, "from": FROM, "to": TO, **sides, "currency": "USD", "terms": terms, **more}
    id = await taken(network, "gridco-staff", "/v1/contracts", data)
    step = {"by": customer, "step": "countersigned", "effective": FROM}
    await taken(network, other, f"/v1/contracts/{id}/steps", step, (404, 503))
    return id


@pytest.fixture(scope="module")
async def story(network):
    """A market, a home's grid contract and wallet with credit, and one bid of that home."""
    await signed(network, "suncoop-staff", "market", "suncoop", RULES)
    fees = {"local_fee": 20, "grid_fee": 80, "operators": RULES["operators"]}
    grid = await signed(network, "home-02", "grid", HOME, fees, point=POINT, area="north")
    await signed(network, "home-02", "wallet", HOME, {"account": HOME, "credit_limit": 1_000_000})
    order = {"market": MARKET, "start": SESSION, "side": "bid", "wh": 100, "owner": HOME, "currency": "USD"}

    async def known():
        return bool([row for row in await rows(network, "home-02", "/v1/markets") if row["name"] == MARKET])

    await wait_until(known, "the home's node knows the market")
    bid = await taken(network, "home-02", "/v1/orders", {**order, "price_micro_per_wh": 150}, (422, 503))
    return {"grid": grid, "order": bid}


async def test_a_home_sees_its_order_and_its_neighbour_does_not(network, story):
    own = await rows(network, "home-02", "/v1/orders", **{"from": FROM, "to": TO})
    assert [(row["id"], row["wh"], row["price"], row["reserved"]) for row in own] == [
        (story["order"], 100, 150, 17_000)
    ]
    assert await rows(network, "home-01", "/v1/orders", **{"from": FROM, "to": TO}) == []
    hidden = await get(network, "home-01", f"/v1/orders/{story['order']}/proof")
    none = await get(network, "home-01", f"/v1/orders/{ABSENT}/proof")
    assert (hidden.status_code, hidden.content) == (404, none.content)


async def test_a_contract_is_read_by_its_sides_in_both_languages(network, story):
    path = f"/v1/contracts/{story['grid']}"
    found = (await get(network, "home-02", path)).json()
    assert (found["terms"]["local_fee"], found["frame"]["point"]) == (20, POINT)
    assert all(clause["en"] and clause["zh"] for clause in found["clauses"])
    assert [step["step"] for step in found["history"]] == ["countersigned"]
    in_term = (await get(network, "home-02", path, at=SESSION)).json()
    assert in_term["state"] == "in force"
    assert (await get(network, "home-01", path)).status_code == 404
    assert (await get(network, "cityretail-staff", path)).status_code == 404


async def test_the_market_is_public_to_its_members_and_unknown_elsewhere(network, story):
    for who in ("home-02", "home-09", "gridco-staff", "cityretail-staff"):
        rules = await get(network, who, f"/v1/markets/{MARKET}")
        assert rules.json()["rules"]["session_s"] == 3600
        assert (await rows(network, who, f"/v1/markets/{MARKET}/results")) == []
    outside = await get(network, "regulator-staff", f"/v1/markets/{MARKET}")
    none = await get(network, "regulator-staff", "/v1/markets/no-such")
    assert (outside.status_code, outside.content) == (404, none.content)


async def test_sessions_are_for_the_operators_staff(network, story):
    period = {"from": FROM, "to": TO}

    async def seen():
        found = await rows(network, "gridco-staff", f"/v1/markets/{MARKET}/sessions", **period)
        return [(row["ordered"], row["state"]) for row in found] == [(1, "open")]

    await wait_until(seen, "the operator's node knows the order")
    for who in ("home-02", "cityretail-staff"):
        assert (await get(network, who, f"/v1/markets/{MARKET}/sessions", **period)).status_code == 403
    book = await get(network, "gridco-staff", f"/v1/markets/{MARKET}/sessions/{SESSION}/book")
    assert book.status_code == 404  # nothing is closed yet


@pytest.mark.parametrize("path", ["me/summary", "positions", "invoices", "wallet", "me/forecast", "disputes"])
async def test_what_is_ones_own_is_answered_to_those_who_can_own_something(network, path):
    period = {"start": FROM} if path == "me/forecast" else {"from": FROM, "to": TO}
    for who, status in (("home-02", 200), ("cityretail-staff", 200), ("suncoop-meters", 403), ("", 401)):
        response = await get(network, who, f"/v1/{path}", "" if who else "suncoop", **period)
        assert response.status_code == status, (who, response.text)
