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
from consortium.pipeline.submit import Submitter
from consortium.pipeline.write import UnderWay, Wait
from consortium.ports.callers import Caller
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
    """A line that was taken when the loop's time was `began`, or one that was `refused`."""

    number: int
    began: float
    under_way: UnderWay | None
    refused: str = ""


class Stream:
    """One caller's stream. `answers` may be called once."""

    def __init__(self, request: Request, submitter: Submitter, asking: Caller, wait: Wait, timeout_s: float) -> None:
        self._request = request
        self._submitter = submitter
        self._asking = asking
        self._wait = wait
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._lines: deque[_Line] = deque()
        self._answers: list[str] = []
        self._all_taken = self._all_settled = False
        self._more, self._room, self._ready = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def answers(self) -> AsyncIterator[bytes]:
        """The answer's body, a piece as soon as there is one."""
        work = [asyncio.create_task(self._take()), asyncio.create_task(self._settle())]
        try:
            while self._answers or not self._all_settled:
                if not self._answers:
                    self._ready.clear()
                    await self._ready.wait()
                    continue
                piece, self._answers = self._answers, []
                yield "".join(piece).encode()
        finally:
            for task in work:
                task.cancel()

    # --- taking ----------------------------------------------------------------------------------------------

    async def _take(self) -> None:
        """Check, seal and queue line by line."""
        number = 0
        try:
            async for number, line in _lines(self._request):
                if number > MAX_STREAM_LINES:
                    raise PayloadTooLarge(f"a stream is at most {MAX_STREAM_LINES:,} lines")
                self._put(await self._start(number, line))
                if number % _TURN == 0:
                    await asyncio.sleep(0)
                while len(self._lines) >= _UNDER_WAY:
                    self._room.clear()
                    await self._room.wait()
        except ClientDisconnect:
            pass  # what is under way goes its way; the same ids tell later what became of it
        except Exception as error:  # noqa: BLE001 - whatever it is, the lines before have their answers
            self._put(_Line(number, 0.0, None, problem_line(reported(error), number)))
        finally:
            self._all_taken = True
            self._more.set()

    async def _start(self, number: int, line: bytes) -> _Line:
        began = self._loop.time()
        try:
            return _Line(number, began, await self._submitter.start(self._asking, parse_submission(line)))
        except Exception as error:  # noqa: BLE001 - whatever it is, the other lines have their answers
            return _Line(number, began, None, problem_line(reported(error), number))

    def _put(self, line: _Line) -> None:
        self._lines.append(line)
        self._more.set()

    # --- settling --------------------------------------------------------------------------------------------

    async def _settle(self) -> None:
        """Wait for line after line; they are applied in nearly the same order."""
        try:
            while self._lines or not self._all_taken:
                if not self._lines:
                    self._more.clear()
                    await self._more.wait()
                    continue
                group = self._group()
                found = [await self._answer(group[0])] if len(group) == 1 else await self._together(group)
                self._answers += found
                for _ in group:
                    self._lines.popleft()
                self._room.set()
                self._ready.set()
                if not self._lines or self._lines[0].number % (8 * _TURN) == 0:
                    await asyncio.sleep(0)
        finally:
            self._all_settled = True
            self._ready.set()

    def _group(self) -> list[_Line]:
        """The next line, or several where each has to ask the store or the other members: those wait together."""
        group = list(takewhile(self._asks, islice(self._lines, _AT_ONCE)))
        return group or [self._lines[0]]

    def _asks(self, line: _Line) -> bool:
        if line.under_way is None:
            return False
        applied = line.under_way.ticket.applied
        if not applied.done() or applied.exception() is not None:
            return False
        return self._wait is Wait.WITNESSED or isinstance(applied.result(), AlreadyKnown)

    async def _together(self, group: list[_Line]) -> list[str]:
        return await asyncio.gather(*map(self._answer, group))

    async def _answer(self, line: _Line) -> str:
        if line.under_way is None:
            return line.refused
        try:
            answer = await self._submitter.finish(line.under_way, self._wait, self._timeout_s, began=line.began)
            return answer_json(answer) + "\n"
        except Exception as error:  # noqa: BLE001 - whatever it is, the other lines have their answers
            return problem_line(reported(error), line.number)


async def _lines(request: Request) -> AsyncIterator[tuple[int, bytes]]:
    """The lines of a body that are not blank, with their numbers from 1.

    Of one that is longer than a record may be only so much is kept that it shows.
    """
    rest, done = b"", 0
    async for chunk in request.stream():
        *lines, tail = (rest + chunk).split(b"\n")
        for number, line in enumerate(lines, done + 1):
            if line and not line.isspace():
                yield number, line
        done += len(lines)
        rest = tail[: MAX_RECORD_BYTES + 1]
    if rest and not rest.isspace():
        yield done + 1, rest
