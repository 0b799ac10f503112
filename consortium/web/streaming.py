"""Many submissions over one request: lines are taken, settled and answered in their order, each at its own pace.

Taking a line costs no task of its own: three loops share the stream, and a line is handed from one to the next. So
reading and answering overlap, and a caller who sends everything before it reads anything is served as well: records
under way are bounded, answers that wait to be read are not.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import islice, takewhile

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from consortium.errors import PayloadTooLarge
from consortium.pipeline.order import AlreadyKnown
from consortium.pipeline.submit import Submitter, UnderWay, Wait
from consortium.ports import Caller
from consortium.web.problems import reported
from consortium.web.submissions import MAX_RECORD_BYTES, answer_json, parse_submission, problem_line

MAX_STREAM_LINES = 100_000
NDJSON = "application/x-ndjson"
_UNDER_WAY = 8192
_AT_ONCE = 64
_TURN = 32
"""After so many lines the other work of the node gets its turn."""


class DuplexResponse(StreamingResponse):
    """Answers while the request's body is still being read: nothing but the route may take from `receive`."""

    media_type = NDJSON

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        await self.stream_response(send)


@dataclass(frozen=True, slots=True)
class _Line:
    """A line that was taken until `end` (the loop's time), or refused with the problem `refused`."""

    number: int
    end: float
    under_way: UnderWay | None
    refused: str = ""


class Stream:
    """One caller's stream. Iterate over it for the answer's bytes."""

    def __init__(self, request: Request, submitter: Submitter, asking: Caller, wait: Wait, timeout_s: float) -> None:
        self._request = request
        self._submitter = submitter
        self._asking = asking
        self._wait = wait
        self._timeout_s = timeout_s
        self._lines: deque[_Line] = deque()
        self._answers: list[str] = []
        self._taken = self._settled = False
        self._changed = asyncio.Condition()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        work = [asyncio.create_task(self._take()), asyncio.create_task(self._settle())]
        try:
            while await self._until(lambda: bool(self._answers) or self._settled) and self._answers:
                chunk, self._answers = "".join(self._answers), []
                yield chunk.encode()
        finally:
            for task in work:
                task.cancel()
