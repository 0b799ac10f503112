"""Ed25519 (RFC 8032) over libsodium's bindings: 32-byte seeds, 32-byte public keys, 64-byte signatures."""

from __future__ import annotations

from nacl import bindings
from nacl.exceptions import CryptoError

SEED_BYTES = 32
SIGNATURE_BYTES = 64


def public_key(seed: bytes) -> bytes:
    """The public key of a seed."""
    return bindings.crypto_sign_seed_keypair(seed)[0]


def expand(seed: bytes) -> bytes:
    """The 64-byte secret key of a seed; keep it where many signatures are made."""
    return bindings.crypto_sign_seed_keypair(seed)[1]


def sign(message: bytes, secret: bytes) -> bytes:
    """The signature of `message` by an expanded secret key."""
    return bindings.crypto_sign(message, secret)[:SIGNATURE_BYTES]


def verify(message: bytes, signature: bytes, public: bytes) -> bool:
    """Whether the signature holds. Bad lengths are a plain no."""
    if len(signature) != SIGNATURE_BYTES or len(public) != 32:
        return False
    try:
        bindings.crypto_sign_open(signature + message, public)
    except CryptoError:
        return False
    return True
