"""`RekeyStore`: what a node rewrites when its keys change, in memory and on Postgres."""

from __future__ import annotations

import pytest_asyncio

from consortium.ports.erasure import Destroyed
from consortium.ports.party import IndexEntry
from tests.builders import T0, Chain, held_of, make_records, noise


@pytest_asyncio.fixture(loop_scope="session")
async def filled(store):
    """Three held records of a party."""
    chain, records = Chain(), make_records("alpha", 3)
    step = chain.add("alpha", records)
    held = held_of(step, records, slots=(0, 1))
    await store.ledger.commit(step, held)
    await store.party.add_index([IndexEntry(h.index, noise("tag", size=16), "reading", T0) for h in held], 3)
    return held


async def test_held_records_come_in_order_page_by_page(store, filled):
    first = await store.rekey.held_after(-1, 2)
    assert [h.index for h in first] == [0, 1]
    assert [h.index for h in await store.rekey.held_after(1, 2)] == [2]
    assert await store.rekey.missing_count() == 0


async def test_rewraps_are_found_with_their_record_wherever_it_is_read(store, filled):
    boxes = (b"first", b"second")
    await store.rekey.add_rewraps(filled[1], boxes)
    await store.rekey.add_rewraps(filled[1], (b"other", b"ones"))
    tag = noise("tag", size=16)
    assert [h.rewraps for h in await store.rekey.held_after(-1, 10)] == [(), boxes, ()]
    assert (await store.party.held(filled[1].id)).rewraps == boxes
    assert (await store.party.held(filled[1].id, [tag])).rewraps == boxes
    found = await store.party.find([tag], type=None, from_ms=None, to_ms=None, after=-1, limit=10)
    assert [h.rewraps for h in found] == [(), boxes, ()]
    assert [a.held.rewraps for a in await store.party.arrived(-1, 10)] == [(), boxes, ()]


async def test_boxes_are_replaced_one_by_one_and_only_where_they_stand(store, filled):
    await store.rekey.add_rewraps(filled[0], (b"a", b"b"))
    await store.rekey.add_rewraps(filled[2], (b"c",))
    assert "rewrap" in store.rekey.kinds
    first = await store.rekey.sealed_after("rewrap", None, 2)
    rest = await store.rekey.sealed_after("rewrap", first[-1].key, 2)
    assert [(row.key, row.sealed) for row in (*first, *rest)] == [((0, 0), b"a"), ((0, 1), b"b"), ((2, 0), b"c")]
    assert await store.rekey.replace_sealed(first[1], b"B")
    assert not await store.rekey.replace_sealed(first[1], b"again"), "it says another thing by now"
    assert [row.sealed for row in await store.rekey.sealed_after("rewrap", None, 9)] == [b"a", b"B", b"c"]


async def test_every_place_can_be_read(store, filled):
    for kind in store.rekey.kinds:
        rows = await store.rekey.sealed_after(kind, None, 5)
        if rows:
            await store.rekey.sealed_after(kind, rows[-1].key, 5)


async def test_of_a_record_that_was_erased_nothing_is_kept(store, filled):
    await store.rekey.add_rewraps(filled[0], (b"a", b"b"))
    await store.erasure.destroy([Destroyed(filled[0].index, filled[0].id, noise("order", size=16))])
    assert await store.rekey.sealed_after("rewrap", None, 5) == []
    await store.rekey.add_rewraps(filled[0], (b"a", b"b"))
    assert await store.rekey.sealed_after("rewrap", None, 5) == []
