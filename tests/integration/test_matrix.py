"""Who may do what with what: role x action x relation over HTTP, in one table. What of a record: tests/matrix.md.

A refusal to read looks exactly like "no such record": the same bytes, the same headers, whether it exists or not.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.fixtures.network import ABSENT, fresh_day, hour_of, reading, wait_until

pytestmark = pytest.mark.processes

RELATIONS = {"own": "home-01@suncoop", "neighbour": "home-02@suncoop", "foreign": "home-09@cityretail", "none": ""}
"""Whose record it is, as home-01 of suncoop sees it; `none` is an id, or a home, that does not exist."""

CALLERS = {
    # role: (account, node)
    "user": ("home-01", "suncoop"),
    "staff": ("suncoop-staff", "suncoop"),
    "billing": ("suncoop-billing", "suncoop"),
    "metering": ("suncoop-metering", "suncoop"),
    "administrator": ("suncoop-admin", "suncoop"),
    "machine": ("suncoop-meters", "suncoop"),
    "officer": ("regulator-officer", "regulator"),
    "staff of a stranger": ("regulator-staff", "regulator"),
    "staff of the retailer": ("cityretail-staff", "cityretail"),
    "user of the retailer": ("home-09", "cityretail"),
    "staff of the grid": ("gridco-staff", "gridco"),
    "retailer's staff here": ("cityretail-staff", "suncoop"),
    "retailer's user here": ("home-09", "suncoop"),
    "retailer's machine here": ("cityretail-meters", "suncoop"),
    "grid's staff here": ("gridco-staff", "suncoop"),
    "officer here": ("regulator-officer", "suncoop"),
    "peer": ("peer of gridco", "suncoop"),
    "nobody": ("", "suncoop"),
}
TABLE = """
role                    | action  | own | neighbour | foreign | none

user                    | submit  | 403 | 403 | 403 | 403
user                    | read    | 200 | 404 | 404 | 404
user                    | list    | in  | out | out | -
user                    | header  | 200 | 200 | 200 | 404
user                    | receipt | 200 | 404 | 404 | 404
user                    | status  | 200
user                    | entries | 200

staff                   | submit  | 200 | 200 | 422 | 422
staff                   | read    | 200 | 200 | 404 | 404
staff                   | list    | in  | in  | out | -
staff                   | header  | 200 | 200 | 200 | 404
staff                   | receipt | 200 | 200 | 404 | 404
staff                   | status  | 200
staff                   | entries | 200

billing                 | submit  | 403 | 403 | 403 | 403
billing                 | read    | 200 | 200 | 404 | 404
billing                 | list    | in  | in  | out | -
billing                 | header  | 200 | 200 | 200 | 404
billing                 | receipt | 200 | 200 | 404 | 404
billing                 | status  | 200
billing                 | entries | 200

metering                | submit  | 200 | 200 | 422 | 422
metering                | read    | 200 | 200 | 404 | 404
metering                | list    | in  | in  | out | -
metering                | header  | 200 | 200 | 200 | 404
metering                | receipt | 200 | 200 | 404 | 404
metering                | status  | 200
metering                | entries | 200

administrator           | submit  | 403 | 403 | 403 | 403
administrator           | read    | 404 | 404 | 404 | 404
administrator           | list    | 403 | 403 | 403 | -
administrator           | header  | 200 | 200 | 200 | 404
administrator           | receipt | 404 | 404 | 404 | 404
administrator           | status  | 200
administrator           | entries | 200

machine                 | submit  | 200 | 200 | 422 | 422
machine                 | read    | 404 | 404 | 404 | 404
machine                 | list    | 403 | 403 | 403 | -
machine                 | header  | 200 | 200 | 200 | 404
machine                 | receipt | 200 | 200 | 404 | 404
machine                 | status  | 200
machine                 | entries | 200

officer                 | submit  | 403 | 403 | 403 | 403
officer                 | read    | 404 | 404 | 404 | 404
officer                 | list    | 403 | 403 | 403 | -
officer                 | header  | 200 | 200 | 200 | 404
officer                 | receipt | 404 | 404 | 404 | 404
officer                 | status  | 200
officer                 | entries | 200

staff of a stranger     | submit  | 422 | 422 | 422 | 422
staff of a stranger     | read    | 404 | 404 | 404 | 404
staff of a stranger     | list    | out | out | out | -
staff of a stranger     | header  | 200 | 200 | 200 | 404
staff of a stranger     | receipt | 404 | 404 | 404 | 404
staff of a stranger     | status  | 200
staff of a stranger     | entries | 200

staff of the retailer   | submit  | 422 | 422 | 200 | 422
staff of the retailer   | read    | 404 | 404 | 200 | 404
staff of the retailer   | list    | out | out | in  | -
staff of the retailer   | header  | 200 | 200 | 200 | 404
staff of the retailer   | receipt | 404 | 404 | 200 | 404
staff of the retailer   | status  | 200
staff of the retailer   | entries | 200

user of the retailer    | submit  | 403 | 403 | 403 | 403
user of the retailer    | read    | 404 | 404 | 200 | 404
user of the retailer    | list    | out | out | in  | -
user of the retailer    | header  | 200 | 200 | 200 | 404
user of the retailer    | receipt | 404 | 404 | 200 | 404
user of the retailer    | status  | 200
user of the retailer    | entries | 200

staff of the grid       | submit  | 422 | 422 | 422 | 422
staff of the grid       | read    | 200 | 200 | 200 | 404
staff of the grid       | list    | in  | in  | in  | -
staff of the grid       | header  | 200 | 200 | 200 | 404
staff of the grid       | receipt | 200 | 200 | 200 | 404
staff of the grid       | status  | 200
staff of the grid       | entries | 200

retailer's staff here   | *       | 401
retailer's user here    | *       | 401
retailer's machine here | *       | 401
grid's staff here       | *       | 401
officer here            | *       | 401
nobody                  | *       | 401

peer                    | submit  | 403 | 403 | 403 | 403
peer                    | read    | 404 | 404 | 404 | 404
peer                    | list    | 403 | 403 | 403 | -
peer                    | header  | 403 | 403 | 403 | 403
peer                    | receipt | 404 | 404 | 404 | 404
peer                    | status  | 403
peer                    | entries | 403
"""
ACTIONS = ("submit", "read", "list", "header", "receipt", "status", "entries")
ABOUT_A_RECORD = ACTIONS[:5]


@dataclass(frozen=True)
class Cell:
    role: str
    action: str
    relation: str
    expected: str

    def __str__(self):
        return f"{self.role}-{self.action}-{self.relation}"


def cells():
    for row in TABLE.strip().splitlines()[1:]:
        if not row.strip():
            continue
        role, action, *outcomes = (word.strip() for word in row.split("|"))
        for name in ACTIONS if action == "*" else (action,):
            relations = list(RELATIONS) if name in ABOUT_A_RECORD else ["-"]
            expected = outcomes * len(relations) if action == "*" else outcomes
            assert len(expected) == len(relations), row
            yield from (Cell(role, name, *pair) for pair in zip(relations, expected, strict=True) if pair[1] != "-")


CELLS = list(cells())


def test_the_table_is_whole():
    assert len({(cell.role, cell.action, cell.relation) for cell in CELLS}) == len(CELLS)
    for role in CALLERS:
        assert {cell.action for cell in CELLS if cell.role == role} == set(ACTIONS), role
    assert {cell.role for cell in CELLS} == set(CALLERS)


@pytest.fixture(scope="module")
async def world(network):
    """One witnessed record of each relation on a day of their own, applied and readable at every node."""
    day = fresh_day()
    ids = {"none": ABSENT}
    for relation, subject in RELATIONS.items():
        if subject:
            record = reading(subject, start=hour_of(day, 10))
            await network.submit_as_meters(record, "witnessed")
            ids[relation] = record["id"]
    await network.agreed()
    grid = await network.client("gridco-staff")
    for relation in ("own", "neighbour", "foreign"):

        async def held(relation=relation):
            return (await grid.get(f"/v1/records/{ids[relation]}")).status_code == 200

        await wait_until(held, f"gridco reads the record of {RELATIONS[relation]}")
    return day, ids


async def client_of(network, role):
    account, node = CALLERS[role]
    if account.startswith("peer of "):
        return network.client_with(network.peer_token(account.removeprefix("peer of "), node), node)
    return network.client_with(network.tokens[account] if account else "", node)


async def ask(network, world, role, action, relation):
    day, ids = world
    async with await client_of(network, role) as client:
        match action:
            case "submit":
                subject = RELATIONS[relation] or "home-77@suncoop"
                return await client.post("/v1/records", json=reading(subject, start=hour_of(day, 20)))
            case "list":
                period = {"from": hour_of(day, 10), "to": hour_of(day, 11), "type": "reading"}
                return await client.get("/v1/records", params=period)
            case "read":
                return await client.get(f"/v1/records/{ids[relation]}")
            case "status":
                return await client.get("/v1/status")
            case "entries":
                return await client.get("/v1/log/tile/entries/000.p/1")
            case _:
                return await client.get(f"/v1/records/{ids[relation]}/{action}")


def outcome(response, world, cell):
    if cell.action == "list" and response.status_code == 200:
        listed = [record["id"] for record in response.json()["records"]]
        return "in" if world[1][cell.relation] in listed else "out"
    return str(response.status_code)


@pytest.mark.parametrize("cell", CELLS, ids=str)
async def test_the_matrix(network, world, cell):
    response = await ask(network, world, cell.role, cell.action, cell.relation)
    assert outcome(response, world, cell) == cell.expected, response.text
    if response.status_code >= 400:
        assert response.headers["content-type"] == "application/problem+json"
        for secret in ("home-", "Wh", "1521"):
            assert secret not in response.text


REFUSALS = sorted({(cell.role, cell.action) for cell in CELLS if cell.expected in ("404", "401", "403")})


def visible(response):
    return response.status_code, response.content, sorted(h for h in response.headers.multi_items() if h[0] != "date")


@pytest.mark.parametrize(("role", "action"), [pair for pair in REFUSALS if pair[1] in ("read", "receipt", "header")])
async def test_a_refusal_and_an_absence_are_one_answer(network, world, role, action):
    absent = visible(await ask(network, world, role, action, "none"))
    refused = [c.relation for c in CELLS if (c.role, c.action) == (role, action) and c.expected != "200"]
    for relation in refused:
        assert visible(await ask(network, world, role, action, relation)) == absent, relation


async def test_a_home_that_is_unknown_and_one_of_another_member_are_one_answer(network, world):
    answers = [visible(await ask(network, world, "machine", "submit", relation)) for relation in ("foreign", "none")]
    assert answers[0] == answers[1]
