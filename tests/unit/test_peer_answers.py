"""What a dishonest member's node answers: nothing of it may end ours, hold it up, or fill its memory."""

from __future__ import annotations

import asyncio
import gzip
import ssl

import cbor2
import httpx
import pytest

from consortium.adapters.peers import HttpPeers
from consortium.errors import Malformed, PeerUnavailable

ROOT = '"root": "00", "block": "00"'


class Tokens:
    def issue(self, receiver):
        return f"token-for-{receiver}"


def peers(answer) -> HttpPeers:
    """A client of one peer, `dave`, that gives every request this answer."""
    made = HttpPeers({"dave": "https://dave.example"}, Tokens(), ssl.create_default_context())
    made._http = httpx.AsyncClient(transport=httpx.MockTransport(lambda request: answer))
    return made


class Body(httpx.AsyncByteStream):
    def __init__(self, pieces):
        self._pieces = pieces

    async def __aiter__(self):
        async for piece in self._pieces():
            yield piece


def whole(content: bytes, headers=None) -> httpx.Response:
    async def at_once():
        yield content

    return httpx.Response(200, stream=Body(at_once), headers=headers)


@pytest.mark.parametrize("height", ["Infinity", "1e400", "-1", "1.5", "true", '"7"', "null", "9" * 4000, "9" * 5000])
async def test_a_height_that_is_none(height):
    answer = whole(f'{{"height": {height}, "size": 0, {ROOT}}}'.encode())
    with pytest.raises((PeerUnavailable, Malformed)):
        await peers(answer).status("dave")


async def test_a_good_status_is_read():
    answer = whole(f'{{"height": 7, "size": 5, {ROOT}}}'.encode())
    assert (await peers(answer).status("dave")).height == 7


@pytest.mark.parametrize("content", [b"[" * 200_000, b"\xff", b"", b"[]", b"{}", b"7"])
async def test_json_that_is_none_of_ours(content):
    with pytest.raises((PeerUnavailable, Malformed)):
        await peers(whole(content)).status("dave")


@pytest.mark.parametrize("charset", ["undefined", "hex", "idna", "utf-8"])
async def test_text_in_a_strange_encoding(charset):
    headers = {"Content-Type": f"text/plain; charset={charset}"}
    with pytest.raises(Malformed):
        await peers(whole(b"\xff\xfe", headers)).checkpoint("dave")


async def test_an_answer_without_end_is_cut_off():
    async def endless():
        while True:
            yield b"x" * 65_536

    with pytest.raises(PeerUnavailable, match="more than"):
        await peers(httpx.Response(200, stream=Body(endless))).checkpoint("dave")


async def test_an_answer_that_drips_is_given_up():
    async def dripping():
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    made = peers(httpx.Response(200, stream=Body(dripping)))
    with pytest.raises(PeerUnavailable, match="TimeoutError"):
        await made._send("dave", "GET", "checkpoint", limit_s=0.05)


async def test_a_packed_answer_is_not_unpacked():
    packed = gzip.compress(f'{{"height": 7, "size": 5, {ROOT}}}'.encode())
    with pytest.raises(Malformed):
        await peers(whole(packed, {"Content-Encoding": "gzip"})).status("dave")


@pytest.mark.parametrize(
    "content",
    [
        b"\x00",
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x02x",
        (9 << 20).to_bytes(4, "big") + b"x" * (9 << 20),
        b"\x00\x00\x00\x0c" + b"\xd8\x1c\x81\x41a".ljust(12, b"\x00"),
        len(cbor2.dumps([1, 2])).to_bytes(4, "big") + cbor2.dumps([1, 2]),
    ],
)
async def test_blocks_that_are_none(content):
    with pytest.raises(Malformed):
        await peers(whole(content)).blocks("dave", 1, 100)
