"""Callers of a day on which nodes are killed: they ask again, and keep for a node what it is not there to take."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx

from consortium.devnet.calls import Calls
from consortium.errors import OperatorError
from tests.fixtures.network import wait_until

ASK_AGAIN_S = 60.0


class PatientCalls(Calls):
    """Asks again with the same ids until it is answered. Meters of members that are `away` keep their readings."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._kept: dict[str, list[tuple[str, list[str]]]] = {}

    def goes_away(self, member: str) -> None:
        """Its node is asked nothing until it `comes_back`."""
        self._kept[member] = []

    async def comes_back(self, member: str) -> int:
        """Send what its meters have kept; how many readings that were."""
        kept = self._kept.pop(member)
        for account, lines in kept:
            answers = await self.stream(account, member, lines)
            assert [answer["state"] for answer in answers] == ["accepted"] * len(lines)
        return sum(len(lines) for _, lines in kept)

    async def stream(self, account: str, member: str, lines: Sequence[str]) -> list[dict[str, Any]]:
        """As a gateway does: what was not acknowledged is sent once more, with the same ids."""
        if member in self._kept:
            self._kept[member].append((account, list(lines)))
            return [{"id": json.loads(line)["id"], "state": "accepted"} for line in lines]

        async def taken() -> list[dict[str, Any]] | None:
            try:
                answers = await super(PatientCalls, self).stream(account, member, lines)
            except (httpx.TransportError, OperatorError):
                return None
            whole = len(answers) == len(lines) and all(answer.get("state") == "accepted" for answer in answers)
            return answers if whole else None

        return list(await wait_until(taken, f"{member} takes {len(lines)} readings", ASK_AGAIN_S))

    async def _request(self, party: str, method: str, path: str, **arguments: Any) -> httpx.Response:
        loop = asyncio.get_running_loop()
        end = loop.time() + ASK_AGAIN_S
        while True:
            try:
                return await super()._request(party, method, path, **arguments)
            except (httpx.TransportError, OperatorError):
                if loop.time() > end:
                    raise
                await asyncio.sleep(0.05)
