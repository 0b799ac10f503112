"""Padmé's laws, and that a plaintext has one padding."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortium.crypto.padding import MIN_PADDED, pad, padme, unpad
from consortium.errors import Malformed

lengths = st.integers(0, 1 << 20)


@given(lengths)
def test_a_size_class_is_at_least_the_length_and_at_most_twelve_percent_more(length):
    assert length <= padme(length) <= length * 1.12


@given(lengths)
def test_a_size_class_is_its_own(length):
    assert padme(padme(length)) == padme(length)


@given(lengths, lengths)
def test_longer_is_never_padded_to_less(one, other):
    if one <= other:
        assert padme(one) <= padme(other)


@given(st.integers(2, 1 << 20))
def test_it_is_the_papers_formula(length):
    exponent = math.floor(math.log2(length))
    bits = math.floor(math.log2(exponent)) + 1 if exponent else 1
    last = max(exponent - bits, 0)
    assert padme(length) == (length + (1 << last) - 1) >> last << last


def test_there_are_few_size_classes():
    classes = {len(pad(bytes(n))) for n in range(8192)}
    assert len(classes) < 90, "of 8,192 lengths"
    assert min(classes) == MIN_PADDED
    assert {len(pad(bytes(n))) for n in range(253)} == {MIN_PADDED}


@given(st.binary(max_size=3000))
def test_unpad_is_the_inverse(plaintext):
    assert unpad(pad(plaintext)) == plaintext


@given(st.binary(max_size=600), st.data())
def test_other_paddings_of_the_same_plaintext_are_refused(plaintext, data):
    padded = bytearray(pad(plaintext))
    framed = 4 + len(plaintext)
    others = [bytes(padded) + bytes(n) for n in (1, 16, 256)] + [bytes(padded[:-1])]
    if framed < len(padded):
        padded[data.draw(st.integers(framed, len(padded) - 1))] ^= data.draw(st.integers(1, 255))
        others.append(bytes(padded))
    for other in others:
        with pytest.raises(Malformed):
            unpad(other)


@given(st.binary(max_size=300))
def test_random_bytes_raise_nothing_but_malformed(data):
    try:
        plaintext = unpad(data)
    except Malformed:
        return
    assert pad(plaintext) == data


def test_a_length_beyond_the_data_is_refused():
    with pytest.raises(Malformed):
        unpad(b"\xff\xff\xff\xff" + bytes(252))
