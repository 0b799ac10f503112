"""Sealing: each reader opens its sections and only those; whoever tampers or lies is found out, by name."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl import bindings

from consortium.crypto import hints
from consortium.crypto.hashing import sha256
from consortium.crypto.padding import unpad
from consortium.crypto.sealing import (
    Wrap,
    commit,
    open_own_wrap,
    open_section,
    open_wrap,
    party_tag,
    seal,
    split_wraps,
    wrap_length,
)
from consortium.errors import CommitmentMismatch, Malformed
from consortium.model.encoding import encode
from consortium.model.names import Party
from consortium.model.records import MAX_SLOTS, Draft, SealedRecord, parse_header
from tests.builders_core import counter_entropy, draft, pair, recipient, x25519
from tests.dishonest import two_faced

AUTHOR = "alpha"
TERMS, PHYSICAL = b"price 31", b"energy 7 kWh"
TRADE = [("physical", PHYSICAL, ["alpha", "bravo", "gridco"]), ("terms", TERMS, ["alpha", "bravo"])]


def sealed(sections=TRADE, own_keys=(), label="entropy") -> tuple[Draft, SealedRecord]:
    made = draft(AUTHOR, sections)
    readers = sorted({str(r) for s in made.sections for r in s.readers})
    recipients = [recipient(AUTHOR, r, own_key=r in own_keys) for r in readers]
    return made, seal(made, recipients, counter_entropy(label))


def wraps_for(record: SealedRecord, member: str) -> dict[bytes, Wrap]:
    """What a member finds in a record, by party tag: from its own secret and the author's public key alone."""
    shared = hints.pair_key(x25519(member)[0], x25519(AUTHOR)[1])
    slots = hints.my_slots(hints.hint_key(shared), record.header.id, record.header.slots())
    wraps = split_wraps(record.header, record.wraps)
    opened = [open_wrap(record.header, wraps[slot], shared) for slot in slots]
    return {wrap.tag: wrap for wrap in opened}


def read(record: SealedRecord, wrap: Wrap) -> list[bytes | None]:
    return [
        None if key is None else open_section(record.header, n, record.bodies[n], key)
        for n, key in enumerate(wrap.keys)
    ]


def test_each_reader_opens_its_sections_and_only_those():
    _, record = sealed()
    expected = {"alpha": [PHYSICAL, TERMS], "bravo": [PHYSICAL, TERMS], "gridco": [PHYSICAL, None]}
    for member, plaintexts in expected.items():
        (wrap,) = wraps_for(record, member).values()
        assert wrap.tag == party_tag(Party(member))
        assert read(record, wrap) == plaintexts
    assert wraps_for(record, "regulator") == {}


def test_a_key_opens_only_its_own_section():
    _, record = sealed()
    (wrap,) = wraps_for(record, "gridco").values()
    with pytest.raises(CommitmentMismatch) as caught:
        open_section(record.header, 1, record.bodies[1], wrap.keys[0])
    assert caught.value.section == 1


def test_what_a_reader_of_one_section_holds_says_nothing_of_the_other_key():
    """The place of the key that a reader may not have is filled with other random bytes."""
    _, record = sealed()
    shared = pair(AUTHOR, "gridco")
    slot = hints.my_slots(hints.hint_key(shared), record.header.id, record.header.slots())[0]
    wrap = split_wraps(record.header, record.wraps)[slot]
    box = bindings.crypto_box_open_easy_afternm(wrap[24:], wrap[:24], shared)
    (alpha,) = wraps_for(record, "alpha").values()
    assert alpha.keys[0] in box
    assert alpha.keys[1] not in box


def test_several_users_of_one_member_each_get_a_wrap():
    readers = ["suncoop", "home-01@suncoop", "home-02@suncoop"]
    _, record = sealed([("reading", b"7", readers)])
    wraps = wraps_for(record, "suncoop")
    assert set(wraps) == {party_tag(Party.parse(r)) for r in readers}
    assert all(read(record, wrap) == [b"7"] for wrap in wraps.values())


def test_a_user_with_a_key_of_their_own_is_the_only_one_who_opens_their_wrap():
    user = "home-01@suncoop"
    _, record = sealed([("reading", b"7", [user]), ("other", b"8", ["gridco"])], own_keys=[user])
    (wrap,) = wraps_for(record, "suncoop").values()
    assert wrap.keys == (None, None), "the member forwards what it cannot open"
    assert wrap.sealed_keys is not None
    opened = open_own_wrap(record.header, wrap, *x25519(user))
    assert read(record, opened) == [b"7", None]
    with pytest.raises(CommitmentMismatch) as caught:
        open_own_wrap(record.header, wrap, *x25519("suncoop"))
    assert caught.value.author == AUTHOR
    with pytest.raises(Malformed):
        open_own_wrap(record.header, opened, *x25519(user))


def test_the_sealed_box_is_libsodiums():
    """`crypto_box_seal_open` of libsodium itself opens what our deterministic variant made (and it is what it does)."""
    user = "home-01@suncoop"
    _, record = sealed([("reading", b"7", [user])], own_keys=[user])
    (wrap,) = wraps_for(record, "suncoop").values()
    secret, public = x25519(user)
    assert len(bindings.crypto_box_seal_open(wrap.sealed_keys, public, secret)) == 32


parties = st.lists(
    st.sampled_from(["alpha", "bravo", "gridco", "suncoop", "home-01@suncoop", "home-02@suncoop", "home-09@bravo"]),
    min_size=1,
    unique=True,
)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.binary(max_size=400), parties), min_size=1, max_size=4), st.booleans())
def test_any_draft_is_read_by_exactly_its_readers(contents, own):
    sections = [(f"part-{n}", text, readers) for n, (text, readers) in enumerate(contents)]
    own_keys = ["home-01@suncoop"] if own else []
    _, record = sealed(sections, own_keys)
    assert parse_header(record.header_bytes) == record.header
    assert len(record.header.slots()) == len(split_wraps(record.header, record.wraps))
    found: dict[str, list[bytes | None]] = {}
    names = {party_tag(Party.parse(p)): p for p in {r for _, readers in contents for r in readers}}
    for member in ("alpha", "bravo", "gridco", "suncoop", "charlie"):
        for tag, wrap in wraps_for(record, member).items():
            name = names[tag]
            opened = open_own_wrap(record.header, wrap, *x25519(name)) if name in own_keys else wrap
            found[name] = read(record, opened)
    assert found == {name: [text if name in readers else None for text, readers in contents] for name in names.values()}


# --- what an outsider sees ---


def test_the_number_of_wraps_is_a_power_of_two_and_at_least_two():
    counts = {}
    for readers in range(1, 18):
        _, record = sealed([("reading", b"7", [f"home-{n:02}@suncoop" for n in range(readers)])])
        counts[readers] = len(record.header.slots())
        assert len(set(record.header.slots())) == counts[readers]
    assert counts[1] == counts[2] == 2
    assert counts[3] == counts[4] == 4
    assert counts[5] == counts[8] == 8
    assert counts[9] == counts[16] == 16
    assert counts[17] == 32


def test_more_recipients_than_slots_are_refused():
    with pytest.raises(Malformed):
        sealed([("reading", b"7", [f"home-{n:03}@suncoop" for n in range(MAX_SLOTS + 1)])])


def test_wraps_of_members_users_own_keys_and_nobody_have_one_length():
    user = "home-01@suncoop"
    _, record = sealed([("reading", b"7", ["alpha", user, "gridco", "bravo", "home-02@suncoop"])], own_keys=[user])
    wraps = split_wraps(record.header, record.wraps)
    assert len(wraps) == 8
    assert Counter(map(len, wraps)) == {wrap_length(1): 8}


def test_slots_stand_in_an_order_that_tells_nothing():
    _, record = sealed()
    assert list(record.header.slots()) == sorted(record.header.slots())


def test_readings_of_any_magnitude_have_one_size():
    sizes = set()
    for energy in (0, 9, 123, 99_999, 10**12):
        _, record = sealed([("reading", encode({"energy_wh": energy, "point": "p" * 20}), ["alpha", "gridco"])])
        sizes.add((len(record.header_bytes), tuple(map(len, record.bodies)), len(record.wraps)))
    assert len(sizes) == 1


def test_two_seals_of_one_plaintext_have_nothing_in_common():
    _, one = sealed(label="one")
    _, two = sealed(label="two")
    assert one.bodies[0] != two.bodies[0]
    assert one.header.sections[0].commitment != two.header.sections[0].commitment
    assert not set(split_wraps(one.header, one.wraps)) & set(split_wraps(two.header, two.wraps))


# --- tampering, and liars ---


def opened_by_bravo(record: SealedRecord) -> list[bytes | None]:
    (wrap,) = wraps_for(record, "bravo").values()
    return read(record, wrap)


@pytest.mark.parametrize("at", [0, 1, 100, 255, 256, 271])
def test_a_changed_byte_of_a_body_names_the_author(at):
    made, record = sealed()
    body = bytearray(record.bodies[1])
    body[at] ^= 1
    with pytest.raises(CommitmentMismatch) as caught:
        opened_by_bravo(replace(record, bodies=(record.bodies[0], bytes(body))))
    assert (caught.value.author, caught.value.record, caught.value.section) == (AUTHOR, made.id.hex(), 1)
    assert AUTHOR in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"x" * 15, b"x" * 16])
def test_a_body_of_a_wrong_length_names_the_author(body):
    _, record = sealed()
    with pytest.raises(CommitmentMismatch):
        opened_by_bravo(replace(record, bodies=(body, record.bodies[1])))


@settings(max_examples=60)
@given(st.data())
def test_a_changed_byte_of_a_wrap_names_the_author(data):
    _, record = sealed()
    shared = pair(AUTHOR, "bravo")
    slot = hints.my_slots(hints.hint_key(shared), record.header.id, record.header.slots())[0]
    length = wrap_length(2)
    wraps = bytearray(record.wraps)
    wraps[slot * length + data.draw(st.integers(0, length - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CommitmentMismatch) as caught:
        opened_by_bravo(replace(record, wraps=bytes(wraps)))
    assert caught.value.author == AUTHOR


@pytest.mark.parametrize(
    "change",
    [
        lambda h: replace(h, author="charlie"),
        lambda h: replace(h, kind="other"),
        lambda h: replace(h, sections=(replace(h.sections[0], commitment=bytes(32)), h.sections[1])),
        lambda h: replace(h, sections=h.sections[::-1]),
    ],
    ids=["author", "kind", "commitment", "order of sections"],
)
def test_a_changed_header_does_not_open(change):
    _, record = sealed()
    (wrap,) = wraps_for(record, "bravo").values()
    header = change(record.header)
    with pytest.raises(CommitmentMismatch) as caught:
        open_section(header, 0, record.bodies[0], wrap.keys[0])
    assert caught.value.author == header.author


def test_a_record_under_another_id_does_not_open():
    _, record = sealed()
    (wrap,) = wraps_for(record, "bravo").values()
    with pytest.raises(CommitmentMismatch):
        open_section(replace(record.header, id=bytes(16)), 0, record.bodies[0], wrap.keys[0])


def test_a_body_moved_to_another_section_does_not_open():
    _, record = sealed()
    (wrap,) = wraps_for(record, "bravo").values()
    with pytest.raises(CommitmentMismatch):
        open_section(record.header, 0, record.bodies[1], wrap.keys[1])


def test_wraps_that_do_not_fit_the_hints_are_malformed():
    _, record = sealed()
    for wraps in (record.wraps[:-1], record.wraps + b"\0", b"", record.wraps[: len(record.wraps) // 2]):
        with pytest.raises(Malformed):
            split_wraps(record.header, wraps)


def test_the_dishonest_sender_shows_two_parties_two_plaintexts_and_is_named():
    """The attack itself: one ciphertext, valid under two keys, wrapped to two readers under one header."""
    lie = two_faced(AUTHOR, bytes(range(16)), [recipient(AUTHOR, "bravo")], [recipient(AUTHOR, "gridco")])
    record = lie.record
    assert parse_header(record.header_bytes) == record.header
    assert sha256(record.bodies[0]) == record.header.sections[0].digest
    shown = [_without_commitment(record, key) for key in lie.keys]
    assert shown[0] != shown[1]
    assert b"10 EUR" in shown[0]
    assert b"99 EUR" in shown[1], "without the commitment both would have believed"

    assert opened_by_bravo(record) == [shown[0]]
    (wrap,) = wraps_for(record, "gridco").values()
    with pytest.raises(CommitmentMismatch) as caught:
        read(record, wrap)
    assert caught.value.author == AUTHOR
    assert caught.value.record == bytes(range(16)).hex()
    assert AUTHOR in caught.value.hint


def _without_commitment(record: SealedRecord, key: bytes) -> bytes:
    from consortium.crypto.hashing import keyed

    enc = keyed(b"", key=key, person=b"consortium encr", salt=record.header.id)
    aad = encode([1, record.header.id, record.header.author, record.header.kind, 0])
    return unpad(bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(record.bodies[0], aad, bytes(24), enc))


def test_a_wrap_with_a_wrong_key_names_the_author():
    """The simpler liar: the second reader is handed a key that opens nothing."""
    made, record = sealed([("reading", b"7", ["bravo", "gridco"])])
    other = seal(made, [recipient(AUTHOR, "bravo"), recipient(AUTHOR, "gridco")], counter_entropy("another key"))
    shared = pair(AUTHOR, "gridco")
    slot = hints.my_slots(hints.hint_key(shared), made.id, record.header.slots())[0]
    wraps = list(split_wraps(record.header, record.wraps))
    wraps[slot] = split_wraps(other.header, other.wraps)[slot]
    lie = replace(record, wraps=b"".join(wraps))
    assert opened_by_bravo(lie) == [b"7"]
    (wrap,) = wraps_for(lie, "gridco").values()
    with pytest.raises(CommitmentMismatch) as caught:
        read(lie, wrap)
    assert caught.value.author == AUTHOR


def test_a_commitment_to_something_else_names_the_author():
    made, record = sealed([("reading", b"7", ["bravo"])])
    (wrap,) = wraps_for(record, "bravo").values()
    false = replace(record.header.sections[0], commitment=commit(b"8", wrap.keys[0], made.id))
    with pytest.raises(CommitmentMismatch):
        open_section(replace(record.header, sections=(false,)), 0, record.bodies[0], wrap.keys[0])


@given(
    st.binary(max_size=64),
    st.binary(max_size=64),
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=32, max_size=32),
)
def test_commitments_bind_plaintext_key_and_record(one, two, key, other_key):
    first = commit(one, key, bytes(16))
    assert (first == commit(two, other_key, bytes(16))) == ((one, key) == (two, other_key))
    assert first != commit(one, key, b"\x01" * 16)


def test_a_wrap_of_random_bytes_names_the_author():
    _, record = sealed()
    with pytest.raises(CommitmentMismatch):
        open_wrap(record.header, bytes(wrap_length(2)), pair(AUTHOR, "bravo"))
    for short in (b"", bytes(24), bytes(39)):
        with pytest.raises(CommitmentMismatch):
            open_wrap(record.header, short, pair(AUTHOR, "bravo"))
