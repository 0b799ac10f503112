"""Submitting: what is known of a record without opening it is what opening it shows."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from consortium.adapters.keyfile import KeyFile
from consortium.adapters.keysecrets import Secrets
from consortium.agents.index import index_lines
from consortium.crypto.hints import my_slots
from consortium.errors import IdConflict
from consortium.model.members import Genesis, Member
from consortium.pipeline.opening import Opener
from consortium.pipeline.order import Orderer
from consortium.pipeline.seal import Sealer
from consortium.pipeline.submit import Submission, Submitter
from consortium.ports import Account, Caller, HeldRecord, IndexEntry
from tests.builders import T0

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

    return opener, Submitter(
        GENESIS, member, SimpleNamespace(require_submit=lambda *_: None), SimpleNamespace(account=account),
        Sealer(GENESIS, custody, os.urandom), orderer, opener, None, None, CLOCK, os.urandom, None, lambda: "",
    )  # fmt: skip


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
