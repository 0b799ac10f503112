"""Padmé (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files", 2019): padded sizes that say little.

A length of L bits keeps only about log2(log2 L) bits of itself; the overhead is at most 12 %. Below `MIN_PADDED`
everything has one size, so that the number of digits of a reading is not told by its record.
"""

from __future__ import annotations

from consortium.errors import Malformed

MIN_PADDED = 256
_PREFIX = 4


def padme(length: int) -> int:
    """The smallest Padmé size that is at least `length`."""
    if length < 2:
        return length
    exponent = length.bit_length() - 1
    mantissa_bits = exponent.bit_length()
    mask = (1 << (exponent - mantissa_bits)) - 1 if exponent > mantissa_bits else 0
    return (length + mask) & ~mask


def pad(plaintext: bytes) -> bytes:
    """Length (4 bytes, big-endian), the plaintext, zeros up to the size class."""
    framed = len(plaintext).to_bytes(_PREFIX, "big") + plaintext
    return framed.ljust(max(MIN_PADDED, padme(len(framed))), b"\0")


def unpad(padded: bytes) -> bytes:
    """The inverse of `pad`; refuses any other padding of the same plaintext. Raises `Malformed`."""
    length = int.from_bytes(padded[:_PREFIX], "big")
    plaintext = padded[_PREFIX : _PREFIX + length]
    if pad(plaintext) != padded:
        raise Malformed("a payload is not padded as it must be")
    return plaintext
