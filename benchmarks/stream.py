"""POST /v1/records/stream: the whole body out as fast as the node takes it, the answers counted as they come."""

from __future__ import annotations

import asyncio
from typing import cast

import httptools

_SLICE = 1 << 16


class _Stream(asyncio.Protocol):
    """One stream. The parser undoes the chunked encoding; lines are counted, not decoded."""

    def __init__(self, head: bytes, body: bytes) -> None:
        self._head = head
        self._body = memoryview(body)
        self._sent = 0
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._tail = b""
        self.lines = self.accepted = self.status = 0
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._head)
        self._write()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._write()

    def _write(self) -> None:
        while self._transport is not None and not self._paused and self._sent < len(self._body):
            self._transport.write(self._body[self._sent : self._sent + _SLICE])
            self._sent += _SLICE

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.lines += body.count(b"\n")
        # An answer may be cut anywhere: the end of the last piece is looked at again with the next one.
        self.accepted += (self._tail + body).count(b'"accepted"')
        self._tail = body[-9:]

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_message_complete(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.finished.done():
            self.finished.set_result(None)


async def stream(port: int, token: str, body: bytes) -> _Stream:
    """Send NDJSON; what was counted, once the answer is complete."""
    head = (
        "POST /v1/records/stream HTTP/1.1\r\nHost: node\r\nContent-Type: application/x-ndjson\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    _, protocol = await asyncio.get_running_loop().create_connection(lambda: _Stream(head, body), "127.0.0.1", port)
    await protocol.finished
    return protocol
