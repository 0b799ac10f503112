"""An issuer's published keys (RFC 7517), fetched when needed, never more often than allowed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx
import jwt
import structlog
from cryptography.exceptions import UnsupportedAlgorithm

from consortium.ports.clock import Clock

LIFETIME_MS = 300_000
"""After this a withdrawn key is noticed."""
MAX_AGE_MS = 3_600_000
"""While the issuer cannot be reached, its last keys hold this long and no longer."""
MAX_DOCUMENT_BYTES = 256 * 1024
_TIMEOUT_S = 5.0
_KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}

Keys = dict[tuple[str, str], jwt.PyJWK]
_log = structlog.get_logger(__name__)


class IssuerKeys:
    """Public keys by key id and algorithm; only pinned algorithms, only keys for signatures."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        clock: Clock,
        *,
        issuer: str,
        jwks_uri: str,
        algorithms: Sequence[str],
        refetch_s: int,
    ) -> None:
        self._http = http
        self._clock = clock
        self._issuer = issuer
        self._jwks_uri = jwks_uri
        self._algorithms = tuple(algorithms)
        self._refetch_ms = refetch_s * 1000
        self._keys: Keys = {}
        self._fetched_ms: int | None = None
        self._tried_ms: int | None = None
        self._one_at_a_time = asyncio.Lock()

    async def find(self, kid: str, algorithm: str) -> jwt.PyJWK | None:
        """The key, fetching the set if it is old or does not hold this key id; None if there is none."""
        wanted = (kid, algorithm)
        if wanted not in self._keys or not self._younger_than(LIFETIME_MS):
            async with self._one_at_a_time:
                if (wanted not in self._keys or not self._younger_than(LIFETIME_MS)) and self._may_try():
                    await self._refetch()
        return self._keys.get(wanted) if self._younger_than(MAX_AGE_MS) else None

    def _younger_than(self, age_ms: int) -> bool:
        return self._fetched_ms is not None and self._clock.now_ms() - self._fetched_ms < age_ms

    def _may_try(self) -> bool:
        if self._tried_ms is None:
            return True
        # A clock that was set back must not keep the node from fetching for hours.
        return not 0 <= self._clock.now_ms() - self._tried_ms < self._refetch_ms

    async def _refetch(self) -> None:
        self._tried_ms = self._clock.now_ms()
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                uri = self._jwks_uri or await self._discover()
                self._keys = usable_keys(await self._get(uri), self._algorithms)
            self._fetched_ms = self._clock.now_ms()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError, RecursionError) as error:
            _log.warning("oidc_keys_unavailable", issuer=self._issuer, error=type(error).__name__)

    async def _discover(self) -> str:
        """OpenID Connect Discovery 1.0 section 4; the document must name the very issuer that was asked."""
        document = await self._get(self._issuer.rstrip("/") + "/.well-known/openid-configuration")
        uri = document.get("jwks_uri")
        if document.get("issuer") != self._issuer or not isinstance(uri, str):
            raise ValueError("the discovery document names another issuer")
        # Keys that came over a plain connection would let anyone on the way sign: https stays https.
        if httpx.URL(self._issuer).scheme == "https" and httpx.URL(uri).scheme != "https":
            raise ValueError("the discovery document names keys without https")
        return uri

    async def _get(self, url: str) -> dict[str, Any]:
        data = b""
        async with self._http.stream("GET", url, headers={"accept": "application/json"}) as response:
            if response.status_code != 200:
                raise ValueError("the issuer did not answer with a document")
            async for chunk in response.aiter_bytes():
                data += chunk
                if len(data) > MAX_DOCUMENT_BYTES:
                    raise ValueError("the issuer's document is too large")
        document = json.loads(data)
        if not isinstance(document, dict):
            raise ValueError("the issuer's document is no object")
        return document


def usable_keys(document: dict[str, Any], algorithms: Sequence[str]) -> Keys:
    """The keys of a JWK set under each pinned algorithm that they fit. Others are left out. Raises `ValueError`."""
    raw = document.get("keys")
    if not isinstance(raw, list):
        raise ValueError("a key set has keys")
    keys: Keys = {}
    for item in raw:
        for algorithm in algorithms:
            key = _usable(item, algorithm)
            if key is not None and key.key_id:
                keys.setdefault((key.key_id, algorithm), key)
    return keys


def _usable(item: Any, algorithm: str) -> jwt.PyJWK | None:
    if not isinstance(item, dict) or not isinstance(item.get("kid"), str):
        return None
    if item.get("kty") != _KEY_TYPES[algorithm[:2]] or item.get("use", "sig") != "sig":
        return None
    if item.get("alg", algorithm) != algorithm:
        return None
    try:
        return jwt.PyJWK(item, algorithm)
    except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, KeyError):
        return None
