"""The member's token key of the moment: it changes while a node runs, when the ledger names another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from consortium.adapters.tokens import compact
from consortium.ports.keys import KeyCustody


class TokenKey:
    """Signs with the key in force, and knows its public half as JWT libraries want it."""

    def __init__(self, custody: KeyCustody) -> None:
        self._custody = custody
        self._known: tuple[bytes, str, Ed25519PublicKey] | None = None

    @property
    def public(self) -> bytes:
        """The public half, 32 bytes."""
        return self._custody.public.token

    @property
    def kid(self) -> str:
        """Its number (RFC 7638)."""
        return self._now()[1]

    @property
    def verifying(self) -> Ed25519PublicKey:
        """What verifies its signatures."""
        return self._now()[2]

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A token of these claims."""
        return compact.sign(claims, self.kid, self._custody.sign_token)

    def _now(self) -> tuple[bytes, str, Ed25519PublicKey]:
        public = self.public
        if self._known is None or self._known[0] != public:
            self._known = public, compact.key_id(public), compact.ed25519(public)
        return self._known
