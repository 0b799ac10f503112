"""The matrix (`tests/matrix.md`) over HTTP on running nodes, against the keys that each member really holds.

For a record of each type and each set of members that hold its keys, and people of every role at every member: an
answer has exactly the sections that the matrix gives the role, of those to which the member holds a key by its own key
file; where that is nothing the answer is that for an id that no record has. Names stand in it only where the matrix
gives `I`.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from pathlib import Path

import pytest
import pytest_asyncio

from consortium.adapters.policyfiles import read_policy_texts
from consortium.bootstrap import open_stores
from consortium.crypto import signing
from consortium.devnet.network import Person
from consortium.energy.field_groups import group_of
from consortium.ports.accounts import DUTIES, Account
from tests.fixtures.network import ABSENT, MEMBERS
from tests.integration.market.test_who_sees_what import ask, ledger, records, visible
from tests.matrix import opened
from tests.promises import row_of

pytestmark = pytest.mark.processes
__all__ = ["ledger", "records"]

MATRIX = opened()
POLICIES = Path(__file__).parents[3] / "policies"
NAME = re.compile(r"home-\d\d@")
COLUMNS = {
    # account's last word: the matrix's columns, by member where the market or the grid makes a difference
    "billing": ("billing",),
    "metering": ("metering",),
    "trading": ("trading",),
    "operations": ("operations",),
    "idle": ("none",),
    "staff": ("billing", "metering", "trading", "all duties"),
    "admin": ("administrator",),
    "meters": ("machine",),
    "officer": ("officer",),
    "service": ("service",),
}
OPERATORS, GRID = ("gridco", "suncoop"), "gridco"
ADDED = {"trading": "staff", "operations": "staff", "idle": "staff", "service": "service"}
"""Accounts that each member gets besides, by their kind; staff with the duty of that name."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def people(trading_day):
    """By account the columns of the matrix that hold for it: the network's own people, and one per duty that lacks."""
    network = trading_day.network
    for member in MEMBERS:
        async with open_stores(network.net.nodes[member].database_url) as stores:
            for word, kind in ADDED.items():
                duties = frozenset({word} & DUTIES)
                seed = signing.public_key(word.encode().ljust(32))  # any 32 bytes
                person = Person(f"{member}-{word}", kind, member, seed=seed, duties=duties)
                account = Account(person.name, kind, public_key=signing.public_key(seed), duties=person.duties)
                await stores.accounts.put_account(account)
                network.net.people.append(person)
                network.tokens[person.name] = await network.net.sign_in(person)
    return {
        person.name: columns(person.member, person.name.removeprefix(person.member + "-"))
        for person in network.net.people
        if person.kind != "user"
    }


def columns(member, word):
    """As an operator's trader, and the grid's meter reader, somebody sees more."""
    found = set(COLUMNS[word])
    if member in OPERATORS and "trading" in found:
        found.add("operator")
    if member == GRID and "metering" in found:
        found.add("grid")
    return found


def of_its_type(record, part):
    """Not so the section `escrow`, which sealing adds to supervised records, for compliance members' nodes alone."""
    return part is not None and record.type == part.TYPE


def groups_of(record, columns):
    return frozenset().union(*(MATRIX[record.type, column] for column in columns))


def expected(record, member, groups):
    """The sections to which the member holds a key, and which are of these groups."""
    held = [part for part, holders in zip(record.parts, record.holders, strict=True) if member in holders]
    return sorted(part.PART for part in held if of_its_type(record, part) and part.GROUP in groups)


def samples(records):
    """Of each type, and each set of members that hold keys to its sections, one record."""
    found = {}
    for record in records:
        shape = tuple(frozenset(holders & set(MEMBERS)) for holders in record.holders)
        found.setdefault((record.type, shape), record)
    return list(found.values())


def shown(answer):
    if answer["type"] == "reading":
        return [""]
    return sorted(name for name, words in answer["data"].items() for _ in (words if isinstance(words, list) else "1"))


async def read(lived, account, id):
    return await (await lived.network.client(account)).get(f"/v1/records/{id}")


def test_the_place_of_every_section_tells_its_group(records):
    """What is opened is chosen by place: on a real ledger it never misses."""
    for record in records:
        for number, part in enumerate(record.parts):
            if of_its_type(record, part):
                assert group_of(record.type, number) == part.GROUP, (record.type, number)


async def test_every_cell_of_the_matrix_over_http(trading_day, records, people):
    absent = {name: visible(await read(trading_day, name, ABSENT)) for name in people}
    seen, cells = Counter(), set()
    for record in samples(records):
        asked = await asyncio.gather(*(read(trading_day, name, record.id) for name in people))
        for (name, mine), response in zip(people.items(), asked, strict=True):
            member = trading_day.network.net.person(name).member
            groups = groups_of(record, mine)
            sections = expected(record, member, groups)
            where = (name, record.type, response.text)
            if not sections:
                assert visible(response) == absent[name], where
                continue
            assert response.status_code == 200, where
            answer = response.json()
            assert shown(answer) == sections, where
            assert "identity" in groups or not NAME.search(response.text), where
            assert "identity" not in groups or answer["withheld"] == [], where
            seen[name] += 1
            cells |= {(record.type, column) for column in mine}
    reading = ("billing", "metering", "trading", "staff")
    assert {name for name in people if seen[name]} >= {f"{member}-{word}" for member in OPERATORS for word in reading}
    assert len(cells) > 100, sorted(cells)
    assert not any(
        seen[name] for name in people if name.endswith(("admin", "meters", "officer", "operations", "idle", "service"))
    )


async def test_a_list_holds_what_the_role_sees_and_nothing_else(trading_day, records, people):
    for name, mine in people.items():
        client = await trading_day.network.client(name)
        member = trading_day.network.net.person(name).member
        wanted = {
            record.index: sections
            for record in records
            if (sections := expected(record, member, groups_of(record, mine)))
        }
        listed, after = {}, -1
        while after is not None:
            response = await client.get("/v1/records", params={"limit": 500, "after": after})
            if response.status_code == 403:
                assert response.json()["detail"] == "your role does not let you list records here"
                break
            page = response.json()
            listed |= {record["index"]: shown(record) for record in page["records"]}
            after = page["next"]
        assert listed == wanted, name


async def test_no_key_is_held_by_whom_no_role_may_see_a_section(records, ledger, trading_day):
    """The ciphertext's side: who is denied terms at the level of parties holds no key to them.

    A grid operator that is no side of a contract reads its frame: of the terms its member holds no key, so that no
    policy, and no administrator who changes one, can open them.
    """
    seen = 0
    for record in records:
        if record.type != "contract" or not row_of(ledger, record).endswith(("supply", "ppa", "p2p")):
            continue
        frame, terms = record.parts[0], record.holders[1]
        assert terms == {frame.customer, frame.provider}
        for member in set(MEMBERS) - {frame.customer, frame.provider}:
            for account in ("staff", "billing"):
                answer = await read(trading_day, f"{member}-{account}", record.id)
                assert answer.status_code == 404 or answer.json()["data"].keys() == {"physical"}
                seen += answer.status_code == 200
    assert seen


async def test_staff_with_another_ones_words_are_who_they_are(trading_day, records, people):
    """What a request claims of purpose and of whom it reads for opens nothing."""
    network = trading_day.network
    contract = next(record for record in records if record.type == "contract" and "suncoop" in record.holders[0])
    for claims in ({"Consortium-Behalf": "home-01@suncoop"}, {"Consortium-Behalf": "suncoop"}):
        client = await network.client("suncoop-operations")
        answer = await client.get(f"/v1/records/{contract.id}", headers=claims)
        assert answer.status_code == 404
        assert (await client.get("/v1/records", headers=claims)).status_code == 403
    metering = await network.client("suncoop-metering")
    for record in [record for record in records if "home-01@suncoop" in record.holders[0]][:5]:
        answer = await metering.get(f"/v1/records/{record.id}", headers={"Consortium-Behalf": "home-01@suncoop"})
        assert answer.status_code == 404


async def test_what_explain_says_is_what_reading_gives(trading_day, records, people):
    admin = await trading_day.network.client("suncoop-admin")
    for record in samples(records)[:12]:
        for name in ("suncoop-billing", "suncoop-metering", "suncoop-trading", "suncoop-operations", "home-01"):
            params = {"person": f"{name}@suncoop", "record": record.id}
            told = (await admin.get("/v1/policy/explain", params=params)).json()
            read = await ask(trading_day, f"{name}@suncoop" if name == "home-01" else "suncoop", record.id)
            if read.status_code == 404:
                assert told["permitted"] == [], (name, record.type)
            elif name != "home-01":
                mine = groups_of(record, people[name])
                assert set(told["permitted"]) == mine, (name, record.type)


async def test_diff_over_a_real_ledger_counts_people_and_names_nobody(trading_day, records, people):
    schema, texts = read_policy_texts(POLICIES)
    old = {"schema": schema, "texts": texts}
    new = {**old, "texts": {name: text for name, text in texts.items() if name != "staff.cedar"}}
    admin = await trading_day.network.client("suncoop-admin")
    answer = await admin.post("/v1/policy/diff", json={"old": old, "new": new})
    rows = answer.json()["rows"]
    assert {row["gain"] for row in rows} == {0}
    cell = ("staff: metering", "reading", "physical")
    metering = next(row for row in rows if (row["role"], row["type"], row["group"]) == cell)
    held = sum(record.type == "reading" and "suncoop" in record.holders[0] for record in records)
    assert (metering["before"], metering["after"], metering["lose"], metering["records"]) == (1, 0, 1, held)
    assert not NAME.search(answer.text)
