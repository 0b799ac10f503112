"""Where somebody signed in before: a token that a client keeps, so that a stranger's failures do not lock it out.

It proves nothing about who asks, and opens nothing: it only has its failures counted apart.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from consortium.adapters.tokens import compact
from consortium.adapters.tokens.compact import Expected
from consortium.adapters.tokens.tokenkey import TokenKey
from consortium.errors import NotAuthenticated
from consortium.ports.clock import Clock
from consortium.ports.keys import KeyCustody

LIFETIME_S = 180 * 86_400
_REQUIRED = ("iss", "aud", "sub", "exp", "jti")


class Devices:
    """Makes and reads them."""

    def __init__(
        self, custody: KeyCustody, clock: Clock, *, issuer: str, entropy: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._key, self._clock, self._entropy = TokenKey(custody), clock, entropy
        self._expected = Expected((compact.EDDSA,), issuer, f"{issuer}#device", _REQUIRED)

    def make(self, name: str) -> str:
        """For a device that `name` has just signed in from."""
        claims = {
            "iss": self._expected.issuer,
            "aud": self._expected.audience,
            "sub": name,
            "exp": self._clock.now_ms() // 1000 + LIFETIME_S,
            "jti": self._entropy(16).hex(),
        }
        return self._key.sign(claims)

    def of(self, name: str, device: str) -> str:
        """Its number, or '' if this is no token of a device that `name` signed in from."""
        if not device:
            return ""
        try:
            compact.peek(device)
            claims = compact.verify(device, self._key.verifying, self._expected, self._clock.now_ms())
            return compact.text_claim(claims, "jti") if claims["sub"] == name else ""
        except NotAuthenticated:
            return ""
