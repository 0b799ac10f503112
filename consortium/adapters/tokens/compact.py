"""JWT in compact form: signing through `KeyCustody`, verifying by PyJWT, and nothing trusted before it is verified.

Times are checked here and not by PyJWT, since the clock comes in as a port. Every failure is the same
`NotAuthenticated`: who is refused does not learn why.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jwt.utils import base64url_encode

from consortium.crypto.hashing import sha256
from consortium.errors import NotAuthenticated

EDDSA = "EdDSA"
LEEWAY_S = 5
MAX_TOKEN_CHARS = 8192
_HINT = (
    "sign in, and send the token as 'Authorization: Bearer ...'; officers, administrators and machines as "
    "'Authorization: DPoP ...', with a proof of their key (docs/users.md)"
)


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verified token says. `kind` is '' where the node's own account says it; times are POSIX seconds.

    `key` is the thumbprint of the key that it is bound to (RFC 9449 section 6.1) or '', `session` that of the node's
    own or b''.
    """

    name: str
    member: str
    kind: str
    expires_s: int
    issued_s: int = 0
    key: str = ""
    session: bytes = b""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must say: one of `algorithms`, `issuer`, `audience`, and all claims of `required`."""

    algorithms: Sequence[str]
    issuer: str
    audience: str
    required: Sequence[str]
    one_audience: bool = True


def refused() -> NotAuthenticated:
    """The one refusal, in the same words for every reason."""
    return NotAuthenticated("not authenticated", hint=_HINT)


def key_id(public: bytes) -> str:
    """The thumbprint of an Ed25519 key (RFC 7638, RFC 8037 appendix A.3)."""
    return base64url_encode(sha256(json.dumps(_required_members(public), separators=(",", ":")).encode())).decode()


def jwk(public: bytes) -> dict[str, str]:
    """The public key as a JWK (RFC 8037)."""
    return {**_required_members(public), "kid": key_id(public), "use": "sig", "alg": EDDSA}


def ed25519(public: bytes) -> Ed25519PublicKey:
    """The key as PyJWT takes it."""
    return Ed25519PublicKey.from_public_bytes(public)


def sign(claims: Mapping[str, Any], kid: str, signer: Callable[[bytes], bytes]) -> str:
    """A compact JWS (RFC 7515 section 7.1). Built here since PyJWT wants the private key, which stays in custody."""
    header = {"alg": EDDSA, "kid": kid, "typ": "JWT"}
    signing_input = _segment(header) + b"." + _segment(claims)
    return (signing_input + b"." + base64url_encode(signer(signing_input))).decode()


def peek(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a token that nobody has verified: good for choosing a key, and for nothing else."""
    if len(token) > MAX_TOKEN_CHARS or not token.isascii():
        raise refused()
    try:
        parts = jwt.decode_complete(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, TypeError):
        raise refused() from None
    return parts["header"], parts["payload"]


def verify(token: str, key: Ed25519PublicKey | jwt.PyJWK, expected: Expected, now_ms: int) -> dict[str, Any]:
    """The claims of a token that holds in every respect."""
    options: Any = {
        "require": list(expected.required),
        "verify_exp": False,
        "verify_nbf": False,
        "verify_iat": False,
        "strict_aud": expected.one_audience,
        "enforce_minimum_key_length": True,
    }
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=list(expected.algorithms),
            audience=expected.audience,
            issuer=expected.issuer,
            options=options,
        )
    except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError):
        raise refused() from None
    _check_times(claims, now_ms // 1000)
    return claims


def text_claim(claims: Mapping[str, Any], name: str) -> str:
    """A claim that must be text and not empty."""
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise refused()
    return value


def bound_key(claims: Mapping[str, Any]) -> str:
    """The thumbprint of the key that a token is bound to, or '' (RFC 9449 section 6.1)."""
    if "cnf" not in claims:
        return ""
    confirmation = claims["cnf"]
    # A binding of another kind (RFC 8705) is not checked here, and what is not checked is not ignored.
    if not isinstance(confirmation, dict) or set(confirmation) != {"jkt"}:
        raise refused()
    return text_claim(confirmation, "jkt")


def seconds_claim(claims: Mapping[str, Any], name: str) -> int:
    """A NumericDate (RFC 7519 section 2): seconds; issuers elsewhere may send fractions, which are cut off."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refused()
    try:
        return int(value)
    except (ValueError, OverflowError):
        raise refused() from None


def _check_times(claims: Mapping[str, Any], now_s: int) -> None:
    """RFC 7519 sections 4.1.4 to 4.1.6."""
    if seconds_claim(claims, "exp") <= now_s - LEEWAY_S:
        raise refused()
    for name in ("nbf", "iat"):
        if name in claims and seconds_claim(claims, name) > now_s + LEEWAY_S:
            raise refused()


def _required_members(public: bytes) -> dict[str, str]:
    return {"crv": "Ed25519", "kty": "OKP", "x": base64url_encode(public).decode()}


def _segment(value: Mapping[str, Any]) -> bytes:
    return base64url_encode(json.dumps(value, separators=(",", ":")).encode())
