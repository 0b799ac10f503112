"""The member's private keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from consortium.crypto.notes import NoteSignature
from consortium.model.members import MemberKeys


@dataclass(frozen=True, slots=True)
class PairKeys:
    """What this member shares with another (or with itself): `pair` opens wraps, `hint` only recognises them."""

    pair: bytes
    hint: bytes


class KeyCustody(Protocol):
    """The member's private keys. They never leave it; what needs one asks it to act."""

    @property
    def public(self) -> MemberKeys:
        """The public halves."""
        ...

    def sign_batch(self, message: bytes) -> bytes:
        """Ed25519 by the signing key."""
        ...

    def sign_checkpoint(self, text: str, origin: str) -> NoteSignature:
        """Note signature by the log key, under the origin's name."""
        ...

    def cosign(self, text: str, name: str, timestamp_s: int) -> NoteSignature:
        """Cosignature/v1 by the witness key, under the cosigner's name."""
        ...

    def sign_token(self, message: bytes) -> bytes:
        """Ed25519 by the token key."""
        ...

    def pair(self, public: bytes) -> PairKeys:
        """The keys shared with the holder of an X25519 public key."""
        ...

    def blind(self, tag: bytes) -> bytes:
        """A party's tag under the storage key, 16 bytes; deterministic."""
        ...

    def derive_id(self, cause: bytes) -> bytes:
        """The id of the record that follows from `cause`, 16 bytes: always the same, and nobody else can guess it."""
        ...
