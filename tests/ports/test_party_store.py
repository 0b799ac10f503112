"""What every `PartyStore` owes (consortium.ports), over the fake and over Postgres."""

from __future__ import annotations

import pytest_asyncio

from consortium.ports.party import Count, HeldRecord, IndexEntry, Kind, MissingRecord
from tests.builders import T0, Chain, held_of, make_record, make_records, noise

HOUR = 3_600_000
ANN, BOB, EVE = (noise("party", name, size=16) for name in ("ann", "bob", "eve"))
ALL = {"type": None, "from_ms": None, "to_ms": None, "after": -1, "limit": 100}


def entry(index: int, party: bytes, type: str = "reading", start_ms: int | None = None) -> IndexEntry:
    return IndexEntry(index, party, type, T0 + index * HOUR if start_ms is None else start_ms)


async def readers(store, record: HeldRecord) -> set[bytes]:
    return {party for party in (ANN, BOB, EVE) if await store.party.is_reader(record.id, [party])}


@pytest_asyncio.fixture(loop_scope="session")
async def held(store) -> list[HeldRecord]:
    """Ten held records, tree indexes 2 to 11; before them two that concern somebody else."""
    chain = Chain()
    await store.ledger.commit(chain.add("bravo", make_records("bravo", 2)), ())
    records = [make_record("alpha", n, sections=1 + n % 3, slots=2 << n % 2) for n in range(10)]
    step = chain.add("alpha", records)
    kept = held_of(step, records, slots=(0, 3))
    await store.ledger.commit(step, kept)
    return kept


async def test_an_empty_store_holds_nothing(store):
    assert await store.party.indexed_up_to() == 0
    assert list(await store.party.unindexed(10)) == []
    assert list(await store.party.missing(10)) == []
    assert await store.party.held(bytes(16)) is None
    assert not await store.party.is_reader(bytes(16), [ANN])
    assert await store.party.held(bytes(16), [ANN]) is None
    assert list(await store.party.find([ANN], **ALL)) == []


async def test_a_held_record_comes_back_as_it_was(store, held):
    for record in held:
        assert await store.party.held(record.id) == record
    assert await store.party.held(make_records("bravo", 1)[0].header.id) is None


async def test_many_held_records_come_back_for_one_question(store, held):
    others = make_records("bravo", 2)
    wanted = [held[3].id, others[0].header.id, held[0].id, bytes(16), held[3].id]
    assert await store.party.held_among(wanted) == {held[0].id: held[0], held[3].id: held[3]}
    assert await store.party.held_among([]) == {}


async def test_unindexed_records_come_in_order_until_the_mark(store, held):
    assert list(await store.party.unindexed(3)) == held[:3]
    assert list(await store.party.unindexed(100)) == held
    await store.party.add_index([entry(2, ANN), entry(4, BOB)], 5)
    assert await store.party.indexed_up_to() == 5
    assert list(await store.party.unindexed(100)) == held[3:]


async def test_indexing_again_changes_nothing_and_the_mark_never_goes_back(store, held):
    await store.party.add_index([entry(2, ANN)], 8)
    await store.party.add_index([], 8)
    await store.party.add_index([entry(2, ANN), entry(2, ANN)], 3)
    assert await store.party.indexed_up_to() == 8
    assert await readers(store, held[0]) == {ANN}
    assert list(await store.party.find([ANN], **ALL)) == held[:1]


async def test_readers_are_the_parties_of_one_record(store, held):
    await store.party.add_index([entry(2, ANN), entry(2, BOB), entry(3, EVE)], 4)
    assert await readers(store, held[0]) == {ANN, BOB}
    assert await readers(store, held[1]) == {EVE}
    assert await readers(store, held[2]) == set()


async def test_a_record_is_held_for_its_readers_and_for_nobody_else(store, held):
    await store.party.add_index([entry(2, ANN), entry(2, BOB), entry(3, EVE)], 4)
    for parties in ([ANN], [BOB], [ANN, EVE], [EVE, BOB]):
        assert await store.party.held(held[0].id, parties) == held[0]
        assert await store.party.is_reader(held[0].id, parties)
    for parties in ([EVE], [noise("party", "mallory", size=16)], []):
        assert await store.party.held(held[0].id, parties) is None
        assert not await store.party.is_reader(held[0].id, parties)
    assert await store.party.held(held[2].id, [ANN, BOB, EVE]) is None


async def test_kinds_are_told_of_ones_own_records_and_of_no_others(store, held):
    await store.party.add_index([entry(2, ANN), entry(2, BOB), entry(3, EVE, "trade"), entry(4, ANN, "order", 7)], 5)
    assert await store.party.kinds_of([2, 3, 4, 99], [ANN]) == {2: Kind("reading", T0 + 2 * HOUR), 4: Kind("order", 7)}
    assert await store.party.kinds_of([2, 3], [BOB, EVE]) == {
        2: Kind("reading", T0 + 2 * HOUR),
        3: Kind("trade", T0 + 3 * HOUR),
    }
    assert await store.party.kinds_of([], [ANN]) == await store.party.kinds_of([-1, 5], [ANN]) == {}
    assert await store.party.kinds_of([2, 3, 4], []) == {}


async def test_the_census_counts_by_party_and_type(store, held):
    assert list(await store.party.census()) == []
    lines = [entry(2, ANN), entry(2, BOB), entry(3, ANN), entry(4, ANN, "order"), entry(5, EVE, "order")]
    await store.party.add_index(lines, 6)
    found = [Count(ANN, "reading", 2), Count(ANN, "order", 1), Count(BOB, "reading", 1), Count(EVE, "order", 1)]
    assert list(await store.party.census()) == sorted(found, key=lambda one: (one.party, one.type))


async def test_find_gives_the_records_of_the_named_parties_each_once_in_order(store, held):
    await store.party.add_index([entry(5, BOB), entry(3, ANN), entry(5, ANN), entry(2, BOB), entry(4, EVE)], 12)
    assert list(await store.party.find([ANN], **ALL)) == [held[1], held[3]]
    assert list(await store.party.find([ANN, BOB], **ALL)) == [held[0], held[1], held[3]]
    assert list(await store.party.find([noise("party", "mallory", size=16)], **ALL)) == []
    assert list(await store.party.find([], **ALL)) == []
    assert list(await store.party.find([ANN, BOB, EVE], **ALL)) == held[:4]


async def test_find_by_type_and_period_takes_the_start_and_leaves_the_end(store, held):
    lines = [entry(i, ANN, "reading" if i % 2 else "order") for i in range(2, 12)]
    await store.party.add_index(lines, 12)

    async def indexes(**filters) -> list[int]:
        return [h.index for h in await store.party.find([ANN], **(ALL | filters))]

    assert await indexes(type="reading") == [3, 5, 7, 9, 11]
    assert await indexes(type="trade") == []
    assert await indexes(from_ms=T0 + 4 * HOUR, to_ms=T0 + 7 * HOUR) == [4, 5, 6]
    assert await indexes(type="order", from_ms=T0 + 4 * HOUR) == [4, 6, 8, 10]
    assert await indexes(type="order", to_ms=T0 + 4 * HOUR) == [2]
    assert await indexes(from_ms=T0 + 4 * HOUR + 1, to_ms=T0 + 5 * HOUR) == []


async def test_find_pages_by_tree_index(store, held):
    lines = [entry(i, party) for i in range(2, 12) for party in ((ANN, BOB) if i % 3 else (EVE,))]
    await store.party.add_index(lines, 12)
    pages, after = [], -1
    while page := await store.party.find([ANN, BOB, EVE], **(ALL | {"after": after, "limit": 4})):
        pages.append([h.index for h in page])
        after = page[-1].index
    assert pages == [[2, 3, 4, 5], [6, 7, 8, 9], [10, 11]]


async def test_a_missing_payload_is_struck_off_when_it_comes(store):
    chain = Chain()
    records = make_records("alpha", 3)
    step = chain.add("alpha", records)
    first, second, third = held_of(step, records)
    wanted = [MissingRecord(h.index, h.id, "alpha") for h in (first, third)]
    await store.ledger.commit(step, [second], wanted)
    assert list(await store.party.missing(10)) == wanted
    assert list(await store.party.missing(1)) == wanted[:1]
    assert await store.party.held(first.id) is None

    for _ in range(2):
        await store.party.fill(first, [entry(0, ANN)])
    assert list(await store.party.missing(10)) == wanted[1:]
    assert await store.party.held(first.id) == first
    assert await readers(store, first) == {ANN}
    assert list(await store.party.find([ANN], **ALL)) == [first]


async def test_a_payload_that_comes_before_the_index_is_built_is_indexed_once(store):
    chain = Chain()
    records = make_records("alpha", 2)
    step = chain.add("alpha", records)
    first, second = held_of(step, records)
    await store.ledger.commit(step, [first], [MissingRecord(1, second.id, "alpha")])
    await store.party.fill(second, [])
    assert list(await store.party.unindexed(10)) == [first, second]
    await store.party.add_index([entry(0, ANN), entry(1, ANN)], 2)
    assert list(await store.party.find([ANN], **ALL)) == [first, second]


async def test_what_arrived_is_told_in_order_up_to_the_first_that_is_missing(store, held):
    arrived = await store.party.arrived(-1, 100)
    assert [one.held for one in arrived] == held
    assert len({one.time_ms for one in arrived}) == 1
    assert [one.held for one in await store.party.arrived(4, 3)] == held[3:6]
    assert list(await store.party.arrived(11, 100)) == []


async def test_what_is_fetched_later_arrives_in_its_turn(store):
    chain = Chain()
    records = make_records("alpha", 3)
    step = chain.add("alpha", records)
    first, second, third = held_of(step, records)
    await store.ledger.commit(step, [first, third], [MissingRecord(second.index, second.id, "alpha")])
    assert [one.held for one in await store.party.arrived(-1, 100)] == [first]
    await store.party.fill(second, [])
    assert [one.held for one in await store.party.arrived(-1, 100)] == [first, second, third]
