"""Who asks: the token of a request to a `Caller`. Only the `Authorization` header counts, never a URL."""

from __future__ import annotations

from typing import Annotated, Any, Protocol, cast

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from consortium.ports.callers import Caller, TokenVerifier

_SCHEME = "bearer "
_documented = HTTPBearer(
    auto_error=False, bearerFormat="JWT", description="A token of this node (see /v1/auth) or of its OIDC issuer."
)


class IssuedToken(Protocol):
    """A token, the POSIX time in seconds at which it ends, the kind of its account."""

    @property
    def token(self) -> str: ...
    @property
    def expires_s(self) -> int: ...
    @property
    def kind(self) -> str: ...


class Challenge(Protocol):
    """A text to sign, and the POSIX time in seconds until which an answer is taken."""

    @property
    def challenge(self) -> str: ...
    @property
    def expires_s(self) -> int: ...


class Logins(Protocol):
    """Logins. All raise `NotAuthenticated`, always with the same words."""

    async def login(self, name: str, password: str) -> IssuedToken:
        """A token for a password."""
        ...

    async def challenge(self, name: str) -> Challenge:
        """A text to sign, for any name."""
        ...

    async def answer(self, challenge: str, signature: bytes) -> IssuedToken:
        """A token for a signed challenge."""
        ...


class CallerServices(Protocol):
    """What callers and logins need of `app.state.services`."""

    @property
    def verifier(self) -> TokenVerifier: ...
    @property
    def logins(self) -> Logins: ...

    def jwks(self) -> dict[str, Any]:
        """The node's public token keys (RFC 7517)."""
        ...


def services(request: Request) -> CallerServices:
    """The services that the app was made with."""
    return cast("CallerServices", request.app.state.services)


def bearer_token(request: Request) -> str:
    """The token of the one `Authorization: Bearer` header, else ''."""
    headers = request.headers.getlist("authorization")
    if len(headers) != 1 or not headers[0].lower().startswith(_SCHEME):
        return ""
    return headers[0][len(_SCHEME) :].strip()


async def caller(request: Request, _: Annotated[object, Security(_documented)] = None) -> Caller:
    """The verified caller. Raises `NotAuthenticated`; without a token in the same words as with a bad one."""
    return await services(request).verifier.verify(bearer_token(request))


CallerDep = Annotated[Caller, Depends(caller)]
ServicesDep = Annotated[CallerServices, Depends(services)]
