"""Hints: who is addressed finds its slots, nobody else does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from consortium.crypto import hints
from tests.builders import noise
from tests.builders_core import pair, x25519

ids = st.binary(min_size=16, max_size=16)


def test_both_sides_compute_the_same_key_and_no_third_does():
    mine = hints.pair_key(x25519("alpha")[0], x25519("bravo")[1])
    assert mine == hints.pair_key(x25519("bravo")[0], x25519("alpha")[1])
    assert mine != hints.pair_key(x25519("charlie")[0], x25519("alpha")[1])
    assert hints.hint_key(mine) != mine


@given(ids, st.integers(0, 5), st.data())
def test_all_my_slots_are_found_wherever_they_stand(record_id, count, data):
    key = hints.hint_key(pair("alpha", "bravo"))
    mine = [hints.hint(key, record_id, n) for n in range(count)]
    slots = data.draw(st.permutations([*mine, *(noise("other", record_id, n, size=16) for n in range(8 - count))]))
    found = hints.my_slots(key, record_id, slots)
    assert [slots[n] for n in found] == mine


@given(ids, ids)
def test_hints_of_two_records_members_or_ordinals_have_nothing_in_common(one, other):
    keys = [hints.hint_key(pair("alpha", name)) for name in ("bravo", "charlie")]
    made = [hints.hint(key, rid, n) for key in keys for rid in {one, other} for n in (0, 1)]
    assert len(set(made)) == len(made)


@given(ids)
def test_a_stranger_finds_nothing(record_id):
    key = hints.hint_key(pair("alpha", "bravo"))
    slots = [hints.hint(key, record_id, n) for n in range(4)]
    assert hints.my_slots(hints.hint_key(pair("alpha", "charlie")), record_id, slots) == ()
    assert hints.my_slots(key, bytes(16) if record_id != bytes(16) else b"\x01" * 16, slots) == ()
