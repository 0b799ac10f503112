"""A bound on request bodies, before anything parses them. The record routes bound theirs themselves, as they read."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from consortium.errors import PayloadTooLarge
from consortium.web.problems import problem_of, problem_response

MAX_BODY_BYTES = 64 * 1024
LARGER = {"/v1/policy/diff": 256 * 1024}
"""Two policy sets, each as large as one that can be voted on."""
SELF_BOUND = frozenset({"/v1/records", "/v1/records/stream"})


class BodyLimit:
    """ASGI middleware: takes a whole body of at most `MAX_BODY_BYTES` (or what `LARGER` says), or answers 413."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD") or scope["path"] in SELF_BOUND:
            await self._app(scope, receive, send)
            return
        chunks: list[bytes] = []
        size, more, limit = 0, True, LARGER.get(scope["path"], MAX_BODY_BYTES)
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            more = message.get("more_body", False)
            if size > limit:
                error = PayloadTooLarge(f"a request here is at most {limit:,} bytes")
                await problem_response(*problem_of(error))(scope, receive, send)
                return
        await self._app(scope, _replay(b"".join(chunks), receive), send)


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
