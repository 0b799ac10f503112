"""The wire form of kept blocks."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortium.errors import Malformed
from consortium.model.blocks import Block, KeptBatch, KeptBlock
from consortium.model.encoding import decode, encode
from consortium.model.kept import decode_kept_block, encode_kept_block
from tests.unit.test_records import digests

numbers = st.integers(0, (1 << 53) - 1)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
rejections = st.dictionaries(st.integers(0, 4095), words, max_size=4).map(lambda d: tuple(sorted(d.items())))


@st.composite
def kept_blocks(draw):
    place = draw(words), draw(numbers), draw(numbers)
    if draw(st.booleans()):
        batch = KeptBatch(*place, raw=draw(st.binary(max_size=60)))
    else:
        evidence = draw(st.dictionaries(st.integers(0, 4095), st.binary(max_size=30), max_size=4))
        headers = tuple(draw(st.lists(st.binary(max_size=30), max_size=4)))
        batch = KeptBatch(
            *place, draw(st.binary(max_size=60)), draw(st.binary(min_size=64, max_size=64)), headers, evidence
        )
    block = Block(
        height=draw(numbers),
        previous=draw(digests),
        epoch=draw(numbers),
        position=place[2],
        member=place[0],
        sequence=place[1],
        batch_digest=draw(digests),
        batch_created_ms=draw(numbers),
        time_ms=draw(numbers),
        refusal=draw(words),
        count=draw(numbers),
        rejections=draw(rejections),
        size=draw(numbers),
        root=draw(digests),
    )
    return KeptBlock(block, batch)


@given(kept_blocks())
def test_a_kept_block_is_read_as_it_was_written(kept):
    data = encode_kept_block(kept)
    assert decode_kept_block(data) == kept
    assert decode_kept_block(data).block.digest() == kept.block.digest()


@given(st.binary(max_size=300))
def test_random_bytes_are_malformed(data):
    with pytest.raises(Malformed):
        decode_kept_block(data)


@given(kept_blocks(), st.data())
def test_a_changed_byte_gives_another_block_or_malformed(kept, data):
    encoded = bytearray(encode_kept_block(kept))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        other = decode_kept_block(bytes(encoded))
    except Malformed:
        return
    assert other != kept


GOOD = encode_kept_block(
    KeptBlock(
        Block(1, bytes(32), 1, 3, "alpha", 0, bytes(32), 5, 5, "", 2, ((1, "duplicate-id"),), 1, bytes(32)),
        KeptBatch("alpha", 0, 3, b"head", bytes(64), (b"a", b"b"), {1: b"e"}),
    )
)


def thawed(value):
    return [thawed(item) for item in value] if isinstance(value, tuple) else value


def broken(path, value):
    raw = thawed(decode(GOOD))
    spot = raw
    for step in path[:-1]:
        spot = spot[step]
    spot[path[-1]] = value
    return encode(raw)


@pytest.mark.parametrize("field", range(15))
@pytest.mark.parametrize("value", [None, -1, True, "x" * 32 + "\x00", b"short", [], {}], ids=repr)
def test_a_block_field_of_a_wrong_type_is_malformed(field, value):
    fine = {5: str, 10: str}  # member and refusal are any text
    if type(value) is fine.get(field) or (field == 12 and value == []):
        assert decode_kept_block(broken((1, field), value))
        return
    with pytest.raises(Malformed):
        decode_kept_block(broken((1, field), value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((0,), 2),
        ((0,), True),
        ((1,), []),
        ((2,), None),
        ((2,), "raw"),
        ((2,), [b"head", bytes(64), []]),
        ((2, 0), "head"),
        ((2, 1), bytes(63)),
        ((2, 2), [1]),
        ((2, 2), b""),
        ((2, 3), [[1, "e"]]),
        ((2, 3), [[1, b"e", 0]]),
        ((2, 3), [[-1, b"e"]]),
        ((2, 3), [[True, b"e"]]),
        ((2, 3), [[2, b"e"], [1, b"e"]]),
        ((2, 3), [[1, b"e"], [1, b"f"]]),
        ((1, 12), [[1, "a"], [0, "b"]]),
        ((1, 12), [[1, b"a"]]),
    ],
)
def test_each_broken_part_is_malformed(path, value):
    with pytest.raises(Malformed):
        decode_kept_block(broken(path, value))


def test_every_field_of_a_block_is_in_its_digest():
    block = decode_kept_block(GOOD).block
    other = {int: 77, bytes: b"\x01" * 32, str: "x", tuple: ((0, "x"),)}
    changed = [
        dataclasses.replace(block, **{field.name: other[type(getattr(block, field.name))]})
        for field in dataclasses.fields(block)
    ]
    assert len({b.digest() for b in [block, *changed]}) == 15
