"""The hashes that the formats name: SHA-256 (RFC 6234) and keyed BLAKE2b (RFC 7693) with a personalisation."""

from __future__ import annotations

import hashlib


def sha256(data: bytes) -> bytes:
    """SHA-256, 32 bytes."""
    return hashlib.sha256(data).digest()


def keyed(data: bytes, *, key: bytes, person: bytes, salt: bytes = b"", size: int = 32) -> bytes:
    """Keyed BLAKE2b of `data`, `size` bytes.

    `key` is 32 bytes, `person` at most 16 and fixed per purpose, `salt` at most 16: so that no two purposes, and no
    two records, ever share a subkey.
    """
    return hashlib.blake2b(data, key=key, person=person, salt=salt, digest_size=size).digest()
