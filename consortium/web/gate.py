"""Nothing that may have been erased is shown before the node knows what was: until then its reads are shut.

A database that was restored from a backup holds again what was destroyed since. So a node that starts first learns all
orders to erase, carries them out, and answers then. What no payload can come out of is open; all else is shut.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from consortium.errors import NotReady
from consortium.web.problems import problem_of, problem_response

OPEN = (
    "/healthz",
    "/readyz",
    "/metrics",
    "/docs",
    "/redoc",
    "/openapi.json",
    "/v1/status",
    "/v1/auth",
    "/v1/accounts",
    "/v1/governance",
    "/v1/erasures",
    "/v1/log",
    "/v1/peer/status",
    "/v1/peer/blocks",
    "/v1/peer/checkpoint",
    "/v1/peer/consistency",
    "/v1/peer/add-checkpoint",
)
"""What shows public records, the node itself, or nothing."""


class Gate:
    """ASGI middleware: 503 while `shut` gives a reason."""

    def __init__(self, app: ASGIApp, shut: Callable[[], str]) -> None:
        self._app = app
        self._shut = shut

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and not is_open(scope["path"]) and (reason := self._shut()):
            error = NotReady(reason, hint="ask again in a moment")
            await problem_response(*problem_of(error))(scope, receive, send)
            return
        await self._app(scope, receive, send)


def is_open(path: str) -> bool:
    """Whether the path is answered at any time."""
    return any(path == known or path.startswith(known + "/") for known in OPEN)
