"""The contract of `OrderingLog`: one suite for the fake and for etcd."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
import pytest_asyncio

from consortium.errors import LogUnavailable, Tampering
from consortium.model.blocks import LogEntry
from consortium.ports.log import Appended, OrderingLog, Overwritten, Removed, Trimmed
from tests.fakes.log import MemoryLog, MemoryLogServer
from tests.fixtures.etcd import EtcdChannel, opened_channel
from tests.readings import Follower, entries, names, take

APPEND_S = 10.0


class MemoryWorld:
    def __init__(self) -> None:
        self._server = MemoryLogServer()

    def log(self, member: str) -> OrderingLog:
        return MemoryLog(self._server, member)

    def unreachable_log(self, member: str) -> OrderingLog:
        return MemoryLog(MemoryLogServer(available=False), member)

    async def overwrite(self, member: str, sequence: int, data: bytes) -> int:
        return await self._server.put(member, sequence, data)

    async def put_foreign(self, data: bytes) -> int:
        return await self._server.put("", 0, data)

    async def delete(self, member: str, sequence: int) -> None:
        assert await self._server.delete((member, sequence)) == 1


class EtcdWorld:
    """The same with a real cluster, where the intruder is etcd's root."""

    def __init__(self, channel: EtcdChannel) -> None:
        self._channel = channel

    def log(self, member: str) -> OrderingLog:
        return self._channel.log(member)

    def unreachable_log(self, member: str) -> OrderingLog:
        return self._channel.log(member, endpoints=("127.0.0.1:1",))

    async def overwrite(self, member: str, sequence: int, data: bytes) -> int:
        return await self._put(self._channel.key(member, sequence), data)

    async def put_foreign(self, data: bytes) -> int:
        return await self._put(self._channel.prefix + "gridco/7", data)

    async def delete(self, member: str, sequence: int) -> None:
        async with self._channel.cluster.root() as root:
            assert (await root.kv.delete(self._channel.key(member, sequence))).deleted == 1

    async def _put(self, key: str, data: bytes) -> int:
        async with self._channel.cluster.root() as root:
            return (await root.kv.put(key, data)).header.revision


@pytest.fixture(params=["memory", pytest.param("etcd", marks=pytest.mark.processes)])
def cluster(request):
    return request.getfixturevalue("etcd_cluster") if request.param == "etcd" else None


@pytest_asyncio.fixture
async def world(cluster):
    if cluster is None:
        yield MemoryWorld()
        return
    async with opened_channel(cluster) as channel:
        yield EtcdWorld(channel)


@pytest.fixture
def gridco(world):
    return world.log("gridco")


@pytest.fixture
def suncoop(world):
    return world.log("suncoop")


async def append(log, *sequences):
    return [await log.append(sequence, b"batch %d" % sequence, timeout_s=APPEND_S) for sequence in sequences]


async def test_an_append_is_read_back_with_its_position(gridco):
    positions = await append(gridco, 0, 1, 2)
    assert positions == sorted(set(positions))
    expected = [Appended(LogEntry("gridco", n, positions[n], b"batch %d" % n)) for n in range(3)]
    assert await take(gridco, 3) == expected


async def test_the_same_append_again_finds_the_first(gridco):
    [first] = await append(gridco, 0)
    await append(gridco, 1)
    assert await append(gridco, 0) == [first]
    assert names(await take(gridco, 2)) == [("gridco", 0), ("gridco", 1)]
    assert await gridco.head(timeout_s=APPEND_S) > first


async def test_other_bytes_for_a_sequence_are_tampering(gridco):
    [position] = await append(gridco, 0)
    with pytest.raises(Tampering):
        await gridco.append(0, b"something else", timeout_s=APPEND_S)
    assert await take(gridco, 1) == [Appended(LogEntry("gridco", 0, position, b"batch 0"))]


async def test_an_empty_entry_is_an_entry(gridco):
    position = await gridco.append(0, b"", timeout_s=APPEND_S)
    assert await gridco.append(0, b"", timeout_s=APPEND_S) == position
    assert entries(await take(gridco, 1)) == [LogEntry("gridco", 0, position, b"")]


async def test_all_members_read_one_order(world, gridco, suncoop):
    async def write(log):
        for sequence in range(20):
            await append(log, sequence)

    async with Follower(gridco) as one, Follower(world.log("regulator")) as other:
        await asyncio.gather(write(gridco), write(suncoop))
        live, live_too = await one.count(40), await other.count(40)
    listed = await take(suncoop, 40)
    assert live == live_too == listed
    positions = [entry.position for entry in entries(listed)]
    assert positions == sorted(set(positions))
    for member in ("gridco", "suncoop"):
        assert [name for name in names(listed) if name[0] == member] == [(member, n) for n in range(20)]


async def test_reading_goes_on_after_a_position(gridco):
    positions = await append(gridco, 0, 1, 2, 3)
    assert names(await take(gridco, 2, after=positions[1], next_sequences={"gridco": 2})) == [
        ("gridco", 2),
        ("gridco", 3),
    ]


async def test_a_reading_waits_for_what_comes(gridco, suncoop):
    async with Follower(suncoop) as follower:
        await append(gridco, 0)
        assert names(await follower.count(1)) == [("gridco", 0)]
        await append(gridco, 1)
        assert names(await follower.count(2)) == [("gridco", 0), ("gridco", 1)]


async def test_large_entries_come_whole_and_in_order(gridco, suncoop):
    batches = [bytes([n]) * 900_000 for n in range(20)]
    for sequence, batch in enumerate(batches):
        await gridco.append(sequence, batch, timeout_s=APPEND_S)
    assert [entry.data for entry in entries(await take(suncoop, 20))] == batches


async def test_a_reading_that_is_closed_early_leaves_no_task_behind(gridco):
    await append(gridco, *range(12))
    before = asyncio.all_tasks()
    async with aclosing(gridco.read(0, {})) as reading:
        await anext(reading)
    assert asyncio.all_tasks() <= before


async def test_head_is_the_newest_position(gridco, suncoop):
    assert await gridco.head(timeout_s=APPEND_S) == 0
    for sequence in range(3):
        [own] = await append(gridco, sequence)
        assert await gridco.head(timeout_s=APPEND_S) == own
        [others] = await append(suncoop, sequence)
        assert await gridco.head(timeout_s=APPEND_S) == others
    await suncoop.trim(3)
    assert await gridco.head(timeout_s=APPEND_S) == own
    await gridco.trim(3)
    assert await gridco.head(timeout_s=APPEND_S) == 0


async def test_head_goes_back_when_the_newest_entry_is_deleted(world, gridco):
    first, second = await append(gridco, 0, 1)
    assert await gridco.head(timeout_s=APPEND_S) == second
    await world.delete("gridco", 1)
    assert await gridco.head(timeout_s=APPEND_S) == first


async def test_trimming_deletes_own_entries_below(gridco, suncoop):
    await append(gridco, 0, 1, 2)
    await append(suncoop, 0, 1)
    assert await gridco.trim(2) == 2
    assert await gridco.trim(2) == 0
    assert sorted(names(await take(suncoop, 3))) == [("gridco", 2), ("suncoop", 0), ("suncoop", 1)]


async def test_trimming_is_seen_by_those_who_read(gridco, suncoop):
    async with Follower(suncoop) as follower:
        await append(gridco, 0, 1, 2)
        await follower.count(3)
        await gridco.trim(2)
        removed = (await follower.count(5))[3:]
    assert [(event.member, event.sequence) for event in removed] == [("gridco", 0), ("gridco", 1)]
    assert all(isinstance(event, Removed) for event in removed)


async def test_a_late_reader_is_told_first_what_was_trimmed(gridco, suncoop):
    await append(suncoop, 0, 1)
    await append(gridco, 0, 1, 2, 3)
    await gridco.trim(3)
    events = await take(suncoop, 4, next_sequences={"gridco": 1, "suncoop": 0, "cityretail": 0})
    assert events[0] == Trimmed("gridco", 1, 3)
    assert names(events[1:]) == [("suncoop", 0), ("suncoop", 1), ("gridco", 3)]


async def test_nothing_is_trimmed_for_a_reader_who_has_it(gridco, suncoop):
    positions = await append(gridco, 0, 1, 2, 3)
    await gridco.trim(2)
    events = await take(suncoop, 2, after=positions[1], next_sequences={"gridco": 2})
    assert names(events) == [("gridco", 2), ("gridco", 3)]


async def test_a_log_that_lost_even_a_members_newest_batch_is_told_at_once(gridco, suncoop):
    await append(gridco, 0, 1, 2)
    await append(suncoop, 0)
    await gridco.trim(3)
    async with Follower(suncoop, next_sequences={"gridco": 1, "suncoop": 0}) as follower:
        lost, other = await follower.count(2)
        assert lost == Trimmed("gridco", 1, 1)
        assert names([other]) == [("suncoop", 0)]
        [position] = await append(gridco, 3)
        assert (await follower.count(4))[2:] == [
            Trimmed("gridco", 1, 3),
            Appended(LogEntry("gridco", 3, position, b"batch 3")),
        ]


async def test_nothing_is_missing_while_the_batch_before_the_next_stands(gridco, suncoop):
    positions = await append(gridco, 0, 1, 2)
    await gridco.trim(2)
    await append(suncoop, 0)
    events = await take(suncoop, 1, after=positions[2], next_sequences={"gridco": 3, "suncoop": 0})
    assert names(events) == [("suncoop", 0)]


async def test_a_hole_among_known_batches_is_told_as_removed(world, gridco, suncoop):
    positions = await append(gridco, 0, 1, 2, 3, 4)
    await gridco.trim(1)
    await world.delete("gridco", 2)
    await append(suncoop, 0)
    events = await take(suncoop, 2, after=positions[4], next_sequences={"gridco": 5, "suncoop": 0})
    assert names(events[:1]) == [("suncoop", 0)]
    assert isinstance(events[1], Removed)
    assert (events[1].member, events[1].sequence) == ("gridco", 2)


async def test_nothing_is_expected_of_members_that_are_not_named(gridco, suncoop):
    await append(suncoop, 0, 7)
    async with Follower(gridco, next_sequences={"gridco": 0}) as follower:
        await follower.count(2)
        await append(suncoop, 9)
        assert names(await follower.count(3)) == [("suncoop", 0), ("suncoop", 7), ("suncoop", 9)]


async def test_an_overwritten_entry_is_reported_to_those_who_read_and_who_come(world, gridco, suncoop):
    await append(gridco, 0, 1)
    async with Follower(suncoop) as follower:
        await follower.count(2)
        position = await world.overwrite("gridco", 0, b"batch 0")
        overwritten = Overwritten("gridco", 0, position)
        assert (await follower.count(3))[2] == overwritten
    later = await take(suncoop, 2)
    assert names(later[:1]) == [("gridco", 1)]
    assert later[1] == overwritten
    with pytest.raises(Tampering):
        await append(gridco, 0)


async def test_a_deleted_entry_is_reported_to_those_who_read(world, gridco, suncoop):
    positions = await append(gridco, 0, 1, 2)
    async with Follower(suncoop) as follower:
        await follower.count(3)
        await world.delete("gridco", 1)
        [removed] = (await follower.count(4))[3:]
    assert isinstance(removed, Removed)
    assert (removed.member, removed.sequence) == ("gridco", 1)
    assert removed.position > positions[2]


async def test_a_key_that_names_no_member_is_delivered_as_nobodys(world, gridco):
    async with Follower(gridco) as follower:
        position = await world.put_foreign(b"?")
        foreign = [Appended(LogEntry("", 0, position, b"?"))]
        assert await follower.count(1) == foreign
    assert await take(gridco, 1) == foreign


async def test_usage_is_within_the_quota(gridco):
    await append(gridco, 0)
    usage = await gridco.usage()
    assert 0 < usage.used_bytes < usage.quota_bytes


async def test_a_log_that_cannot_be_reached_says_so(world):
    log = world.unreachable_log("gridco")
    for request in (log.append(0, b"", timeout_s=0.3), log.head(timeout_s=0.3)):
        with pytest.raises(LogUnavailable):
            async with asyncio.timeout(5):
                await request


async def test_the_fake_can_lose_answers_and_its_majority():
    server = MemoryLogServer()
    log = MemoryLog(server, "gridco")
    log.lost_answers = 1
    with pytest.raises(LogUnavailable):
        await append(log, 0)
    [position] = await append(log, 0)
    async with Follower(log) as follower:
        await follower.count(1)
        await server.set_available(False)
        with pytest.raises(LogUnavailable):
            await append(log, 1)
        await server.set_available(True)
        assert await append(log, 1) == [position + 1]
        assert names(await follower.count(2)) == [("gridco", 0), ("gridco", 1)]
