"""Signing in: a password, or a signed challenge, for a token of this node."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from consortium.errors import InvalidRequest, NotAuthenticated, StoreUnavailable
from consortium.web.callers import IssuedToken, ServicesDep
from consortium.web.problems import documented

router = APIRouter(prefix="/v1/auth", tags=["auth"])

_TOKEN = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJob21lLTAxIn0.c2lnbmF0dXJl"  # noqa: S105 - an example
_REFUSAL: dict[int | str, dict[str, Any]] = documented(NotAuthenticated, InvalidRequest, StoreUnavailable)

Name = Annotated[str, Field(min_length=1, max_length=64, description="The account's name.", examples=["home-01"])]
Time = Annotated[datetime, Field(description="UTC, RFC 3339.", examples=["2017-06-15T12:00:00Z"])]


class _Strict(BaseModel):
    # An unknown or misspelt field is refused; `hide_input` keeps passwords out of validation messages.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class LoginRequest(_Strict):
    """A user's name and password."""

    name: Name
    password: Annotated[SecretStr, Field(min_length=1, max_length=1024, examples=["correct horse battery staple"])]


class TokenResponse(_Strict):
    """A token to send as `Authorization: Bearer`."""

    token: Annotated[str, Field(description="A JWT, EdDSA.", examples=[_TOKEN])]
    expires_at: Time
    kind: Annotated[str, Field(description="user, staff, machine or auditor.", examples=["user"])]


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


class JwksResponse(BaseModel):
    """A JWK set (RFC 7517)."""

    keys: list[dict[str, str]] = Field(
        examples=[[{"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "k", "x": "x"}]]
    )


@router.post("/login", responses=_REFUSAL, summary="Sign in with a password (users)")
async def login(body: LoginRequest, response: Response, services: ServicesDep) -> TokenResponse:
    """A token for a user's password. Repeated failures slow further attempts down."""
    issued = await services.logins.login(body.name, body.password.get_secret_value())
    return _token(issued, response)


@router.post(
    "/challenge",
    responses=documented(InvalidRequest),
    summary="Ask for a challenge to sign (staff, machines, auditors)",
)
async def challenge(body: ChallengeRequest, response: Response, services: ServicesDep) -> ChallengeResponse:
    """A fresh text, good for one minute and one answer."""
    made = await services.logins.challenge(body.name)
    response.headers["cache-control"] = "no-store"
    return ChallengeResponse(challenge=made.challenge, expires_at=_time(made.expires_s))


@router.post("/answer", responses=_REFUSAL, summary="Sign in with a signed challenge")
async def answer(body: AnswerRequest, response: Response, services: ServicesDep) -> TokenResponse:
    """A token for the signature of the account's registered key."""
    issued = await services.logins.answer(body.challenge, bytes.fromhex(body.signature))
    return _token(issued, response)


@router.get("/jwks", responses=documented(), summary="The node's public token keys")
async def jwks(response: Response, services: ServicesDep) -> JwksResponse:
    """With these anybody can check a token of this node."""
    response.headers["cache-control"] = "public, max-age=300"
    return JwksResponse(**services.jwks())


def _token(issued: IssuedToken, response: Response) -> TokenResponse:
    # RFC 6749 section 5.1: no cache may keep a token.
    response.headers["cache-control"] = "no-store"
    return TokenResponse(token=issued.token, expires_at=_time(issued.expires_s), kind=issued.kind)


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
