"""Hints: how a node finds the records that concern it, and nobody else can.

Apart from `sealing` on purpose: applying must recognise records, and must not be able to open them. A pair's hint
key is derived from the pair's shared key (X25519 through `crypto_box_beforenm`), known to author and recipient only.
"""

from __future__ import annotations

from collections.abc import Sequence

from nacl import bindings
from nacl.exceptions import CryptoError

from consortium.crypto.hashing import keyed
from consortium.model.records import HINT_BYTES

_PERSON = b"consortium hint"


def pair_key(my_secret: bytes, their_public: bytes) -> bytes:
    """The 32-byte key that two X25519 keys share; both sides compute the same."""
    return bindings.crypto_box_beforenm(their_public, my_secret)


def is_usable_key(public: bytes) -> bool:
    """Whether a pair's key can be made with an X25519 public key: it has 32 bytes and is no point of low order."""
    try:
        pair_key(b"\1" * 32, public)
    except (CryptoError, ValueError):
        return False
    return True


def hint_key(pair: bytes) -> bytes:
    """The subkey of a pair that hints are made under; it opens nothing."""
    return keyed(b"", key=pair, person=b"consortium hkey")


def hint(key: bytes, record_id: bytes, ordinal: int) -> bytes:
    """The hint of a recipient's wrap number `ordinal` (0 for its first) in the record: 16 bytes."""
    return keyed(record_id + bytes([ordinal]), key=key, person=_PERSON, size=HINT_BYTES)


def my_slots(key: bytes, record_id: bytes, slots: Sequence[bytes]) -> tuple[int, ...]:
    """The numbers of the slots that are addressed to the holder of `key`; empty for most records, after one hash."""
    found = []
    for ordinal in range(len(slots)):
        expected = hint(key, record_id, ordinal)
        if expected not in slots:
            break
        found.append(slots.index(expected))
    return tuple(found)
