"""Signed challenges: who holds an account's private key signs a fresh text of the node's."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from consortium.adapters.tokens import compact
from consortium.adapters.tokens.compact import Expected
from consortium.adapters.tokens.tokenkey import TokenKey
from consortium.ports.clock import Clock
from consortium.ports.keys import KeyCustody

LIFETIME_S = 60
MAX_USED = 100_000
_REQUIRED = ("iss", "aud", "sub", "iat", "exp", "jti", "boot")


@dataclass(frozen=True, slots=True)
class Challenge:
    """The text to sign, and the POSIX time in seconds until which an answer is taken."""

    challenge: str
    expires_s: int


class Challenges:
    """Makes and redeems challenges. Nothing is kept of one that was made; what was redeemed is kept until its end.

    `boot` is random per process: a challenge of an earlier process, whose redeemed ones are forgotten, is void.
    """

    def __init__(
        self,
        custody: KeyCustody,
        clock: Clock,
        *,
        issuer: str,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._key = TokenKey(custody)
        self._clock = clock
        self._entropy = entropy
        self._boot = entropy(16).hex()
        # Its own audience: a challenge is no token, and a token no challenge.
        self._expected = Expected((compact.EDDSA,), issuer, f"{issuer}#challenge", _REQUIRED)
        self._used: dict[str, int] = {}

    def make(self, name: str) -> Challenge:
        """A challenge for `name`, whether there is such an account or not."""
        now_s = self._clock.now_ms() // 1000
        claims = {
            "iss": self._expected.issuer,
            "aud": self._expected.audience,
            "sub": name,
            "iat": now_s,
            "exp": now_s + LIFETIME_S,
            "jti": self._entropy(16).hex(),
            "boot": self._boot,
        }
        return Challenge(self._key.sign(claims), now_s + LIFETIME_S)

    def name_of(self, challenge: str) -> str:
        """Whom an open challenge was made for. Raises `NotAuthenticated` if it is none, is over, or is redeemed."""
        return self._read(challenge)[0]

    def redeem(self, challenge: str) -> None:
        """Use it up. Raises `NotAuthenticated` if somebody was faster."""
        _, nonce, expires_s = self._read(challenge)
        now_s = self._clock.now_ms() // 1000
        if len(self._used) >= MAX_USED:
            self._used = {key: end for key, end in self._used.items() if end > now_s - compact.LEEWAY_S}
        if len(self._used) >= MAX_USED:
            raise compact.refused()
        self._used[nonce] = expires_s

    def _read(self, challenge: str) -> tuple[str, str, int]:
        compact.peek(challenge)
        claims = compact.verify(challenge, self._key.verifying, self._expected, self._clock.now_ms())
        nonce = compact.text_claim(claims, "jti")
        if claims["boot"] != self._boot or nonce in self._used:
            raise compact.refused()
        return compact.text_claim(claims, "sub"), nonce, compact.seconds_claim(claims, "exp")
