"""Members that come and go, without processes: who may write, who is asked, who is read, and what etcd may lose."""

from __future__ import annotations

import asyncio

import pytest

from consortium.adapters.etcd.cluster import Cluster, EtcdMember
from consortium.adapters.etcd.enforcing import Round, decided, join
from consortium.adapters.peers import addresses
from consortium.agents.belonging import Belonging
from consortium.errors import ConfigurationError, NotReady, Tampering
from consortium.ledger.governance.addresses import peer_urls
from consortium.ledger.governance.terms import AdmitMember, Keys, RemoveMember
from consortium.ledger.state import LedgerState, initial
from consortium.pipeline import apply
from consortium.pipeline.apply import Applier
from consortium.pipeline.keyring import LiveMembership
from consortium.pipeline.order import Orderer
from tests.builders import make_genesis, make_head, make_member, make_record, sign_batch
from tests.fakes.log import MemoryLog, MemoryLogServer
from tests.fakes.store import MemoryStore
from tests.unit.test_governance import Net

NEW = "windfarm"
URL = "https://10.0.0.5:8441"


def admission(name: str = NEW, keys: str = "", url: str = URL) -> AdmitMember:
    member = make_member(keys or name)
    return AdmitMember(name=name, roles=("utility",), keys=Keys.of(member.keys), peer_url=url)


def joined() -> Net:
    net = Net()
    net.decide("alpha", admission(), "alpha", "bravo")
    return net


# --- belonging -------------------------------------------------------------------------------------------------------


async def test_a_node_waits_until_its_member_is_admitted_and_again_once_it_is_removed():
    net = Net()
    live = LiveMembership(net.now)
    belonging = Belonging(live, NEW)
    live.listen(belonging.changed)
    assert "windfarm" in belonging.refusal
    waiting = asyncio.create_task(belonging.until_inside())
    await asyncio.sleep(0)
    assert not waiting.done()
    net.decide("alpha", admission(), "alpha", "bravo")
    live.update(net.now)
    await waiting
    assert (belonging.now, belonging.refusal) == (True, "")
    leaving = asyncio.create_task(belonging.until_outside())
    net.decide("alpha", RemoveMember(name=NEW), "alpha", "bravo")
    live.update(net.now)
    await leaving
    assert not belonging.now


async def test_what_waits_in_a_removed_members_line_fails_at_once():
    orderer = Orderer(make_genesis(3), "alpha", None, None, None, None, heartbeat_s=1)
    waiting, sent = (orderer.submit(make_record("alpha", number)) for number in range(2))
    orderer._under_way[sent.record.header.id] = orderer._queue.pop()
    orderer.abandon(NotReady("no member now"))
    for ticket in (waiting, sent):
        with pytest.raises(NotReady, match="no member now"):
            await ticket.applied
    assert orderer.backlog == 0


# --- addresses -------------------------------------------------------------------------------------------------------


def test_members_are_asked_where_the_ledger_says_and_only_while_they_are_members():
    net = joined()
    assert peer_urls(net.now) == {NEW: URL}
    settings = {"alpha": "https://a", "bravo": "https://b", NEW: "https://old", "stranger": "https://s"}
    names = [member.name for member in net.now.members]
    found = addresses("alpha", names, settings, peer_urls(net.now))
    assert found == {"bravo": "https://b", NEW: URL}
    net.decide("alpha", RemoveMember(name=NEW), "alpha", "bravo")
    assert peer_urls(net.now) == {}
    net.decide("alpha", admission(keys="windfarm-2", url="https://moved:1"), "alpha", "bravo")
    assert peer_urls(net.now) == {NEW: "https://moved:1"}


# --- reading the log -------------------------------------------------------------------------------------------------


class World:
    """A log with all that a network wrote, and a node that reads it from its own beginning."""

    def __init__(self, net: Net) -> None:
        self.net, self.server = net, MemoryLogServer()
        self.applier = Applier(MemoryStore(), initial(net.chain.genesis), lambda name: (), self._witnessed)
        self.witnessed = 10_000
        self._put = 0

    async def _witnessed(self, wanted: int) -> int:
        return self.witnessed

    async def put_all(self) -> None:
        """What the network wrote since the last time."""
        for entry in self.net.chain.entries[self._put :]:
            await self.server.put(entry.member, entry.sequence, entry.data)
        self._put = len(self.net.chain.entries)

    async def follow(self) -> list[int]:
        """Read anew and apply all that the network has; at which heights the node found that it missed something."""
        asked: list[int] = []
        missed = asyncio.Event()

        async def catch_up(state: LedgerState) -> None:
            asked.append(state.height)
            missed.set()
            await asyncio.Event().wait()

        reading = self.applier.run(MemoryLog(self.server, "alpha"), catch_up)
        until = self.applier.until_height(len(self.net.chain.steps))
        work = [asyncio.create_task(each) for each in (reading, until, missed.wait())]
        done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED, timeout=10)
        for task in work:
            task.cancel()
        assert done, "it neither applied everything, nor missed anything"
        for task in done:
            task.result()
        return asked


def write_as(net: Net, sequence: int, signer: str = NEW) -> str:
    """A batch of the newcomer with a number of its choice, signed by a key of its choice; why it was refused."""
    head = make_head(net.chain.genesis, NEW, sequence, net.chain.now_ms, ())
    return net.chain.add_raw(NEW, sign_batch(head, (), signer=signer), sequence=sequence).block.refusal


async def test_numbers_that_a_removed_member_leaves_out_stop_nobody_not_even_once_it_is_back():
    net = joined()
    world = World(net)
    assert [write_as(net, 0), write_as(net, 1)] == ["", ""]
    net.decide("alpha", RemoveMember(name=NEW), "alpha", "bravo")
    assert [write_as(net, 2), write_as(net, 9)] == ["unknown-member", "unknown-member"]
    await world.put_all()
    assert await world.follow() == []
    net.chain.add("alpha")
    await world.put_all()
    assert await world.follow() == [], "a listing shows the gap, and it is nobody's"
    net.decide("alpha", admission(keys="windfarm-2"), "alpha", "bravo")
    assert write_as(net, 10) == "bad-signature", "the keys of before are none any more"
    assert write_as(net, 11, signer="windfarm-2") == ""
    await world.put_all()
    assert await world.follow() == []
    net.chain.add("alpha")
    await world.put_all()
    assert await world.follow() == []
    assert world.applier.state.next_sequence(NEW) == 12


async def test_what_a_member_wrote_and_trimmed_since_its_admission_is_missed_and_not_taken_for_tampering():
    net = joined()
    world = World(net)
    decided = len(net.chain.steps)
    for sequence in range(3):
        assert write_as(net, sequence) == ""
    await world.put_all()
    await world.server.delete((NEW, 0), (NEW, 1))
    assert await world.follow() == [decided]


async def test_an_entry_that_is_taken_from_a_member_that_never_left_is_tampering_as_ever(monkeypatch):
    monkeypatch.setattr(apply, "_WITNESS_WAIT_S", 0.01)
    net = joined()
    world = World(net)
    for sequence in range(3):
        write_as(net, sequence)
    await world.put_all()
    assert await world.follow() == []
    await world.server.delete((NEW, 1))
    world.witnessed = 0
    net.chain.add("alpha")  # which is not in the log yet
    with pytest.raises(Tampering, match="was deleted from the log"):
        await world.follow()


# --- etcd's majority -------------------------------------------------------------------------------------------------


def voter(number: int, name: str, learner: bool = False) -> EtcdMember:
    return EtcdMember(number, name, (f"https://{name}:2380",), (f"https://{name}:2379",), learner)


class Known(Cluster):
    """A cluster of which some members answer."""

    def __init__(self, members: list[EtcdMember], up: set[str]) -> None:
        self.known, self.up = members, up
        self.removed: list[str] = []
        self.added: list[str] = []
        self.promoted: list[str] = []

    async def members(self) -> list[EtcdMember]:
        return self.known

    async def answers(self, member: EtcdMember) -> bool:
        return member.name in self.up

    async def add_learner(self, peer_url: str) -> None:
        self.added.append(peer_url)

    async def promote(self, member: EtcdMember) -> bool:
        self.promoted.append(member.name)
        return True

    async def _asked(self, request):
        self.removed.append("removed")


@pytest.mark.parametrize(
    ("names", "up", "allowed"),
    [
        (("a", "b", "w"), {"a", "b", "w"}, True),
        (("a", "b", "w"), {"a", "w"}, False),  # a alone of two would be none
        (("a", "b", "c", "w"), {"a", "b"}, True),
        (("a", "b", "c", "w"), {"a", "w"}, False),
        (("w",), {"w"}, False),
    ],
)
async def test_an_etcd_member_is_never_removed_at_the_price_of_the_majority(names, up, allowed):
    members = [voter(number, name) for number, name in enumerate(names)]
    cluster = Known(members, up)
    if allowed:
        await cluster.remove(members[-1])
        assert cluster.removed == ["removed"]
        return
    with pytest.raises(ConfigurationError) as refused:
        await cluster.remove(members[-1])
    assert "bring" in refused.value.hint
    assert cluster.removed == []


async def test_an_etcd_member_joins_step_by_step_and_each_round_says_what_is_left():
    first = [voter(1, "a"), voter(2, "b")]
    told, cluster, url = Round(), Known(first, {"a", "b"}), "https://w:2380"
    await join(cluster, first, "w", url, told)
    assert cluster.added == [url]
    assert "a=https://a:2380,b=https://b:2380,w=https://w:2380" in told.waiting[0]
    unstarted = EtcdMember(3, "", (url,), (), True)
    told = Round()
    await join(cluster, [*first, unstarted], "w", url, told)
    assert (told.done, cluster.promoted) == ([], [])
    assert "not started" in told.waiting[0]
    told, cluster.up = Round(), {"a", "b", "w"}
    await join(cluster, [*first, voter(3, "w", learner=True)], "w", url, told)
    assert cluster.promoted == ["w"]
    assert told.waiting == []
    told = Round()
    await join(cluster, [*first, voter(3, "w")], "w", url, told)
    assert (told.done, told.waiting) == ([], [])


def test_a_member_that_came_back_is_not_among_the_removed():
    net = joined()
    assert decided(net.now).members == ("alpha", "bravo", "charlie", "regulator", NEW)
    net.decide("alpha", RemoveMember(name=NEW), "alpha", "bravo")
    assert decided(net.now).removed == (NEW,)
    net.decide("alpha", admission(keys="windfarm-2"), "alpha", "bravo")
    assert decided(net.now).removed == ()
