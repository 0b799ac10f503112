"""Tokens that this node issues to its member's people and machines, and verifies itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from consortium.adapters.tokens import compact
from consortium.adapters.tokens.compact import Expected, Verified
from consortium.ports.clock import Clock
from consortium.ports.keys import KeyCustody

LIFETIME_S = 15 * 60
_REQUIRED = ("iss", "aud", "sub", "kind", "member", "iat", "nbf", "exp", "jti")


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token, the POSIX time in seconds at which it ends, and the kind of its account."""

    token: str = field(repr=False)
    expires_s: int
    kind: str


class NodeTokens:
    """EdDSA tokens by the member's token key, for this member's node alone.

    `issuer` defaults to `https://<member>.<network>`, a name that nobody has to resolve; the audience is
    `<network>/<member>`. `lifetime_s` is the life of every token.
    """

    def __init__(
        self,
        custody: KeyCustody,
        clock: Clock,
        *,
        network: str,
        member: str,
        issuer: str = "",
        lifetime_s: int = LIFETIME_S,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.member = member
        self.issuer = issuer or f"https://{member}.{network}"
        self._sign = custody.sign_token
        self._clock = clock
        self._lifetime_s = lifetime_s
        self._entropy = entropy
        self._public = custody.public.token
        self._kid = compact.key_id(self._public)
        self._key = compact.ed25519(self._public)
        self._expected = Expected((compact.EDDSA,), self.issuer, f"{network}/{member}", _REQUIRED)

    def jwks(self) -> dict[str, Any]:
        """The public key as a JWK set (RFC 7517 section 5)."""
        return {"keys": [compact.jwk(self._public)]}

    def issue(self, name: str, kind: str) -> IssuedToken:
        """A token for an account that has just proved itself."""
        now_s = self._clock.now_ms() // 1000
        expires_s = now_s + self._lifetime_s
        claims = {
            "iss": self.issuer,
            "aud": self._expected.audience,
            "sub": name,
            "kind": kind,
            "member": self.member,
            "iat": now_s,
            "nbf": now_s,
            "exp": expires_s,
            "jti": self._entropy(16).hex(),
        }
        return IssuedToken(compact.sign(claims, self._kid, self._sign), expires_s, kind)

    def verify(self, token: str) -> Verified:
        """Raises `NotAuthenticated`."""
        header, _ = compact.peek(token)
        if header.get("kid") != self._kid:
            raise compact.refused()
        claims = compact.verify(token, self._key, self._expected, self._clock.now_ms())
        name, kind = compact.text_claim(claims, "sub"), compact.text_claim(claims, "kind")
        # Never a peer: those have no account that could be disabled, and tokens of their own.
        if claims["member"] != self.member or kind not in compact.ACCOUNT_KINDS:
            raise compact.refused()
        return Verified(name, self.member, kind, compact.seconds_claim(claims, "exp"))
