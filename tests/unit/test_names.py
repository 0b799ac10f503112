"""Names, parties, record ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortium.errors import InvalidRequest
from consortium.model.names import Party, is_name, parse_record_id

names = st.from_regex(r"\A[a-z][a-z0-9-]{0,30}[a-z0-9]\Z")


@pytest.mark.parametrize("name", ["gridco", "home-01", "ab", "a" * 32, "a-b-c", "a1"])
def test_good_names(name):
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a",
        "A",
        "Gridco",
        "1ab",
        "-ab",
        "ab-",
        "a" * 33,
        "a_b",
        "a b",
        "ab\n",
        "ä1",
        "a.b",
        "a/b",
        None,
        7,
        b"gridco",
    ],
)
def test_bad_names(name):
    assert not is_name(name)


@given(names, st.none() | names)
def test_a_party_is_read_as_it_is_written(member, user):
    party = Party(member, user or "")
    assert Party.parse(str(party)) == party


@given(st.text(max_size=40))
def test_any_other_text_is_no_party(text):
    try:
        party = Party.parse(text)
    except InvalidRequest:
        return
    assert str(party) == text
    assert is_name(party.member)
    assert party.user == "" or is_name(party.user)


@pytest.mark.parametrize(
    "text", ["", "@", "@gridco", "home-01@", "a@b@cc", "home-01@gridco ", "Home@gridco", None, 1, b"gridco"]
)
def test_bad_parties(text):
    with pytest.raises(InvalidRequest):
        Party.parse(text)


@given(st.binary(min_size=16, max_size=16))
def test_a_record_id_has_one_spelling(raw):
    assert parse_record_id(raw.hex()) == raw
    if raw.hex() != raw.hex().upper():
        with pytest.raises(InvalidRequest):
            parse_record_id(raw.hex().upper())


@pytest.mark.parametrize(
    "text", ["", "00", "0" * 31, "0" * 33, "0" * 34, "g" * 32, "00 " * 16, " " + "0" * 32, "٠" * 32]
)
def test_bad_record_ids(text):
    with pytest.raises(InvalidRequest):
        parse_record_id(text)
