"""Signing in: a password, or a signed challenge, for tokens of this node; renewing them, and signing out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from consortium.errors import InvalidRequest, NotAuthenticated, StoreUnavailable
from consortium.web.callers import IssuedToken, ServicesDep, given_proof
from consortium.web.problems import documented

router = APIRouter(prefix="/v1/auth", tags=["auth"])

_TOKEN = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJob21lLTAxIn0.c2lnbmF0dXJl"  # noqa: S105 - an example
_REFUSAL: dict[int | str, dict[str, Any]] = documented(NotAuthenticated, InvalidRequest, StoreUnavailable)

Name = Annotated[str, Field(min_length=1, max_length=64, description="The account's name.", examples=["home-01"])]
Time = Annotated[datetime, Field(description="UTC, RFC 3339.", examples=["2017-06-15T12:00:00Z"])]


Code = Annotated[
    str,
    Field(
        max_length=32,
        description="Of the second factor, where there is one: six digits, or a recovery code.",
        examples=["123456"],
    ),
]
Refresh = Annotated[
    SecretStr, Field(min_length=64, max_length=64, description="A refresh token of this node.", examples=["00" * 32])
]


class _Strict(BaseModel):
    # An unknown or misspelt field is refused; `hide_input` keeps passwords out of validation messages.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class LoginRequest(_Strict):
    """A user's name and password."""

    name: Name
    password: Annotated[SecretStr, Field(min_length=1, max_length=1024, examples=["correct horse battery staple"])]
    code: Code = ""
    device: Annotated[
        str,
        Field(
            max_length=2048,
            description="`device` of an earlier sign-in here: others' failures then do not count.",
            examples=[_TOKEN],
        ),
    ] = ""


class TokenResponse(_Strict):
    """A token to send as `Authorization: <scheme> <token>`, and what gives the next one."""

    token: Annotated[str, Field(description="A JWT, EdDSA.", examples=[_TOKEN])]
    expires_at: Time
    kind: Annotated[
        str, Field(description="user, staff, machine, officer, administrator or service.", examples=["user"])
    ]
    scheme: Annotated[str, Field(description="Bearer; or DPoP (RFC 9449): bound to a key.", examples=["Bearer"])]
    refresh: Annotated[
        str, Field(description="Gives the next token, once: POST /v1/auth/refresh.", examples=["00" * 32])
    ]
    session_ends_at: Time
    device: Annotated[
        str, Field(description="Keep it on this device for later sign-ins; '' where not needed.", examples=[_TOKEN])
    ] = ""


class ChallengeRequest(_Strict):
    """Who wants to sign in."""

    name: Annotated[str, Field(min_length=1, max_length=64, examples=["gateway-1"])]


class ChallengeResponse(_Strict):
    """A text to sign. Every name gets one, whether there is such an account or not."""

    challenge: Annotated[str, Field(description="Opaque text, good for one answer.", examples=[_TOKEN])]
    expires_at: Time


class AnswerRequest(_Strict):
    """The signed challenge."""

    challenge: Annotated[str, Field(min_length=1, max_length=4096, examples=[_TOKEN])]
    signature: Annotated[
        str,
        Field(
            pattern="^[0-9a-fA-F]{128}$",
            description="Ed25519 by the account's key over 'consortium/login/v1', a newline and the challenge; in hex.",
            examples=["00" * 64],
        ),
    ]
    code: Code = ""


class RefreshRequest(_Strict):
    """The refresh token that came with the token before."""

    refresh: Refresh


class JwksResponse(BaseModel):
    """A JWK set (RFC 7517)."""

    keys: list[dict[str, str]] = Field(
        examples=[[{"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "k", "x": "x"}]]
    )


@router.post("/login", responses=_REFUSAL, summary="Sign in with a password (users)")
async def login(body: LoginRequest, request: Request, response: Response, services: ServicesDep) -> TokenResponse:
    """A token for a user's password. Repeated failures slow further attempts down.

    With a header `DPoP` (RFC 9449) the tokens are bound to its key, here as in the other ways to sign in.
    """
    issued = await services.logins.login(
        body.name,
        body.password.get_secret_value(),
        code=body.code,
        device=body.device,
        proof=given_proof(request),
    )
    return _token(issued, response)


@router.post(
    "/challenge",
    responses=documented(InvalidRequest),
    summary="Ask for a challenge to sign (all but users)",
)
async def challenge(body: ChallengeRequest, response: Response, services: ServicesDep) -> ChallengeResponse:
    """A fresh text, good for one minute and one answer."""
    made = await services.logins.challenge(body.name)
    response.headers["cache-control"] = "no-store"
    return ChallengeResponse(challenge=made.challenge, expires_at=_time(made.expires_s))


@router.post("/answer", responses=_REFUSAL, summary="Sign in with a signed challenge")
async def answer(body: AnswerRequest, request: Request, response: Response, services: ServicesDep) -> TokenResponse:
    """A token for the signature of the account's registered key; officers, machines and administrators need a header
    `DPoP`.
    """
    signature = bytes.fromhex(body.signature)
    issued = await services.logins.answer(body.challenge, signature, code=body.code, proof=given_proof(request))
    return _token(issued, response)


@router.post("/refresh", responses=_REFUSAL, summary="Exchange a refresh token")
async def refresh(body: RefreshRequest, request: Request, response: Response, services: ServicesDep) -> TokenResponse:
    """The next tokens of the session. A refresh token serves once: its second use ends the session."""
    issued = await services.logins.refresh(_refresh(body), proof=given_proof(request))
    return _token(issued, response)


@router.post("/logout", status_code=204, responses=documented(InvalidRequest, StoreUnavailable), summary="Sign out")
async def logout(body: RefreshRequest, services: ServicesDep) -> None:
    """End the session of a refresh token; nothing is said of whether there was one. Its tokens end within seconds."""
    await services.logins.logout(_refresh(body))


@router.get("/jwks", responses=documented(), summary="The node's public token keys")
async def jwks(response: Response, services: ServicesDep) -> JwksResponse:
    """With these anybody can check a token of this node."""
    response.headers["cache-control"] = "public, max-age=300"
    return JwksResponse(**services.jwks())


def _token(issued: IssuedToken, response: Response) -> TokenResponse:
    # RFC 6749 section 5.1: no cache may keep a token.
    response.headers["cache-control"] = "no-store"
    return TokenResponse(
        token=issued.token,
        expires_at=_time(issued.expires_s),
        kind=issued.kind,
        scheme=issued.scheme,
        refresh=issued.refresh,
        session_ends_at=_time(issued.until_s),
        device=issued.device,
    )


def _refresh(body: RefreshRequest) -> bytes:
    try:
        return bytes.fromhex(body.refresh.get_secret_value())
    except ValueError:
        raise InvalidRequest("a refresh token is 64 hex digits", field="refresh") from None


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
