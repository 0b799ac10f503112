"""Tokens that this node issues to its member's people and machines, and verifies itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from consortium.adapters.tokens import compact
from consortium.adapters.tokens.compact import Expected, Verified
from consortium.adapters.tokens.tokenkey import TokenKey
from consortium.ports.accounts import KINDS
from consortium.ports.clock import Clock
from consortium.ports.keys import KeyCustody

LIFETIME_S = 15 * 60
_REQUIRED = ("iss", "aud", "sub", "kind", "member", "sid", "iat", "nbf", "exp", "jti")


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token, the POSIX time in seconds at which it ends, and the kind of its account.

    `refresh` gives the next one; `until_s` is when the session ends in any case. `scheme` is how the token is sent,
    Bearer or DPoP; `device` says of a later login that it comes from where this one came from.
    """

    token: str = field(repr=False)
    expires_s: int
    kind: str
    refresh: str = field(default="", repr=False)
    until_s: int = 0
    scheme: str = "Bearer"
    device: str = field(default="", repr=False)


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
        self._key = TokenKey(custody)
        self._in_use = self._key.public
        self._former: dict[bytes, int] = {}
        self._clock = clock
        self._lifetime_s = lifetime_s
        self._entropy = entropy
        self._expected = Expected((compact.EDDSA,), self.issuer, f"{network}/{member}", _REQUIRED)

    def switched(self, *, revoked: bool) -> None:
        """The member has other keys from now on.

        Tokens by the keys before are taken while one of them can still be alive; of keys that were stolen none, ever.
        """
        before, self._in_use = self._in_use, self._key.public
        if before != self._in_use:
            self._former[before] = self._clock.now_ms() // 1000 + self._lifetime_s
        if revoked:
            self._former = {}

    def jwks(self) -> dict[str, Any]:
        """The public keys that tokens may be signed by, as a JWK set (RFC 7517 section 5)."""
        return {"keys": [compact.jwk(public) for public in self._taken()]}

    def _taken(self) -> list[bytes]:
        now_s = self._clock.now_ms() // 1000
        self._former = {key: until_s for key, until_s in self._former.items() if now_s < until_s}
        return [self._key.public, *self._former]

    def issue(
        self,
        name: str,
        kind: str,
        *,
        session: bytes,
        key: str = "",
        refresh: str = "",
        until_s: int | None = None,
    ) -> IssuedToken:
        """A token of a session, bound to the key of that thumbprint if there is one; it never outlives the session."""
        now_s = self._clock.now_ms() // 1000
        expires_s = now_s + self._lifetime_s
        if until_s is not None:
            expires_s = min(expires_s, until_s)
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self._expected.audience,
            "sub": name,
            "kind": kind,
            "member": self.member,
            "sid": session.hex(),
            "iat": now_s,
            "nbf": now_s,
            "exp": expires_s,
            "jti": self._entropy(16).hex(),
        }
        if key:
            claims["cnf"] = {"jkt": key}
        token = self._key.sign(claims)
        return IssuedToken(token, expires_s, kind, refresh, until_s or expires_s, "DPoP" if key else "Bearer")

    def verify(self, token: str) -> Verified:
        """Raises `NotAuthenticated`."""
        header, _ = compact.peek(token)
        public = next((key for key in self._taken() if compact.key_id(key) == header.get("kid")), None)
        if public is None:
            raise compact.refused()
        key = self._key.verifying if public == self._key.public else compact.ed25519(public)
        claims = compact.verify(token, key, self._expected, self._clock.now_ms())
        name, kind = compact.text_claim(claims, "sub"), compact.text_claim(claims, "kind")
        # Never a peer: those have no account that could be disabled, and tokens of their own.
        if claims["member"] != self.member or kind not in KINDS:
            raise compact.refused()
        return Verified(
            name,
            self.member,
            kind,
            compact.seconds_claim(claims, "exp"),
            compact.seconds_claim(claims, "iat"),
            compact.bound_key(claims),
            _session(claims),
        )


def _session(claims: Mapping[str, Any]) -> bytes:
    try:
        return bytes.fromhex(compact.text_claim(claims, "sid"))
    except ValueError:
        raise compact.refused() from None
