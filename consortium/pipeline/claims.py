"""What an officer's node keeps at rest of a disclosed record: keys at first, then keys and ciphertexts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from consortium.errors import DefectError
from consortium.model.encoding import decode_flat, encode_ordered
from consortium.ports.keys import KeyCustody

_KEY, _CLAIM = b"grant key\n", b"disclosed\n"


def key_context(grant: bytes) -> bytes:
    """What the private half of a grant's key is bound to at rest."""
    return _KEY + grant


def claim_context(grant: bytes, record: bytes) -> bytes:
    """What is kept of a disclosed record is bound to these."""
    return _CLAIM + grant + record


@dataclass(frozen=True, slots=True)
class Content:
    """By section its content key and, once fetched, its ciphertext (else b""); the words that the holder stated, and
    whether it takes them to know that the record lies inside the scope.
    """

    sections: Mapping[int, tuple[bytes, bytes]]
    words: tuple[str, ...] = ()
    by_word: bool = False


class Vault:
    """Seals and opens what is kept of grants."""

    def __init__(self, custody: KeyCustody) -> None:
        self._custody = custody

    def seal_key(self, grant: bytes, secret: bytes) -> bytes:
        """The private half of a grant's key."""
        return self._custody.seal_at_rest(key_context(grant), secret)

    def open_key(self, grant: bytes, sealed: bytes) -> bytes:
        """The inverse. Raises `KeysUnavailable`."""
        return self._custody.open_at_rest(key_context(grant), sealed)

    def seal(self, grant: bytes, record: bytes, content: Content) -> bytes:
        """What is kept of a record."""
        rows = [[number, key, body] for number, (key, body) in sorted(content.sections.items())]
        plain = encode_ordered([rows, list(content.words), content.by_word])
        return self._custody.seal_at_rest(claim_context(grant, record), plain)

    def open(self, grant: bytes, record: bytes, sealed: bytes) -> Content:
        """The inverse. Raises `KeysUnavailable`."""
        raw = decode_flat(self._custody.open_at_rest(claim_context(grant, record), sealed))
        if type(raw) is not tuple or len(raw) != 3:
            raise DefectError("what was kept of a disclosure has another form")
        rows, words, by_word = raw
        return Content({number: (key, body) for number, key, body in rows}, tuple(words), by_word)
