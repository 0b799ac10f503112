"""A dishonest sender: one ciphertext under one header that decrypts, tag and all, to two plaintexts under two keys.

Poly1305 is a polynomial over GF(2^130 - 5) and does not commit to its key: whoever knows both keys can solve for one
block of ciphertext that makes the tags equal (Len, Grubbs, Ristenpart, "Partitioning Oracle Attacks", 2021). This is
the attack that the commitment in the header is there for, carried out against libsodium.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from nacl import bindings

from consortium.crypto.hashing import keyed, sha256
from consortium.crypto.padding import unpad
from consortium.crypto.sealing import Recipient, commit, party_tag
from consortium.model.encoding import encode
from consortium.model.names import Party
from consortium.model.records import SEALED, Header, SealedRecord, SectionSeal
from tests.builders import T0, noise

_P = (1 << 130) - 5
_CLAMP = 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
_SIZE = 256
_FREE = slice(128, 144)  # the block that is solved for: noise in both plaintexts
_NONCE = bytes(24)


@dataclass(frozen=True)
class TwoFaced:
    """The record, and what it shows to whom."""

    record: SealedRecord
    keys: tuple[bytes, bytes]
    plaintexts: tuple[bytes, bytes]


def two_faced(
    author: str,
    record_id: bytes,
    first: Sequence[Recipient],
    second: Sequence[Recipient],
    said: bytes = b"energy 1000 Wh at 10 EUR",
) -> TwoFaced:
    """A record whose commitment is to the plaintext that `first` sees; `second` gets keys to another.

    The first plaintext has 252 bytes and begins with `said`, which fills up to 124 of them; 128 are noise.
    """
    aad = encode([1, record_id, author, SEALED, 0])
    keys, body = next(_attempts(record_id, aad, said))
    plaintexts = tuple(unpad(_decrypt(body, aad, _encryption_key(key, record_id))) for key in keys)
    slots = sorted(
        (_hint(recipient, record_id), _wrap(recipient, key))
        for recipients, key in zip((first, second), keys, strict=True)
        for recipient in recipients
    )
    marks, wraps = b"".join(h for h, _ in slots), b"".join(w for _, w in slots)
    seal = SectionSeal(commit(plaintexts[0], keys[0], record_id), sha256(body), _SIZE)
    header = Header(record_id, SEALED, author, T0, (seal,), marks, sha256(wraps))
    return TwoFaced(SealedRecord(header, header.encoded(), (body,), wraps), keys, plaintexts)


def _hint(recipient: Recipient, record_id: bytes) -> bytes:
    return keyed(record_id + b"\x00", key=recipient.hint, person=b"consortium hint", size=16)


def _wrap(recipient: Recipient, key: bytes) -> bytes:
    form = b"\x01" if recipient.party.user else b"\x00"
    box = form + party_tag(Party.parse(str(recipient.party))) + b"\x01" + key + bytes(48)
    nonce = noise("nonce", str(recipient.party), key, size=24)
    return nonce + bindings.crypto_box_easy_afternm(box, nonce, recipient.pair)


def _attempts(record_id: bytes, aad: bytes, said: bytes) -> Iterator[tuple[tuple[bytes, bytes], bytes]]:
    for one, two in _collisions(record_id):
        body = _solve(_encryption_key(one, record_id), _encryption_key(two, record_id), aad, said)
        if body is not None:
            yield (one, two), body


def _encryption_key(key: bytes, record_id: bytes) -> bytes:
    return keyed(b"", key=key, person=b"consortium encr", salt=record_id)


def _collisions(record_id: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Pairs of content keys under which one ciphertext can begin with a good length twice: a birthday search."""
    seen: dict[bytes, list[tuple[int, bytes]]] = {}
    for n in range(1 << 20):
        key = noise("content key", record_id, n)
        stream = _stream(_encryption_key(key, record_id), 4)
        for last, other in seen.setdefault(stream[:3], []):
            # The first plaintext has length 252; the second's may be shorter, with zeros in its end.
            if 200 <= 252 ^ last ^ stream[3] <= 252:
                yield other, key
        seen[stream[:3]].append((stream[3], key))


def _solve(one: bytes, two: bytes, aad: bytes, said: bytes) -> bytes | None:
    streams = _stream(one, _SIZE), _stream(two, _SIZE)
    length = bytes([0, 0, 0, 252])
    said_first = (length + said).ljust(128, b" ")
    body = bytearray(_xor(said_first, streams[0][:128]) + bytes(16) + bytes(112))
    other_length = _xor(bytes(body[:4]), streams[1][:4])[3]
    said_second = b"energy 1000 Wh at 99 EUR".ljust(other_length + 4 - 144, b" ").ljust(112, b"\0")
    body[144:] = _xor(said_second, streams[1][144:])
    (r1, s1), (r2, s2) = _poly_key(one), _poly_key(two)
    blocks = _blocks(aad, bytes(body))
    at = len(_padded(aad)) // 16 + _FREE.start // 16
    rest = len(blocks) - at
    slope = (pow(r1, rest, _P) - pow(r2, rest, _P)) % _P
    blocks[at] = 0
    gap = (_polynomial(blocks, r1) - _polynomial(blocks, r2)) % _P
    for carry in range(-4, 5):
        wanted = (s2 - s1) % (1 << 128) + (carry << 128)
        value = (wanted - gap) * pow(slope, -1, _P) % _P - (1 << 128)
        if not 0 <= value < 1 << 128:
            continue
        body[_FREE] = value.to_bytes(16, "little")
        filled = _blocks(aad, bytes(body))
        tags = [(_polynomial(filled, r) + s) % (1 << 128) for r, s in ((r1, s1), (r2, s2))]
        if tags[0] == tags[1]:
            return bytes(body) + tags[0].to_bytes(16, "little")
    return None


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def _stream(key: bytes, size: int) -> bytes:
    return bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(bytes(size), b"", _NONCE, key)[:size]


def _decrypt(body: bytes, aad: bytes, key: bytes) -> bytes:
    return bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(body, aad, _NONCE, key)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 16)


def _blocks(aad: bytes, body: bytes) -> list[int]:
    """The numbers that RFC 8439 section 2.8 has Poly1305 run over."""
    data = _padded(aad) + _padded(body) + struct.pack("<QQ", len(aad), len(body))
    return [int.from_bytes(data[i : i + 16] + b"\x01", "little") for i in range(0, len(data), 16)]


def _polynomial(blocks: Sequence[int], r: int) -> int:
    value = 0
    for block in blocks:
        value = (value + block) * r % _P
    return value


def _poly_key(key: bytes) -> tuple[int, int]:
    """r and s: ChaCha20's block 0 under HChaCha20(key, nonce) (draft-irtf-cfrg-xchacha section 2)."""
    words = struct.unpack("<16I", _chacha_block(key, _NONCE[:16]))
    start = struct.unpack("<4I", b"expand 32-byte k"), struct.unpack("<4I", _NONCE[:16])
    subkey = [(w - c) % (1 << 32) for w, c in zip(words[:4] + words[12:], start[0] + start[1], strict=True)]
    block = _chacha_block(struct.pack("<8I", *subkey), bytes(16))
    return int.from_bytes(block[:16], "little") & _CLAMP, int.from_bytes(block[16:32], "little")


def _chacha_block(key: bytes, counter_and_nonce: bytes) -> bytes:
    return Cipher(ChaCha20(key, counter_and_nonce), mode=None).encryptor().update(bytes(64))
