"""What every `ErasureStore` owes (consortium.ports.erasure), over the fake and over Postgres."""

from __future__ import annotations

import pytest_asyncio

from consortium.ports.erasure import Destroyed
from consortium.ports.party import HeldRecord, IndexEntry, MissingRecord
from tests.builders import T0, Chain, held_of, make_records, noise

ANN = noise("party", "ann", size=16)
ORDER = noise("order", size=16)
TAGS = tuple(noise("tag", str(n), size=16) for n in range(3))
ALL = {"type": None, "from_ms": None, "to_ms": None, "after": -1, "limit": 100}


@pytest_asyncio.fixture(loop_scope="session")
async def held(store) -> list[HeldRecord]:
    """Six records: 0 to 3 held and indexed, 4 missing, 5 of no concern here."""
    chain = Chain()
    records = make_records("alpha", 6)
    step = chain.add("alpha", records)
    kept = held_of(step, records)
    await store.ledger.commit(step, kept[:4], [MissingRecord(4, kept[4].id, "alpha")])
    await store.party.add_index([IndexEntry(one.index, ANN, "reading", T0) for one in kept[:4]], 4)
    return kept


def destroyed(held: HeldRecord, *tags: bytes) -> Destroyed:
    return Destroyed(held.index, held.id, ORDER, tags)


async def test_remains_are_what_is_held_and_what_is_missing(store, held):
    found = await store.erasure.remains([one.id for one in held])
    assert [one.index for one in found] == [0, 1, 2, 3, 4]
    assert [one.held for one in found] == [*held[:4], None]
    assert [one.header_bytes for one in found] == [one.header_bytes for one in held[:5]]
    assert list(await store.erasure.remains([noise("nobody", size=16)])) == []
    assert list(await store.erasure.remains([])) == []


async def test_what_is_destroyed_is_gone_from_every_answer(store, held):
    await store.erasure.destroy([destroyed(held[1])])
    assert await store.party.held(held[1].id) is None
    assert not await store.party.is_reader(held[1].id, [ANN])
    assert [one.index for one in await store.party.find([ANN], **ALL)] == [0, 2, 3]
    assert 1 not in await store.party.kinds_of(range(6), [ANN])
    assert [one.held.index for one in await store.party.arrived(-1, 10)] == [0, 2, 3]
    assert [one.index for one in await store.erasure.remains([one.id for one in held])] == [0, 2, 3, 4]


async def test_the_ledger_stays_as_it_is(store, held):
    before = await store.ledger.headers(0, 6)
    await store.erasure.destroy([destroyed(one) for one in held])
    assert await store.ledger.headers(0, 6) == before
    stored = await store.ledger.record(held[1].id)
    assert stored is not None
    assert stored.header_bytes == held[1].header_bytes


async def test_it_is_noted_once_whatever_is_repeated(store, held):
    for _ in range(2):
        await store.erasure.destroy([destroyed(held[1], TAGS[0]), destroyed(held[5], TAGS[1])])
    ids = [one.id for one in held]
    assert set(await store.erasure.erased(ids)) == {held[1].id, held[5].id}
    assert await store.erasure.closed() == {TAGS[0], TAGS[1]}
    assert set(await store.erasure.erased([])) == set()


async def test_nothing_was_erased_at_first(store, held):
    assert set(await store.erasure.erased([one.id for one in held])) == set()
    assert await store.erasure.closed() == frozenset()
    await store.erasure.destroy([])
    assert [one.index for one in await store.erasure.remains([one.id for one in held])] == [0, 1, 2, 3, 4]


async def test_a_payload_that_was_being_fetched_does_not_come_back(store, held):
    await store.erasure.destroy([destroyed(held[4])])
    assert list(await store.party.missing(10)) == []
    await store.party.fill(held[4], [IndexEntry(4, ANN, "reading", T0)])
    assert await store.party.held(held[4].id) is None
    assert [one.index for one in await store.party.find([ANN], **ALL)] == [0, 1, 2, 3]


async def test_what_waited_behind_a_missing_one_arrives(store):
    chain = Chain()
    records = make_records("alpha", 2)
    step = chain.add("alpha", records)
    first, second = held_of(step, records)
    await store.ledger.commit(step, [second], [MissingRecord(0, first.id, "alpha")])
    assert list(await store.party.arrived(-1, 10)) == []
    await store.erasure.destroy([destroyed(first)])
    assert [one.held for one in await store.party.arrived(-1, 10)] == [second]
