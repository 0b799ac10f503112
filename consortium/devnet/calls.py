"""The API as the demo calls it: in each party's own name, at its own member's node."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Self

import httpx

from consortium.devnet.network import Devnet
from consortium.errors import OperatorError
from consortium.model.names import Party

_POLL_S = 0.05
_QUIET_S = 120.0


class Calls:
    """Clients for the nodes of `members`, all by default; `tokens` by account."""

    def __init__(self, net: Devnet, tokens: Mapping[str, str], members: Collection[str] = ()) -> None:
        self._net = net
        self._members = members or net.nodes.keys()
        self._tokens = tokens
        self._stack = AsyncExitStack()
        self._clients: dict[str, httpx.AsyncClient] = {}

    async def __aenter__(self) -> Self:
        for name in self._members:
            node = self._net.nodes[name]
            client = httpx.AsyncClient(base_url=node.url, trust_env=False, timeout=90.0, verify=False)  # noqa: S501
            self._clients[name] = await self._stack.enter_async_context(client)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def account_of(self, party: str) -> str:
        """The account that speaks for a party: a home its own, a member's staff."""
        who = Party.parse(party)
        return who.user or f"{who.member}-staff"

    async def get(self, party: str, path: str, **params: Any) -> Any:
        """The JSON of a GET. Raises `OperatorError` for any other answer."""
        response = await self._request(party, "GET", path, params=params)
        return response.json()

    async def post(self, party: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Submit something that must be accepted; the answer. Asked again with the same id while a node is busy."""
        data = {"id": os.urandom(16).hex(), **body}
        response = await self._request(party, "POST", path, json=data, params={"timeout_s": 60})
        answer: dict[str, Any] = response.json()
        if answer.get("state") != "accepted":
            raise OperatorError(f"{party} {path}: {answer.get('reason')}")
        return answer

    async def stream(self, account: str, member: str, lines: Sequence[str]) -> list[dict[str, Any]]:
        """Many submissions at once, as NDJSON, in an account's name; the answers. Raises `OperatorError`."""
        auth = self._net.auth(self._tokens[account])
        content = "\n".join(lines)
        response = await self._clients[member].post("/v1/records/stream", content=content, auth=auth)
        if response.status_code != 200:
            raise OperatorError(f"{member} answers {response.status_code} to {account}: {response.text[:300]}")
        return [json.loads(line) for line in response.text.splitlines()]

    async def propose(self, proposal: Mapping[str, Any]) -> dict[str, Any]:
        """A contract, by its proposer."""
        return await self.post(proposal["proposer"], "/v1/contracts", proposal)

    async def _request(self, party: str, method: str, path: str, **arguments: Any) -> httpx.Response:
        auth = self._net.auth(self._tokens[self.account_of(party)])
        client = self._clients[Party.parse(party).member]
        response = await client.request(method, path, auth=auth, **arguments)
        if response.status_code != 200:
            raise OperatorError(f"{party} {method} {path}: {response.status_code} {response.text[:300]}")
        return response

    async def statuses(self) -> dict[str, dict[str, Any]]:
        """Every node's status."""
        names = list(self._clients)
        found = await asyncio.gather(*(self.get(name, "/v1/status") for name in names))
        return dict(zip(names, found, strict=True))

    async def until_quiet(self, ledger_time: str = "", timeout_s: float = _QUIET_S) -> dict[str, dict[str, Any]]:
        """Wait until all nodes stand at one tree, its time has come, and no agent has anything left to do.

        Seen twice, so that nothing moved while it was looked at. Raises `OperatorError`.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        before: tuple[Any, ...] | None = None
        heads: dict[str, dict[str, Any]] = {}
        while loop.time() < end:
            heads = await self.statuses()
            now = _quiet(heads, ledger_time)
            if now is not None and now == before:
                return heads
            before = now
            await asyncio.sleep(_POLL_S)
        waiting = {name: (head["size"], head["ledger_time"], head["agents"]) for name, head in heads.items()}
        raise OperatorError(f"the nodes do not come to rest: {waiting}")


def _quiet(heads: Mapping[str, Mapping[str, Any]], ledger_time: str) -> tuple[Any, ...] | None:
    sizes = {head["size"] for head in heads.values()}
    busy = any(
        head["agents"] and (head["agents"]["waiting"] or head["agents"]["height"] < head["height"])
        for head in heads.values()
    )
    early = any(head["ledger_time"] < ledger_time for head in heads.values())
    return None if busy or early or len(sizes) > 1 else (*sizes,)
