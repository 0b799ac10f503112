"""The short way to the routes under load.

FastAPI's own way (routing, dependencies, validation of parameters) costs a submission five times what sealing it
costs. A request without parameters has nothing to validate: it is handed to the route's own function with the same
arguments. Every other request takes FastAPI's way to the same function, and there the routes are documented.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from consortium.errors import ConsortiumError
from consortium.ports import Caller
from consortium.web.callers import caller
from consortium.web.problems import problem_of, problem_response
from consortium.web.services import Services

Endpoint = Callable[[Request, Services, Caller], Awaitable[Response]]


class Shortcut:
    """ASGI middleware: POST to one of these paths, without a query, goes straight to its endpoint."""

    def __init__(self, app: ASGIApp, endpoints: Mapping[str, Endpoint]) -> None:
        self._app = app
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        short = scope["type"] == "http" and scope["method"] == "POST" and not scope["query_string"]
        endpoint = self._endpoints.get(scope["path"]) if short else None
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await endpoint(request, request.app.state.services, await caller(request))
        except ConsortiumError as error:
            response = problem_response(*problem_of(error))
        await response(scope, receive, send)
