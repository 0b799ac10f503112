"""Who sees what of a trading day, on real nodes: judged by one table (`tests/promises.py`), by keys and by answers.

By keys: every payload in every node's database is opened with the real key files, wrap by wrap, and each section's
holders are those of the table. By answers: what `GET /v1/records/{id}` gives each person is what the table gives them,
and where it gives nothing the answer is that for an id that no record has.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime

import pytest
import pytest_asyncio

from consortium.energy.metering import to_ms
from consortium.energy.payloads.market import Complaint, Gate, Order, Result
from consortium.model.names import Party
from tests.fixtures.day import HOMES, HOURS
from tests.fixtures.network import ABSENT
from tests.opened_ledger import AFTERWARDS, every, everyone, opened_ledger
from tests.promises import ledger_of, readers, row_of, sides, table

pytestmark = pytest.mark.processes

OWN, NEIGHBOUR, FOREIGN = "home-01@suncoop", "home-02@suncoop", "home-09@cityretail"
ELSEWHERE = {"difference", "dispute", "agreed", "call", "payment-refused"}
"""Of a day on which all goes well there are none; they are judged by the same table in tests/unit."""
SESSIONS = len(HOURS) + 1
"""One more than there are readings of has closed by the end, with nothing ordered."""
OUTCOMES = {"order-result": 24, "clearing": 2 * SESSIONS, "gate": SESSIONS, "result": SESSIONS, "funded": SESSIONS}
PLACE = {"point": "pt-agreed", "area": "sierra-crest"}
AGREEMENTS = (
    ("ppa", OWN, "cityretail", {"price": 100, "profile": [10] * 24, "zone": "-08:00"}),
    ("p2p", OWN, FOREIGN, {"price": 90, "max_wh": 500}),
    ("flexibility", OWN, "gridco", {"price": 300, "max_wh": 500, "max_calls": 5}),
)
"""Bilateral contracts that no home of the demo has: kind, provider, customer, terms."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def records(trading_day):
    """All records of the day, with a complaint and a contract of each bilateral kind besides.

    Another module asks for them as well: they are made once.
    """
    found = await opened_ledger(trading_day.network)
    if any(one.find(Complaint) for one in found):
        return found
    await agreements(trading_day)
    await complaint(trading_day)
    return await opened_ledger(trading_day.network)


@pytest.fixture(scope="module")
def ledger(trading_day, records):
    return ledger_of(trading_day.network.net.genesis, records)


async def agreements(lived):
    """Proposed by one side and signed by the other, from the end of the day on."""
    term = {"from": lived.day.end.isoformat(), "currency": "USD"}
    for kind, provider, customer, terms in AGREEMENTS:
        sides = {"provider": provider, "customer": customer, "proposer": provider}
        id = (await lived.calls.propose({"kind": kind, **term, **sides, "terms": terms, **PLACE}))["id"]
        await lived.calls.until_quiet()
        step = {"by": customer, "step": "countersigned", "effective": term["from"]}
        await lived.calls.post(customer, f"/v1/contracts/{id}/steps", step)
    await lived.calls.until_quiet()


async def complaint(lived):
    """Of an order that was counted: anybody may complain, whoever reads it finds that nothing is wrong."""
    found = await opened_ledger(lived.network)
    order = next(one for one in found if (part := one.find(Order)) and part.owner == OWN)
    gate = next(one for one in found if (part := one.find(Gate)) and part.start_ms == order.find(Order).start_ms)
    said = {
        "market": "local",
        "start": lived.day.start.isoformat(),
        "owner": OWN,
        "order": order.id,
        "gate": gate.id,
        "order_index": order.index,
        "gate_index": gate.index,
        "why": "no result names it",
    }
    await lived.calls.post(OWN, "/v1/complaints", said)
    await lived.calls.until_quiet()


# --- keys held -------------------------------------------------------------------------------------------------------


def test_the_day_has_every_record_of_the_table(records, ledger):
    rows = {(row_of(ledger, record), part.PART) for record in records for part in record.parts}
    assert rows == {(type, section) for type, section in table() if type not in ELSEWHERE}
    counted = Counter(record.type for record in records)
    assert {type: counted[type] for type in OUTCOMES} == OUTCOMES
    assert counted["trade"] > len(HOURS)


def test_every_section_is_open_to_those_of_the_table_and_to_nobody_else(records, ledger):
    wrong = Counter()
    for record in records:
        for part, holders in zip(record.parts, record.holders, strict=True):
            promised = readers(ledger, record, part)
            for party in holders ^ promised:
                has = "holds a key" if party in holders else "holds no key"
                wrong[f"{party} {has} to {row_of(ledger, record)} {part.PART}"] += 1
    assert not wrong


def test_a_node_holds_the_payloads_of_its_own_parties_records_and_no_others(records, ledger):
    """And of those that it wrote: it serves them to parties that were away, whether it has a key itself or not."""
    for record in records:
        mine = {Party.parse(party).member for part in record.parts for party in readers(ledger, record, part)}
        assert record.at == mine | {record.author}, row_of(ledger, record)


async def test_nothing_is_held_that_nobody_reads(trading_day):
    size = (await trading_day.network.status("gridco"))["size"]
    held = {record.index for record in await opened_ledger(trading_day.network, without=frozenset())}
    async with trading_day.network.database("gridco") as conn:
        public = await (await conn.execute("SELECT tree_index FROM ledger.public_records")).fetchall()
    assert set(range(size)) <= held | {index for (index,) in public}


def test_the_regulator_reads_a_complaint_and_of_trades_nothing_but_keys_in_parts(records):
    """Of a supervised record it holds the ciphertext; what it could open it with the members have, in shares."""
    held = [record for record in records if "regulator" in record.at]
    assert {record.type for record in held} == {"complaint", "trade"}
    opened = {part.PART for record in held for part, who in zip(record.parts, record.holders, strict=True)
              if "regulator" in who}  # fmt: skip
    assert opened == {"complaint", "keys"}


def test_no_operator_reads_a_bilateral_contract_or_its_bills(records, ledger):
    """suncoop operates the market, and is the homes' member: of what they agreed on with others it reads none."""
    bilateral = {"supply", "ppa", "p2p", "flexibility"}
    seen = Counter()
    for record in records:
        name, *kind = row_of(ledger, record).split()
        if name == "statement" or set(kind) & bilateral:
            seen[name] += 1
            for part, holders in zip(record.parts, record.holders, strict=True):
                assert "suncoop" not in holders, record
                assert part.PART != "terms" or "gridco" not in holders or "gridco" in sides(ledger, record), record
    assert min(seen[name] for name in ("statement", "contract", "contract-step")) >= len(HOMES)


# --- answers given ---------------------------------------------------------------------------------------------------


def samples(records, ledger):
    """Of each type, and each set of readers that it comes with, one record."""
    found = {}
    for record in records:
        shape = tuple(tuple(sorted(readers(ledger, record, part))) for part in record.parts)
        found.setdefault((row_of(ledger, record), shape), record)
    return list(found.values())


def visible(response):
    return response.status_code, response.content, sorted(h for h in response.headers.multi_items() if h[0] != "date")


def sections_of(answer):
    """The names of the sections in an answer, each as often as it stands there; a reading's fields have no name."""
    if answer["type"] == "reading":
        return [""]
    return sorted(name for name, words in answer["data"].items() for _ in (words if isinstance(words, list) else "1"))


async def ask(lived, party, id):
    client = await lived.network.client(lived.calls.account_of(party))
    return await client.get(f"/v1/records/{id}")


def own_sections(ledger, record, party):
    """The names of the sections that a party is shown: all that it holds a key to, but what holds nothing but keys."""
    return sorted(part.PART for part in record.parts if part.PART != "keys" and party in readers(ledger, record, part))


async def test_everybody_is_answered_what_the_table_gives_them(trading_day, records, ledger):
    absent = {party: visible(await ask(trading_day, party, ABSENT)) for party in everyone(trading_day.network)}
    assert {answer[0] for answer in absent.values()} == {404}
    shown = Counter()
    for record in samples(records, ledger):
        row = row_of(ledger, record)
        asked = await asyncio.gather(*(ask(trading_day, party, record.id) for party in absent))
        answers = dict(zip(absent, asked, strict=True))
        for party, nothing in absent.items():
            mine = own_sections(ledger, record, party)
            response = answers[party]
            if mine:
                assert response.status_code == 200, (row, party, response.text)
                assert sections_of(response.json()) == mine, (row, party)
                shown[party] += 1
            else:
                assert visible(response) == nothing, (row, party)
    assert all(shown[party] for party in absent)
    assert shown["regulator"] == 1


async def test_a_list_holds_ones_own_records_and_no_others(trading_day, records, ledger):
    for party in everyone(trading_day.network):
        client = await trading_day.network.client(trading_day.calls.account_of(party))
        listed, after = [], -1
        while after is not None:
            page = (await client.get("/v1/records", params={"limit": 500, "after": after})).json()
            shown = [record for record in page["records"] if record["type"] not in AFTERWARDS]
            listed += [(record["index"], sections_of(record)) for record in shown]
            after = page["next"]
        mine = {}
        for record in records:
            parts = own_sections(ledger, record, party)
            mine |= {record.index: parts} if parts else {}
        assert dict(listed) == mine, party


async def test_everyone_in_the_market_reads_price_and_volume_of_each_hour(trading_day, records):
    begin, end = (to_ms(datetime.fromisoformat(trading_day.period[name])) for name in ("from", "to"))
    truth = [(result.price, result.wh) for result in every(records, Result) if begin <= result.start_ms < end]
    path, calls = "/v1/markets/local/results", trading_day.calls
    for party in (OWN, NEIGHBOUR, FOREIGN, "suncoop", "cityretail", "gridco"):
        rows = (await calls.get(party, path, **trading_day.period))["rows"]
        assert [(row["price"], row["wh"]) for row in rows] == truth, party
    client = await trading_day.network.client("regulator-staff")
    outside = [visible(await client.get(f"/v1/markets/{name}/results")) for name in ("local", "no-such")]
    assert outside[0] == outside[1]
    assert outside[0][0] == 404
