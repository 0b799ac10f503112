"""Erasing over real keys: who may ask, what is destroyed where, who says so, what stands in the way."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import pytest_asyncio

from consortium.energy.payloads.contracts import ContractFrame
from consortium.energy.payloads.erasure import ErasureRefused, ErasureRequest
from consortium.energy.payloads.metering import MeterReading
from consortium.energy.payloads.money import Deposit
from consortium.energy.payloads.settlement import Delivery
from consortium.errors import Forbidden, IdConflict, InvalidRequest, NotFound
from consortium.ledger.governance.settings import LedgerSettings, Retention
from consortium.model.names import Party
from consortium.model.public import Acknowledgement, Tombstone
from consortium.model.records import SEALED, Draft
from consortium.model.scope import Scope
from consortium.pipeline.erase import OTHERS
from consortium.pipeline.write import Wait
from consortium.ports.callers import Caller
from tests.builders import T0
from tests.erasure_world import HOME, HOUR, MEMBERS, ErasureWorld, erasure_world
from tests.grants_world import DAY_MS

ADMIN = Caller("suncoop-admin", "suncoop", "administrator")
STAFF = Caller("suncoop-staff", "suncoop", "staff", frozenset({"billing", "metering", "operations", "trading"}))
NEIGHBOUR = Caller("home-02", "suncoop", "user")
ABROAD = Caller("home-09", "cityretail", "user")


@pytest_asyncio.fixture
async def world():
    async with erasure_world() as running:
        await running.world.turn(DAY_MS)
        yield running


async def delivery(world: ErasureWorld, home: str = "home-01@suncoop", author: str = "gridco") -> bytes:
    """What another member wrote about a home; the settings of these tests keep it for no time."""
    part = Delivery(
        start_ms=T0, interval_s=3600, subject=home, contract=bytes(16), version=1, bought_wh=5, sold_back_wh=0
    )
    return await world.world.write(author, (part, f"{home} cityretail gridco"))


async def settings(world: ErasureWorld, **classes: tuple[int, int]) -> None:
    """Other classes of retention, by vote: type to (keep, erase) days."""
    found = {type: Retention(keep_days=keep, erase_days=erase) for type, (keep, erase) in classes.items()}
    changed = LedgerSettings(retention=LedgerSettings().retention | found)
    await world.voted("change-settings", {"settings": changed.model_dump()})


# --- the way of an erasure ---


async def test_a_user_has_a_reading_erased_everywhere_and_every_member_says_so(world):
    kept, gone = await world.reading(hour=0), await world.reading(hour=1)
    assert await world.held(gone) == {"gridco", "suncoop"}
    [outcome] = await world.asks(gone)
    assert (outcome.state, outcome.reason) == ("ordered", "")
    await world.erase()
    assert await world.held(gone) == set()
    assert await world.held(kept) == {"gridco", "suncoop"}
    [order] = world.orders()
    assert (order.id, order.author, order.ground, order.records) == (outcome.by, "suncoop", "user", (gone,))
    assert order.acknowledged == set(MEMBERS), "holders and all others alike"
    assert world["suncoop"].forgotten == [gone]
    assert world["regulator"].forgotten == []


async def test_what_is_kept_for_no_time_may_go_at_once(world):
    """Its author's clock is ahead of the ledger's time, the median of all."""
    world.world.clock.ms += 5000
    gone = await world.reading()
    assert world["suncoop"].node.applier.state.time_ms < world.world.clock.ms + 5000
    [outcome] = await world.asks(gone)
    assert outcome.state == "ordered"


async def test_the_ledger_stays_what_it_was(world):
    gone = await world.reading()
    before = await world["suncoop"].node.store.record(gone)
    await world.asks(gone)
    await world.erase()
    assert await world["suncoop"].node.store.record(gone) == before
    heads = {node.node.applier.state.digest for node in world.nodes.values()}
    assert len(heads) == 1


async def test_asking_twice_is_answered_as_for_a_record_that_is_not_there(world):
    gone = await world.reading()
    await world.asks(gone)
    await world.erase()
    with pytest.raises(NotFound) as erased:
        await world.asks(gone)
    with pytest.raises(NotFound) as absent:
        await world.asks(os.urandom(16))
    assert str(erased.value) == str(absent.value)
    assert len(world.orders()) == 1


async def test_the_id_of_an_erased_record_is_taken_for_ever(world):
    gone = await world.reading()
    await world.asks(gone)
    await world.erase()
    part = MeterReading(
        start_ms=T0, subject="home-01@suncoop", interval_s=3600, load_wh=1500, pv_wh=0, quality="measured"
    )
    node = world["suncoop"].node
    readers = tuple(map(Party.parse, ("home-01@suncoop", "suncoop", "gridco")))
    again = node.writer.start(Draft(gone, SEALED, "suncoop", T0, (part.section(readers),)), "reading", T0)
    with pytest.raises(IdConflict):
        await node.writer.finish(again, Wait.APPLIED, 10)


async def test_a_payload_that_comes_after_its_tombstone_is_not_kept(world):
    node, id = world["suncoop"].node, os.urandom(16)
    await world.world.publish("suncoop", Tombstone(records=(id,), ground="author"))
    part = MeterReading(start_ms=T0, subject="home-01@suncoop", interval_s=3600, load_wh=1, pv_wh=0, quality="measured")
    draft = Draft(id, SEALED, "suncoop", T0, (part.section(tuple(map(Party.parse, ("home-01@suncoop", "gridco")))),))
    await world.world.accepted(node.writer.start(draft, "reading", T0).ticket.applied)
    assert await world.held(id) == set()


# --- who may ask ---


@pytest.mark.parametrize("caller", [NEIGHBOUR, ABROAD])
async def test_anybody_elses_record_is_refused_as_one_that_is_not_there(world, caller):
    gone = await world.reading()
    answers = []
    for id in (gone, os.urandom(16)):
        with pytest.raises(NotFound) as refused:
            await world.asks(id, caller=caller)
        answers.append((str(refused.value), refused.value.hint))
    assert answers[0] == answers[1]
    assert world.orders() == []


async def test_who_may_read_a_record_that_is_not_about_them_may_not_have_it_erased(world):
    part = MeterReading(start_ms=T0, subject="home-01@suncoop", interval_s=3600, load_wh=1, pv_wh=0, quality="measured")
    shared = await world.world.write("suncoop", (part, "home-01@suncoop home-02@suncoop suncoop"))
    with pytest.raises(NotFound):
        await world.asks(shared, caller=NEIGHBOUR)
    assert world.orders() == []


async def test_one_record_that_is_not_ones_own_refuses_all_and_orders_nothing(world):
    own, other = await world.reading(), await world.reading("home-02@suncoop")
    with pytest.raises(NotFound):
        await world.asks(own, other)
    await world.erase()
    assert world.orders() == []
    assert await world.held(own) == {"gridco", "suncoop"}


@pytest.mark.parametrize("ground", ["user", "author"])
@pytest.mark.parametrize("kind", ["staff", "machine", "officer", "service"])
async def test_no_other_role_may_ask(world, kind, ground):
    gone = await world.reading()
    with pytest.raises(Forbidden):
        await world.asks(gone, caller=replace(STAFF, name=f"suncoop-{kind}", kind=kind), ground=ground)
    assert world.orders() == []


async def test_a_delegate_may_not_erase_for_who_lets_them_read(world):
    gone = await world.reading()
    with pytest.raises(Forbidden):
        await world.asks(gone, caller=replace(NEIGHBOUR, behalf=Party.parse("home-01@suncoop")))


async def test_a_user_may_not_erase_as_the_author(world):
    gone = await world.reading()
    with pytest.raises(Forbidden):
        await world.asks(gone, ground="author")


async def test_an_administrator_erases_what_the_member_wrote_by_mistake_and_nothing_else(world):
    mine = await world.reading()
    theirs = await world.reading("home-09@cityretail")
    with pytest.raises(NotFound):
        await world.asks(theirs, caller=ADMIN, ground="author")
    [outcome] = await world.asks(mine, caller=ADMIN, ground="author")
    await world.erase()
    assert outcome.state == "ordered"
    assert await world.held(mine) == set()
    with pytest.raises(InvalidRequest):
        await world.asks(mine, caller=ADMIN)


async def test_a_member_cannot_erase_what_another_wrote(world):
    gone = await world.reading()
    await world.world.publish("gridco", Tombstone(records=(gone,), ground="user"))
    await world.erase()
    assert await world.held(gone) == {"gridco", "suncoop"}
    assert world.orders()[0].acknowledged == set(MEMBERS), "it binds nothing of theirs"


# --- what another member wrote ---


async def test_the_author_is_asked_and_decides_by_the_same_rules(world):
    await settings(world, delivery=(0, 0))
    gone = await delivery(world)
    [outcome] = await world.asks(gone, caller=HOME)
    assert outcome.state == "asked"
    assert world.orders() == []
    await world.erase()
    assert await world.held(gone) == set()
    [order] = world.orders()
    assert (order.author, order.records, order.ground) == ("gridco", (gone,), "user")


async def test_what_is_kept_is_refused_with_the_time_and_nothing_is_sent(world):
    gone = await delivery(world)
    [outcome] = await world.asks(gone)
    assert outcome.state == "refused"
    assert outcome.reason == "records of this type are kept until 2027-06-14T00:00:01Z"


async def request(world: ErasureWorld, *ids: bytes, subject: str = "home-01@suncoop", author: str = "suncoop") -> bytes:
    """A request as any node may send it, whatever its own rules say."""
    said = ErasureRequest(start_ms=T0, subject=subject, records=ids)
    return await world.world.write(author, (said, f"{subject} {author} gridco"))


def refusals(world: ErasureWorld) -> list[ErasureRefused]:
    """What the user's node opens of answers."""
    node = world["suncoop"]
    seen = [node.erasing.judge.see(held) for held in node.node.store._held.values()]
    return [part for one in seen for part in one.parts if isinstance(part, ErasureRefused)]


async def test_a_request_is_answered_record_by_record_and_only_once(world):
    await settings(world, delivery=(0, 0))
    good, absent = await delivery(world), os.urandom(16)
    others = await delivery(world, home="home-09@cityretail")
    foreign = await world.reading()
    asked = await request(world, good, absent, others, foreign)
    await world.erase()
    world["gridco"].begin()
    await world.erase()
    [refused] = refusals(world)
    assert refused.request == asked
    assert dict(zip(refused.records, refused.reasons, strict=True)) == {
        absent: "no such record", others: "no such record", foreign: "no such record",
    }  # fmt: skip
    [order] = world.orders()
    assert order.records == (good,)
    assert await world.held(others) == {"cityretail", "gridco"}


async def test_a_request_in_another_members_users_name_is_nobodys(world):
    await settings(world, delivery=(0, 0))
    gone = await delivery(world)
    await request(world, gone, author="cityretail")
    await world.erase()
    assert world.orders() == []
    assert refusals(world) == []


async def test_what_names_others_too_needs_a_court(world):
    await settings(world, contract=(0, 0))
    frame = ContractFrame(
        start_ms=T0, kind="supply", provider="home-02@suncoop", customer="home-01@suncoop", proposer="home-02@suncoop",
        end_ms=T0 + 1, notice_days=0,
    )  # fmt: skip
    both = await world.world.write("suncoop", (frame, "home-01@suncoop home-02@suncoop suncoop"))
    [outcome] = await world.asks(both)
    assert (outcome.state, outcome.reason) == ("refused", OTHERS)


# --- what stands in the way ---


def hold(**changed) -> dict:
    scope = {
        "types": ("reading",), "parties": ("suncoop",), "areas": (), "from_ms": T0, "to_ms": T0 + 24 * HOUR,
        "groups": ("physical",),
    }  # fmt: skip
    return {"scope": Scope.model_validate(scope | changed).model_dump(), "reference": "court 17-204"}


async def test_a_legal_hold_refuses_with_its_reference_until_it_is_released(world):
    gone = await world.reading()
    held = await world.voted("legal-hold", hold())
    [outcome] = await world.asks(gone)
    assert outcome.state == "refused"
    assert "court 17-204" in outcome.reason
    await world.voted("release-hold", {"hold": held})
    [outcome] = await world.asks(gone)
    assert outcome.state == "ordered"


@pytest.mark.parametrize(
    "changed",
    [
        {"types": ("order",)},
        {"parties": ("cityretail",)},
        {"from_ms": T0 + HOUR},
        {"to_ms": T0 + 1, "from_ms": T0 - 1, "parties": ("home-02@suncoop",)},
    ],
)
async def test_a_hold_on_other_records_is_in_nobodys_way(world, changed):
    gone = await world.reading()
    await world.voted("legal-hold", hold(**changed))
    [outcome] = await world.asks(gone)
    assert outcome.state == "ordered"


async def test_a_hold_on_an_area_that_nobody_here_knows_holds_in_doubt(world):
    gone = await world.reading()
    await world.voted("legal-hold", hold(parties=(), areas=("north",)))
    [outcome] = await world.asks(gone)
    assert outcome.state == "refused"


async def test_under_a_hold_a_courts_order_is_held_back_by_all_in_the_same_words(world):
    gone = await world.reading()
    held = await world.voted("legal-hold", hold())
    order = await world.voted("erase", {"records": (gone,), "reference": "court 18-1"})
    await world.erase()
    [erasure] = world.orders()
    assert erasure.id == order
    assert set(erasure.held_back) == set(MEMBERS), "else it would tell who the parties are"
    assert len(set(erasure.held_back.values())) == 1
    assert await world.held(gone) == {"gridco", "suncoop"}
    await world.voted("release-hold", {"hold": held})
    await world.erase()
    [erasure] = world.orders()
    assert erasure.acknowledged == set(MEMBERS)
    assert erasure.held_back == {}
    assert await world.held(gone) == set()


async def test_a_court_has_erased_whatever_the_class_says(world):
    gone = await delivery(world)
    await world.voted("erase", {"records": (gone,), "reference": "court 18-2"})
    await world.erase()
    assert await world.held(gone) == set()


async def test_a_holder_keeps_what_its_author_orders_erased_too_early(world):
    """Else an author could take the books out of another's hands."""
    gone = await delivery(world)
    holders = await world.held(gone)
    await world.world.publish("gridco", Tombstone(records=(gone,), ground="author"))
    await world.erase()
    assert await world.held(gone) == holders
    assert set(world.orders()[0].held_back) == set(MEMBERS)


async def test_money_of_an_account_in_use_stays(world):
    frame = ContractFrame(
        start_ms=T0, kind="wallet", provider="gridco", customer="home-01@suncoop", proposer="gridco", end_ms=0,
        notice_days=0,
    )  # fmt: skip
    await world.world.write("gridco", (frame, "home-01@suncoop suncoop gridco"))
    paid = Deposit(start_ms=T0, account="home-01@suncoop", owner="home-01@suncoop", amount=5, currency="USD")
    booked = await world.world.write("gridco", (paid, "home-01@suncoop gridco"))
    await world.voted("erase", {"records": (booked,), "reference": "court 18-3"})
    await world.erase()
    assert set(world.orders()[0].held_back.values()) == {"the account is in use"}


# --- retention ---


async def test_what_is_due_by_the_ledgers_time_goes_by_itself(world):
    await settings(world, reading=(0, 2))
    old = await world.reading(hour=0)
    await world.erase()
    assert world.orders() == []
    await world.world.turn(2 * DAY_MS)
    young = await world.reading(hour=0)
    await world.erase()
    [order] = world.orders()
    assert (order.ground, order.author, order.records) == ("retention", "suncoop", (old,))
    assert await world.held(old) == set()
    assert await world.held(young) == {"gridco", "suncoop"}


async def test_what_is_held_or_written_by_others_is_not_ordered(world):
    await settings(world, reading=(0, 2))
    await world.voted("legal-hold", hold(to_ms=T0 + HOUR))
    held, due = await world.reading(hour=0), await world.reading(hour=1)
    await world.world.turn(3 * DAY_MS)
    await world.erase()
    assert [order.records for order in world.orders()] == [(due,)]
    assert await world.held(held) == {"gridco", "suncoop"}


async def test_it_looks_again_only_after_the_interval(world):
    await settings(world, reading=(0, 2))
    await world.world.turn(3 * DAY_MS)
    await world.erase()
    await world.reading()
    await world.erase()
    assert world.orders() == []
    await world.world.turn(3_600_000)
    await world.erase()
    assert len(world.orders()) == 0, "made just now: its age counts from there"
    await world.world.turn(3 * DAY_MS)
    await world.erase()
    assert len(world.orders()) == 1


# --- words ---


async def test_who_is_silent_is_overdue_by_the_ledgers_time(world):
    gone = await world.reading()
    world.away.add("cityretail")
    await world.asks(gone)
    await world.erase()
    [row] = world["gridco"].erasing.orders(Caller("gridco-staff", "gridco", "staff"))
    assert (row["awaited"], row["overdue"]) == (["cityretail"], [])
    assert world["gridco"].late == 0
    await world.world.turn(86_400_000 + 60_000)
    await world.erase()
    row = world["gridco"].erasing.one(Caller("gridco-staff", "gridco", "staff"), bytes.fromhex(row["id"]))
    assert row["overdue"] == ["cityretail"]
    assert world["gridco"].late == 1
    world.away.clear()
    await world.erase()
    assert world["gridco"].late == 0


async def test_others_wait_for_the_author_and_not_for_ever(world):
    gone = await world.reading()
    await world.asks(gone)
    world.away.add("suncoop")
    await world.erase()
    assert world.orders()[0].acknowledged == set()
    assert await world.held(gone) == {"suncoop"}, "destroyed at once, whatever is said when"
    await world.world.turn(43_200_000 + 60_000)
    await world.erase()
    assert world.orders()[0].acknowledged == {"cityretail", "gridco", "regulator"}


async def test_a_word_that_was_lost_with_the_process_is_said_once(world):
    gone = await world.reading()
    await world.asks(gone)
    await world.world.agree()
    node = world["suncoop"]
    node.halted = "the node is catching up"
    await node.eraser.round()
    assert await world.held(gone) == {"gridco"}
    node.halted = ""
    node.begin()
    await node.eraser.start()
    await world.erase()
    words = [
        header
        for header in world.world.headers("suncoop")
        if header.kind == "acknowledgement" and header.author == "suncoop"
    ]
    assert len(words) == 1
    assert world.orders()[0].acknowledged == set(MEMBERS)


async def test_words_tell_holders_and_strangers_not_apart(world):
    gone = await world.reading()
    await world.asks(gone)
    await world.erase()
    headers = [h for h in world.world.headers("suncoop") if h.kind == "acknowledgement"]
    assert len({header.body for header in headers}) == 1
    assert len({header.id for header in headers}) == len(MEMBERS)


# --- a restored backup ---


async def test_what_came_back_by_a_backup_is_destroyed_before_anything_else(world):
    gone = await world.reading()
    node = world["suncoop"]
    held = await node.node.store.held(gone)
    await world.asks(gone)
    await world.erase()
    store = node.node.store
    store._held[held.index] = held
    store._erased.clear()
    store._closed.clear()
    node.level = False  # at the start nothing is folded yet
    node.begin()
    await node.eraser.start()
    assert await world.held(gone) == set()
    assert await store.closed() != frozenset()


async def test_nothing_that_was_not_acknowledged_is_destroyed_unjudged(world):
    gone = await world.reading()
    await world.voted("legal-hold", hold())
    await world.voted("erase", {"records": (gone,), "reference": "court"})
    await world.erase()
    node = world["suncoop"]
    node.begin()
    await node.eraser.start()
    await node.eraser.caught_up()
    assert "suncoop" in await world.held(gone)


async def test_a_word_of_an_unknown_erasure_is_rejected_by_the_ledger(world):
    answer = await world.world.publish("gridco", Acknowledgement(tombstone=os.urandom(16), state="done"))
    assert answer.state == "rejected"
