"""Other members' nodes over HTTPS with client certificates, and a token of our own per request."""

from __future__ import annotations

import base64
import binascii
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from consortium.adapters.tokens.peers import PeerTokens
from consortium.crypto.notes import SignedNote, parse_note
from consortium.errors import Malformed, PeerUnavailable
from consortium.model.blocks import KeptBlock
from consortium.model.encoding import decode
from consortium.model.kept import decode_kept_block
from consortium.ports import PeerStatus

_TIMEOUT_S = 10.0
_MAX_ANSWER = 64 << 20


def mutual_tls(ca_file: Path, cert_file: Path, key_file: Path) -> ssl.SSLContext:
    """A client context that trusts the consortium's authority alone, and shows our certificate."""
    context = ssl.create_default_context(cafile=str(ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(str(cert_file), str(key_file))
    return context


class HttpPeers:
    """Implements `consortium.ports.Peers`."""

    def __init__(self, urls: Mapping[str, str], tokens: PeerTokens, tls: ssl.SSLContext) -> None:
        self._urls = {name: url.rstrip("/") for name, url in sorted(urls.items())}
        self._tokens = tokens
        self._http = httpx.AsyncClient(verify=tls, timeout=_TIMEOUT_S, trust_env=False)

    @property
    def names(self) -> Sequence[str]:
        """The members that have an address."""
        return tuple(self._urls)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def status(self, member: str) -> PeerStatus:
        """See `Peers.status`."""
        raw = self._json(await self._get(member, "status"))
        try:
            root, block = bytes.fromhex(raw["root"]), bytes.fromhex(raw["block"])
            return PeerStatus(member, int(raw["height"]), int(raw["size"]), root, block)
        except (KeyError, TypeError, ValueError):
            raise PeerUnavailable(f"{member} answers its status in another form") from None

    async def blocks(self, member: str, start: int, limit: int) -> Sequence[KeptBlock]:
        """See `Peers.blocks`."""
        data = (await self._get(member, "blocks", start=start, limit=limit)).content
        found = []
        while data:
            length = int.from_bytes(data[:4], "big")
            if len(data) < 4 + length:
                raise Malformed(f"{member} answers with a truncated block")
            found.append(decode_kept_block(data[4 : 4 + length]))
            data = data[4 + length :]
        return found

    async def payload(self, member: str, record_id: bytes) -> tuple[tuple[bytes, ...], bytes] | None:
        """See `Peers.payload`."""
        response = await self._send(member, "GET", f"payloads/{record_id.hex()}")
        if response.status_code == 404:
            return None
        raw = decode(self._good(member, response).content)
        if type(raw) is not tuple or len(raw) != 2 or type(raw[0]) is not tuple or type(raw[1]) is not bytes:
            raise Malformed(f"{member} answers with something that is no payload")
        if any(type(body) is not bytes for body in raw[0]):
            raise Malformed(f"{member} answers with something that is no payload")
        return raw[0], raw[1]

    async def add_checkpoint(self, member: str, body: str) -> tuple[int, str]:
        """See `Peers.add_checkpoint`."""
        response = await self._send(member, "POST", "add-checkpoint", content=body.encode())
        return response.status_code, response.text

    async def send_checkpoint(self, member: str, note: SignedNote) -> None:
        """See `Peers.send_checkpoint`."""
        self._good(member, await self._send(member, "POST", "checkpoint", content=str(note).encode()))

    async def checkpoint(self, member: str) -> SignedNote | None:
        """See `Peers.checkpoint`."""
        response = await self._send(member, "GET", "checkpoint")
        return None if response.status_code == 404 else parse_note(self._good(member, response).text)

    async def consistency(self, member: str, old: int, new: int) -> Sequence[bytes]:
        """See `Peers.consistency`."""
        raw = self._json(await self._get(member, "consistency", old=old, new=new))
        try:
            return [base64.b64decode(text, validate=True) for text in raw]
        except (TypeError, ValueError, binascii.Error):
            raise Malformed(f"{member} answers with something that is no proof") from None

    async def _get(self, member: str, path: str, **params: int) -> httpx.Response:
        return self._good(member, await self._send(member, "GET", path, params=params))

    async def _send(self, member: str, method: str, path: str, **arguments: Any) -> httpx.Response:
        url = f"{self._urls[member]}/v1/peer/{path}"
        headers = {"Authorization": f"Bearer {self._tokens.issue(member)}"}
        try:
            return await self._http.request(method, url, headers=headers, **arguments)
        except httpx.HTTPError as error:
            raise PeerUnavailable(f"{member} cannot be reached: {type(error).__name__}") from error

    def _good(self, member: str, response: httpx.Response) -> httpx.Response:
        if response.status_code >= 300 or len(response.content) > _MAX_ANSWER:
            raise PeerUnavailable(f"{member} answers {response.status_code}")
        return response

    def _json(self, response: httpx.Response) -> Any:
        try:
            return response.json()
        except ValueError:
            raise Malformed("a peer's answer is no JSON") from None
