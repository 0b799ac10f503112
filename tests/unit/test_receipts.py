"""Receipts: they verify offline, and no byte of them can be changed to say anything else."""

from __future__ import annotations

import pytest

from consortium.crypto import signing
from consortium.crypto.merkle import Tree, fold, inclusion_plan, leaf_hash
from consortium.crypto.notes import COSIGNATURE_V1, ED25519, Checkpoint, SignedNote, VerifierKey, cosign, sign_note
from consortium.crypto.receipts import MAGIC, VerifiedReceipt, make_receipt, parse_receipt, verify_receipt
from consortium.crypto.trust import parse_policy, render_policy
from consortium.errors import Malformed, ProofInvalid
from tests.builders import make_records, noise

ORIGIN = "log.example/1"
LOG = VerifierKey(ORIGIN, ED25519, signing.public_key(noise("log")))
WITNESSES = {n: VerifierKey(f"{n}.example", COSIGNATURE_V1, signing.public_key(noise(n))) for n in ("a", "b", "c")}
POLICY = parse_policy(render_policy(ORIGIN, [LOG], WITNESSES, 2))
HEADERS = [record.header_bytes for record in make_records("alpha", 11)]


def checkpoint(size: int, root: bytes, cosigners: str = "ab") -> SignedNote:
    text = Checkpoint(ORIGIN, size, root).text()
    signatures = [sign_note(text, LOG, signing.expand(noise("log")))]
    return SignedNote(
        text, (*signatures, *(cosign(text, WITNESSES[n], signing.expand(noise(n)), 7) for n in cosigners))
    )


def receipt_text(index: int = 4, size: int = len(HEADERS), cosigners: str = "ab") -> str:
    tree = Tree().extend(map(leaf_hash, HEADERS[:size]))[0]
    proof = [fold(cover, lambda _: b"".join(tree.tails[0])) for cover in inclusion_plan(index, size)]
    return str(make_receipt(HEADERS[index], index, proof, checkpoint(size, tree.root(), cosigners)))


@pytest.mark.parametrize("size", range(1, len(HEADERS) + 1))
def test_every_record_has_a_receipt_that_verifies(size):
    for index in range(size):
        proven = verify_receipt(parse_receipt(receipt_text(index, size)), POLICY)
        assert proven.header.encoded() == HEADERS[index]
        assert (proven.index, proven.checkpoint.size) == (index, size)


def test_a_receipt_is_text_that_comes_back():
    text = receipt_text()
    assert text.startswith(f"{MAGIC}\nextra ")
    assert str(parse_receipt(text)) == text


def test_a_quorum_is_needed():
    with pytest.raises(ProofInvalid, match="no quorum"):
        verify_receipt(parse_receipt(receipt_text(cosigners="a")), POLICY)
    with pytest.raises(ProofInvalid):
        verify_receipt(parse_receipt(receipt_text(cosigners="")), POLICY)


def verdict(text: str) -> VerifiedReceipt | None:
    try:
        return verify_receipt(parse_receipt(text), POLICY)
    except (Malformed, ProofInvalid):
        return None


def test_every_changed_byte_is_refused_or_harmless():
    """Harmless: it still proves the same of the same record (a signature that nobody needs became a stranger's)."""
    text = receipt_text(cosigners="abc")
    truth = verdict(text)
    assert truth is not None
    data, harmless = text.encode(), 0
    for at in range(len(data)):
        for flip in (0x01, 0x20, 0x80):
            changed = bytearray(data)
            changed[at] ^= flip
            try:
                other = changed.decode()
            except UnicodeDecodeError:
                continue
            got = verdict(other)
            assert got in (None, truth), f"byte {at}: {data[at : at + 1]!r}"
            harmless += got == truth
    assert 0 < harmless < 200, "only names and key ids of the spare cosignature"


def test_every_lost_or_doubled_line_is_refused_or_harmless():
    lines = receipt_text().split("\n")
    truth = verdict("\n".join(lines))
    for at in range(len(lines)):
        assert verdict("\n".join([*lines[:at], *lines[at + 1 :]])) is None or lines[at] == ""
        assert verdict("\n".join([*lines[: at + 1], *lines[at:]])) in (None, truth)


def test_a_receipt_of_another_record_does_not_verify():
    mine, other = receipt_text(4), receipt_text(5)
    swapped = mine.replace(mine.split("\n")[1], other.split("\n")[1])
    assert swapped != mine
    assert verdict(swapped) is None
    assert verdict(mine.replace("index 4", "index 5")) is None


def test_a_checkpoint_of_another_tree_does_not_verify():
    one, other = receipt_text(4, 11), receipt_text(4, 10)
    assert verdict(one.split("\n\n", 1)[0] + "\n\n" + other.split("\n\n", 1)[1]) is None


def test_bytes_that_are_no_header_are_malformed_even_in_the_tree():
    junk = b"not a header"
    root = leaf_hash(junk)
    text = str(make_receipt(junk, 0, [], checkpoint(1, root)))
    with pytest.raises(Malformed):
        verify_receipt(parse_receipt(text), POLICY)


GOOD = receipt_text()
BAD = {
    "nothing": "",
    "another magic": GOOD.replace("@v1", "@v2"),
    "no extra": "\n".join(line for line in GOOD.split("\n") if not line.startswith("extra")),
    "extra is not base64": GOOD.replace("extra ", "extra !"),
    "no index": GOOD.replace("index 4\n", ""),
    "a negative index": GOOD.replace("index 4", "index -4"),
    "an index with a zero before": GOOD.replace("index 4", "index 04"),
    "an index beyond 63 bits": GOOD.replace("index 4", f"index {1 << 63}"),
    "a short hash": GOOD.replace("index 4\n", "index 4\nAAAA\n"),
    "64 hashes": GOOD.replace("index 4\n", "index 4\n" + ("A" * 43 + "=\n") * 64),
    "no checkpoint": GOOD.split("\n\n")[0] + "\n\n",
    "no signatures": "\n\n".join(GOOD.split("\n\n")[:2]) + "\n\n",
}


@pytest.mark.parametrize("name", BAD)
def test_other_texts_are_malformed(name):
    with pytest.raises(Malformed):
        parse_receipt(BAD[name])
