"""Reads become access records: told to whom they should be, in gapless chains; no crash loses or repeats any."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from consortium.energy import accesses
from consortium.errors import NotReady
from consortium.model.names import Party
from consortium.pipeline.telling import MAX_AT_ONCE
from consortium.ports.callers import Caller
from tests.teller_world import TellerWorld, released

HOME, OTHER = "home-01@suncoop", "home-02@suncoop"
CLERK = Caller("clerk", "cityretail", "staff", frozenset({"billing"}), "bill of June")
OFFICER = Caller("inspector", "regulator", "officer", purpose="case 7")
USER = Caller("home-01", "suncoop", "user")
ADVISER = Caller("adviser", "suncoop", "service", purpose="tax", behalf=Party("suncoop", "home-01"))
GRANT = b"g" * 16


def ids(*numbers):
    return tuple(bytes([number]) * 16 for number in numbers)


def verified(world, subject):
    found = accesses.verify(world.told(subject), subject)
    assert found.whole
    return [row.told.access for row in found.rows]


# --- who is told ---


async def test_staff_reads_are_kept_and_told_in_the_next_round_by_duty_and_member():
    world = TellerWorld()
    await world.log.release(
        CLERK, [released(1, HOME), released(2, HOME, OTHER, type="statement", groups="terms money")]
    )
    assert world.told(HOME) == []
    assert len(world.store.reads) == 2
    await world.teller.flush(5.0)
    (access,) = verified(world, HOME)
    assert (access.role, access.duties, access.name, access.member) == ("staff", ("billing",), "", "cityretail")
    assert (access.basis, access.under, access.purpose) == ("duties", None, "bill of June")
    assert (access.records, access.types) == (ids(1, 2), ("reading", "statement"))
    assert access.groups == ("money", "physical", "terms")
    assert (access.start_ms, access.last_ms, access.sequence) == (world.clock.ms, world.clock.ms, 1)
    (other,) = verified(world, OTHER)
    assert other.records == ids(2)
    assert world.store.reads == {}
    assert world.store.records == {}


async def test_staff_are_named_only_where_the_ledger_says_so():
    world = TellerWorld()
    world.name_staff = True
    await world.log.release(CLERK, [released(1, HOME)])
    await world.teller.flush(5.0)
    assert [access.name for access in verified(world, HOME)] == ["clerk"]


async def test_what_is_not_to_be_told_is_not_kept_either():
    world = TellerWorld()
    await world.log.release(CLERK, [released(1, HOME)])
    (noted,) = world.store.reads.values()
    for word in (b"clerk", b"home-01", b"billing"):
        assert word not in noted.body + noted.subject
    (read,) = (world.teller._read(one) for one in world.store.reads.values())
    assert read.source.name == ""


async def test_an_officers_read_stands_on_the_ledger_before_it_is_released():
    world = TellerWorld("regulator")
    await world.log.release(OFFICER, [released(1, HOME, under=GRANT), released(2, HOME, under=GRANT)])
    (access,) = verified(world, HOME)
    assert (access.role, access.name, access.member) == ("officer", "inspector", "regulator")
    assert (access.basis, access.under, access.records) == ("grant", GRANT, ids(1, 2))
    assert world.store.records == {}


@pytest.mark.parametrize("behalf", ["suncoop", OTHER])
async def test_whom_an_officer_claims_to_read_for_hides_nothing(behalf):
    """The header is the request's own word: it must not choose who is told."""
    world = TellerWorld("regulator")
    claiming = replace(OFFICER, behalf=Party.parse(behalf))
    await world.log.release(claiming, [released(1, HOME, under=GRANT)])
    (access,) = verified(world, HOME)
    assert (access.basis, access.under, access.records) == ("grant", GRANT, ids(1))
    staff = TellerWorld()
    await staff.log.release(replace(CLERK, behalf=Party("suncoop", "home-02")), [released(1, HOME)])
    (read,) = (staff.teller._read(one) for one in staff.store.reads.values())
    assert (read.subject, read.source.basis, read.source.name) == (HOME, "duties", "")


async def test_an_officers_read_of_no_user_is_told_to_the_members_and_staffs_to_nobody():
    world = TellerWorld("regulator")
    await world.log.release(OFFICER, [released(1, "suncoop", "cityretail", under=GRANT)])
    assert [access.records for access in verified(world, "suncoop")] == [ids(1)]
    assert [access.records for access in verified(world, "cityretail")] == [ids(1)]
    await world.log.release(OFFICER, [released(2, HOME, "suncoop", under=GRANT)])
    assert [access.records for access in verified(world, HOME)] == [ids(2)]
    assert len(verified(world, "suncoop")) == 1
    staff = TellerWorld()
    await staff.log.release(CLERK, [released(3, "suncoop", "cityretail")])
    assert staff.store.reads == {}


async def test_a_user_reading_their_own_is_never_noted():
    world = TellerWorld("suncoop")
    for caller in (USER, Caller("home-01", "suncoop", "user", behalf=Party("suncoop", "home-01"))):
        await world.log.release(caller, [released(1, HOME, OTHER)])
    assert world.store.reads == {}


async def test_a_delegates_read_is_told_by_name_to_whom_they_read_for():
    world = TellerWorld("suncoop")
    world.delegations = {"reading": b"d" * 16, "payment": b"e" * 16}
    friend = Caller("home-02", "suncoop", "user", behalf=Party("suncoop", "home-01"))
    await world.log.release(ADVISER, [released(1, HOME, OTHER), released(2, OTHER, type="payment")])
    await world.log.release(friend, [released(3, HOME)])
    await world.teller.flush(5.0)
    found = {access.under: access for access in verified(world, HOME) if access.name == "adviser"}
    assert {under: access.records for under, access in found.items()} == {b"d" * 16: ids(1), b"e" * 16: ids(2)}
    assert {access.basis for access in found.values()} == {"delegation"}
    assert [(a.role, a.records) for a in verified(world, HOME) if a.name == "home-02"] == [("user", ids(3))]
    assert world.told(OTHER) == []


async def test_only_the_subject_and_the_author_open_it():
    world = TellerWorld()
    await world.log.release(CLERK, [released(1, HOME)])
    await world.teller.flush(5.0)
    (record_id,) = world.writer.records
    assert world.writer.held_by("regulator", record_id) is None
    assert world.told(OTHER) == world.told("suncoop") == []
    assert len(world.told("cityretail")) == 1


async def test_a_subject_whose_member_has_left_stops_nobody():
    world = TellerWorld()
    await world.log.release(CLERK, [released(1, "gone@windfarm"), released(2, HOME)])
    await world.teller.flush(5.0)
    assert len(world.writer.records) == 2
    assert [one.access.subject for one in world.told("cityretail")].count("gone@windfarm") == 1
    assert [access.records for access in verified(world, HOME)] == [ids(2)]


# --- together, never left out ---


async def test_who_reads_the_same_over_and_over_is_told_of_once_with_a_count():
    world = TellerWorld()
    for _ in range(40):
        await world.log.release(CLERK, [released(1, HOME), released(2, HOME)])
        world.clock.turn(0.5)
    await world.teller.flush(5.0)
    (access,) = verified(world, HOME)
    assert (access.records, access.answers) == (ids(1, 2), 40)
    assert access.last_ms - access.start_ms == 39 * 500


async def test_duties_and_purposes_are_told_apart():
    world = TellerWorld()
    meter = Caller("meters", "cityretail", "staff", frozenset({"metering"}), "bill of June")
    for caller in (CLERK, meter, Caller("clerk", "cityretail", "staff", CLERK.duties, "complaint"), CLERK):
        await world.log.release(caller, [released(1, HOME)])
    await world.teller.flush(5.0)
    found = [(access.duties, access.purpose, access.answers) for access in verified(world, HOME)]
    assert sorted(found) == [
        (("billing",), "bill of June", 2),
        (("billing",), "complaint", 1),
        (("metering",), "bill of June", 1),
    ]


async def test_a_large_answer_is_told_whole_in_several_records():
    world = TellerWorld()
    many = [released(number, HOME) for number in range(1201)]
    await world.log.release(CLERK, many)
    await world.teller.flush(5.0)
    found = verified(world, HOME)
    assert [len(access.records) for access in found] == [500, 500, 201]
    assert {id for access in found for id in access.records} == {one.id for one in many}


async def test_more_than_one_round_takes_is_told_in_several():
    world = TellerWorld()
    for number in range(MAX_AT_ONCE + 5):
        await world.teller.note(world.log._reads(CLERK, [released(number, HOME)]))
    assert await world.teller.flush(5.0)
    assert len(world.store.reads) == 5
    assert not await world.teller.flush(5.0)
    assert sum(access.answers for access in verified(world, HOME)) == MAX_AT_ONCE + 5


async def test_a_type_that_nobody_knows_is_told_as_such():
    world = TellerWorld()
    await world.log.release(CLERK, [released(1, HOME, type=""), released(2, HOME, type="Has Blanks")])
    await world.teller.flush(5.0)
    assert [access.types for access in verified(world, HOME)] == [("unknown",)]


async def test_times_of_a_chain_never_fall_though_an_officer_overtakes_what_is_noted():
    world = TellerWorld("regulator")
    await world.log.release(Caller("aide", "regulator", "staff", frozenset({"operations"})), [released(1, HOME)])
    world.clock.turn(600)
    await world.log.release(OFFICER, [released(2, HOME, under=GRANT)])
    found = verified(world, HOME)
    assert [access.role for access in found] == ["staff", "officer"]
    assert found[0].start_ms < found[1].start_ms


# --- nothing leaves untold ---


@pytest.mark.parametrize("trouble", ["store", "ordering", "halted", "too late"])
async def test_an_officer_gets_nothing_while_the_read_cannot_be_told(trouble):
    world = TellerWorld("regulator")
    world.store.away, world.writer.refuses = trouble == "store", trouble == "ordering"
    world.writer.stalls, world.halted = trouble == "too late", "catching up" if trouble == "halted" else ""
    with pytest.raises(NotReady) as refused:
        await world.log.release(OFFICER, [released(1, HOME, under=GRANT)])
    assert "home-01" not in str(refused.value)
    world.store.away = world.writer.refuses = world.writer.stalls = False
    world.halted = ""
    await world.log.release(OFFICER, [released(2, HOME, under=GRANT)])
    await world.teller.flush(5.0)
    assert verified(world, HOME)[-1].records == ids(2)


async def test_staff_get_nothing_while_the_read_cannot_be_kept_and_all_while_only_the_order_is_away():
    world = TellerWorld()
    world.store.away = True
    with pytest.raises(NotReady):
        await world.log.release(CLERK, [released(1, HOME)])
    world.store.away, world.writer.refuses = False, True
    await world.log.release(CLERK, [released(2, HOME)])
    with pytest.raises(NotReady):
        await world.teller.flush(5.0)
    world.writer.refuses = False
    await world.log.release(CLERK, [released(3, HOME)])
    await world.teller.flush(5.0)
    assert [id for access in verified(world, HOME) for id in access.records] == list(ids(2, 3))


async def test_concurrent_officers_share_one_gapless_chain():
    world = TellerWorld("regulator")
    asking = [Caller(f"inspector-{n}", "regulator", "officer") for n in range(20)]
    await asyncio.gather(*(world.log.release(c, [released(n, HOME, under=GRANT)]) for n, c in enumerate(asking)))
    assert sorted(access.sequence for access in verified(world, HOME)) == list(range(1, 21))


# --- crashes and backups ---


@pytest.mark.parametrize("where", ["noted", "placed", "written and not marked"])
async def test_a_crash_loses_nothing_and_repeats_nothing(where):
    world = TellerWorld()
    await world.log.release(CLERK, [released(1, HOME), released(2, OTHER)])
    if where == "placed":
        world.writer.refuses = True
        with pytest.raises(NotReady):
            await world.teller.flush(5.0)
        world.writer.refuses = False
    if where == "written and not marked":
        kept = dict(world.store.records)
        await world.teller.flush(5.0)
        world.store.records = kept | world.store.records
    world.restart()
    await world.log.release(CLERK, [released(3, HOME)])
    await world.teller.flush(5.0)
    told = [id for access in verified(world, HOME) for id in access.records]
    assert told == list(ids(1, 3))
    assert [access.records for access in verified(world, OTHER)] == [ids(2)]


async def test_what_was_under_way_when_the_node_died_is_written_by_the_next_one():
    world = TellerWorld("regulator")
    world.writer.stalls = True
    with pytest.raises(NotReady):
        await world.log.release(OFFICER, [released(1, HOME, under=GRANT)])
    world.writer.queue.clear()
    world.writer.drafts.clear()
    world.writer.stalls = False
    world.restart()
    await world.teller.flush(5.0)
    assert [access.records for access in verified(world, HOME)] == [ids(1)]
    assert world.store.records == {}


@pytest.mark.parametrize("since", [1, 2, 3, 7, 20])
async def test_after_a_restored_backup_the_chain_goes_on_from_the_ledger(since):
    world = TellerWorld()
    for n in range(3):
        await world.log.release(CLERK, [released(n, HOME)])
        await world.teller.flush(5.0)
    backup = dict(world.store.chains)
    for n in range(since):
        await world.log.release(CLERK, [released(100 + n, HOME)])
        await world.teller.flush(5.0)
    for lost in (backup, {}):
        world.store.chains = dict(lost)
        world.restart()
        await world.log.release(CLERK, [released(99, HOME)])
        await world.teller.flush(5.0)
    assert [access.sequence for access in verified(world, HOME)] == list(range(1, 3 + since + 3))


async def test_a_chain_waits_until_its_last_record_is_there_and_keeps_no_other_waiting():
    world = TellerWorld()
    await world.log.release(CLERK, [released(1, HOME)])
    await world.teller.flush(5.0)
    world.store.chains = {}
    world.restart()
    world.writer.fetched = False
    await world.log.release(CLERK, [released(2, HOME), released(3, OTHER)])
    await world.teller.flush(5.0)
    assert [access.records for access in verified(world, OTHER)] == [ids(3)]
    assert len(verified(world, HOME)) == 1
    world.writer.fetched = True
    await world.teller.flush(5.0)
    assert [access.records for access in verified(world, HOME)] == [ids(1), ids(2)]
