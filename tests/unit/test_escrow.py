"""Escrow: sealed also to the keys of an area and month; opened by votes and shares, and nothing else by them."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from consortium.agents.escrow import deal
from consortium.crypto import hints
from consortium.crypto.escrow import join_keys, open_share, private_key, public_key, split_keys
from consortium.crypto.hashing import sha256
from consortium.crypto.sealing import sealed_box
from consortium.energy.metering import to_ms
from consortium.energy.payloads.base import read_part
from consortium.energy.payloads.disclosures import Escrow, EscrowShares
from consortium.energy.payloads.market import TradePoints
from consortium.energy.scoping import month_of, month_start, next_month
from consortium.errors import IdConflict, Malformed, NotFound
from consortium.model.names import Party
from consortium.model.records import SEALED, Draft, parse_header
from consortium.pipeline.disclosed import Query
from consortium.pipeline.write import Wait
from tests.builders_core import counter_entropy, x25519
from tests.grants_world import DAY_MS, OFFICER, grants_world
from tests.unit.test_grants import BUYER, HOUR, MORNING, SELLER, grid_contract, read_all, refused_alike, trade

PARTICIPANTS = ("cityretail", "gridco", "suncoop")


# --- the keys --------------------------------------------------------------------------------------------------------


def test_parts_join_to_the_keys_and_no_dealer_alone_has_any_of_it():
    seeds = [bytes([n]) * 16 for n in (1, 2, 3)]
    keys = [os.urandom(32) for _ in range(3)]
    boxes = split_keys(keys, [public_key(seed) for seed in seeds], os.urandom)
    privates = [private_key(seed) for seed in seeds]
    assert list(join_keys(boxes, privates)) == keys
    for n in range(3):
        without = [private for number, private in enumerate(privates) if number != n]
        some = [box for number, box in enumerate(boxes) if number != n]
        assert not set(join_keys(some, without)) & set(keys)
        with pytest.raises(Malformed):
            join_keys(boxes, [*privates[:n], private_key(b"x" * 16), *privates[n + 1 :]])
    with pytest.raises(Malformed):
        join_keys([*boxes, boxes[0]], privates)  # a section of anybody's may name fewer dealers than it has boxes


def test_a_share_opens_for_its_member_alone():
    secret, public = x25519("alpha")
    box = sealed_box(b"share", public, counter_entropy("share"))
    assert open_share(box, public, hints.pair_key(secret, box[:32])) == b"share"
    with pytest.raises(Malformed):
        open_share(box, public, hints.pair_key(x25519("bravo")[0], box[:32]))


@pytest.mark.parametrize(("moment", "month", "after"), [
    ((2017, 6, 30, 23, 59), "2017-06", "2017-07"), ((2017, 12, 1, 0, 0), "2017-12", "2018-01"),
    ((2018, 1, 1, 0, 0), "2018-01", "2018-02"),
])  # fmt: skip
def test_months(moment, month, after):
    ms = to_ms(datetime(*moment, tzinfo=UTC))
    assert month_of(ms) == month
    assert next_month(month) == after
    assert month_of(month_start(after) - 1) == month
    assert month_of(month_start(month)) == month


# --- a consortium ----------------------------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def world():
    async with grants_world() as running:
        await grid_contract(running, SELLER, "p-1", "area-1")
        await grid_contract(running, BUYER, "p-9", "area-1")
        await grid_contract(running, "home-02@suncoop", "p-2", "area-2")
        await running.escrow(*PARTICIPANTS)
        yield running


async def fold(world):
    for node in world.nodes.values():
        await node.fold()


async def release(world, area="area-1", period="2017-06", *, votes=("gridco", "cityretail")) -> bytes:
    terms = {"area": area, "period": period, "purpose": "suncoop is gone"}
    proposal = await world.propose("regulator", "release-escrow", terms)
    await world.vote(proposal, *votes)
    return proposal


def held_keys(world, record: bytes) -> list[int]:
    """The sections of a record that the regulator's own wrap opens."""
    node = world.office
    held = next(held for held in node.store._held.values() if held.id == record)
    header = parse_header(held.header_bytes)
    wraps, wrong = node.opener.wraps(held, header)
    assert wrong is None
    return [number for wrap in wraps for number, key in enumerate(wrap.keys) if key is not None]


async def test_every_participant_deals_for_its_areas_this_month_and_the_next(world):
    month = month_of(world.clock.ms)
    keys = world.office.applier.state.governance.escrow_keys
    knows = {"area-1": PARTICIPANTS, "area-2": ("gridco", "suncoop")}
    expected = {(a, m, n) for a, names in knows.items() for m in (month, next_month(month)) for n in names}
    assert set(keys) == expected
    size = world.office.applier.state.tree.size
    await world.escrow(*PARTICIPANTS)
    assert world.office.applier.state.tree.size == size, "once"


async def test_the_regulator_holds_the_ciphertext_and_nothing_that_opens_it(world):
    await fold(world)
    record = await trade(world)
    assert held_keys(world, record) == [3]
    escrow = read_part(world.office.opener.open_all(await world.office.store.held(record)).sections[3])
    assert isinstance(escrow, Escrow)
    assert (escrow.area, escrow.period, escrow.dealers) == ("area-1", month_of(MORNING), PARTICIPANTS)
    assert world.nodes["suncoop"].unescrowed == 0
    assert read_part(
        world.nodes["suncoop"].opener.open_all(await world.nodes["suncoop"].store.held(record)).sections[0]
    )


async def test_where_no_two_keys_were_dealt_sealing_goes_on_and_is_counted(world):
    await fold(world)
    record = await trade(world, MORNING + 90 * DAY_MS)
    assert world.nodes["suncoop"].unescrowed == 1
    assert len(parse_header((await world.nodes["suncoop"].store.held(record)).header_bytes).sections) == 3


async def test_the_same_submission_is_known_again_although_sealing_added_a_section(world):
    await fold(world)
    node = world.nodes["suncoop"]
    points = TradePoints(
        start_ms=MORNING, market="local", session_s=3600, buyer_point="p-9", seller_point="p-1", wh=5, fee=1
    )
    sections = (points.section((Party("suncoop"), Party("gridco"))),)
    draft = Draft(os.urandom(16), SEALED, "suncoop", world.clock.ms, sections)
    first = await node.writer.finish(node.writer.start(draft, "trade", MORNING), Wait.APPLIED, 10.0)
    await world.agree()
    held = await node.store.held(draft.id)
    assert len(parse_header(held.header_bytes).sections) == 2
    again = await node.writer.finish(node.writer.start(draft, "trade", MORNING), Wait.APPLIED, 10.0)
    assert again == first
    other = points.model_copy(update={"wh": 6}).section((Party("suncoop"), Party("gridco")))
    for changed in ((other,), (*sections, other)):
        with pytest.raises(IdConflict):
            await node.writer.finish(
                node.writer.start(replace(draft, sections=changed), "trade", MORNING), Wait.APPLIED, 10.0
            )


@pytest.mark.parametrize("gone", PARTICIPANTS)
async def test_when_a_party_is_gone_the_others_shares_open_its_trades_of_that_area_and_month(world, gone):
    await fold(world)
    inside = await trade(world)
    elsewhere = await trade(world, buyer_point="p-2")
    another_month = await trade(world, MORNING + 31 * DAY_MS)
    left = [name for name in PARTICIPANTS if name != gone]
    id = await release(world, votes=left)
    await world.escrow(left[0])
    await world.office.receiver.round()
    await refused_alike(world, id, inside)  # one share of two opens nothing
    await world.escrow(left[1])
    await world.office.receiver.round()
    row = await world.office.disclosed.get(OFFICER, id, inside)
    assert row["data"]["terms"]["price"] == 130
    assert row["data"]["money"]["value"] == 65_000
    assert [row["id"] for row in await read_all(world, id)] == [inside.hex()]
    await refused_alike(world, id, elsewhere)
    await refused_alike(world, id, another_month)
    ((_, released), *_) = world.office.releases.released
    assert released.under == id
    assert world.office.refused == [], "what is of another area or month is not even tried"
    later = await trade(world, MORNING + HOUR)
    await world.office.receiver.round()
    assert [row["id"] for row in await read_all(world, id)] == [inside.hex(), later.hex()]


async def test_without_the_votes_no_share_is_given(world):
    await fold(world)
    inside = await trade(world)
    id = await release(world, votes=("gridco",))
    size = world.office.applier.state.tree.size
    await world.escrow(*PARTICIPANTS)
    assert world.office.applier.state.tree.size == size
    await world.office.receiver.round()
    await refused_alike(world, id, inside)


async def test_a_wrong_share_is_named_and_the_others_still_open(world):
    await fold(world)
    inside = await trade(world)
    id = await release(world)
    liar = world.nodes["gridco"].escrow
    real = liar._shares
    liar._shares = lambda *arguments: ((dealer, share[:-1] + b"x") for dealer, share in real(*arguments))
    await world.escrow("gridco", "cityretail")
    await world.office.receiver.round()
    assert set(world.office.refused) == {"gridco"}
    await refused_alike(world, id, inside)
    await world.escrow("suncoop")
    await world.office.receiver.round()
    assert [row["id"] for row in await read_all(world, id)] == [inside.hex()]


async def test_an_author_that_sealed_other_keys_to_escrow_is_named(world, monkeypatch):
    await fold(world)
    monkeypatch.setattr(
        "consortium.pipeline.escrowing.split_keys",
        lambda keys, dealers, entropy: split_keys([entropy(32) for _ in keys], dealers, entropy),
    )
    inside = await trade(world)
    id = await release(world)
    await world.escrow(*PARTICIPANTS)
    await world.office.receiver.round()
    assert world.office.refused == ["suncoop"]
    await refused_alike(world, id, inside)


async def test_what_was_released_ends_with_its_proposal_and_is_dropped(world):
    await fold(world)
    inside = await trade(world)
    id = await release(world)
    await world.escrow(*PARTICIPANTS)
    await world.office.receiver.round()
    assert await read_all(world, id)
    await world.turn(31 * DAY_MS)
    await refused_alike(world, id, inside)
    await world.office.receiver.round()
    assert list(await world.office.disclosures.all(id)) == []
    with pytest.raises(NotFound):
        await world.office.disclosed.page(OFFICER, id, Query())


async def test_a_vote_ends_a_release_before_its_time(world):
    await fold(world)
    inside = await trade(world)
    id = await release(world)
    await world.escrow("gridco", "cityretail")
    await world.office.receiver.round()
    assert await read_all(world, id)
    end = await world.propose("gridco", "end-grant", {"grant": id})
    await world.vote(end, "gridco", "cityretail")
    await refused_alike(world, id, inside)
    await world.office.receiver.round()
    assert list(await world.office.disclosures.all(id)) == []
    size = world.office.applier.state.tree.size
    await world.escrow("suncoop")
    assert world.office.applier.state.tree.size == size, "no share is given any more"


async def test_a_dealer_of_a_bad_share_is_named_when_it_deals(world, monkeypatch):
    month = next_month(next_month(month_of(world.clock.ms)))
    assert all(not node.dealt_wrong for node in world.nodes.values())
    real = sealed_box
    monkeypatch.setattr(
        "consortium.agents.escrow.sealed_box", lambda told, key, entropy: real(told[:-1] + b"x", key, entropy)
    )
    now = world.nodes["gridco"].applier.state.governance
    bad = deal(now, PARTICIPANTS, "area-1", month, os.urandom)
    monkeypatch.undo()
    await world.publish("gridco", bad)
    await world.escrow(*PARTICIPANTS)
    for name in PARTICIPANTS:
        assert world.nodes[name].dealt_wrong == ["gridco"]


async def test_what_is_sealed_after_a_dealer_was_named_opens_without_it(world, monkeypatch):
    await fold(world)
    monkeypatch.setattr(world.nodes["suncoop"].escrow, "_checked", set())
    author = world.nodes["suncoop"]
    author.escrowing.distrust(("area-1", month_of(MORNING), "cityretail"))
    inside = await trade(world)
    escrow = read_part(world.office.opener.open_all(await world.office.store.held(inside)).sections[3])
    assert escrow.dealers == ("gridco", "suncoop")
    id = await release(world)
    await world.escrow("gridco", "suncoop")
    await world.office.receiver.round()
    assert [row["id"] for row in await read_all(world, id)] == [inside.hex()]


@pytest.mark.parametrize("box", [b"x", bytes(48), bytes(65), b"\1" * 64, b"\1" * 66])
async def test_a_box_that_no_key_could_open_is_no_share(world, box):
    """Else every node with such a share would fail at it for ever: at giving, and at destroying old keys."""
    month = next_month(next_month(month_of(world.clock.ms)))
    good = deal(world.nodes["gridco"].applier.state.governance, PARTICIPANTS, "area-1", month, os.urandom)
    shares = tuple(share.model_copy(update={"box": box}) for share in good.shares[:1]) + good.shares[1:]
    answer = await world.publish("gridco", good.model_copy(update={"shares": shares}))
    assert (answer.state, answer.reason) == ("rejected", "malformed-body")


async def test_shares_go_to_the_compliance_members_alone(world):
    id = await release(world)
    await world.escrow("gridco")
    found = []
    for name, node in world.nodes.items():
        for held in node.store._held.values():
            texts = [text for text in node.opener.open_all(held).sections if text is not None]
            parts = [part for text in texts if isinstance(part := read_part(text), EscrowShares)]
            found += [(name, part) for part in parts]
    assert {name for name, _ in found} == {"gridco", "regulator"}
    part = found[0][1]
    assert part.release == id
    digests = {
        share.digest for key in world.office.applier.state.governance.escrow_keys.values() for share in key.shares
    }
    assert {sha256(share) for share in part.shares} <= digests
