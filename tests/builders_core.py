"""Made-up keys, drafts and sealed records with real cryptography, and what else the tests of the core share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from nacl import bindings

from consortium.crypto import hints
from consortium.crypto.sealing import Recipient
from consortium.model.names import Party
from consortium.model.records import SEALED, Draft, DraftSection
from tests.builders import T0, noise


def counter_entropy(label: str) -> Callable[[int], bytes]:
    """Entropy that anyone can compute: call n (from 0) gives SHAKE-128(label || n as 4 bytes big-endian)."""
    calls = 0

    def entropy(size: int) -> bytes:
        nonlocal calls
        data = hashlib.shake_128(label.encode() + calls.to_bytes(4, "big")).digest(size)
        calls += 1
        return data

    return entropy


def x25519(name: str) -> tuple[bytes, bytes]:
    """(secret, public) of a member or user."""
    secret = noise("x25519 secret", name)
    return secret, bindings.crypto_scalarmult_base(secret)


def pair(mine: str, theirs: str) -> bytes:
    """The shared key of two members."""
    return hints.pair_key(x25519(mine)[0], x25519(theirs)[1])


def recipient(author: str, party: str, *, own_key: bool = False) -> Recipient:
    """Where the author's wrap for a party goes."""
    parsed = Party.parse(party)
    shared = pair(author, parsed.member)
    return Recipient(parsed, shared, hints.hint_key(shared), x25519(party)[1] if own_key else None)


def draft(author: str, sections: Sequence[tuple[str, bytes, Sequence[str]]], *, id: bytes | None = None) -> Draft:
    """A draft of (name, plaintext, readers) sections."""
    made = tuple(DraftSection(name, text, tuple(Party.parse(r) for r in readers)) for name, text, readers in sections)
    return Draft(id or noise("draft", author, sections, size=16), SEALED, author, T0, made)
