"""Tokens on requests: as they are (`Bearer`), or with a proof of the key that they are bound to (DPoP, RFC 9449)."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable, Generator, Mapping

import httpx

from consortium.crypto import signing
from consortium.crypto.hashing import sha256


class DpopKey:
    """An Ed25519 key that tokens are bound to; it stays where it was made. `now_s` gives POSIX seconds."""

    def __init__(self, seed: bytes | None = None, now_s: Callable[[], float] = time.time) -> None:
        self.seed = seed or os.urandom(signing.SEED_BYTES)
        self._secret = signing.expand(self.seed)
        self._now_s = now_s
        self._jwk = {"crv": "Ed25519", "kty": "OKP", "x": _text(signing.public_key(self.seed))}

    def __repr__(self) -> str:
        return f"DpopKey({self.thumbprint})"

    @property
    def thumbprint(self) -> str:
        """RFC 7638, RFC 8037."""
        return _text(sha256(json.dumps(self._jwk, separators=(",", ":")).encode()))

    def proof(self, method: str, url: httpx.URL | str, token: str = "") -> str:
        """A fresh proof for one request, with `token` if it carries one (RFC 9449 section 4.2)."""
        url = httpx.URL(url)
        path = url.raw_path.decode("ascii").partition("?")[0]
        claims: dict[str, object] = {
            "jti": os.urandom(16).hex(),
            "htm": method,
            "htu": f"{url.scheme}://{url.netloc.decode('ascii')}{path}",
            "iat": int(self._now_s()),
        }
        if token:
            claims["ath"] = _text(sha256(token.encode()))
        header = {"typ": "dpop+jwt", "alg": "EdDSA", "jwk": self._jwk}
        signed = f"{_json(header)}.{_json(claims)}"
        return f"{signed}.{_text(signing.sign(signed.encode(), self._secret))}"


class TokenAuth(httpx.Auth):
    """Puts a token on requests: with `key` as a DPoP token, else as a bearer's; without a token nothing."""

    def __init__(self, token: str, key: DpopKey | None = None) -> None:
        self._token = token
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """httpx."""
        request.headers.update(headers(self._token, self._key, request.method, request.url))
        yield request


def headers(token: str, key: DpopKey | None, method: str, url: httpx.URL | str) -> Mapping[str, str]:
    """The headers of one request."""
    if not token:
        return {}
    if key is None:
        return {"Authorization": f"Bearer {token}"}
    return {"Authorization": f"DPoP {token}", "DPoP": key.proof(method, url, token)}


def _json(value: Mapping[str, object]) -> str:
    return _text(json.dumps(value, separators=(",", ":")).encode())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
