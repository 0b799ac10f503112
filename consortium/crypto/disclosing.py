"""Content keys in a sealed box to a grant's key (docs/formats.md, "Disclosures"): nobody but its holder opens it.

Random bytes come in as `entropy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nacl import bindings
from nacl.exceptions import CryptoError

from consortium.crypto.sealing import KEY_BYTES, Entropy, sealed_box
from consortium.errors import Malformed
from consortium.model.encoding import decode_flat, encode_ordered
from consortium.model.names import ID_BYTES
from consortium.model.records import MAX_SECTIONS

VERSION = 1
MAX_ENTRIES = 400
_MAX_WORDS, _MAX_WORD = 400, 70


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """The content key of one section of a record. `words` are the parties and areas of the grant that the record is
    about, by its holder's word.
    """

    record: bytes
    section: int
    key: bytes
    words: tuple[str, ...] = ()


def seal_keys(grant: bytes, entries: Sequence[KeyEntry], public: bytes, entropy: Entropy) -> bytes:
    """The box of at most `MAX_ENTRIES` entries for the holder of the X25519 key `public`. Raises `Malformed`."""
    rows = [[one.record, one.section, one.key, list(one.words)] for one in entries]
    try:
        return sealed_box(encode_ordered([VERSION, grant, rows]), public, entropy)
    except (CryptoError, ValueError, RuntimeError):
        raise Malformed("a grant's key is no usable X25519 key") from None


def open_keys(grant: bytes, box: bytes, secret: bytes) -> tuple[KeyEntry, ...]:
    """The entries. Raises `Malformed` for what is no box for this grant and key: anybody may have written it."""
    try:
        plain = bindings.crypto_box_seal_open(box, bindings.crypto_scalarmult_base(secret), secret)
    except (CryptoError, ValueError, TypeError, RuntimeError) as error:
        raise Malformed("a disclosure does not open with the grant's key") from error
    raw = decode_flat(plain)
    if type(raw) is not tuple or len(raw) != 3 or type(raw[0]) is not int or raw[0] != VERSION or raw[1] != grant:
        raise Malformed("a disclosure is of another version or grant")
    rows = raw[2]
    if type(rows) is not tuple or len(rows) > MAX_ENTRIES:
        raise Malformed(f"a disclosure has at most {MAX_ENTRIES} entries")
    return tuple(map(_entry, rows))


def _entry(row: object) -> KeyEntry:
    if type(row) is not tuple or len(row) != 4:
        raise Malformed("an entry of a disclosure has four fields")
    record, section, key, words = row
    if type(record) is not bytes or len(record) != ID_BYTES or type(key) is not bytes or len(key) != KEY_BYTES:
        raise Malformed("an entry of a disclosure has a wrong length")
    if type(section) is not int or not 0 <= section < MAX_SECTIONS:
        raise Malformed("an entry of a disclosure names no section")
    if type(words) is not tuple or len(words) > _MAX_WORDS or not all(_is_word(word) for word in words):
        raise Malformed("an entry of a disclosure has words that are none")
    return KeyEntry(record, section, key, words)


def _is_word(word: object) -> bool:
    return type(word) is str and 0 < len(word) <= _MAX_WORD
