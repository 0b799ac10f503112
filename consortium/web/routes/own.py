"""What everybody does with their own account: sessions, and the second factor."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from consortium.errors import InvalidRequest, NotAuthenticated, NotFound, StoreUnavailable
from consortium.web.callers import CallerDep
from consortium.web.problems import documented
from consortium.web.services import Services

router = APIRouter(prefix="/v1/me", tags=["me"])

_REFUSED: dict[int | str, dict[str, Any]] = documented(NotAuthenticated, NotFound, InvalidRequest, StoreUnavailable)
SessionId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="The session's id.", examples=["00" * 16])]
Time = Annotated[datetime, Field(description="UTC, RFC 3339.", examples=["2017-06-15T12:00:00Z"])]


def services(request: Request) -> Services:
    """The services that the app was made with."""
    return cast("Services", request.app.state.services)


Node = Annotated[Services, Depends(services)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class SessionOut(_Strict):
    """One signing-in that still stands."""

    id: str
    signed_in: Time
    last_renewed: Time
    ends: Time
    bound: Annotated[bool, Field(description="Whether its tokens are bound to a key (DPoP).")]


class SessionsOut(_Strict):
    """Where the account is signed in, latest first."""

    sessions: list[SessionOut]


class EnrolmentOut(_Strict):
    """A second factor to be; shown this once. It counts once a code of it was sent to .../confirm."""

    secret: Annotated[str, Field(description="Base32, for an authenticator app.", examples=["JBSWY3DPEHPK3PXP"])]
    uri: Annotated[str, Field(description="The same as otpauth URI, for a QR code.", examples=["otpauth://totp/a"])]
    recovery_codes: Annotated[list[str], Field(description="One-time codes for when the app is lost; keep them safe.")]


class CodeRequest(_Strict):
    """A code of the second factor."""

    code: Annotated[str, Field(min_length=6, max_length=32, examples=["123456"])]


@router.get("/sessions", summary="Own sessions", responses=_REFUSED)
async def sessions(asking: CallerDep, node: Node, response: Response) -> SessionsOut:
    """Every signing-in of the own account that still stands."""
    response.headers["cache-control"] = "no-store"
    found = await node.sessions.of(asking.name)
    return SessionsOut(
        sessions=[
            SessionOut(
                id=s.id.hex(),
                signed_in=_time(s.created_ms),
                last_renewed=_time(s.seen_ms),
                ends=_time(s.until_ms),
                bound=bool(s.key),
            )
            for s in found
        ]
    )


@router.delete("/sessions/{id}", status_code=204, summary="End one own session", responses=_REFUSED)
async def end_session(id: SessionId, asking: CallerDep, node: Node) -> None:
    """Its tokens end within seconds. 404 for any other."""
    if not await node.sessions.end(asking.name, bytes.fromhex(id)):
        raise NotFound("no such session")


@router.delete("/sessions", status_code=204, summary="Sign out everywhere", responses=_REFUSED)
async def end_sessions(asking: CallerDep, node: Node) -> None:
    """All own sessions, this one too."""
    await node.sessions.end_all(asking.name)


@router.post("/second-factor", summary="Enrol a second factor", responses=_REFUSED)
async def enrol(asking: CallerDep, node: Node, response: Response) -> EnrolmentOut:
    """A new TOTP secret (RFC 6238) and recovery codes. Signing in needs it once it was confirmed."""
    response.headers["cache-control"] = "no-store"
    made = await node.factors.enrol(asking.name)
    return EnrolmentOut(secret=made.secret, uri=made.uri, recovery_codes=list(made.codes))


@router.post("/second-factor/confirm", status_code=204, summary="Confirm the second factor", responses=_REFUSED)
async def confirm(body: CodeRequest, asking: CallerDep, node: Node) -> None:
    """From now on signing in needs a code of it."""
    if not await node.factors.confirm(asking.name, body.code):
        raise InvalidRequest("this is not the code of now", field="code")


@router.post("/second-factor/remove", status_code=204, summary="Take the second factor off", responses=_REFUSED)
async def remove(body: CodeRequest, asking: CallerDep, node: Node) -> None:
    """With a code of it, or a recovery code: a stolen token alone takes nothing off."""
    if not await node.factors.take_off(asking.name, body.code):
        raise InvalidRequest("this is not the code of now", field="code")


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
