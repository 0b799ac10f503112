"""The short way to the routes under load.

FastAPI's own way there (middleware, routing, dependencies, validation of parameters) costs a submission several times
what sealing it costs. A request without parameters has nothing to validate: it is handed to the route's own function
with the same arguments. Every other request takes FastAPI's way to the same function, and there the routes are
documented.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from consortium.errors import ConsortiumError
from consortium.ports.callers import Caller
from consortium.web.callers import caller
from consortium.web.problems import Unforeseen, problem_of, problem_response
from consortium.web.services import Services

Endpoint = Callable[[Request, Services, Caller], Awaitable[Response]]


class QuickApi(FastAPI):
    """FastAPI, where POST to one of these paths without a query goes straight to its endpoint."""

    def __init__(self, services: Services, endpoints: Mapping[str, Endpoint], **arguments: object) -> None:
        super().__init__(**arguments)  # type: ignore[arg-type]
        self.state.services = services
        self._short = {path: Unforeseen(_direct(endpoint, services)) for path, endpoint in endpoints.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        short = scope["type"] == "http" and scope["method"] == "POST" and not scope["query_string"]
        endpoint = self._short.get(scope["path"]) if short else None
        if endpoint is None:
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        await endpoint(scope, receive, send)


def _direct(endpoint: Endpoint, services: Services) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await endpoint(request, services, await caller(request))
        except ConsortiumError as error:
            response = problem_response(*problem_of(error))
        await response(scope, receive, send)

    return answer
