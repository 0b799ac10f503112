"""Payloads as other members may write them: what is let through can be stored and shown."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortium.energy.metering import Reading, describe, read_payload
from consortium.errors import Malformed
from consortium.model.encoding import encode

DATA = {"subject": "home-01@suncoop", "interval_start": "2017-06-15T10:00:00-08:00", "load_wh": 1521, "pv_wh": 830}
FIELDS = read_payload(Reading.model_validate(DATA).plaintext())
values = st.one_of(
    st.integers(-(1 << 63), (1 << 63) - 1), st.binary(max_size=8), st.text(max_size=8), st.booleans(), st.none(),
    st.lists(st.integers(0, 9), max_size=2),
)  # fmt: skip


def test_a_reading_comes_back_in_the_words_of_the_api():
    shown = {**DATA, "interval_start": "2017-06-15T18:00:00Z", "interval_s": 3600, "quality": "measured"}
    assert describe(FIELDS) == shown


@pytest.mark.parametrize(
    "changed",
    [
        {"type": "re\0ding"},
        {"type": "x" * 33},
        {"type": 7},
        {"start_ms": 1 << 47},
        {"start_ms": -1},
        {"start_ms": "0"},
        {"start_ms": True},
        {"load_wh": "1"},
        {"load_wh": True},
        {"subject": b"home"},
        {"quality": None},
    ],
)
def test_what_cannot_be_stored_or_shown_is_malformed(changed):
    with pytest.raises(Malformed):
        read_payload(encode({**FIELDS, **changed}))


@pytest.mark.parametrize("name", FIELDS)
def test_a_reading_has_all_its_fields(name):
    with pytest.raises(Malformed):
        read_payload(encode({key: value for key, value in FIELDS.items() if key != name}))


@pytest.mark.parametrize("payload", [b"", b"\xff", encode([]), encode("reading"), encode(None)])
def test_what_is_no_map_is_malformed(payload):
    with pytest.raises(Malformed):
        read_payload(payload)


def test_fields_that_a_later_version_adds_are_passed_over():
    later = read_payload(encode({**FIELDS, "more": b"\xff"}))
    assert describe(later) == describe(FIELDS)


def test_of_an_unknown_type_the_plain_values_are_shown():
    payload = read_payload(encode({"type": "trade", "start_ms": 0, "v": 2, "wh": 5, "note": "x", "raw": b"\xff"}))
    assert describe(payload) == {"interval_start": "1970-01-01T00:00:00Z", "wh": 5, "note": "x"}


@given(st.dictionaries(st.sampled_from([*FIELDS, "more"]), values))
def test_whatever_is_let_through_fits_a_database_and_json(changed):
    try:
        payload = read_payload(encode({**FIELDS, **changed}))
    except Malformed:
        return
    assert "\0" not in payload["type"]
    assert 0 <= payload["start_ms"] < 1 << 63
    json.dumps(describe(payload))
