"""RFC 9457 problem details: every error of the API, with a stable `type`, and nothing of what was sent."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

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
    errors.DeadlineExceeded: (504, "deadline-exceeded", "Not within the time limit"),
    errors.LogUnavailable: (503, "ordering-unavailable", "The ordering log is not available"),
    errors.StoreUnavailable: (503, "store-unavailable", "The store is not available"),
    errors.PeerUnavailable: (503, "peer-unavailable", "Another member's node is not available"),
    errors.NotReady: (503, "not-ready", "The node does not take records now"),
    errors.CommitmentMismatch: (502, "commitment-mismatch", "The author sealed something else than it committed to"),
    errors.PeerError: (502, "peer-error", "Data of another member does not hold"),
    errors.ConsortiumError: (500, "internal", "Internal error"),
}


def problem_of(error: errors.ConsortiumError) -> tuple[int, dict[str, Any]]:
    """Status and body for a failure: of its nearest family in `PROBLEMS`."""
    family = next(kind for kind in type(error).__mro__ if kind in PROBLEMS)
    status, slug, title = PROBLEMS[family]
    body: dict[str, Any] = {"type": TYPE_PREFIX + slug, "title": title, "status": status, "detail": str(error)}
    if error.hint:
        body["hint"] = error.hint
    if isinstance(error, errors.InvalidRequest) and error.field:
        body["field"] = error.field
    if isinstance(error, errors.CommitmentMismatch):
        body["author"] = error.author
    return status, body


def problem_response(status: int, body: dict[str, Any]) -> JSONResponse:
    """A problem as a response."""
    headers = {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "1"
    return JSONResponse(body, status, headers=headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer every failure of the app as a problem."""

    async def known(_: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, errors.ConsortiumError):
            return await unknown(_, error)
        return problem_response(*problem_of(error))

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        first = error.errors()[0] if isinstance(error, RequestValidationError) else {"msg": "", "loc": ()}
        where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
        return problem_response(*problem_of(errors.InvalidRequest(str(first["msg"]), field=where)))

    async def http(_: Request, error: Exception) -> JSONResponse:
        status = error.status_code if isinstance(error, HTTPException) else 500
        title = HTTPStatus(status).phrase
        slug = title.lower().replace(" ", "-")
        return problem_response(status, {"type": TYPE_PREFIX + slug, "title": title, "status": status})

    async def unknown(_: Request, error: Exception) -> JSONResponse:
        # The exception's text may hold anything; its type and place are enough to find it.
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
        _log.error("request failed", error=type(error).__name__, place=place)
        return problem_response(*problem_of(errors.DefectError("the node failed on this request")))

    app.add_exception_handler(errors.ConsortiumError, known)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unknown)
