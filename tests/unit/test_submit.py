"""Submitting: what is known of a record without opening it is what opening it shows."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from consortium.adapters.keyfile import KeyFile
from consortium.adapters.keysecrets import Secrets
from consortium.agents.index import index_lines
from consortium.crypto.hints import my_slots
from consortium.energy.metering import to_rfc3339
from consortium.errors import IdConflict, InvalidRequest, UnknownParty
from consortium.model.members import Genesis, Member
from consortium.model.names import Party
from consortium.pipeline.opening import Opener
from consortium.pipeline.order import Orderer
from consortium.pipeline.seal import Sealer
from consortium.pipeline.submit import Submission, Submitter
from consortium.pipeline.write import Writer
from consortium.ports.accounts import Account
from consortium.ports.callers import Caller
from consortium.ports.party import HeldRecord, IndexEntry
from tests.builders import T0
from tests.fakes.directory import MARKET, FakeDirectory, contract

NAMES = {"gridco": ("grid-operator",), "suncoop": ("cooperative",)}
KEYS = {name: KeyFile(Secrets.generate(os.urandom)) for name in NAMES}
GENESIS = Genesis("testnet", "main", 1, "x.example", tuple(Member(n, NAMES[n], KEYS[n].public) for n in sorted(NAMES)))
CLOCK = SimpleNamespace(now_ms=lambda: T0)
ID = bytes(range(16))


def submitter(member):
    """A node's submitter whose orderer never runs."""
    opener, custody = Opener(GENESIS, KEYS[member]), KEYS[member]
    orderer = Orderer(GENESIS, member, None, None, custody, CLOCK, heartbeat_s=60.0)

    async def account(name):
        return Account(name, "user")

    writer = Writer(member, Sealer(GENESIS, custody, os.urandom), orderer, opener, None, None, None, lambda: "")
    access = SimpleNamespace(require_type=lambda *_: None, require_submit=lambda *_: None)
    directory = SimpleNamespace(grid_operators=(Party("gridco"),))
    accounts = SimpleNamespace(account=account)
    return opener, Submitter(member, access, accounts, writer, directory, CLOCK, os.urandom)


def reading(member, **changed):
    start = "2017-06-14T10:00:00Z"
    data = {"subject": f"home-01@{member}", "interval_start": start, "load_wh": 7, "pv_wh": 0, **changed}
    return Submission(ID, "reading", data)


@pytest.mark.parametrize("member", sorted(NAMES))
async def test_the_index_of_an_own_record_is_known_without_opening_it(member):
    opener, taking = submitter(member)
    under_way = await taking.start(Caller("meters", member, "machine"), reading(member))
    record, indexed = under_way.ticket.record, under_way.ticket.indexed
    slots = my_slots(KEYS[member].pair(KEYS[member].public.encryption).hint, ID, record.header.slots())
    held = HeldRecord(5, ID, record.header_bytes, record.bodies, record.wraps, slots)
    opened = index_lines(opener, held, pytest.fail)
    known = [IndexEntry(5, party, indexed.type, indexed.start_ms) for party in indexed.parties]
    assert len(opened) == 2
    assert sorted(opened, key=str) == sorted(known, key=str)


async def test_one_id_under_way_is_one_record_and_no_other_content():
    _, taking = submitter("suncoop")
    asking = Caller("meters", "suncoop", "machine")
    first = await taking.start(asking, reading("suncoop"))
    assert await taking.start(asking, reading("suncoop")) is first
    for changed in ({"load_wh": 8}, {"subject": "home-02@suncoop"}, {"interval_start": "2017-06-14T11:00:00Z"}):
        with pytest.raises(IdConflict):
            await taking.start(asking, reading("suncoop", **changed))


HOME = "home-01@suncoop"
START = T0 - T0 % 3_600_000 + 7_200_000


def trading(member="suncoop"):
    """A submitter at whose node the home may order, and what its node knows of the market."""
    _, taking = submitter(member)
    market = {**MARKET, "members": ["gridco", "suncoop"]}
    fees = {"local_fee": 20, "grid_fee": 80, "operators": ["gridco", "suncoop"]}
    grid = contract(2, "grid", "gridco", HOME, fees, point="point-01", area="north")
    taking._directory = FakeDirectory([contract(1, "market", "gridco", "suncoop", market), grid], T0, {HOME: 10**9})

    async def record(_):
        return None

    taking._writer._ledger = SimpleNamespace(record=record)
    return taking


def order(id=ID, **changed):
    data = {"market": "local", "start": to_rfc3339(START), "side": "bid", "wh": 500, "price_micro_per_wh": 140}
    return Submission(id, "order", {**data, "currency": "USD", "owner": HOME, **changed})


LATER = {
    "the gate has closed": lambda directory: directory.closed.add(("local", START)),
    "the money is reserved": lambda directory: directory.free.update({HOME: 0}),
}


@pytest.mark.parametrize("since", LATER)
async def test_a_second_try_gets_its_answer_whatever_holds_by_now(since):
    taking, asking = trading(), Caller("home-01", "suncoop", "user")
    first = await taking.start(asking, order())
    LATER[since](taking._directory)
    assert await taking.start(asking, order()) is first
    with pytest.raises(IdConflict):
        await taking.start(asking, order(wh=501))
    for fresh in (None, bytes(16)):
        with pytest.raises(InvalidRequest):
            await taking.start(asking, order(fresh))
    assert len(taking._writer._under_way) == 1


async def test_a_stranger_is_named_by_the_field_that_names_it():
    taking = trading()
    for bad, field in ((order(owner="home-09@gridco"), "data.owner"), (reading("gridco"), "data.subject")):
        with pytest.raises(UnknownParty) as caught:
            await taking.start(Caller("staff", "suncoop", "staff"), bad)
        assert caught.value.field == field
    assert not taking._writer._under_way
