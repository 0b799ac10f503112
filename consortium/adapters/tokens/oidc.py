"""Tokens of any OIDC issuer: who somebody is says the issuer, what they are says the node's own account."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from consortium.adapters.tokens import compact
from consortium.adapters.tokens.compact import Expected, Verified
from consortium.adapters.tokens.jwks import IssuerKeys
from consortium.errors import ConfigurationError
from consortium.model.names import is_name
from consortium.ports.clock import Clock

ASYMMETRIC = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "ES256K", "EdDSA"}
)
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """One issuer that the node trusts for identities.

    `issuer` and `audience` are compared as they are; `jwks_uri` is found by OpenID discovery if empty; `algorithms`
    are pinned, asymmetric ones only; `account_claim` is the claim that holds the account's name. Unknown key ids make
    the keys be fetched again, at most every `refetch_s` seconds. Raises `ConfigurationError`.
    """

    issuer: str
    audience: str
    algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    jwks_uri: str = ""
    account_claim: str = "sub"
    refetch_s: int = 30

    def __post_init__(self) -> None:
        if not self.issuer or not self.audience or not self.account_claim:
            raise ConfigurationError("an OIDC issuer needs issuer, audience and account claim")
        if not self.algorithms or not ASYMMETRIC.issuperset(self.algorithms):
            raise ConfigurationError(
                f"OIDC issuer {self.issuer}: algorithms are some of {', '.join(sorted(ASYMMETRIC))}",
                hint="'none' and the HS family are never accepted",
            )
        for url in filter(None, (self.issuer, self.jwks_uri)):
            require_safe_url(url)


def require_safe_url(url: str) -> None:
    """HTTPS, or plain HTTP on this machine. Raises `ConfigurationError`."""
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return
    raise ConfigurationError(f"OIDC: {url} is neither https nor on this machine")


class OidcTokens:
    """Verifies the tokens of one issuer."""

    def __init__(self, settings: OidcSettings, clock: Clock, http: httpx.AsyncClient, *, member: str) -> None:
        self.issuer = settings.issuer
        self._settings = settings
        self._clock = clock
        self._member = member
        self._keys = IssuerKeys(
            http,
            clock,
            issuer=settings.issuer,
            jwks_uri=settings.jwks_uri,
            algorithms=settings.algorithms,
            refetch_s=settings.refetch_s,
        )
        required = ("iss", "aud", "exp", "iat", settings.account_claim)
        self._expected = Expected(settings.algorithms, settings.issuer, settings.audience, required, one_audience=False)

    async def verify(self, token: str) -> Verified:
        """Raises `NotAuthenticated`, also while the issuer's keys cannot be had."""
        header, _ = compact.peek(token)
        kid, algorithm = header.get("kid"), header.get("alg")
        if not isinstance(kid, str) or algorithm not in self._settings.algorithms:
            raise compact.refused()
        key = await self._keys.find(kid, algorithm)
        if key is None:
            raise compact.refused()
        claims = compact.verify(token, key, self._expected, self._clock.now_ms())
        name = compact.text_claim(claims, self._settings.account_claim)
        if not is_name(name):
            raise compact.refused()
        expires_s, issued_s = compact.seconds_claim(claims, "exp"), compact.seconds_claim(claims, "iat")
        return Verified(name, self._member, "", expires_s, issued_s, compact.bound_key(claims))
