"""What people bring, over HTTP: taken from whom it is due, and from nobody else; a refusal leaves nothing behind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from consortium.energy.catalogue import TYPES
from tests.fixtures.network import ABSENT, MEMBERS, new_id, wait_until

pytestmark = pytest.mark.processes

PREFIX = "urn:consortium:problem:"
HOME = "home-03@suncoop"
PATHS = {
    "order": "/v1/orders",
    "contract": "/v1/contracts",
    "prices": "/v1/prices",
    "deposit": "/v1/deposits",
    "call": "/v1/calls",
    "complaint": "/v1/complaints",
}
MARKET = "test-market"
TERMS = {
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
    """The full hour that is so many hours ahead."""
    return (datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=hours)).isoformat()


# The market's first session lies ahead: no agent closes a gate meanwhile, and what is counted stands still.
FROM, TO, SESSION = from_now(26), from_now(48), from_now(30)


def example(type, **changed):
    return {**TYPES[type].model_config["json_schema_extra"]["examples"][0], **changed}


def contract(kind, provider, customer, terms, **changed):
    sides = {"provider": provider, "customer": customer, "proposer": provider}
    return {"kind": kind, "from": FROM, "to": TO, **sides, "currency": "USD", "terms": terms, **changed}


async def post(network, who, path, data, at=""):
    return await (await network.client(who, at)).post(path, json=data)


async def taken(network, who, path, data):
    response = await post(network, who, path, data)
    assert response.status_code == 200, response.text
    assert response.json()["state"] == "accepted"
    return response.json()["id"]


async def signed(network, proposer, other, data):
    """A contract that the other side countersigned, as soon as its own node knows the proposal."""
    id = await taken(network, proposer, "/v1/contracts", data)
    by = data["customer"] if data["proposer"] == data["provider"] else data["provider"]
    step = {"by": by, "step": "countersigned", "effective": FROM, "id": new_id()}

    async def countersigned():
        response = await post(network, other, f"/v1/contracts/{id}/steps", step)
        assert response.status_code in (200, 404), response.text
        return response.status_code == 200

    await wait_until(countersigned, "the other side's node knows the proposal")
    return id


@pytest.fixture(scope="module")
async def market(network):
    """A market of its own with a home in it, and the home's grid contract."""
    await signed(network, "gridco-staff", "suncoop-staff", contract("market", "gridco", "suncoop", TERMS))
    grid = {"local_fee": 20, "grid_fee": 80, "operators": TERMS["operators"]}
    place = {"point": "test-point", "area": "test-area"}
    await signed(network, "gridco-staff", "home-03", contract("grid", "gridco", HOME, grid, **place))
    return MARKET


def order(**changed):
    return example("order", **{"market": MARKET, "start": SESSION, "owner": HOME, "side": "ask", **changed})


async def ordered(network, **changed):
    """An order of the home's, tried until its node knows the contracts that it rests on."""
    data = order(id=new_id(), **changed)

    async def there():
        response = await post(network, "home-03", "/v1/orders", data)
        assert response.status_code in (200, 422), response.text
        return response.json() if response.status_code == 200 else None

    return data, await wait_until(there, "the market takes the order")


async def test_a_home_orders_and_the_operators_read_it(network, market):
    data, answer = await ordered(network)
    assert answer["id"] == data["id"]
    again = await post(network, "home-03", "/v1/orders", data)
    assert (again.status_code, again.json()) == (200, answer)
    changed = await post(network, "home-03", "/v1/orders", {**data, "wh": 77})
    assert changed.status_code == 409
    await network.agreed(answer["index"] + 1)

    async def seen(who):
        response = await (await network.client(who)).get(f"/v1/records/{data['id']}")
        return response.status_code

    async def operators():
        return [await seen(who) for who in ("home-03", "gridco-staff", "suncoop-staff")] == [200] * 3

    await wait_until(operators, "owner and operators read the order")
    assert [await seen(who) for who in ("cityretail-staff", "home-02", "home-09", "regulator-staff")] == [404] * 4


@pytest.fixture
async def nothing_stored(network, market):
    await ordered(network)  # everything that the refusals rest on is known, and refused for no other reason
    before = await network.size_without_reads()
    yield
    assert await network.size_without_reads() == before
    for member in MEMBERS:
        assert "Traceback" not in network.log_text(member)


SERIES = {"market": MARKET, "start": SESSION}
WRONG = {
    # name: who, type, data, status
    "a neighbour's order": ("home-02", "order", {"owner": HOME}, 403),
    "staff for a home": ("suncoop-staff", "order", {"owner": HOME}, 403),
    "a machine": ("suncoop-meters", "order", {"owner": HOME}, 403),
    "an officer": ("regulator-officer", "order", {"owner": HOME}, 403),
    "another member's staff": ("cityretail-staff", "order", {"owner": HOME}, 403),
    "a home in its member's name": ("home-03", "order", {"owner": "suncoop"}, 403),
    "a home publishes prices": ("home-03", "prices", {**SERIES, "publisher": HOME}, 403),
    "a retailer publishes prices": (
        "cityretail-staff",
        "prices",
        {"publisher": "cityretail", "market": MARKET, "start": SESSION},
        403,
    ),
    "a home books money": ("home-03", "deposit", {"agent": HOME}, 403),
    "no settlement agent books money": ("suncoop-staff", "deposit", {"agent": "suncoop"}, 422),
    "staff proposes for a home": ("suncoop-staff", "contract", {"customer": HOME, "proposer": HOME}, 403),
    "a call on nothing": ("gridco-staff", "call", {"by": "gridco", "contract": ABSENT}, 404),
    "a complaint for a neighbour": ("home-02", "complaint", {"owner": HOME, "market": MARKET}, 403),
}


@pytest.mark.parametrize("case", WRONG)
async def test_the_wrong_caller_is_refused(network, nothing_stored, case):
    who, type, changed, status = WRONG[case]
    data = order(**changed) if type == "order" else example(type, **changed)
    for path, body in ((PATHS[type], data), ("/v1/records", {"type": type, "data": data})):
        response = await post(network, who, path, body)
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"


BAD = {
    "another currency": ({"currency": "EUR"}, "data.currency"),
    "an absurd price": ({"price_micro_per_wh": 5000}, "data.price_micro_per_wh"),
    "an unknown market": ({"market": "elsewhere"}, "data.market"),
    "before the market began": ({"start": from_now(2)}, "data.market"),
    "between two sessions": ({"start": SESSION.replace(":00:00", ":20:00", 1)}, "data.start"),
    "no energy": ({"wh": 0}, "data.wh"),
    "an unknown field": ({"sentinel7f3a": "sentinel7f3a"}, "data"),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_order_names_its_field(network, nothing_stored, case):
    changed, field = BAD[case]
    response = await post(network, "home-03", "/v1/orders", {**order(), **changed})
    body = response.json()
    assert (response.status_code, body["type"], body["field"]) == (422, PREFIX + "invalid-request", field)
    assert body["hint"]
    assert "sentinel7f3a" not in response.text


async def test_a_step_on_anothers_contract_is_a_step_on_none(network, nothing_stored):
    step = {"by": "home-02@suncoop", "step": "countersigned", "effective": FROM}
    listed = await (await network.client("gridco-staff")).get("/v1/records", params={"type": "contract", "limit": 500})
    foreign = [record["id"] for record in listed.json()["records"]]
    assert foreign
    there = await (await network.client("home-02")).post(f"/v1/contracts/{foreign[0]}/steps", json=step)
    absent = await (await network.client("home-02")).post(f"/v1/contracts/{ABSENT}/steps", json=step)
    assert (there.status_code, there.json()) == (absent.status_code, absent.json())
    assert there.status_code == 404
