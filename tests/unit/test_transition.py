"""Transition: verdicts, time, sequence, chain; a pure function of state, batch and taken ids."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consortium.crypto.merkle import leaf_hash, root_of
from consortium.errors import Tampering
from consortium.ledger.state import LedgerState, MemberState, initial, ledger_time
from consortium.model.blocks import LogEntry
from consortium.model.verdicts import RecordRefusal
from tests.builders import T0, Chain, apply, broken_body, make_batch, make_genesis, make_record, make_records
from tests.random_logs import GENESIS, cook, logs, replace_id


def test_the_first_block_stands_on_the_genesis():
    chain = Chain(GENESIS)
    step = chain.add("alpha", make_records("alpha", 2))
    assert step.block.previous == GENESIS.digest()
    assert (step.block.height, step.block.size, step.block.epoch) == (1, 2, 1)
    assert step.block.root == root_of([leaf_hash(r.header_bytes) for r in step.accepted])
    assert [r.verdict.index for r in step.accepted] == [0, 1]


def test_blocks_are_chained():
    chain = cook([])
    for member in ("alpha", "bravo", "alpha", "charlie"):
        chain.add(member, [make_record(member, len(chain.steps))])
    for before, after in zip(chain.steps, chain.steps[1:], strict=False):
        assert after.block.previous == before.block.digest() == before.state.digest


@settings(max_examples=60, deadline=None)
@given(logs)
def test_the_laws_of_any_log(recipes):
    chain = cook(recipes)
    accepted, heights, time_ms = [], [], 0
    for step in chain.steps:
        block = step.block
        heights.append(block.height)
        accepted += [r.header_bytes for r in step.accepted]
        assert block.time_ms >= time_ms, "the ledger's time never goes back"
        time_ms = block.time_ms
        assert block.size == len(accepted)
        assert block.root == root_of([leaf_hash(h) for h in accepted])
        assert block.count == len(step.accepted) + len(step.rejected)
        assert sorted(r.verdict.item for r in (*step.accepted, *step.rejected)) == list(range(block.count))
        assert block.rejections == tuple((r.verdict.item, r.verdict.reason) for r in step.rejected)
        if block.refusal:
            assert (block.count, block.batch_created_ms, step.batch.headers) == (0, 0, ())
            assert step.batch.raw == chain.entries[block.height - 1].data
        else:
            assert step.batch.raw is None
    assert heights == list(range(1, len(recipes) + 1))
    assert len(chain.taken) == len(accepted), "no id twice"


@settings(max_examples=30, deadline=None)
@given(logs)
def test_the_same_log_gives_the_same_ledger(recipes):
    assert cook(recipes).steps == cook(recipes).steps


def test_an_id_is_accepted_once_for_ever():
    chain = Chain(GENESIS)
    record = make_record("alpha", 1)
    chain.add("alpha", [record])
    again = chain.add("alpha", [record, make_record("alpha", 2)])
    assert again.block.rejections == ((0, RecordRefusal.DUPLICATE_ID),)
    assert [r.verdict.index for r in again.accepted] == [1]
    other = chain.add("bravo", [make_record("bravo", 3, id=record.header.id)])
    assert other.block.rejections == ((0, RecordRefusal.DUPLICATE_ID),)


def test_an_id_twice_in_one_batch_is_accepted_once():
    first = make_record("alpha", 1)
    step = Chain(GENESIS).add("alpha", [first, replace_id(make_record("alpha", 2), first)])
    assert step.block.rejections == ((1, RecordRefusal.DUPLICATE_ID),)


def test_a_rejected_record_does_not_take_its_id():
    chain = Chain(GENESIS)
    record = make_record("alpha", 1)
    assert chain.add("alpha", [broken_body(record)]).block.rejections == ((0, RecordRefusal.WRONG_CIPHERTEXT),)
    assert chain.add("alpha", [record]).block.rejections == ()
    both = make_record("alpha", 2)
    assert chain.add("alpha", [broken_body(both), both]).block.rejections == ((0, RecordRefusal.WRONG_CIPHERTEXT),)


def test_a_refused_batch_takes_its_number_and_its_place():
    chain = Chain(GENESIS)
    refused = chain.add_raw("alpha", b"garbage")
    assert refused.block.refusal == "malformed"
    assert refused.state.next_sequence("alpha") == 1
    assert chain.add("alpha", make_records("alpha", 1)).block.height == 2


def test_an_unknown_members_entries_have_no_numbers():
    chain = Chain(GENESIS)
    for sequence in (5, 5, 0):
        assert chain.add_raw("nobody", b"", sequence=sequence).block.refusal == "malformed"
    assert "nobody" not in chain.state.members
    assert chain.state.height == 3


@pytest.mark.parametrize("sequence", [0, 1, 3, 99])
@pytest.mark.parametrize("good", [True, False])
def test_gaps_and_replays_are_tampering(sequence, good):
    chain = Chain(GENESIS)
    chain.add("alpha")
    chain.add("alpha")
    data = make_batch(GENESIS, "alpha", sequence, T0) if good else b"garbage"
    with pytest.raises(Tampering, match="alpha"):
        apply(chain.state, LogEntry("alpha", sequence, 100, data))
    assert apply(chain.state, LogEntry("alpha", 2, 100, data)).block.height == 3


@pytest.mark.parametrize("position", [-1, 0, 5, 6])
def test_a_position_that_does_not_rise_is_tampering(position):
    chain = Chain(GENESIS)
    chain.add("alpha")
    chain.add("alpha")
    assert chain.state.position == 6
    with pytest.raises(Tampering, match="position"):
        apply(chain.state, LogEntry("bravo", 0, position, make_batch(GENESIS, "bravo", 0, T0)))


def state_with(times: list[int | None], time_ms: int = 0) -> LedgerState:
    genesis = make_genesis(len(times))
    members = {m.name: MemberState(0, t) for m, t in zip(genesis.members, times, strict=True)}
    return replace(initial(genesis), time_ms=time_ms, members=members)


@pytest.mark.parametrize(
    ("times", "median"),
    [
        ([None, None, None], 0),
        ([7, None, None], 0),
        ([7, 9, None], 7),
        ([1, 2, 3], 2),
        ([3, 1, 2], 2),
        ([1, 2, 3, 4], 2),
        ([10**12, 5, 6], 6),
        ([0, 5, 6], 5),
        ([10**12, 10**12, 5, 6], 6),
    ],
)
def test_the_ledgers_time_is_the_lower_median(times, median):
    state = state_with(times)
    assert ledger_time(state, state.members) == median


@given(st.lists(st.none() | st.integers(0, 1 << 47), min_size=3, max_size=8), st.integers(0, 1 << 47))
def test_time_never_goes_back(times, now):
    state = state_with(times, now)
    assert ledger_time(state, state.members) >= now


@given(st.lists(st.none() | st.integers(0, 1000), min_size=3, max_size=8), st.integers(0, 1 << 46), st.data())
def test_no_single_member_moves_the_time_beyond_the_others(times, wrong, data):
    liar = data.draw(st.integers(0, len(times) - 1))
    others = [t or 0 for i, t in enumerate(times) if i != liar]
    state = state_with([wrong if i == liar else t for i, t in enumerate(times)])
    assert min(others) <= ledger_time(state, state.members) <= max(others)


def test_a_clock_that_runs_wild_moves_nobody():
    chain = Chain(GENESIS)
    for member in ("alpha", "bravo", "charlie"):
        chain.add(member)
    before = chain.state.time_ms
    chain.now_ms += 10**10
    assert chain.add("alpha").block.time_ms <= before + 2000
    chain.now_ms = T0
    assert chain.add("alpha").block.time_ms >= before


def test_a_refused_batch_does_not_move_the_time():
    chain = Chain(GENESIS)
    chain.add("alpha")
    time_ms = chain.state.time_ms
    step = chain.add_raw("alpha", make_batch(GENESIS, "alpha", 9, T0 + 10**9))
    assert (step.block.refusal, step.block.time_ms) == ("misplaced", time_ms)


def test_states_are_values():
    chain = Chain(GENESIS)
    before = initial(GENESIS)
    step = chain.add("alpha", make_records("alpha", 3))
    assert before == initial(GENESIS)
    assert step.state.tree.size == 3
    assert before.tree.size == 0
