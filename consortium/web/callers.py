"""Who asks: the token of a request to a `Caller`. Only the `Authorization` header counts, never a URL.

What for (`Consortium-Purpose`) and in whose place (`Consortium-Behalf`) are claims of the request: the policies decide
what they are worth.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Protocol, cast

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from consortium.errors import InvalidRequest
from consortium.model.names import Party
from consortium.ports.callers import Caller, Proof, TokenVerifier

PURPOSE = "Consortium-Purpose"
BEHALF = "Consortium-Behalf"
MAX_PURPOSE = 100
_documented = HTTPBearer(
    auto_error=False, bearerFormat="JWT", description="A token of this node (see /v1/auth) or of its OIDC issuer."
)


class IssuedToken(Protocol):
    """A token and what gives the next one; times in POSIX seconds. `scheme` is Bearer or DPoP."""

    @property
    def token(self) -> str: ...
    @property
    def expires_s(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def refresh(self) -> str: ...
    @property
    def until_s(self) -> int: ...
    @property
    def scheme(self) -> str: ...
    @property
    def device(self) -> str: ...


class Challenge(Protocol):
    """A text to sign, and the POSIX time in seconds until which an answer is taken."""

    @property
    def challenge(self) -> str: ...
    @property
    def expires_s(self) -> int: ...


class Logins(Protocol):
    """Logins. All but the last raise `NotAuthenticated`, always with the same words."""

    async def login(
        self, name: str, password: str, *, code: str = "", device: str = "", proof: Proof | None = None
    ) -> IssuedToken:
        """A session for a password."""
        ...

    async def challenge(self, name: str) -> Challenge:
        """A text to sign, for any name."""
        ...

    async def answer(
        self, challenge: str, signature: bytes, *, code: str = "", proof: Proof | None = None
    ) -> IssuedToken:
        """A session for a signed challenge."""
        ...

    async def refresh(self, refresh: bytes, *, proof: Proof | None = None) -> IssuedToken:
        """The next tokens of a session."""
        ...

    async def logout(self, refresh: bytes) -> None:
        """End a session; nothing is said of whether there was one."""
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


def presented(request: Request) -> tuple[str, Proof | None]:
    """The token of the one `Authorization` header, else '', and with the scheme DPoP its proof (RFC 9449)."""
    headers = request.headers.getlist("authorization")
    scheme, _, token = headers[0].partition(" ") if len(headers) == 1 else ("", "", "")
    match scheme.lower():
        case "bearer":
            return token.strip(), None
        case "dpop":
            return token.strip(), proof_of(request)
    return "", None


def proof_of(request: Request) -> Proof:
    """The DPoP proof of the request, '' unless there is exactly one."""
    proofs = request.headers.getlist("dpop")
    path = request.scope.get("raw_path") or request.scope["path"].encode()
    return Proof(proofs[0] if len(proofs) == 1 else "", request.method, path.decode("latin-1").partition("?")[0])


def given_proof(request: Request) -> Proof | None:
    """For signing in: the proof, if the request has any; then it must hold, and tokens are bound to its key."""
    return proof_of(request) if "dpop" in request.headers else None


async def caller(request: Request, _: Annotated[object, Security(_documented)] = None) -> Caller:
    """The verified caller. Raises `NotAuthenticated`; without a token in the same words as with a bad one."""
    return _claimed(await services(request).verifier.verify(*presented(request)), request)


def _claimed(caller: Caller, request: Request) -> Caller:
    """The caller with what the request claims. Raises `InvalidRequest`."""
    purpose, behalf = _one(request, PURPOSE), _one(request, BEHALF)
    if not purpose and not behalf:
        return caller
    if len(purpose) > MAX_PURPOSE or not (purpose.isascii() and purpose.isprintable()):
        raise InvalidRequest(f"a purpose is up to {MAX_PURPOSE} printable ASCII characters", field=PURPOSE)
    return replace(caller, purpose=purpose, behalf=_party(behalf))


def _one(request: Request, name: str) -> str:
    values = request.headers.getlist(name)
    if len(values) > 1:
        raise InvalidRequest("this header is given at most once", field=name)
    return values[0].strip() if values else ""


def _party(text: str) -> Party | None:
    try:
        return Party.parse(text) if text else None
    except InvalidRequest as error:
        raise InvalidRequest(str(error), field=BEHALF, hint=error.hint) from None


CallerDep = Annotated[Caller, Depends(caller)]
ServicesDep = Annotated[CallerServices, Depends(services)]
