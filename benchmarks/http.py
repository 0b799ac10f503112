"""A keep-alive HTTP/1.1 connection that costs next to nothing: the load shall come from the nodes, not from here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

Done = Callable[[bool], None]
"""Called with whether the record was accepted."""
_ACCEPTED = b'"accepted"'


class Connection(asyncio.Protocol):
    """One request at a time; answers carry a Content-Length, as the node's JSON does."""

    def __init__(self, token: str) -> None:
        self._head = (
            "POST /v1/records HTTP/1.1\r\nHost: node\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: "
        ).encode()
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._done: Done | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def submit(self, body: bytes, done: Done) -> None:
        """Send a submission; `done` hears of its answer."""
        if self._transport is None or self._done is not None:
            raise RuntimeError("the connection is busy or closed")
        self._done = done
        self._transport.write(self._head + str(len(body)).encode() + b"\r\n\r\n" + body)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._received[:end].lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(self._received) < end + 4 + length:
            return
        good = self._received.startswith(b"HTTP/1.1 200") and _ACCEPTED in self._received[end:]
        self._received = b""
        self._finish(good)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._finish(False)

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.close()

    def _finish(self, good: bool) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(good)
