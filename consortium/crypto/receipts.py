"""Receipts: C2SP tlog-proof@v1. Inclusion proof, checkpoint and cosignatures in one text that verifies offline.

The leaf is the record's header. It travels in the `extra` line, so that a receipt is whole; the proof binds it to
the checkpoint's root, and the caller compares the header's id with the record that they were promised.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from consortium.crypto.merkle import leaf_hash, verify_inclusion
from consortium.crypto.notes import Checkpoint, SignedNote, parse_decimal, parse_note, unbase64
from consortium.crypto.trust import TrustPolicy
from consortium.errors import Malformed
from consortium.model.records import Header, parse_header

MAGIC = "c2sp.org/tlog-proof@v1"
_MAX_PROOF = 63


@dataclass(frozen=True, slots=True)
class Receipt:
    """A parsed receipt, nothing verified yet."""

    header_bytes: bytes
    index: int
    proof: tuple[bytes, ...]
    checkpoint: SignedNote

    def __str__(self) -> str:
        lines = [MAGIC, f"extra {base64.b64encode(self.header_bytes).decode()}", f"index {self.index}"]
        lines += [base64.b64encode(node).decode() for node in self.proof]
        return "\n".join(lines) + f"\n\n{self.checkpoint}"


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """What a receipt proves: this header is leaf `index` of the tree that the checkpoint states."""

    header: Header
    index: int
    checkpoint: Checkpoint


def make_receipt(header_bytes: bytes, index: int, proof: Sequence[bytes], checkpoint: SignedNote) -> Receipt:
    """Put the parts together."""
    return Receipt(header_bytes, index, tuple(proof), checkpoint)


def parse_receipt(text: str) -> Receipt:
    """Read a receipt. Raises `Malformed`."""
    front, blank, note = text.partition("\n\n")
    lines = front.split("\n")
    if not blank or lines[0] != MAGIC:
        raise Malformed(f"a receipt begins with {MAGIC}")
    if len(lines) < 3 or not lines[1].startswith("extra ") or not lines[2].startswith("index "):
        raise Malformed("a receipt has an extra line (the record's header) and an index line")
    proof = tuple(unbase64(line) for line in lines[3:])
    if len(proof) > _MAX_PROOF or any(len(node) != 32 for node in proof):
        raise Malformed("a receipt's proof is at most 63 hashes of 32 bytes")
    header = unbase64(lines[1].removeprefix("extra "))
    index = parse_decimal(lines[2].removeprefix("index "))
    return Receipt(header, index, proof, parse_note(note))


def verify_receipt(receipt: Receipt, policy: TrustPolicy) -> VerifiedReceipt:
    """tlog-proof, "Verifying a tlog proof". Needs no network and no store. Raises `ProofInvalid` or `Malformed`."""
    checkpoint = policy.verify(receipt.checkpoint)
    leaf = leaf_hash(receipt.header_bytes)
    verify_inclusion(leaf, receipt.index, checkpoint.size, receipt.proof, checkpoint.root)
    return VerifiedReceipt(parse_header(receipt.header_bytes), receipt.index, checkpoint)
