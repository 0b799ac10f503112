"""Other members' nodes over HTTPS with client certificates, and a token of our own per request.

A peer may be dishonest: no answer of it may be larger, or take longer, than it must, and none may raise anything but
`PeerUnavailable` and `Malformed`. What stands in the answer is checked by whoever asked.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import ssl
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx

from consortium.adapters.tokens.peers import PeerTokens
from consortium.crypto.notes import SignedNote, parse_note
from consortium.errors import Malformed, PeerUnavailable
from consortium.model.blocks import KeptBlock
from consortium.model.encoding import decode, decode_flat, encode_ordered
from consortium.model.kept import decode_kept_block
from consortium.ports.peers import PeerStatus

_TIMEOUT_S = 10.0
_BLOCKS_S = 120.0
_MAX_ANSWER = 256 << 10
_MAX_PAYLOAD = 4 << 20
_MAX_BLOCK = 8 << 20
_MAX_BLOCKS = 32 << 20
_MAX_COUNT = 1 << 63
_UNKNOWN_TOKEN = 401


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    content: bytes


def mutual_tls(ca_file: Path, cert_file: Path, key_file: Path) -> ssl.SSLContext:
    """A client context that trusts the consortium's authority alone, and shows our certificate."""
    context = ssl.create_default_context(cafile=str(ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(str(cert_file), str(key_file))
    return context


_UNREACHABLE = (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, ExceptionGroup)
"""A TLS alert after the handshake is an `ssl.SSLError`; and an address that the members voted for may be none."""


class HttpPeers:
    """Implements `consortium.ports.Peers`."""

    def __init__(self, urls: Mapping[str, str], tokens: PeerTokens, tls: ssl.SSLContext) -> None:
        self.move(urls)
        self._tokens = tokens
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
        self._http = httpx.AsyncClient(verify=tls, timeout=_TIMEOUT_S, trust_env=False, cookies=no_cookies)

    @property
    def names(self) -> Sequence[str]:
        """The members that have an address."""
        return tuple(self._urls)

    def move(self, urls: Mapping[str, str]) -> None:
        """These members, at these addresses, from now on; what is under way goes on."""
        self._urls = {name: url.rstrip("/") for name, url in sorted(urls.items())}

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def status(self, member: str) -> PeerStatus:
        """See `Peers.status`."""
        raw = self._json(await self._get(member, "status"))
        try:
            root, block = bytes.fromhex(raw["root"]), bytes.fromhex(raw["block"])
            return PeerStatus(member, _count(raw["height"]), _count(raw["size"]), root, block)
        except (KeyError, TypeError, ValueError):
            raise PeerUnavailable(f"{member} answers its status in another form") from None

    async def blocks(self, member: str, start: int, limit: int) -> Sequence[KeptBlock]:
        """See `Peers.blocks`."""
        params = {"start": start, "limit": limit}
        answer = await self._send(member, "GET", "blocks", most=_MAX_BLOCKS, limit_s=_BLOCKS_S, params=params)
        data, at = self._good(member, answer).content, 0
        found: list[KeptBlock] = []
        while at < len(data):
            end = at + 4 + int.from_bytes(data[at : at + 4], "big")
            if not at + 4 < end <= min(len(data), at + _MAX_BLOCK) or len(found) == limit:
                raise Malformed(f"{member} answers with something that is no run of blocks")
            found.append(decode_kept_block(data[at + 4 : end]))
            at = end
        return found

    async def payload(self, member: str, record_id: bytes) -> tuple[tuple[bytes, ...], bytes] | None:
        """See `Peers.payload`."""
        answer = await self._send(member, "GET", f"payloads/{record_id.hex()}", most=_MAX_PAYLOAD)
        if answer.status == 404:
            return None
        raw = decode(self._good(member, answer).content)
        if type(raw) is not tuple or len(raw) != 2 or type(raw[0]) is not tuple or type(raw[1]) is not bytes:
            raise Malformed(f"{member} answers with something that is no payload")
        if any(type(body) is not bytes for body in raw[0]):
            raise Malformed(f"{member} answers with something that is no payload")
        return raw[0], raw[1]

    async def disclosed(
        self, member: str, grant: bytes, records: Sequence[bytes]
    ) -> Mapping[bytes, Mapping[int, bytes]]:
        """See `ports.disclosures.Holders.disclosed`."""
        body = encode_ordered([grant, list(records)])
        answer = await self._send(member, "POST", "disclosed", most=_MAX_PAYLOAD, limit_s=_BLOCKS_S, content=body)
        return _disclosed(decode_flat(self._good(member, answer).content), frozenset(records))

    async def add_checkpoint(self, member: str, body: str) -> tuple[int, str]:
        """See `Peers.add_checkpoint`."""
        answer = await self._send(member, "POST", "add-checkpoint", content=body.encode())
        return answer.status, self._text(answer)

    async def send_checkpoint(self, member: str, note: SignedNote) -> None:
        """See `Peers.send_checkpoint`."""
        self._good(member, await self._send(member, "POST", "checkpoint", content=str(note).encode()))

    async def checkpoint(self, member: str) -> SignedNote | None:
        """See `Peers.checkpoint`."""
        answer = await self._send(member, "GET", "checkpoint")
        return None if answer.status == 404 else parse_note(self._text(self._good(member, answer)))

    async def consistency(self, member: str, old: int, new: int) -> Sequence[bytes]:
        """See `Peers.consistency`."""
        raw = self._json(await self._get(member, "consistency", old=old, new=new))
        try:
            return [base64.b64decode(text, validate=True) for text in raw]
        except (TypeError, ValueError, binascii.Error):
            raise Malformed(f"{member} answers with something that is no proof") from None

    async def _get(self, member: str, path: str, **params: int) -> _Answer:
        return self._good(member, await self._send(member, "GET", path, params=params))

    async def _send(
        self,
        member: str,
        method: str,
        path: str,
        *,
        most: int = _MAX_ANSWER,
        limit_s: float = _TIMEOUT_S,
        **arguments: Any,
    ) -> _Answer:
        if member not in self._urls:
            raise PeerUnavailable(f"no address is known of {member}, or it is no member now")
        url = f"{self._urls[member]}/v1/peer/{path}"
        # Nothing packed is asked for, and nothing is unpacked: a small answer must not become a large one.
        headers = {"Authorization": f"Bearer {self._tokens.issue(member)}", "Accept-Encoding": "identity"}
        data = bytearray()
        try:
            # httpx' own timeout is for each read: a peer that sends a byte now and then would hold us for ever.
            async with (
                asyncio.timeout(limit_s),
                self._http.stream(method, url, headers=headers, **arguments) as response,
            ):
                async for chunk in response.aiter_raw():
                    data += chunk
                    if len(data) > most:
                        raise PeerUnavailable(f"{member} answers with more than {most:,} bytes")
                if response.status_code == _UNKNOWN_TOKEN:
                    self._tokens.refused(member)
                return _Answer(response.status_code, bytes(data))
        except _UNREACHABLE as error:
            raise PeerUnavailable(f"{member} cannot be reached: {type(error).__name__}") from error

    def _good(self, member: str, answer: _Answer) -> _Answer:
        if not 200 <= answer.status < 300:
            raise PeerUnavailable(f"{member} answers {answer.status}")
        return answer

    def _text(self, answer: _Answer) -> str:
        try:
            return answer.content.decode("utf-8")
        except UnicodeDecodeError:
            raise Malformed("a peer's answer is no text") from None

    def _json(self, answer: _Answer) -> Any:
        try:
            return json.loads(answer.content)
        except (ValueError, RecursionError):
            raise Malformed("a peer's answer is no JSON") from None


def addresses(
    member: str, members: Iterable[str], settings: Mapping[str, str], ledger: Mapping[str, str]
) -> dict[str, str]:
    """The other members of now with their addresses: what the ledger says of one stands over the node's settings."""
    known = {**settings, **ledger}
    return {name: known[name] for name in members if name in known and name != member}


def _disclosed(raw: Any, asked: Collection[bytes]) -> dict[bytes, dict[int, bytes]]:
    """[[record id, [[section, ciphertext], ...]], ...]. Raises `Malformed`."""
    found: dict[bytes, dict[int, bytes]] = {}
    try:
        for record, bodies in raw:
            sections = dict(bodies)
            if record not in asked or not all(type(n) is int and type(b) is bytes for n, b in sections.items()):
                raise Malformed("a holder answers with something that was not asked for")
            found[record] = sections
    except (TypeError, ValueError):
        raise Malformed("a holder answers with something that is no run of ciphertexts") from None
    return found


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _MAX_COUNT:
        raise ValueError("no count")
    return value
