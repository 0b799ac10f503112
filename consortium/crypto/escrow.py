"""Content keys in parts for several dealers, so that none of them alone opens anything (docs/formats.md, "Escrow").

Each dealer has an X25519 key per area and period, whose private half follows from a seed of 16 bytes that is split
among the members. A content key is the XOR of one random part per dealer.
"""

from __future__ import annotations

from collections.abc import Sequence

from nacl import bindings
from nacl.exceptions import CryptoError

from consortium.crypto.hashing import keyed
from consortium.crypto.sealing import KEY_BYTES, Entropy, sealed_box
from consortium.errors import Malformed

SEED_BYTES = 16


def private_key(seed: bytes) -> bytes:
    """The private half that a seed stands for."""
    return keyed(b"", key=seed, person=b"consortium escrw")


def public_key(seed: bytes) -> bytes:
    """The public half."""
    return bytes(bindings.crypto_scalarmult_base(private_key(seed)))


def split_keys(keys: Sequence[bytes], dealers: Sequence[bytes], entropy: Entropy) -> tuple[bytes, ...]:
    """One sealed box per dealer's public key, with that dealer's part of every content key. Raises `Malformed`."""
    parts = [entropy(KEY_BYTES * len(keys)) for _ in dealers[1:]]
    last = _xor(b"".join(keys), *parts)
    try:
        return tuple(sealed_box(part, public, entropy) for part, public in zip((*parts, last), dealers, strict=True))
    except (CryptoError, ValueError, RuntimeError):
        raise Malformed("an escrow key is no usable X25519 key") from None


def join_keys(boxes: Sequence[bytes], privates: Sequence[bytes]) -> tuple[bytes, ...]:
    """The content keys. Raises `Malformed` if a box does not open, or the parts do not fit each other."""
    if len(boxes) != len(privates):
        raise Malformed("there is not one part of escrowed keys per dealer")
    parts = [_open(box, private) for box, private in zip(boxes, privates, strict=True)]
    if not parts or len({len(part) for part in parts}) != 1 or len(parts[0]) % KEY_BYTES:
        raise Malformed("the parts of escrowed keys do not fit")
    joined = _xor(*parts)
    return tuple(joined[at : at + KEY_BYTES] for at in range(0, len(joined), KEY_BYTES))


def open_share(box: bytes, public: bytes, pair: bytes) -> bytes:
    """A sealed box by the X25519 key shared with its ephemeral key (its first 32 bytes); `public` is the reader's own.

    The private key itself need not be at hand (`KeyCustody.pairs`). Raises `Malformed`.
    """
    nonce = bindings.crypto_generichash_blake2b_salt_personal(box[:KEY_BYTES] + public, digest_size=24)
    try:
        return bytes(bindings.crypto_box_open_easy_afternm(box[KEY_BYTES:], nonce, pair))
    except (CryptoError, ValueError):
        raise Malformed("a share does not open") from None


def _open(box: bytes, private: bytes) -> bytes:
    try:
        return bytes(bindings.crypto_box_seal_open(box, bindings.crypto_scalarmult_base(private), private))
    except (CryptoError, ValueError, TypeError):
        raise Malformed("an escrowed part does not open with its dealer's key") from None


def _xor(*parts: bytes) -> bytes:
    value = 0
    for part in parts:
        value ^= int.from_bytes(part, "big")
    return value.to_bytes(len(parts[0]), "big")
