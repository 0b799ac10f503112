"""What every `LedgerStore` owes (consortium.ports), over the fake and over Postgres."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consortium.crypto.merkle import Tree, leaf_hash
from consortium.errors import ConfigurationError, Tampering
from consortium.ledger.state import initial
from consortium.model.blocks import KeptBlock
from consortium.model.records import Accepted, Rejected
from consortium.ports.ledger import BlockRow
from consortium.ports.party import MissingRecord
from tests.builders import (
    Chain,
    broken_body,
    broken_header,
    broken_wraps,
    held_of,
    make_genesis,
    make_record,
    make_records,
)


def mixed_chain() -> Chain:
    """Blocks of every sort: good, heartbeat, with each rejection, refused, of an unknown member."""
    chain = Chain()
    first = make_records("alpha", 5)
    chain.add("alpha", first)
    chain.add("bravo")
    chain.add(
        "bravo",
        [
            broken_body(make_record("bravo", "b")),
            make_record("bravo", "good-1"),
            broken_header(make_record("bravo", "h")),
            make_record("bravo", "copy", id=first[2].header.id),
            broken_wraps(make_record("bravo", "w", sections=2, slots=4)),
            make_record("alpha", "not-mine"),
            make_record("bravo", "good-2", sections=3),
        ],
    )
    chain.add_raw("charlie", b"garbage")
    chain.add_raw("charlie", b"")
    chain.add_raw("nobody", b"who?", sequence=7)
    chain.add("alpha", [make_record("alpha", "again", id=first[0].header.id)])
    return chain


async def fill(store, chain: Chain) -> None:
    for step in chain.steps:
        await store.ledger.commit(step, ())


async def test_an_empty_store_holds_the_initial_state(store):
    genesis = make_genesis()
    assert await store.ledger.load(genesis) == initial(genesis)
    assert await store.ledger.block(1) is None
    assert await store.ledger.block_of_size(0) is None
    assert await store.ledger.block_of_batch("alpha", 0) is None
    assert await store.ledger.blocks(1, 10) == []
    assert await store.ledger.record(bytes(16)) is None
    assert list(await store.ledger.headers(0, 10)) == []
    assert await store.ledger.tiles([(0, 0)]) == {}
    assert not await store.ledger.taken([bytes(16)])


async def test_the_state_is_loaded_as_it_was_after_every_block(store):
    chain = mixed_chain()
    for step in chain.steps:
        await store.ledger.commit(step, ())
        assert await store.ledger.load(chain.genesis) == step.state


async def test_a_member_whose_last_batch_was_refused_keeps_its_latest_time(store):
    chain = Chain()
    chain.add("alpha", make_records("alpha", 1))
    chain.add_raw("alpha", b"garbage")
    await fill(store, chain)
    loaded = await store.ledger.load(chain.genesis)
    assert loaded.members["alpha"].next_sequence == 2
    assert loaded.members["alpha"].latest_ms == chain.steps[0].block.batch_created_ms
    assert loaded.members["bravo"].latest_ms is None


@pytest.mark.parametrize("size", [255, 256, 257, 511, 512, 1000])
async def test_the_tree_is_loaded_at_the_edges_of_tiles(store, size):
    chain = Chain()
    chain.add("alpha", make_records("alpha", size - 1))
    chain.add("bravo", make_records("bravo", 1))
    await fill(store, chain)
    loaded = await store.ledger.load(chain.genesis)
    assert loaded.tree == chain.state.tree
    assert loaded.tree.size == size


async def test_a_loaded_state_goes_on_where_it_stopped(store):
    chain = mixed_chain()
    await fill(store, chain)
    loaded = await store.ledger.load(chain.genesis)
    resumed = replace(chain, steps=[replace(chain.steps[-1], state=loaded)], taken=set(chain.taken))
    straight = chain.add("charlie", make_records("charlie", 300))
    assert resumed.add("charlie", make_records("charlie", 300)).block == straight.block


async def test_another_genesis_is_refused(store):
    await fill(store, mixed_chain())
    with pytest.raises(ConfigurationError):
        await store.ledger.load(make_genesis(network="othernet"))


async def test_kept_blocks_come_back_as_they_were(store):
    chain = mixed_chain()
    await fill(store, chain)
    expected = [KeptBlock(step.block, step.batch) for step in chain.steps]
    assert list(await store.ledger.blocks(1, 100)) == expected
    assert [k.block.digest() for k in await store.ledger.blocks(1, 100)] == [s.state.digest for s in chain.steps]
    for start in range(1, len(expected) + 2):
        assert list(await store.ledger.blocks(start, 2)) == expected[start - 1 : start + 1]
    assert list(await store.ledger.blocks(1, 0)) == []


async def test_blocks_are_found_by_height_size_and_batch(store):
    chain = mixed_chain()
    await fill(store, chain)
    for step in chain.steps:
        assert await store.ledger.block(step.block.height) == step.block
        assert await store.ledger.block_of_batch(step.block.member, step.block.sequence) == step.block
    assert await store.ledger.block(len(chain.steps) + 1) is None
    assert await store.ledger.block_of_batch("alpha", 99) is None
    heights = {size: (await store.ledger.block_of_size(size)).height for size in range(8)}
    assert heights == {0: 1, 1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 3, 7: 3}
    assert await store.ledger.block_of_size(8) is None


async def test_taken_ids_are_those_of_accepted_records(store):
    chain = mixed_chain()
    await fill(store, chain)
    rejected = {r.verdict.id for step in chain.steps for r in step.rejected} - chain.taken
    asked = [*chain.taken, *rejected, bytes(16)]
    assert set(await store.ledger.taken(asked)) == chain.taken
    assert not await store.ledger.taken([])


async def test_a_record_is_found_by_its_id_the_accepted_one_first(store):
    chain = mixed_chain()
    await fill(store, chain)
    record = make_records("alpha", 5)[2]
    found = await store.ledger.record(record.header.id)
    assert found.verdict == Accepted(record.header.id, 1, 2, 2)
    assert (found.header, found.header_bytes) == (record.header, record.header_bytes)


async def test_a_rejected_record_is_found_as_its_first_rejection(store):
    chain = Chain()
    record = make_record("alpha", 1)
    chain.add("alpha", [make_record("alpha", 0), broken_body(record)])
    chain.add("alpha", [broken_wraps(record)])
    await fill(store, chain)
    found = await store.ledger.record(record.header.id)
    assert found.verdict == Rejected(record.header.id, 1, 1, "wrong-ciphertext")
    assert found.header == record.header


async def test_a_record_without_an_id_is_not_found(store):
    chain = Chain()
    chain.add("alpha", [broken_header(make_record("alpha", 1))])
    await fill(store, chain)
    assert await store.ledger.record(b"") is None


async def test_headers_and_tiles_are_the_tree(store):
    chain = Chain()
    for n in range(3):
        chain.add("alpha", make_records("alpha", 200, first=200 * n))
    await fill(store, chain)
    headers = await store.ledger.headers(0, 600)
    assert Tree().extend(map(leaf_hash, headers))[0] == chain.state.tree
    assert list(await store.ledger.headers(250, 260)) == list(headers[250:260])
    assert list(await store.ledger.headers(590, 1000)) == list(headers[590:])
    tiles = await store.ledger.tiles([(0, 0), (0, 1), (0, 2), (1, 0)])
    assert tiles == {(t.level, t.index): t.hashes for step in chain.steps for t in step.tiles}
    assert set(tiles) == {(0, 0), (0, 1)}
    assert set(await store.ledger.tiles([(0, 1)])) == {(0, 1)}


async def test_rows_come_as_they_stand_for_the_audit(store):
    chain = mixed_chain()
    await fill(store, chain)
    expected = [BlockRow(s.block, s.state.digest, s.batch.head, s.batch.signature, s.batch.raw) for s in chain.steps]
    assert list(await store.ledger.block_rows(1, 100)) == expected
    assert list(await store.ledger.block_rows(3, 2)) == expected[2:4]
    assert list(await store.ledger.block_rows(99, 2)) == []
    records = [sorted((*s.accepted, *s.rejected), key=lambda r: r.verdict.item) for s in chain.steps]
    assert list(await store.ledger.rows(1, 100)) == [row for rows in records for row in rows]
    assert list(await store.ledger.rows(3, 3)) == records[2]
    assert list(await store.ledger.rows(4, 6)) == []


async def test_the_same_commit_again_changes_nothing(store):
    chain = Chain()
    records = make_records("alpha", 3)
    step = chain.add("alpha", records)
    held = held_of(step, records[:2])
    missing = [MissingRecord(2, records[2].header.id, "alpha")]
    for _ in range(3):
        await store.ledger.commit(step, held, missing)
    chain.add("bravo", make_records("bravo", 3))
    await store.ledger.commit(chain.steps[1], ())
    await store.ledger.commit(step, held, missing)
    assert await store.ledger.load(chain.genesis) == chain.state
    assert list(await store.party.unindexed(10)) == held
    assert list(await store.party.missing(10)) == missing


async def test_another_block_at_a_stored_height_is_tampering(store):
    chain, other = Chain(), Chain()
    await store.ledger.commit(chain.add("alpha", make_records("alpha", 3)), ())
    with pytest.raises(Tampering):
        await store.ledger.commit(other.add("alpha", make_records("alpha", 2)), ())
    assert await store.ledger.load(chain.genesis) == chain.state


async def test_taken_ids_are_told_and_nothing_is_stored(store):
    chain, record = Chain(), make_record("alpha", 1)
    assert not await store.ledger.commit(chain.add("alpha", [record, make_record("alpha", 2)]), ())
    before, known = chain.state, chain.taken
    chain.taken = set()
    unaware = chain.add("bravo", [make_record("bravo", 3), make_record("bravo", 1, id=record.header.id)])
    assert len(unaware.accepted) == 2, "judged as if no id were taken"
    assert set(await store.ledger.commit(unaware, held_of(unaware, make_records("bravo", 1, first=3)))) == {
        record.header.id
    }
    assert await store.ledger.load(chain.genesis) == before
    assert not await store.party.unindexed(10)
    chain.steps.pop(), chain.entries.pop()
    chain.taken = known
    aware = chain.add("bravo", [make_record("bravo", 3), make_record("bravo", 1, id=record.header.id)])
    assert [r.verdict.reason for r in aware.rejected] == ["duplicate-id"]
    assert not await store.ledger.commit(aware, ())
    assert not await store.ledger.commit(aware, ()), "the same commit again: its own ids are not taken"
    assert await store.ledger.load(chain.genesis) == chain.state


async def test_a_block_goes_in_only_on_top_of_the_one_it_names(store):
    chain, other = Chain(), Chain()
    await store.ledger.commit(chain.add("alpha", make_records("alpha", 1)), ())
    other.add("alpha", make_records("alpha", 2))
    with pytest.raises(Tampering):
        await store.ledger.commit(other.add("bravo", make_records("bravo", 1)), ())
    chain.add("bravo")
    with pytest.raises(Tampering):
        await store.ledger.commit(chain.add("bravo"), ())
    assert (await store.ledger.load(chain.genesis)).height == 1


async def test_a_record_that_repeats_an_id_after_a_rejection_can_be_accepted(store):
    chain = Chain()
    record = make_record("alpha", 1)
    chain.add("alpha", [broken_body(record)])
    chain.add("alpha", [record])
    await fill(store, chain)
    assert (await store.ledger.record(record.header.id)).verdict == Accepted(record.header.id, 2, 0, 0)
