"""Who sees what where every role is another member's: the table of `tests/promises.py`, on a market in one process.

The demo's gridco is operator, settlement agent and grid operator at once, so there a section too many for one of these
roles would not show. Here two members operate, one keeps the accounts, one runs the grid, and each is only that. And
what does not come about on a good day comes about here: a difference, a dispute, a payment without money.
"""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace

import pytest

import tests.market_world as worlds
from consortium.agents.market.duty import Duty
from consortium.energy.metering import to_rfc3339
from consortium.energy.payloads.base import read_part
from consortium.energy.payloads.market import Clearing, Order
from consortium.energy.payloads.settlement import StatementMoney, StatementTerms
from consortium.model.members import Genesis
from consortium.model.records import DraftSection
from tests.builders import make_member
from tests.market_days import HOUR_MS, RULES, propose, publish, read
from tests.promises import ledger_of, readers, row_of, sides, table

ROLES = {
    "cityretail": ("retailer",),
    "gridco": ("grid-operator",),
    "keeper": ("utility",),
    "lead": ("utility",),
    "regulator": ("compliance",),
    "second": ("utility",),
    "suncoop": ("cooperative",),
}
GENESIS = Genesis("testnet", "main", 1, "x.example", tuple(make_member(name, ROLES[name]) for name in sorted(ROLES)))
OPERATORS, AGENT, GRID, SUPPLIER = ("lead", "second"), "keeper", "gridco", "cityretail"
SUNNY, BUYER, POOR = "home-1@suncoop", "home-2@cityretail", "home-3@suncoop"
HOMES = (SUNNY, BUYER, POOR)
START = 1_497_510_000_000
HOURS, END = 3, START + 24 * HOUR_MS
DIFFERENT, DISPUTED = START + 2 * HOUR_MS, START + HOUR_MS
TERMS = {
    **RULES,
    "operators": list(OPERATORS),
    "settlement_agent": AGENT,
    "grid_operator": GRID,
    "members": sorted(set(ROLES) - {"regulator"}),
}


@pytest.fixture(scope="module")
def world():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worlds, "ROLES", ROLES)
        patch.setattr(worlds, "GENESIS", GENESIS)
        world = worlds.MarketWorld()
        world.forge = forge
        world.now_ms = START - 2 * HOUR_MS
        sign(world)
        live(world)
        complain(world)
        yield world


def sign(world):
    """All contracts of the market and three homes, one of each kind, and money for two of the homes."""

    def make(kind, provider, customer, terms, begins=START, **more):
        return propose(world, kind, provider, customer, terms, begins, END, **more)

    make("market", *OPERATORS, TERMS)
    for account, owner in ((SUPPLIER, SUPPLIER), (GRID, GRID), ("wholesale", GRID)):
        make("wallet", AGENT, owner, {"account": account, "credit_limit": 10**12}, START - 24 * HOUR_MS)
    make("balance", GRID, SUPPLIER, {"series": "wholesale", "account": "wholesale"})
    for number, home in enumerate(HOMES, start=1):
        place = {"point": f"pt-{number}", "area": "north"}
        supply = {"tariff": {"type": "fixed", "price": 220}, "feed_in": 50}
        make("wallet", AGENT, home, {"account": home, "credit_limit": 0}, START - 24 * HOUR_MS)
        make("grid", GRID, home, {"local_fee": 20, "grid_fee": 80, "operators": list(OPERATORS)}, **place)
        make("supply", SUPPLIER, home, supply, **place, grid_fee_micro_per_wh=80)
    for home in (SUNNY, BUYER):
        shares = {"bid_share_percent": 90, "ask_share_percent": 10, "max_wh": 5000}
        bounds = {"market": "local", "price_min": 0, "price_max": 1000, "operators": list(OPERATORS)}
        make("mandate", home.rpartition("@")[2], home, {**shares, **bounds})
    place = {"point": "pt-1", "area": "north"}
    make("p2p", SUNNY, POOR, {"price": 90, "max_wh": 100}, **place)
    make("ppa", SUNNY, SUPPLIER, {"price": 70, "profile": [10] * 24, "zone": "+00:00"}, **place)
    flexible = make("flexibility", SUNNY, SUPPLIER, {"price": 300, "max_wh": 50, "max_calls": 9}, **place)
    world.settle()
    for home in (SUNNY, BUYER):
        deposit(world, home, 50_000_000)
    publish(world, "wholesale", START, [31] * 24)
    called = {"contract": flexible.hex(), "by": SUPPLIER, "start": to_rfc3339(START), "interval_s": 3600, "wh": 40}
    world.submit("call", called)
    world.settle()


def deposit(world, account, amount):
    money = {"account": account, "amount": amount, "currency": "USD", "booked": to_rfc3339(world.now_ms)}
    world.submit("deposit", {"agent": AGENT, **money})


def live(world):
    """The day before, then three hours: the first goes well, the second's bill differs, so does the third's book."""
    for hour in range(HOURS):
        measure(world, START + hour * HOUR_MS - 24 * HOUR_MS)
    world.settle()
    for hour in range(HOURS):
        world.now_ms = START + (hour + 1) * HOUR_MS + 1000
        measure(world, START + hour * HOUR_MS)
        world.settle()


def measure(world, start):
    for home, load, pv in ((SUNNY, 300, 2300), (BUYER, 1500, 0), (POOR, 700, 0)):
        read(world, home, start, load, pv)


def complain(world):
    order = next(entry for entry, part in world.found(Order) if part.owner == SUNNY)
    gate = next(entry for entry in world.records if entry.parts[0].TYPE == "gate")
    words = {"market": "local", "start": to_rfc3339(START), "owner": SUNNY, "why": "left out"}
    places = {"order_index": order.index, "gate_index": gate.index}
    world.submit("complaint", {**words, "order": order.id.hex(), "gate": gate.id.hex(), **places})
    world.settle()


def forge(member, duty):
    """One operator's book of one hour, and the supplier's bill of another, come to something else."""
    if member == "second" and duty.type == "clearing" and duty.start_ms == DIFFERENT:
        return changed(duty, {Clearing: {"digest": bytes(32)}})
    if member == SUPPLIER and duty.type == "statement" and duty.start_ms == DISPUTED:
        return changed(duty, {StatementTerms: {"amount": 1}, StatementMoney: {"amount": 1}})
    return duty


def changed(duty, updates):
    sections = []
    for section in duty.sections:
        part = read_part(section.plaintext)
        plaintext = part.model_copy(update=updates.get(type(part), {})).plaintext()
        sections.append(DraftSection(section.name, plaintext, section.readers))
    return Duty(duty.cause, duty.type, duty.start_ms, tuple(sections))


@pytest.fixture(scope="module")
def records(world):
    return [
        SimpleNamespace(
            id=entry.id.hex(),
            parts=[read_part(section.plaintext) for section in entry.sections],
            holders=[{str(reader) for reader in section.readers} for section in entry.sections],
        )
        for entry in world.records
    ]


@pytest.fixture(scope="module")
def ledger(records):
    return ledger_of(GENESIS, records)


@pytest.fixture(scope="module")
def seen(records, ledger):
    """By party, the rows of the table of which it reads some record, without what it is itself a side of."""
    found = defaultdict(set)
    for record in records:
        for part, holders in zip(record.parts, record.holders, strict=True):
            for party in holders.difference(sides(ledger, record)):
                found[party].add((row_of(ledger, record), part.PART))
    return found


HERE = set(table()) - {("trade", "keys")}
"""Nothing is escrowed in one process; on real nodes `test_who_sees_what.py` looks at that as well."""


def test_everything_of_the_table_came_about(records, ledger):
    rows = {(row_of(ledger, record), part.PART) for record in records for part in record.parts}
    assert rows == HERE


@pytest.mark.parametrize("row", sorted(HERE), ids=" ".join)
def test_a_section_is_for_those_of_the_table_and_for_nobody_else(records, ledger, row):
    cells = [
        (holders, readers(ledger, record, part))
        for record in records
        for part, holders in zip(record.parts, record.holders, strict=True)
        if (row_of(ledger, record), part.PART) == row
    ]
    assert cells
    for holders, promised in cells:
        assert holders == promised


def test_who_runs_the_grid_reads_energy_points_and_fees_and_no_price(seen):
    assert {section for row, section in seen[GRID] if row == "trade"} == {"physical"}
    bilateral = {(row, section) for row, section in seen[GRID] if section in ("terms", "money")}
    assert bilateral == {("contract market", "terms")}  # its rules, as everyone in it
    assert not {row for row, _ in seen[GRID]} & {"order", "order-result", "clearing", "contract mandate", "dispute"}


def test_who_keeps_the_accounts_reads_money_and_neither_points_nor_prices(seen):
    mine = {(row, section) for row, section in seen[AGENT] if row in ("trade", "statement", "order", "order-result")}
    assert mine == {("trade", "money"), ("statement", "money"), ("order", "reserve"), ("order-result", "money")}
    assert not {row for row, _ in seen[AGENT]} & {"reading", "delivery", "certificate", "clearing", "contract supply"}


def test_who_operates_reads_orders_and_trades_and_nothing_of_meters_contracts_or_bills(seen):
    rows = {row for row, _ in seen["second"]}
    assert not rows & {"reading", "delivery", "agreed", "statement", "certificate", "deposit", "dispute", "call"}
    contracts = {row for row in rows if row.startswith("contract")}
    assert contracts == {"contract mandate", "contract-step mandate", "contract grid", "contract-step grid"}
    assert {part for row, part in seen["second"] if row == "contract grid"} == {"physical"}  # the point, no fee


def test_the_regulator_reads_complaints(seen):
    assert seen["regulator"] == {("complaint", "complaint")}
