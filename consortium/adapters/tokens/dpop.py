"""DPoP (RFC 9449): who sends a token proves with each request that they hold the key that it is bound to.

Left out: the server's nonce (sections 8 and 9). A proof is void after a minute, serves once, and none from before the
start of the process is taken, so that a restart, which forgets what was used, opens nothing.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from jwt.utils import base64url_encode

from consortium.adapters.tokens import compact
from consortium.crypto.hashing import sha256
from consortium.ports.callers import Proof
from consortium.ports.clock import Clock

TYPE = "dpop+jwt"
LIFETIME_S = 60
MAX_PROOF_CHARS = 2048
MAX_JTI_CHARS = 128
MAX_USED = 200_000
"""Proofs remembered within one lifetime; further ones are refused until some have ended."""
_MEMBERS = {"EdDSA": ("OKP", "Ed25519", ("crv", "kty", "x")), "ES256": ("EC", "P-256", ("crv", "kty", "x", "y"))}
"""By algorithm: key type, curve, and the members that a thumbprint is made of (RFC 7638, RFC 8037)."""
_REQUIRED = ("htm", "htu", "iat", "jti")


class Proofs:
    """Checks proofs for one node, whose API callers reach at `origin` (`https://node.example`)."""

    def __init__(self, clock: Clock, origin: str) -> None:
        self._clock = clock
        self._origin = origin.rstrip("/").lower()
        self._started_s = clock.now_ms() // 1000
        self._used = _Once(MAX_USED)

    def check(self, proof: Proof, token: str = "") -> str:
        """The thumbprint of the key that signed, for a request with `token` ('' where there is none yet).

        Raises `NotAuthenticated`, always with the same words.
        """
        algorithm, thumbprint, key = _signer(proof.text)
        claims = _verified(proof.text, key, algorithm)
        now_s = self._clock.now_ms() // 1000
        issued_s = compact.seconds_claim(claims, "iat")
        # After the clock was set back the start is no bound: it would refuse everybody until the clock gets there.
        started_s = self._started_s if self._started_s <= now_s else 0
        young = max(started_s, now_s - LIFETIME_S) <= issued_s <= now_s + compact.LEEWAY_S
        if not young or claims["htm"] != proof.method or not self._is_here(claims["htu"], proof.path):
            raise compact.refused()
        if token and not _same(claims.get("ath"), base64url_encode(sha256(token.encode())).decode()):
            raise compact.refused()
        identifier = compact.text_claim(claims, "jti")
        if len(identifier) > MAX_JTI_CHARS or not self._used.first(f"{thumbprint} {identifier}", now_s):
            raise compact.refused()
        return thumbprint

    def _is_here(self, uri: Any, path: str) -> bool:
        """RFC 9449 section 4.3, check 9: without query and fragment."""
        try:
            parts = urlsplit(uri)
        except (ValueError, TypeError, AttributeError):
            return False
        return f"{parts.scheme}://{parts.netloc}".lower() == self._origin and parts.path == path


def thumbprint_of(jwk: Mapping[str, str], members: tuple[str, ...]) -> str:
    """RFC 7638."""
    canonical = json.dumps({name: jwk[name] for name in members}, separators=(",", ":"), sort_keys=True)
    return base64url_encode(sha256(canonical.encode())).decode()


def _signer(text: str) -> tuple[str, str, jwt.PyJWK]:
    """Algorithm, thumbprint and public key that a proof's header names."""
    if not 0 < len(text) <= MAX_PROOF_CHARS or not text.isascii():
        raise compact.refused()
    try:
        header = jwt.get_unverified_header(text)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise compact.refused() from None
    algorithm, jwk = header.get("alg"), header.get("jwk")
    if header.get("typ") != TYPE or algorithm not in _MEMBERS or not isinstance(jwk, dict) or "d" in jwk:
        raise compact.refused()
    values = tuple(jwk.get(name) for name in _MEMBERS[algorithm][2])
    if not all(isinstance(value, str) for value in values):
        raise compact.refused()
    return algorithm, *_key(algorithm, values)


@lru_cache(4096)
def _key(algorithm: str, values: tuple[str, ...]) -> tuple[str, jwt.PyJWK]:
    kind, curve, names = _MEMBERS[algorithm]
    jwk = dict(zip(names, values, strict=True))
    if jwk["kty"] != kind or jwk["crv"] != curve:
        raise compact.refused()
    try:
        return thumbprint_of(jwk, names), jwt.PyJWK(jwk, algorithm)
    except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError):
        raise compact.refused() from None


def _verified(text: str, key: jwt.PyJWK, algorithm: str) -> dict[str, Any]:
    options: Any = {
        "require": list(_REQUIRED),
        "verify_exp": False,
        "verify_nbf": False,
        "verify_iat": False,
        "verify_aud": False,
    }
    try:
        return jwt.decode(text, key, algorithms=[algorithm], options=options)
    except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, RecursionError):
        raise compact.refused() from None


def _same(given: Any, wanted: str) -> bool:
    return isinstance(given, str) and given.isascii() and hmac.compare_digest(given, wanted)


class _Once:
    """What was used within the lifetime of a proof, in two generations: the older is dropped whole when it is over."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._now: set[bytes] = set()
        self._before: set[bytes] = set()
        self._since_s = 0

    def first(self, text: str, now_s: int) -> bool:
        """Whether it is used for the first time; False as well while too much is remembered."""
        self._since_s = min(self._since_s, now_s)  # a clock that was set back must not stop the turning
        if now_s - self._since_s > LIFETIME_S + compact.LEEWAY_S:
            self._now, self._before, self._since_s = set(), self._now, now_s
        mark = sha256(text.encode())[:16]
        if mark in self._now or mark in self._before or len(self._now) >= self._bound:
            return False
        self._now.add(mark)
        return True
