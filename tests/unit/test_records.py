"""Headers and batches: parsing is the exact inverse of encoding, and refuses everything else as `Malformed`."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortium.errors import Malformed
from consortium.model.batches import (
    MAX_BATCH_RECORDS,
    BatchHead,
    WireRecord,
    encode_batch,
    parse_batch,
    parse_head,
    parse_wire_record,
)
from consortium.model.encoding import encode
from consortium.model.records import MAX_TIME_MS, SEALED, Header, SealedRecord, SectionSeal, parse_header
from tests.builders import make_record, noise
from tests.unit.test_names import names

digests = st.binary(min_size=32, max_size=32)
seals = st.builds(SectionSeal, digests, digests, st.integers(1, (1 << 20) - 1))
hints = st.sampled_from([2, 4, 8, 16, 32, 64]).flatmap(lambda n: st.binary(min_size=16 * n, max_size=16 * n))
headers = st.builds(
    Header,
    id=st.binary(min_size=16, max_size=16),
    kind=st.just(SEALED),
    author=names,
    created_ms=st.integers(0, MAX_TIME_MS - 1),
    sections=st.lists(seals, min_size=1, max_size=8).map(tuple),
    hints=hints,
    wraps_digest=digests,
)
heads = st.builds(
    BatchHead,
    network=names,
    channel=names,
    epoch=st.integers(0, (1 << 32) - 1),
    member=names,
    sequence=st.integers(0, (1 << 53) - 1),
    created_ms=st.integers(0, MAX_TIME_MS - 1),
    count=st.integers(0, MAX_BATCH_RECORDS),
    root=digests,
)
wires = st.builds(
    WireRecord, st.binary(max_size=40), st.lists(st.binary(max_size=40), max_size=3).map(tuple), st.binary()
)


@given(headers)
def test_a_header_is_parsed_as_it_was_encoded(header):
    assert parse_header(header.encoded()) == header
    assert len(header.slots()) * 16 == len(header.hints)
    assert b"".join(header.slots()) == header.hints


@given(heads)
def test_a_head_is_parsed_as_it_was_encoded(head):
    assert parse_head(head.encoded()) == head


@given(wires)
def test_a_wire_record_is_parsed_as_it_was_encoded(wire):
    assert parse_wire_record(wire.encoded()) == wire


@given(st.binary(max_size=60), st.binary(min_size=64, max_size=64), st.lists(wires, max_size=4))
def test_a_batch_is_parsed_as_it_was_encoded(head, signature, records):
    sealed = [SealedRecord(make_record("alpha", 0).header, w.header, w.bodies, w.wraps) for w in records]
    batch = parse_batch(encode_batch(head, signature, sealed))
    assert (batch.head, batch.signature, list(batch.records)) == (head, signature, records)


@given(st.binary(max_size=300))
def test_random_bytes_raise_nothing_but_malformed(data):
    for parse in (parse_header, parse_head, parse_batch, parse_wire_record):
        with pytest.raises(Malformed):
            parse(data)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.binary(max_size=70) | st.text(max_size=5) | st.floats(),
    lambda inner: st.lists(inner, max_size=10) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=20,
)


@given(st.lists(json_like, min_size=9, max_size=9))
def test_nine_random_fields_raise_nothing_but_malformed(fields):
    for first in (fields[0], 1):
        data = encode([first, *fields[1:]])
        for parse in (parse_header, parse_head):
            with pytest.raises(Malformed):
                parse(data)


@given(headers, st.data())
def test_a_changed_byte_of_a_header_gives_another_header_or_malformed(header, data):
    encoded = bytearray(header.encoded())
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        other = parse_header(bytes(encoded))
    except Malformed:
        return
    assert other != header
    assert other.encoded() == bytes(encoded)


def header_fields() -> list:
    header = make_record("alpha", "fields", sections=2).header
    seals = [[s.commitment, s.digest, s.size_class] for s in header.sections]
    return [1, header.id, SEALED, "alpha", 1000, seals, header.hints, header.wraps_digest, None]


def test_the_fields_used_below_are_good():
    assert parse_header(encode(header_fields())).author == "alpha"


SEAL = [noise("c"), noise("d"), 256]
BAD_HEADER_FIELDS = {
    "version 0": (0, 0),
    "version 2": (0, 2),
    "version true": (0, True),
    "version 1.0": (0, 1.0),
    "version text": (0, "1"),
    "id too short": (1, bytes(15)),
    "id too long": (1, bytes(17)),
    "id text": (1, "0" * 16),
    "unknown kind": (2, "trade"),
    "kind bytes": (2, b"sealed"),
    "kind in a list": (2, ["sealed"]),
    "kind a map": (2, {}),
    "author no name": (3, "Alpha"),
    "author a party": (3, "home@alpha"),
    "author empty": (3, ""),
    "author bytes": (3, b"alpha"),
    "created negative": (4, -1),
    "created too late": (4, MAX_TIME_MS),
    "created a float": (4, 1000.0),
    "created a bool": (4, True),
    "no sections": (5, []),
    "nine sections": (5, [SEAL] * 9),
    "sections a map": (5, {}),
    "a section of two": (5, [SEAL[:2]]),
    "a section of four": (5, [[*SEAL, 0]]),
    "a section that is bytes": (5, [b""]),
    "commitment too short": (5, [[bytes(31), SEAL[1], 256]]),
    "digest too long": (5, [[SEAL[0], bytes(33), 256]]),
    "digest text": (5, [[SEAL[0], "d" * 32, 256]]),
    "size class 0": (5, [[*SEAL[:2], 0]]),
    "size class negative": (5, [[*SEAL[:2], -256]]),
    "size class too large": (5, [[*SEAL[:2], 1 << 20]]),
    "size class a bool": (5, [[*SEAL[:2], True]]),
    "size class a float": (5, [[*SEAL[:2], 256.0]]),
    "no hints": (6, b""),
    "one hint": (6, bytes(16)),
    "three hints": (6, bytes(48)),
    "128 hints": (6, bytes(16 * 128)),
    "half a hint": (6, bytes(40)),
    "hints text": (6, "0" * 32),
    "wraps digest too short": (7, bytes(31)),
    "wraps digest none": (7, None),
    "a body": (8, b""),
    "a body of text": (8, ""),
}


@pytest.mark.parametrize("name", BAD_HEADER_FIELDS)
def test_each_broken_field_of_a_header_is_malformed(name):
    at, value = BAD_HEADER_FIELDS[name]
    fields = header_fields()
    fields[at] = value
    with pytest.raises(Malformed):
        parse_header(encode(fields))


@pytest.mark.parametrize("change", [lambda f: f[:-1], lambda f: [*f, None], lambda f: {"a": f}, lambda f: f[0]])
def test_a_header_has_nine_fields(change):
    with pytest.raises(Malformed):
        parse_header(encode(change(header_fields())))


HEAD = [1, "testnet", "main", 1, "alpha", 0, 1000, 3, noise("root")]
BAD_HEAD_FIELDS = {
    "version": (0, 2),
    "version a bool": (0, True),
    "network": (1, "Testnet"),
    "network bytes": (1, b"testnet"),
    "channel": (2, ""),
    "epoch negative": (3, -1),
    "epoch too large": (3, 1 << 32),
    "epoch a bool": (3, True),
    "member": (4, "home@alpha"),
    "sequence negative": (5, -1),
    "sequence too large": (5, 1 << 53),
    "sequence a float": (5, 0.0),
    "created negative": (6, -1),
    "created too late": (6, MAX_TIME_MS),
    "count negative": (7, -1),
    "count too large": (7, MAX_BATCH_RECORDS + 1),
    "count a bool": (7, False),
    "root too short": (8, bytes(31)),
    "root text": (8, "r" * 32),
}


@pytest.mark.parametrize("name", BAD_HEAD_FIELDS)
def test_each_broken_field_of_a_head_is_malformed(name):
    at, value = BAD_HEAD_FIELDS[name]
    assert parse_head(encode(HEAD)).count == 3
    with pytest.raises(Malformed):
        parse_head(encode([*HEAD[:at], value, *HEAD[at + 1 :]]))


@pytest.mark.parametrize("fields", [HEAD[:-1], [*HEAD, 0], [], {}, 1, None])
def test_a_head_has_nine_fields(fields):
    with pytest.raises(Malformed):
        parse_head(encode(fields))


RECORD = [b"header", [b"body"], b"wraps"]
BAD_BATCHES = {
    "two parts": [b"head", bytes(64)],
    "four parts": [b"head", bytes(64), [], 0],
    "a map": {"head": b""},
    "head text": ["head", bytes(64), []],
    "head a list": [[b"head"], bytes(64), []],
    "signature too short": [b"head", bytes(63), []],
    "signature too long": [b"head", bytes(65), []],
    "signature text": [b"head", "s" * 64, []],
    "records bytes": [b"head", bytes(64), b""],
    "records a map": [b"head", bytes(64), {}],
    "a record of two": [b"head", bytes(64), [RECORD[:2]]],
    "a record of four": [b"head", bytes(64), [[*RECORD, 0]]],
    "a header of text": [b"head", bytes(64), [["header", [b"body"], b"wraps"]]],
    "bodies bytes": [b"head", bytes(64), [[b"header", b"body", b"wraps"]]],
    "a body of text": [b"head", bytes(64), [[b"header", ["body"], b"wraps"]]],
    "a body of a float": [b"head", bytes(64), [[b"header", [1.5], b"wraps"]]],
    "wraps none": [b"head", bytes(64), [[b"header", [b"body"], None]]],
    "a good record, then a bad one": [b"head", bytes(64), [RECORD, b""]],
}


@pytest.mark.parametrize("name", BAD_BATCHES)
def test_a_batch_of_another_shape_is_malformed(name):
    assert parse_batch(encode([b"head", bytes(64), [RECORD]])).records[0].bodies == (b"body",)
    with pytest.raises(Malformed):
        parse_batch(encode(BAD_BATCHES[name]))


def test_the_wire_size_is_an_upper_bound():
    for slots in (2, 16, 64):
        for sections in (1, 3, 8):
            record = make_record("alpha", (slots, sections), slots=slots, sections=sections)
            alone = len(encode_batch(b"", bytes(64), [])), len(encode_batch(b"", bytes(64), [record]))
            assert alone[1] - alone[0] <= record.wire_size()


def test_steps_of_a_record_cannot_be_changed():
    header = make_record("alpha", 1).header
    with pytest.raises(dataclasses.FrozenInstanceError):
        header.author = "bravo"
