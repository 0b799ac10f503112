"""Callers that do not give up: each repeats a record with its id until it is taken, and keeps what was acknowledged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.fixtures.network import Network, reading, wait_until

PAUSE_S = 0.02
"""Between two requests of a writer: load enough, and a ledger that is audited quickly afterwards."""


class Writer:
    """Submits readings of one home as its member's meters do, one by one or `at_once` in a stream."""

    def __init__(self, network: Network, subject: str, at_once: int = 1) -> None:
        self._network, self._subject, self._at_once = network, subject, at_once
        self._stopping = False
        self.sent: dict[str, dict[str, Any]] = {}
        self.acknowledged: dict[str, dict[str, Any]] = {}
        self.failures = 0

    def stop(self) -> None:
        """Send nothing new; what is under way is still repeated until it is taken."""
        self._stopping = True

    async def run(self) -> None:
        client = await self._network.client(self._subject.rpartition("@")[2] + "-meters")
        while not self._stopping:
            records = [reading(self._subject, load_wh=len(self.sent) + n) for n in range(self._at_once)]
            self.sent.update({record["id"]: record for record in records})
            while records:
                try:
                    answers = await self._submit(client, records)
                except httpx.TransportError:
                    answers = []
                self._keep(answers)
                records = [record for record in records if record["id"] not in self.acknowledged]
                self.failures += bool(records)
                await asyncio.sleep(PAUSE_S)

    async def _submit(self, client: httpx.AsyncClient, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        limit = {"timeout_s": 5}
        if self._at_once == 1:
            response = await client.post("/v1/records", json=records[0], params=limit)
            return [response.json()]
        lines = "\n".join(map(json.dumps, records))
        response = await client.post("/v1/records/stream", content=lines, params=limit)
        return [json.loads(line) for line in response.text.splitlines()]

    def _keep(self, answers: Sequence[dict[str, Any]]) -> None:
        for answer in answers:
            if "state" in answer:
                assert answer["state"] == "accepted", answer
                self.acknowledged[answer["id"]] = answer
            else:
                assert answer["status"] in (503, 504), answer


@asynccontextmanager
async def writing(writers: Sequence[Writer]) -> AsyncIterator[None]:
    """They write inside, and have every one of their records acknowledged afterwards."""
    async with asyncio.TaskGroup() as tasks:
        for writer in writers:
            tasks.create_task(writer.run())
        yield
        for writer in writers:
            writer.stop()


async def progress(writers: Sequence[Writer], count: int, timeout_s: float = 60.0) -> None:
    """Wait until each of them has `count` more records acknowledged."""
    goals = [len(writer.acknowledged) + count for writer in writers]

    async def reached() -> bool:
        return all(len(writer.acknowledged) >= goal for writer, goal in zip(writers, goals, strict=True))

    await wait_until(reached, f"{count} more records of every writer are acknowledged", timeout_s)


def all_acknowledged(writers: Sequence[Writer]) -> dict[str, dict[str, Any]]:
    """All answers by id. Everything that was sent is among them: no writer gave up."""
    found: dict[str, dict[str, Any]] = {}
    for writer in writers:
        assert writer.sent.keys() == writer.acknowledged.keys()
        found.update(writer.acknowledged)
    return found
