"""Deterministic CBOR: the laws of `consortium.model.encoding`."""

from __future__ import annotations

import contextlib
import struct

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortium.errors import Malformed
from consortium.model.encoding import MAX_DEPTH, decode, decode_flat, encode, encode_ordered

ints = st.integers(-(1 << 63), (1 << 63) - 1)
text = st.text(st.characters(exclude_categories=["Cs"]))
plain = st.recursive(
    st.none() | st.booleans() | ints | st.binary() | text,
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)


def thawed(value):
    """Frozen maps as dicts, so that they compare."""
    if isinstance(value, tuple):
        return tuple(thawed(item) for item in value)
    return {key: thawed(item) for key, item in value.items()} if hasattr(value, "items") else value


@given(plain)
def test_what_is_encoded_decodes_to_itself(value):
    assert thawed(decode(encode(value))) == value


@given(plain)
def test_types_survive(value):
    def shape(v):
        if isinstance(v, tuple):
            return [shape(i) for i in v]
        return sorted((k, str(shape(i))) for k, i in v.items()) if hasattr(v, "items") else type(v)

    assert shape(decode(encode(value))) == shape(value)


@given(st.dictionaries(text, ints, min_size=2))
def test_the_order_of_keys_does_not_matter_and_is_the_rfcs(value):
    turned = dict(reversed(list(value.items())))
    assert encode(turned) == encode(value)
    keys = [cbor2.dumps(key) for key in decode(encode(value))]
    assert keys == sorted(keys), "RFC 8949 section 4.2.1: bytewise order of the encoded keys"


@given(st.binary(max_size=200))
def test_random_bytes_are_malformed_or_canonical(data):
    for read, write in ((decode, encode), (decode_flat, encode_ordered)):
        try:
            value = read(data)
        except Malformed:
            continue
        assert write(value) == data


flat = st.recursive(
    st.none() | st.booleans() | ints | st.binary() | text, lambda inner: st.lists(inner, max_size=4).map(tuple)
)


@given(flat)
def test_without_maps_the_short_way_is_the_same(value):
    data = encode(value)
    assert encode_ordered(value) == data
    assert decode_flat(data) == decode(data) == value


@given(plain, st.data())
def test_a_changed_byte_never_decodes_to_the_same_value(value, data):
    encoded = bytearray(encode(value))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))
    try:
        other = decode(bytes(encoded))
    except Malformed:
        return
    assert encode(other) != encode(value)


REFUSED = {
    "non-minimal int, one byte": "1817",
    "non-minimal int, two bytes": "1900ff",
    "non-minimal int, four bytes": "1a0000ffff",
    "non-minimal int, eight bytes": "1b00000000ffffffff",
    "non-minimal negative int": "3800",
    "non-minimal length of bytes": "580100",
    "non-minimal length of text": "780161",
    "non-minimal length of an array": "980100",
    "non-minimal length of a map": "b801616100",
    "duplicate keys": "a2616100616101",
    "keys out of order": "a2616200616100",
    "half float": "f93e00",
    "single float": "fa3fc00000",
    "double float": "fb" + struct.pack(">d", 1.1).hex(),
    "not a number": "f97e00",
    "indefinite bytes": "5f4100ff",
    "indefinite array": "9f00ff",
    "indefinite map": "bf616100ff",
    "a date": "c074323031332d30332d32315432303a30343a30305a",
    "an epoch time": "c11a514b67b0",
    "a bignum": "c249010000000000000000",
    "a negative bignum": "c349010000000000000000",
    "a decimal fraction": "c48221196ab3",
    "a rational": "d81e820103",
    "a regular expression": "d82363612e62",
    "a uuid": "d82550" + "00" * 16,
    "a set": "d9010283010203",
    "self-described CBOR": "d9d9f700",
    "an unknown tag": "d90fff00",
    "undefined": "f7",
    "a simple value": "f0",
    "a reserved simple value": "f818",
    "int of 64 bits, too large": "1b8000000000000000",
    "negative int of 64 bits, too small": "3b8000000000000000",
    "trailing bytes": "0000",
    "truncated": "8200",
    "nothing": "",
    "an int as key": "a10000",
    "bytes as key": "a1410000",
    "invalid UTF-8": "61ff",
    "a lone surrogate": "63eda080",
    "a break alone": "ff",
    "a length beyond memory": "5bffffffffffffffff",
    "an array length beyond memory": "9bffffffffffffffff",
    "a map length beyond memory": "bbffffffffffffffff",
    "a shared reference to itself": "d81c81d81d00",
    "a shared map that holds itself": "d81ca16161d81d00",
    "a shared reference to nothing": "d81d00",
    "a string reference": "d9010082636161d81900",
}


@pytest.mark.parametrize("name", REFUSED)
def test_everything_but_the_one_form_is_malformed(name):
    with pytest.raises(Malformed):
        decode(bytes.fromhex(REFUSED[name]))


def test_depth_is_limited():
    def nested(levels):
        return b"\x81" * levels + b"\x00"

    levels = next(n for n in range(1, 100) if not _decodes(nested(n))) - 1
    assert 8 <= levels <= MAX_DEPTH
    with pytest.raises(Malformed):
        decode(nested(100_000))


def _decodes(data):
    try:
        decode(data)
    except Malformed:
        return False
    return True


@given(st.binary(max_size=40))
def test_tags_around_random_bytes_raise_nothing_else(data):
    for tag in (
        b"\xc0",
        b"\xc1",
        b"\xc2",
        b"\xc4",
        b"\xc5",
        b"\xd8\x1c",
        b"\xd8\x1d",
        b"\xd8\x1e",
        b"\xd8\x23",
        b"\xd8\x24",
    ):
        for function in (decode, decode_flat):
            with contextlib.suppress(Malformed):
                function(tag + data)


def doubled(levels: int) -> bytes:
    """Arrays of 100 references (tags 28, 29) to the array before: 100**levels bytes when written out."""
    items = [b"\xd8\x1c\x81\x41a"]
    for level in range(levels):
        items.append(b"\xd8\x1c\x98\x64" + 100 * (b"\xd8\x1d" + cbor2.dumps(level)))
    return bytes([0x80 + len(items)]) + b"".join(items)


@pytest.mark.parametrize("read", [decode, decode_flat])
def test_a_kilobyte_does_not_become_terabytes(read):
    with pytest.raises(Malformed):
        read(doubled(6))


@pytest.mark.parametrize("tag", [0, 1, 2, 4, 5, 25, 28, 29, 30, 35, 36, 37, 256, 258, 260, 1004, 4711, 55799])
def test_nothing_is_tagged(tag):
    for value in (1, b"1", "1", [1, 1], []):
        with pytest.raises(Malformed):
            decode_flat(cbor2.dumps(cbor2.CBORTag(tag, value)))
