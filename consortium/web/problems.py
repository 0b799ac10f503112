"""RFC 9457 problem details: every error of the API, with a stable `type`, and nothing of what was sent."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from consortium import errors

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:consortium:problem:"
_log = structlog.get_logger(__name__)

PROBLEMS: dict[type[errors.ConsortiumError], tuple[int, str, str]] = {
    errors.UnknownParty: (422, "unknown-party", "Unknown party"),
    errors.InvalidRequest: (422, "invalid-request", "The request is not valid"),
    errors.PayloadTooLarge: (413, "too-large", "The request is too large"),
    errors.NotAuthenticated: (401, "not-authenticated", "No valid token"),
    errors.Forbidden: (403, "forbidden", "Your role does not include this"),
    errors.NotFound: (404, "not-found", "No such record"),
    errors.IdConflict: (409, "id-conflict", "The id was used for another record"),
    errors.NotYet: (409, "not-yet", "Something else has to be done first"),
    errors.DeadlineExceeded: (504, "deadline-exceeded", "Not within the time limit"),
    errors.LogUnavailable: (503, "ordering-unavailable", "The ordering log is not available"),
    errors.StoreUnavailable: (503, "store-unavailable", "The store is not available"),
    errors.PeerUnavailable: (503, "peer-unavailable", "Another member's node is not available"),
    errors.NotReady: (503, "not-ready", "The node does not take records now"),
    errors.CommitmentMismatch: (502, "commitment-mismatch", "The author sealed something else than it committed to"),
    errors.PeerError: (502, "peer-error", "Data of another member does not hold"),
    errors.ConsortiumError: (500, "internal", "Internal error"),
}


class Problem(BaseModel):
    """RFC 9457 problem details. `type` is stable: programs decide by it, people read the rest."""

    type: str = Field(pattern="^" + TYPE_PREFIX, examples=[TYPE_PREFIX + "not-found"])
    title: str = Field(examples=["No such record"])
    status: int = Field(examples=[404])
    detail: str | None = Field(None, description="What is wrong with this request.", examples=["no such record"])
    hint: str | None = Field(None, description="What to do next.", examples=["ask again later"])
    field: str | None = Field(None, description="The member of the request at fault.", examples=["data.load_wh"])
    author: str | None = Field(None, description="Who sealed a record wrongly.", examples=["suncoop"])
    line: int | None = Field(None, description="In a stream: the line, from 1.", examples=[17])


def problem_of(error: errors.ConsortiumError) -> tuple[int, dict[str, Any]]:
    """Status and body for a failure: of its nearest family in `PROBLEMS`."""
    status, slug, title = _family(type(error))
    body: dict[str, Any] = {"type": TYPE_PREFIX + slug, "title": title, "status": status, "detail": str(error)}
    if error.hint:
        body["hint"] = error.hint
    if isinstance(error, errors.InvalidRequest) and error.field:
        body["field"] = error.field
    if isinstance(error, errors.CommitmentMismatch):
        body["author"] = error.author
    return status, body


def _family(kind: type[errors.ConsortiumError]) -> tuple[int, str, str]:
    return PROBLEMS[next(family for family in kind.__mro__ if family in PROBLEMS)]


def reported(error: Exception) -> errors.ConsortiumError:
    """The failure itself, or for one that nobody foresaw a line in the log and a defect that says nothing of it.

    The exception's text may hold anything; its type and place are enough to find it.
    """
    if isinstance(error, errors.ConsortiumError):
        return error
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    _log.error("request failed", error=type(error).__name__, place=place)
    return errors.DefectError("the node failed on this request")


def problem_response(status: int, body: dict[str, Any]) -> JSONResponse:
    """A problem as a response."""
    headers = {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "1"
    return JSONResponse(body, status, headers=headers, media_type=MEDIA_TYPE)


def documented(*kinds: type[errors.ConsortiumError]) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses for these failures by status, an example each, and a default for whatever else happens."""
    found: dict[int | str, dict[str, Any]] = {}
    for kind in (*kinds, errors.ConsortiumError):
        status, slug, title = _family(kind)
        key = "default" if kind is errors.ConsortiumError else status
        content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}}
        entry = found.setdefault(key, {"description": title, "content": content})
        value = {"type": TYPE_PREFIX + slug, "title": title, "status": status}
        entry["content"][MEDIA_TYPE]["examples"][slug] = {"value": value}
    return found


def install(app: FastAPI) -> None:
    """Answer every failure of the app as a problem."""

    async def known(_: Request, error: Exception) -> JSONResponse:
        return problem_response(*problem_of(reported(error)))

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        return problem_response(*problem_of(_invalid(error)))

    async def http(_: Request, error: Exception) -> JSONResponse:
        status = error.status_code if isinstance(error, HTTPException) else 500
        if status == HTTPStatus.BAD_REQUEST:  # FastAPI's word for a body that is no text at all
            return problem_response(*problem_of(errors.InvalidRequest("the body cannot be read")))
        title = "There is nothing at this path" if status == HTTPStatus.NOT_FOUND else HTTPStatus(status).phrase
        slug = "no-such-path" if status == HTTPStatus.NOT_FOUND else title.lower().replace(" ", "-")
        response = problem_response(status, {"type": TYPE_PREFIX + slug, "title": title, "status": status})
        response.headers.update(getattr(error, "headers", None) or {})  # Allow of a 405
        return response

    app.add_exception_handler(errors.ConsortiumError, known)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_middleware(Unforeseen)


def _invalid(error: Exception) -> errors.InvalidRequest:
    """What FastAPI says of parameters and bodies, without the names of fields that are not ours."""
    first: Any = error.errors()[0] if isinstance(error, RequestValidationError) else {"msg": "", "loc": (), "type": ""}
    unknown = first["type"] == "extra_forbidden"
    names = [str(part) for part in first["loc"] if part not in ("body", "query", "path")]
    message = "unknown field" if unknown else str(first["msg"]).removeprefix("Value error, ")
    return errors.InvalidRequest(message, field=".".join(names[:-1] if unknown else names))


class Unforeseen:
    """Answers failures that nobody foresaw. Starlette's own handler raises them again, and the server would log their
    text, which may hold anything.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - see above
            failure = reported(error)
            if not started:  # else the server cuts the connection, which tells the client that the answer is not whole
                await problem_response(*problem_of(failure))(scope, receive, send)
