"""The ordering log on etcd while answers are lost, and etcd's processes die, hang or are full."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
import pytest_asyncio

from consortium.devnet.certificates import Authority
from consortium.devnet.etcd import EtcdCluster
from consortium.devnet.processes import Processes
from consortium.errors import LogUnavailable
from tests.faults.log_helpers import APPEND_S, NOBODY_ANSWERS_S, Writer, append, assert_log_holds, batch, stands
from tests.fixtures.etcd import EPOCH, ETCD_MEMBERS, NETWORK, EtcdChannel, opened_channel, running_cluster
from tests.fixtures.proxy import Proxy
from tests.readings import Follower, entries, names, take

pytestmark = pytest.mark.processes


@pytest_asyncio.fixture(scope="module")
async def cluster(tmp_path_factory):
    async with running_cluster(tmp_path_factory.mktemp("faults")) as running:
        yield running


@pytest_asyncio.fixture
async def channel(cluster):
    """A channel on a cluster that is whole again after the test, whatever it did."""
    try:
        async with opened_channel(cluster) as opened:
            yield opened
    finally:
        for member in ETCD_MEMBERS:
            if cluster.child(member).running:
                os.kill(cluster.child(member).pid, signal.SIGCONT)
        await cluster.start()


# --- lost answers ---


async def test_an_append_whose_answer_was_lost_is_repeated_and_stands_once(channel):
    async with Proxy(channel.cluster.endpoint("gridco")) as proxy:
        log = channel.log("gridco", endpoints=(proxy.endpoint,))
        await append(log, 0)
        proxy.swallowing = True
        appending = asyncio.create_task(log.append(1, batch(1), timeout_s=APPEND_S))
        standing = await stands(channel, "gridco", 1)
        assert not appending.done()
        proxy.heal()
        assert await appending == standing.mod_revision
    assert names(await take(channel.log("suncoop"), 2)) == [("gridco", 0), ("gridco", 1)]
    assert (await stands(channel, "gridco", 1)).version == 1


async def test_an_append_called_again_after_an_error_finds_its_entry(channel):
    async with Proxy(channel.cluster.endpoint("gridco")) as proxy:
        log = channel.log("gridco", endpoints=(proxy.endpoint,))
        await append(log, 0)
        proxy.swallowing = True
        with pytest.raises(LogUnavailable):
            await log.append(1, batch(1), timeout_s=NOBODY_ANSWERS_S)
        standing = await stands(channel, "gridco", 1)
        proxy.heal()
        assert await append(log, 1, 2) == [standing.mod_revision, standing.mod_revision + 1]
    assert names(await take(channel.log("suncoop"), 3)) == [("gridco", 0), ("gridco", 1), ("gridco", 2)]


# --- members that die or hang ---


async def test_killing_one_etcd_member_after_the_other_loses_and_doubles_nothing(channel):
    cluster = channel.cluster
    only_gridco = channel.log("regulator", endpoints=(cluster.endpoint("gridco"),))
    async with Follower(channel.log("regulator")) as follower, Follower(only_gridco) as follower_of_one:
        async with (
            Writer(channel.log("gridco"), "gridco") as one,
            Writer(channel.log("suncoop"), "suncoop") as other,
        ):
            for member in ETCD_MEMBERS:
                await one.more(20)
                cluster.kill(member)
                await asyncio.gather(one.more(20), other.more(20))
                await cluster.restart(member)
        acknowledged = one.acknowledged | other.acknowledged
        for following in (follower, follower_of_one):
            seen = entries(await following.count(len(acknowledged)))
            assert [(entry.member, entry.sequence, entry.position) for entry in seen] == [
                (*name, position) for name, position in sorted(acknowledged.items(), key=lambda item: item[1])
            ]
    await assert_log_holds(channel, acknowledged)


async def test_a_member_that_hangs_is_left_for_another(channel):
    log = channel.log("gridco", attempt_s=0.5)
    await append(log, *range(3))
    os.kill(channel.cluster.child("cityretail").pid, signal.SIGSTOP)
    positions = await append(log, *range(3, 9))
    os.kill(channel.cluster.child("cityretail").pid, signal.SIGCONT)
    assert positions == sorted(set(positions))
    assert names(await take(channel.log("suncoop"), 9)) == [("gridco", n) for n in range(9)]


async def test_without_a_majority_appending_fails_in_time_and_heals(channel):
    cluster, log = channel.cluster, channel.log("gridco")
    async with Follower(channel.log("regulator")) as follower:
        await append(log, 0)
        await follower.count(1)
        for member in ("suncoop", "cityretail"):
            cluster.kill(member)
        for request in (log.append(1, batch(1), timeout_s=NOBODY_ANSWERS_S), log.head(timeout_s=NOBODY_ANSWERS_S)):
            async with asyncio.timeout(NOBODY_ANSWERS_S + 2):
                with pytest.raises(LogUnavailable) as caught:
                    await request
            assert caught.value.hint
        await cluster.start()
        positions = await append(log, 1, 2)
        assert await log.head(timeout_s=APPEND_S) == positions[-1]
        assert names(await follower.count(3)) == [("gridco", n) for n in range(3)]


async def test_a_full_store_is_named(tmp_path):
    with Processes(tmp_path / "processes") as processes:
        cluster = EtcdCluster(
            processes, tmp_path / "etcd", Authority(tmp_path / "certificates"), ["gridco"], quota_bytes=4 << 20
        )
        await cluster.start()
        await cluster.set_up_users(["gridco"], NETWORK)
        channel = EtcdChannel(cluster)
        await cluster.open_channel(["gridco"], NETWORK, channel.name, EPOCH)
        log = channel.log("gridco")

        async def fill():
            for sequence in range(50):
                await log.append(sequence, bytes(500_000), timeout_s=APPEND_S)

        with pytest.raises(LogUnavailable) as caught:
            await fill()
        assert "NOSPACE" in str(caught.value)
        assert "defragment" in caught.value.hint
        usage = await log.usage()
        assert usage.used_bytes > usage.quota_bytes * 0.8
        await channel.close()
