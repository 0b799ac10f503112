"""What a key file holds: five key pairs' secrets and the storage key. Never shown, never part of a message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from nacl import bindings

from consortium.crypto import signing
from consortium.errors import Malformed
from consortium.model.encoding import decode, encode
from consortium.model.members import MemberKeys

KEY_BYTES = 32


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """32 bytes each: four Ed25519 seeds, an X25519 secret, and the key for what the member keeps at rest."""

    signing: bytes
    log: bytes
    witness: bytes
    token: bytes
    encryption: bytes
    storage: bytes

    def __repr__(self) -> str:
        return "Secrets(...)"

    @classmethod
    def generate(cls, entropy: Callable[[int], bytes]) -> Secrets:
        """New ones, drawn in the order of the fields."""
        return cls(*(entropy(KEY_BYTES) for _ in fields(cls)))

    def public(self) -> MemberKeys:
        """The public halves."""
        return MemberKeys(
            signing.public_key(self.signing),
            signing.public_key(self.log),
            signing.public_key(self.witness),
            signing.public_key(self.token),
            bindings.crypto_scalarmult_base(self.encryption),
        )

    def encoded(self) -> bytes:
        """The bytes that are sealed."""
        return encode([getattr(self, field.name) for field in fields(self)])

    @classmethod
    def decode(cls, data: bytes) -> Secrets:
        """The inverse of `encoded`. Raises `Malformed`."""
        raw = decode(data)
        if type(raw) is not tuple or len(raw) != len(fields(cls)):
            raise Malformed("a key file holds six keys")
        if any(type(key) is not bytes or len(key) != KEY_BYTES for key in raw):
            raise Malformed("a key has 32 bytes")
        return cls(*raw)
