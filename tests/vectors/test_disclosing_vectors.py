"""disclosing.json read by a second implementation: nothing of `consortium` but what docs/formats.md says."""

from __future__ import annotations

import hashlib
import json
from itertools import combinations
from pathlib import Path

import cbor2
import pytest
from nacl.public import PrivateKey, SealedBox

from consortium.crypto.disclosing import MAX_ENTRIES, KeyEntry, open_keys, seal_keys
from consortium.crypto.escrow import join_keys
from consortium.errors import Malformed
from tests.builders_core import counter_entropy

VECTORS = json.loads((Path(__file__).parent / "disclosing.json").read_text("utf-8"))
DISCLOSED, ESCROW = VECTORS["disclosures"], VECTORS["escrow"]
GRANT, SECRET, BOX = (bytes.fromhex(DISCLOSED[name]) for name in ("grant", "secret", "box"))


def test_a_box_opens_to_its_entries():
    version, grant, entries = cbor2.loads(SealedBox(PrivateKey(SECRET)).decrypt(BOX))
    assert (version, grant) == (1, GRANT)
    assert [
        {"record": record.hex(), "section": section, "key": key.hex(), "words": words}
        for record, section, key, words in entries
    ] == DISCLOSED["entries"]
    assert [one.key.hex() for one in open_keys(GRANT, BOX, SECRET)] == [one["key"] for one in DISCLOSED["entries"]]


def box_of(value) -> bytes:
    return SealedBox(PrivateKey(SECRET).public_key).encrypt(cbor2.dumps(value, canonical=True))


GOOD = [bytes(16), 0, bytes(32), ["area-1"]]


@pytest.mark.parametrize(
    "value",
    [
        [2, GRANT, [GOOD]], [1, bytes(16), [GOOD]], [1, GRANT], [1, GRANT, {}], [True, GRANT, [GOOD]],
        [1, GRANT, [GOOD[:3]]], [1, GRANT, [[bytes(15), *GOOD[1:]]]], [1, GRANT, [[bytes(16), 8, *GOOD[2:]]]],
        [1, GRANT, [[bytes(16), -1, *GOOD[2:]]]], [1, GRANT, [[bytes(16), 0, bytes(31), []]]],
        [1, GRANT, [[bytes(16), 0, bytes(32), [1]]]], [1, GRANT, [[bytes(16), 0, bytes(32), ["x" * 71]]]],
        [1, GRANT, [GOOD] * (MAX_ENTRIES + 1)], "text",
    ],
)  # fmt: skip
def test_what_is_no_box_is_refused(value):
    assert open_keys(GRANT, box_of([1, GRANT, [GOOD]]), SECRET)
    with pytest.raises(Malformed):
        open_keys(GRANT, box_of(value), SECRET)


def test_nobody_elses_key_opens_it_and_no_changed_byte():
    for box, secret in ((BOX, bytes(31) + b"\1"), (BOX[:-1] + bytes([BOX[-1] ^ 1]), SECRET), (b"", SECRET)):
        with pytest.raises(Malformed):
            open_keys(GRANT, box, secret)


def test_a_key_of_low_order_is_refused():
    with pytest.raises(Malformed):
        seal_keys(GRANT, [KeyEntry(bytes(16), 0, bytes(32))], bytes(32), counter_entropy("x"))


def test_escrowed_parts_join_to_the_keys():
    joined = 0
    for box, seed, private, public in zip(
        *(map(bytes.fromhex, ESCROW[n]) for n in ("boxes", "seeds", "privates", "publics")), strict=True
    ):
        assert hashlib.blake2b(b"", key=seed, person=b"consortium escrw", digest_size=32).digest() == private
        assert bytes(PrivateKey(private).public_key) == public
        joined ^= int.from_bytes(SealedBox(PrivateKey(private)).decrypt(box), "big")
    found = joined.to_bytes(32 * len(ESCROW["keys"]), "big")
    assert [found[at : at + 32].hex() for at in range(0, len(found), 32)] == ESCROW["keys"]
    boxes, privates = ([bytes.fromhex(one) for one in ESCROW[name]] for name in ("boxes", "privates"))
    assert [key.hex() for key in join_keys(boxes, privates)] == ESCROW["keys"]


def multiply(one: int, other: int) -> int:
    """In GF(2^128) modulo x^128 + x^7 + x^2 + x + 1."""
    found = 0
    for bit in range(128):
        if other >> bit & 1:
            found ^= one << bit
    for bit in range(254, 127, -1):
        if found >> bit & 1:
            found ^= ((1 << 128) | 0x87) << (bit - 128)
    return found


def inverse(value: int) -> int:
    found = 1
    for _ in range(127):
        value = multiply(value, value)
        found = multiply(found, value)
    return found


@pytest.mark.parametrize("picked", list(combinations(range(3), 2)))
def test_any_two_shares_give_the_seed(picked):
    points = [
        (share[0], int.from_bytes(share[1:], "big")) for share in (bytes.fromhex(ESCROW["shares"][n]) for n in picked)
    ]
    (x, fx), (y, fy) = points
    divided = inverse(x ^ y)
    seed = multiply(fx, multiply(y, divided)) ^ multiply(fy, multiply(x, divided))
    assert seed.to_bytes(16, "big").hex() == ESCROW["seeds"][0]
