"""Readings of the ordering log that were interrupted, hung, or lied to: nothing is missing, nothing comes twice."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
import pytest_asyncio
from etcd3aio.watch import WatchService

from consortium.adapters.etcd import listing
from consortium.adapters.etcd.connection import REQUEST_TIMEOUT_S
from consortium.model.blocks import LogEntry
from consortium.ports.log import Appended, Overwritten, Removed, Trimmed
from tests.faults.log_helpers import APPEND_S, append, batch, operator, stands
from tests.fixtures.etcd import opened_channel
from tests.fixtures.proxy import Proxy
from tests.readings import Follower, eventually, names, take

pytestmark = pytest.mark.processes


@pytest_asyncio.fixture
async def channel(etcd_cluster):
    async with opened_channel(etcd_cluster) as opened:
        yield opened


async def watched(follower, log, count):
    """Append so many entries; the follower has them, and its watch is up: the later ones cannot come otherwise."""
    for sequence in range(count):
        await append(log, sequence)
        await follower.count(sequence + 1)


async def test_what_was_changed_behind_a_readers_back_is_reported(channel):
    log = channel.log("gridco")
    async with (
        Proxy(channel.cluster.endpoint("gridco")) as proxy,
        Follower(channel.log("suncoop", endpoints=(proxy.endpoint,))) as follower,
    ):
        await watched(follower, log, 3)
        proxy.refuse()
        async with operator(channel) as kv:
            overwritten = (await kv.put(channel.key("gridco", 0), b"forged")).header.revision
            await kv.delete(channel.key("gridco", 1))
        [position] = await append(log, 3)
        proxy.heal()
        events = (await follower.count(6))[3:]
    assert events == [
        Overwritten("gridco", 0, overwritten),
        Appended(LogEntry("gridco", 3, position, batch(3))),
        Removed("gridco", 1, position),
    ]


async def test_a_reader_that_was_away_is_told_what_was_trimmed_and_compacted_meanwhile(channel):
    log = channel.log("gridco")
    async with (
        Proxy(channel.cluster.endpoint("gridco")) as proxy,
        Follower(channel.log("suncoop", endpoints=(proxy.endpoint,)), next_sequences={"gridco": 0}) as follower,
    ):
        await watched(follower, log, 2)
        proxy.refuse()
        positions = await append(log, *range(2, 6))
        await log.trim(5)
        async with operator(channel) as kv:
            await kv.compact(positions[-1] + 1)
        proxy.heal()
        events = (await follower.count(6))[2:]
    assert events[:2] == [Trimmed("gridco", 2, 5), Appended(LogEntry("gridco", 5, positions[-1], batch(5)))]
    assert [(event.member, event.sequence) for event in events[2:]] == [("gridco", 0), ("gridco", 1)]
    assert all(isinstance(event, Removed) for event in events[2:])


async def test_a_reading_goes_on_when_its_revision_is_compacted(channel):
    log = channel.log("gridco")
    await append(log, *range(30))
    # Well below the time for which a request is repeated: that a revision is compacted is seen at once.
    async with (
        asyncio.timeout(REQUEST_TIMEOUT_S / 2),
        aclosing(channel.log("suncoop").read(0, {"gridco": 0})) as reading,
    ):
        events = [await anext(reading) for _ in range(3)]
        await append(log, 30, 31)
        async with operator(channel) as kv:
            await kv.compact((await stands(channel, "gridco", 31)).mod_revision)
        while len(events) < 32:
            events.append(await anext(reading))
    assert names(events) == [("gridco", n) for n in range(32)]


async def test_a_log_of_many_pages_is_listed_whole(channel, monkeypatch):
    monkeypatch.setattr(listing, "PAGE", 7)
    await append(channel.log("gridco"), *range(30))
    await append(channel.log("suncoop"), *range(5))
    expected = [("gridco", n) for n in range(30)] + [("suncoop", n) for n in range(5)]
    assert names(await take(channel.log("regulator"), 35)) == expected


async def test_a_slow_consumer_misses_nothing(channel):
    log, writer = channel.log("suncoop", poll_s=0.05), channel.log("gridco")
    async with asyncio.timeout(APPEND_S), aclosing(log.read(0, {"gridco": 0})) as reading:
        events = []
        for sequence in range(0, 60, 20):
            await append(writer, *range(sequence, sequence + 20))
            events.append(await anext(reading))
        while len(events) < 60:
            events.append(await anext(reading))
    assert names(events) == [("gridco", n) for n in range(60)]


def first_watch(monkeypatch, faulty):
    """Let the first watch from now on be `faulty(service's own watch, its arguments)`."""
    genuine, used = WatchService.watch, []

    def watch(service, *arguments):
        used.append(service)
        if len(used) > 1:
            return genuine(service, *arguments)
        return faulty(lambda *changed: genuine(service, *changed), *arguments)

    monkeypatch.setattr(WatchService, "watch", watch)
    return used


async def test_events_that_a_reconnected_watch_skipped_are_delivered(channel, monkeypatch):
    """etcd3aio resumes after the header's revision: here its stream broke before it had delivered anything."""
    skipped = asyncio.Event()

    async def reconnecting(watch, key, end, start):
        async with aclosing(watch(key, end, start)) as stream:
            yield await anext(stream)
        await skipped.wait()
        async with aclosing(watch(key, end, 0)) as stream:
            async for answer in stream:
                yield answer

    watches = first_watch(monkeypatch, reconnecting)
    log = channel.log("gridco")
    async with Follower(channel.log("suncoop", poll_s=60.0)) as follower:
        await eventually(lambda: bool(watches), "a watch")
        await append(log, *range(5))
        skipped.set()
        assert names(await follower.count(5)) == [("gridco", n) for n in range(5)]
        await append(log, 5)
        assert names(await follower.count(6)) == [("gridco", n) for n in range(6)]


async def test_a_watch_that_hangs_is_given_up(channel, monkeypatch):
    async def silent(watch, key, end, start):
        async with aclosing(watch(key, end, start)) as stream:
            yield await anext(stream)
            await asyncio.Future()

    watches = first_watch(monkeypatch, silent)
    log = channel.log("gridco")
    async with Follower(channel.log("suncoop", poll_s=0.1)) as follower:
        await eventually(lambda: bool(watches), "a watch")
        await append(log, *range(5))
        assert names(await follower.count(5)) == [("gridco", n) for n in range(5)]


async def test_entries_of_one_transaction_look_the_same_listed_and_watched(channel):
    """No honest member writes two at once; whoever does must not make two nodes see two orders."""
    async with Follower(channel.log("suncoop")) as follower:
        await append(channel.log("gridco"), 0)
        await follower.count(1)
        async with operator(channel) as kv:
            keys = [channel.key("suncoop", 0), channel.key("gridco", 1)]
            put = await kv.txn([], [kv.txn_op_put(key, b"at once") for key in keys])
        watched = await follower.count(3)
    revision = put.header.revision
    assert watched[1:] == [
        Appended(LogEntry("gridco", 1, revision, b"at once")),
        Overwritten("suncoop", 0, revision),
    ]
    assert await take(channel.log("regulator"), 3) == watched
