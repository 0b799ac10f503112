"""Catching up from members that lie: whatever they leave out, put in, reorder or forge, none of it is stored.

The ledger is real, the other members' nodes are lists of blocks, of which a test makes some lie.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from consortium.agents import catchup
from consortium.agents.catchup import CatchUp, PayloadFetcher
from consortium.crypto.hashing import sha256
from consortium.crypto.hints import hint
from consortium.crypto.notes import Checkpoint, SignedNote
from consortium.errors import PeerUnavailable, Tampering
from consortium.ledger.admission import reopen
from consortium.ledger.state import initial
from consortium.ledger.transition import transition
from consortium.model.blocks import KeptBatch, KeptBlock
from consortium.model.records import SealedRecord
from consortium.pipeline.apply import Applier
from consortium.pipeline.prove import Prover
from consortium.ports.keys import PairKeys
from tests.builders import NAMES, Chain, broken_body, make_genesis, make_record, make_records
from tests.fakes.store import MemoryStore

ME, OTHERS = "delta", ("alpha", "bravo", "charlie")
HINT_KEYS = {name: sha256(name.encode()) for name in NAMES[:4]}


def hint_keys(name: str) -> list[bytes]:
    return [HINT_KEYS[name]] if name in HINT_KEYS else []


Lie = Callable[[list[KeptBlock]], list[KeptBlock]]


def to_us(author: str, label: object) -> SealedRecord:
    """A record that is addressed to us."""
    record = make_record(author, label)
    mark = hint(HINT_KEYS[author], record.header.id, 0)
    header = replace(record.header, hints=mark + record.header.hints[16:])
    return replace(record, header=header, header_bytes=header.encoded())


OURS = [to_us("alpha", "first"), to_us("charlie", "second"), to_us(ME, "our own")]


@pytest.fixture
def chain() -> Chain:
    """Records, signs of life, refused batches and refused records, of four members."""
    chain = Chain(make_genesis(4))
    chain.add("alpha", [*make_records("alpha", 3), OURS[0]])
    chain.add("bravo")
    chain.add_raw("charlie", b"garbage")
    chain.add("charlie", [make_record("charlie", 1), broken_body(make_record("charlie", 2)), OURS[1]])
    chain.add(ME, [OURS[2]])
    chain.add("bravo")
    chain.add("alpha", make_records("alpha", 2, first=10))
    chain.add("bravo")
    return chain


def blocks_of(chain: Chain) -> list[KeptBlock]:
    return [KeptBlock(step.block, step.batch) for step in chain.steps]


def retold(chain: Chain, batches: Sequence[KeptBatch]) -> list[KeptBlock]:
    """A ledger that follows from other batches: every block fits, the chain is whole."""
    state, taken, told = initial(chain.genesis), set[bytes](), []
    for batch in batches:
        step = transition(state, reopen(chain.genesis, batch), taken)
        taken |= {record.verdict.id for record in step.accepted}
        state = step.state
        told.append(KeptBlock(step.block, step.batch))
    return told


class Members:
    """The other members' nodes. `lies` says what some make of the blocks; those `away` do not answer."""

    def __init__(self, chain: Chain) -> None:
        self.names = OTHERS
        self.chain = chain
        self.lies: dict[str, Lie] = {}
        self.away: set[str] = set()
        tree = chain.state.tree
        self.cosigned: SignedNote | None = SignedNote(
            Checkpoint(chain.genesis.origin, tree.size, tree.root()).text(), ()
        )
        self.payloads: dict[str, dict[bytes, tuple[tuple[bytes, ...], bytes]]] = {name: {} for name in OTHERS}

    async def blocks(self, member: str, start: int, limit: int) -> list[KeptBlock]:
        self._require(member)
        told = self.lies.get(member, list)(blocks_of(self.chain))
        return told[start - 1 : start - 1 + limit]

    async def checkpoint(self, member: str) -> SignedNote | None:
        self._require(member)
        return self.cosigned

    async def consistency(self, member: str, old: int, new: int) -> list[bytes]:
        """The true proof: the best that a liar could give."""
        self._require(member)
        store = MemoryStore()
        for step in self.chain.steps:
            await store.commit(step, ())
        return await Prover(store, store, None, lambda: self.chain.state).consistency(old, new)

    async def payload(self, member: str, record_id: bytes) -> tuple[tuple[bytes, ...], bytes] | None:
        self._require(member)
        return self.payloads[member].get(record_id)

    def _require(self, member: str) -> None:
        if member in self.away:
            raise PeerUnavailable(f"{member} is away")


class Witnessed:
    """Stands for the cosigner: it believes what it is told, since it is told of a quorum."""

    def __init__(self) -> None:
        self.best: SignedNote | None = None

    async def receive(self, note: SignedNote) -> None:
        self.best = note

    async def witnessed_size(self, wanted: int) -> int:
        return Checkpoint.parse(self.best.text).size if self.best else 0


class Node:
    """This node: nothing applied yet."""

    def __init__(self, chain: Chain) -> None:
        self.chain, self.members, self.store = chain, Members(chain), MemoryStore()
        self.told: list[str] = []
        witnessed = Witnessed()
        self.applier = Applier(self.store, initial(chain.genesis), hint_keys, witnessed.witnessed_size)
        self.catch_up = CatchUp(self.members, witnessed, self.store, self.told.append)
        self.catch_up.attach(self.applier)

    async def run(self) -> None:
        await self.catch_up(self.applier.state)


@pytest.fixture
def node(chain: Chain, monkeypatch) -> Node:
    monkeypatch.setattr(catchup, "_PAUSE_S", 0.01)
    return Node(chain)


# --- blocks ----------------------------------------------------------------------------------------------------------


async def test_everything_comes_and_our_payloads_are_known_to_be_missing(node, chain):
    await node.run()
    assert node.applier.state == chain.state
    assert list(await node.store.blocks(1, 100)) == blocks_of(chain)
    assert [missing.id for missing in await node.store.missing(10)] == [record.header.id for record in OURS]
    assert node.told == []


async def test_it_comes_in_several_stretches_as_well(node, chain, monkeypatch):
    monkeypatch.setattr(catchup, "_CHUNK", 3)
    await node.run()
    assert node.applier.state == chain.state


def left_out(blocks):
    return blocks[1:]


def reordered(blocks):
    return [blocks[0], blocks[2], blocks[1], *blocks[3:]]


def another_verdict(blocks):
    return [*blocks[:3], replace(blocks[3], block=replace(blocks[3].block, rejections=())), *blocks[4:]]


def another_header(blocks):
    batch = blocks[0].batch
    headers = (make_record("alpha", "forged").header_bytes, *batch.headers[1:])
    return [replace(blocks[0], batch=replace(batch, headers=headers)), *blocks[1:]]


def another_root(blocks):
    return [replace(blocks[0], block=replace(blocks[0].block, root=bytes(32))), *blocks[1:]]


def refused_instead(blocks):
    """A batch of good records told as one that was garbage."""
    batches = [block.batch for block in blocks]
    batches[0] = replace(batches[0], head=b"", signature=b"", headers=(), raw=b"garbage")
    return retold(Chain(make_genesis(4)), batches)


def evidence_left_out(blocks):
    """A record with a wrong ciphertext told as a good one."""
    batches = [block.batch for block in blocks]
    batches[3] = replace(batches[3], evidence={})
    return retold(Chain(make_genesis(4)), batches)


LIES_ABOUT_RECORDS = [
    left_out, reordered, another_verdict, another_header, another_root, refused_instead, evidence_left_out,
]  # fmt: skip


@pytest.mark.parametrize("lie", LIES_ABOUT_RECORDS)
async def test_about_records_even_all_of_them_lie_in_vain(node, chain, lie):
    node.members.lies = dict.fromkeys(OTHERS, lie)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await node.run()
    assert node.applier.state.tree.size == 0
    assert not any(kept.batch.headers for kept in await node.store.blocks(1, 100))
    assert all(any(name in line for line in node.told) for name in OTHERS)


def garbage_for_a_sign_of_life(blocks):
    """The last batch of bravo, of which no later one tells, is left out, and another block made up in its place."""
    batches = [block.batch for block in blocks]
    batches[-1] = KeptBatch("intruder", 0, batches[-1].position, raw=b"?")
    return retold(Chain(make_genesis(4)), batches)


def garbage_put_in(blocks):
    """A refused batch needs nobody's signature."""
    batches = [block.batch for block in blocks]
    at = batches[0].position + 1
    return retold(Chain(make_genesis(4)), [batches[0], KeptBatch("intruder", 0, at, raw=b"?"), *batches[1:]])


def another_position(blocks):
    batches = [block.batch for block in blocks]
    batches[1] = replace(batches[1], position=batches[1].position + 1)
    return retold(Chain(make_genesis(4)), batches)


@pytest.mark.parametrize("lie", [garbage_for_a_sign_of_life, garbage_put_in, another_position, *LIES_ABOUT_RECORDS])
@pytest.mark.parametrize("liar", ["alpha", "charlie"])
async def test_one_liar_is_found_out_and_an_honest_member_helps(node, chain, lie, liar):
    node.members.lies = {liar: lie}
    await node.run()
    assert node.applier.state == chain.state
    assert list(await node.store.blocks(1, 100)) == blocks_of(chain)


async def test_a_liar_alone_is_not_believed(node, chain):
    node.members.lies, node.members.away = {"alpha": garbage_put_in}, {"bravo", "charlie"}
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await node.run()
    assert node.applier.state.height == 0
    node.members.away = {"bravo"}
    node.members.lies = {}
    await node.run()
    assert node.applier.state == chain.state


async def test_that_nobody_answers_says_nothing_about_the_log(node, chain):
    node.members.away = set(OTHERS)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await node.run()
    assert len(node.told) >= len(OTHERS)
    node.members.away = set()
    await node.run()
    assert node.applier.state == chain.state


async def test_what_no_quorum_has_cosigned_is_not_taken_and_its_absence_is_tampering(node, chain):
    node.members.cosigned = None
    with pytest.raises(Tampering, match="lacks entries"):
        await node.run()
    assert node.applier.state.height == 0


async def test_a_checkpoint_that_comes_late_is_waited_for(node, chain):
    """Trimmed by the word of a quorum, which is none any more by our count: the members cosign again in a moment."""
    late, node.members.cosigned = node.members.cosigned, None
    asked = itertools.count()

    async def checkpoint(member: str) -> SignedNote | None:
        node.members.cosigned = late if next(asked) >= 3 * len(OTHERS) else None
        return node.members.cosigned

    node.members.checkpoint = checkpoint
    await node.run()
    assert node.applier.state == chain.state


async def test_that_nobody_has_what_the_log_lost_is_tampering_once_all_have_answered(node, chain):
    await node.run()
    node.members.away = {"charlie"}
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await node.run()
    node.members.away = set()
    with pytest.raises(Tampering, match="lacks entries"):
        await node.run()


# --- payloads --------------------------------------------------------------------------------------------------------


class Opens:
    """An opener for payloads that say nothing."""

    def wraps(self, held, header):
        return (), None

    def blinded_readers(self, wraps):
        return ()


class Custody:
    def pair(self, public: bytes) -> PairKeys:
        return PairKeys(b"", HINT_KEYS[public.decode()])


@pytest.fixture
async def fetcher(node: Node) -> PayloadFetcher:
    await node.run()
    return PayloadFetcher(
        ME, node.members, node.store, node.store, Opens(), hint_keys, lambda error: None, interval_s=0
    )


def payload_of(record: SealedRecord) -> tuple[tuple[bytes, ...], bytes]:
    return record.bodies, record.wraps


async def missing(node: Node) -> list[bytes]:
    return [one.id for one in await node.store.missing(10)]


async def test_payloads_come_from_their_authors_and_our_own_from_any_party(node, fetcher):
    first, second, own = OURS
    node.members.payloads["alpha"][first.header.id] = payload_of(first)
    node.members.payloads["charlie"][second.header.id] = payload_of(second)
    node.members.payloads["bravo"][own.header.id] = payload_of(own)
    assert await fetcher.fetch() == 3
    assert await missing(node) == []
    for record in OURS:
        held = await node.store.held(record.header.id)
        assert (held.bodies, held.wraps, held.header_bytes) == (record.bodies, record.wraps, record.header_bytes)
        assert held.slots == (0,)


@pytest.mark.parametrize(
    "forge",
    [
        lambda bodies, wraps: ((bytes(len(bodies[0])),), wraps),
        lambda bodies, wraps: (bodies, bytes(len(wraps))),
        lambda bodies, wraps: ((), wraps),
        lambda bodies, wraps: ((*bodies, b""), wraps),
    ],
)
async def test_a_forged_payload_is_not_taken(node, fetcher, forge):
    first = OURS[0]
    node.members.payloads["alpha"][first.header.id] = forge(*payload_of(first))
    assert await fetcher.fetch() == 0
    assert first.header.id in await missing(node)
    node.members.payloads["alpha"][first.header.id] = payload_of(first)
    assert await fetcher.fetch() == 1


async def test_who_is_away_holds_nobody_else_up(node, fetcher, monkeypatch):
    monkeypatch.setattr(catchup, "_AT_ONCE", 1)
    second = OURS[1]
    node.members.away = {"alpha"}
    node.members.payloads["charlie"][second.header.id] = payload_of(second)
    assert await fetcher.fetch() == 1
    assert await missing(node) == [OURS[0].header.id, OURS[2].header.id]
