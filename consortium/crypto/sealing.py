"""Sealing and opening: who holds a content key reads a section, and nobody can be shown another plaintext.

Formats: docs/formats.md, "Sealing" and "Wraps". Poly1305 does not commit to its key, so a dishonest author could
craft one ciphertext that opens to different plaintexts under different keys. The commitment in the header (keyed
BLAKE2b under a subkey of the content key) closes that; every opening checks it.

Random bytes come in as `entropy`, a function from a number of bytes to that many random bytes.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from nacl import bindings
from nacl.exceptions import CryptoError

from consortium.crypto import hints as hint_functions
from consortium.crypto.hashing import keyed, sha256
from consortium.crypto.padding import pad, unpad
from consortium.errors import CommitmentMismatch, Malformed
from consortium.model.encoding import encode_ordered
from consortium.model.names import Party
from consortium.model.records import HINT_BYTES, MAX_SLOTS, Draft, Header, SealedRecord, SectionSeal

Entropy = Callable[[int], bytes]

KEY_BYTES = 32
TAG_BYTES = 16
SEALED_BOX_OVERHEAD = 48
_NONCE_BYTES = 24
_ZERO_NONCE = bytes(_NONCE_BYTES)  # sound: the subkey is used once, see `_subkey`
_TO_MEMBER, _TO_USER, _TO_OWN_KEY = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Recipient:
    """Where a wrap goes.

    `pair` is the shared key of author and the party's member, `hint` its `hint_key`; `own_key` is the X25519 public
    key of a user who keeps their own (then the member forwards a sealed box that it cannot open), else None.
    """

    party: Party
    pair: bytes
    hint: bytes
    own_key: bytes | None = None


@dataclass(frozen=True, slots=True)
class Wrap:
    """An opened wrap: for whom (`tag`), and the content key per section, None where it may not read.

    When the user keeps their own key `sealed_keys` is set: a sealed box that only they open, its keys under `mask`.
    """

    tag: bytes
    mask: int
    keys: tuple[bytes | None, ...]
    sealed_keys: bytes | None = None


@lru_cache(maxsize=65_536)
def party_tag(party: Party) -> bytes:
    """16 bytes that stand for a party inside a wrap."""
    return keyed(str(party).encode(), key=bytes(32), person=b"consortium party", size=TAG_BYTES)


def seal(draft: Draft, recipients: Sequence[Recipient], entropy: Entropy, keys: Sequence[bytes] = ()) -> SealedRecord:
    """Encrypt each section, commit to its plaintext, wrap its key for its readers.

    `recipients` covers every reader of every section once. One key per section, used for nothing else; of the first
    sections they may be given as `keys`, fresh ones, because the last section speaks of them.
    """
    keys = (*keys, *(entropy(KEY_BYTES) for _ in draft.sections[len(keys) :]))
    bodies, seals = [], []
    for number, (section, key) in enumerate(zip(draft.sections, keys, strict=True)):
        body = _encrypt(pad(section.plaintext), key, draft, number)
        bodies.append(body)
        seals.append(SectionSeal(commit(section.plaintext, key, draft.id), sha256(body), len(body) - 16))
    hints, wraps = _wrap_all(draft, keys, recipients, entropy)
    header = Header(draft.id, draft.kind, draft.author, draft.created_ms, tuple(seals), hints, sha256(wraps))
    return SealedRecord(header, header.encoded(), tuple(bodies), wraps)


def commit(plaintext: bytes, key: bytes, record_id: bytes) -> bytes:
    """The commitment to a section's plaintext under its content key: binding and hiding, 32 bytes."""
    return keyed(plaintext, key=_subkey(key, b"consortium comm", record_id), person=b"consortium cmmt")


def open_section(header: Header, number: int, body: bytes, key: bytes) -> bytes:
    """The plaintext of section `number`, commitment checked.

    Raises `CommitmentMismatch`, which names the author, if the ciphertext opens to anything but what was committed
    to, or does not open at all under a key that its author handed out.
    """
    enc = _subkey(key, b"consortium encr", header.id)
    aad = _aad(header.id, header.author, header.kind, number)
    try:
        padded = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(body, aad, _ZERO_NONCE, enc)
        plaintext = unpad(padded)
    except (CryptoError, Malformed, ValueError) as error:
        raise CommitmentMismatch(header.author, header.id.hex(), number) from error
    if not hmac.compare_digest(commit(plaintext, key, header.id), header.sections[number].commitment):
        raise CommitmentMismatch(header.author, header.id.hex(), number)
    return plaintext


def wrap_length(sections: int) -> int:
    """The length of every wrap of a record with that many sections."""
    return _NONCE_BYTES + 16 + 1 + TAG_BYTES + 1 + SEALED_BOX_OVERHEAD + sections * KEY_BYTES


def split_wraps(header: Header, wraps: bytes) -> tuple[bytes, ...]:
    """The wraps, one per hint. Raises `Malformed`."""
    return pick_wraps(header, wraps, range(len(header.hints) // HINT_BYTES))


def pick_wraps(header: Header, wraps: bytes, slots: Iterable[int]) -> tuple[bytes, ...]:
    """The wraps in these slots. Raises `Malformed`."""
    length = wrap_length(len(header.sections))
    if len(wraps) * HINT_BYTES != length * len(header.hints):
        raise Malformed("the wraps do not fit the hints")
    return tuple(wraps[slot * length : (slot + 1) * length] for slot in slots)


def open_wrap(header: Header, wrap: bytes, pair: bytes) -> Wrap:
    """A wrap that is addressed to the holder of `pair`.

    Raises `CommitmentMismatch` if it does not open: its hint said that it would, and only its author could have
    written that hint.
    """
    try:
        box = bindings.crypto_box_open_easy_afternm(wrap[_NONCE_BYTES:], wrap[:_NONCE_BYTES], pair)
    except (CryptoError, ValueError) as error:
        raise CommitmentMismatch(header.author, header.id.hex(), 0) from error
    count = len(header.sections)
    form, tag, mask = box[0], box[1 : 1 + TAG_BYTES], box[1 + TAG_BYTES]
    body = box[2 + TAG_BYTES :]
    if form > _TO_OWN_KEY:
        raise CommitmentMismatch(header.author, header.id.hex(), 0)
    if form == _TO_OWN_KEY:
        return Wrap(tag, mask, (None,) * count, body)
    return Wrap(tag, mask, _keys(body, mask, count))


def open_own_wrap(header: Header, wrap: Wrap, secret: bytes, public: bytes) -> Wrap:
    """What a user who keeps their own key does with the sealed box that their member forwards."""
    if wrap.sealed_keys is None:
        raise Malformed("this wrap is not for a user's own key")
    try:
        body = bindings.crypto_box_seal_open(wrap.sealed_keys, public, secret)
    except (CryptoError, ValueError) as error:
        raise CommitmentMismatch(header.author, header.id.hex(), 0) from error
    return Wrap(wrap.tag, wrap.mask, _keys(body, wrap.mask, len(header.sections)))


def is_usable_key(public: bytes) -> bool:
    """Whether something can be boxed for an X25519 public key: it has 32 bytes and is no point of low order."""
    return hint_functions.is_usable_key(public)


def open_sealed_box(box: bytes, secret: bytes) -> bytes:
    """The inverse, by the private key. Raises `Malformed`."""
    try:
        return bindings.crypto_box_seal_open(box, bindings.crypto_scalarmult_base(secret), secret)
    except (CryptoError, ValueError):
        raise Malformed("the box is not for this key") from None


def _keys(body: bytes, mask: int, count: int) -> tuple[bytes | None, ...]:
    return tuple(body[i * KEY_BYTES : (i + 1) * KEY_BYTES] if mask >> i & 1 else None for i in range(count))


def _subkey(key: bytes, person: bytes, record_id: bytes) -> bytes:
    # Salted with the record's id: even a content key used twice would never give the same subkey twice.
    return keyed(b"", key=key, person=person, salt=record_id)


def _aad(record_id: bytes, author: str, kind: str, section: int) -> bytes:
    """CBOR of [1, id, author, kind, section]: only the id, 16 bytes after their head 0x50, differs every time."""
    before, after = _aad_frame(author, kind, section)
    return before + record_id + after


@lru_cache(maxsize=1024)
def _aad_frame(author: str, kind: str, section: int) -> tuple[bytes, bytes]:
    whole = encode_ordered([1, bytes(16), author, kind, section])
    return whole[:3], whole[19:]


def _encrypt(padded: bytes, key: bytes, draft: Draft, number: int) -> bytes:
    enc = _subkey(key, b"consortium encr", draft.id)
    aad = _aad(draft.id, draft.author, draft.kind, number)
    return bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(padded, aad, _ZERO_NONCE, enc)


def _wrap_all(
    draft: Draft, keys: Sequence[bytes], recipients: Sequence[Recipient], entropy: Entropy
) -> tuple[bytes, bytes]:
    """Hints and wraps, padded with random ones to a power of two and put in an order that says nothing."""
    if len(recipients) > MAX_SLOTS:
        raise Malformed(f"a record has at most {MAX_SLOTS} recipients")
    slots: list[tuple[bytes, bytes]] = []
    ordinals: dict[str, int] = {}
    for recipient in recipients:
        ordinal = ordinals.get(recipient.party.member, 0)
        ordinals[recipient.party.member] = ordinal + 1
        mark = hint_functions.hint(recipient.hint, draft.id, ordinal)
        slots.append((mark, _wrap(draft, keys, recipient, entropy)))
    length = wrap_length(len(keys))
    total = max(2, 1 << (len(slots) - 1).bit_length())
    while len(slots) < total:
        slots.append((entropy(16), entropy(length)))
    slots.sort()  # hints look random, so their order is a shuffle that needs no randomness
    return b"".join(h for h, _ in slots), b"".join(w for _, w in slots)


def _wrap(draft: Draft, keys: Sequence[bytes], recipient: Recipient, entropy: Entropy) -> bytes:
    mask, body = 0, b""
    for i, (section, key) in enumerate(zip(draft.sections, keys, strict=True)):
        if recipient.party in section.readers:
            mask |= 1 << i
            body += key
        else:
            body += entropy(KEY_BYTES)
    if recipient.own_key is not None:
        form, body = _TO_OWN_KEY, sealed_box(body, recipient.own_key, entropy)
    else:
        form = _TO_USER if recipient.party.user else _TO_MEMBER
        body = body.ljust(len(body) + SEALED_BOX_OVERHEAD, b"\0")
    nonce = entropy(_NONCE_BYTES)
    box = bytes([form]) + party_tag(recipient.party) + bytes([mask]) + body
    return nonce + bindings.crypto_box_easy_afternm(box, nonce, recipient.pair)


def sealed_box(message: bytes, public: bytes, entropy: Entropy) -> bytes:
    """libsodium's `crypto_box_seal`, with the ephemeral key taken from `entropy` so that vectors are possible."""
    secret = entropy(KEY_BYTES)
    ephemeral = bindings.crypto_scalarmult_base(secret)
    nonce = bindings.crypto_generichash_blake2b_salt_personal(ephemeral + public, digest_size=_NONCE_BYTES)
    return ephemeral + bindings.crypto_box_easy(message, nonce, public, secret)
