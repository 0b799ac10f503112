"""Until a node knows what was erased, nothing is answered out of which a payload can come."""

from __future__ import annotations

import httpx
import pytest

from consortium.web.app import api
from consortium.web.gate import OPEN, Gate, is_open

PUBLIC = {
    "/healthz", "/readyz", "/metrics", "/v1/status", "/v1/governance", "/v1/erasures", "/v1/accounts", "/v1/auth",
    "/v1/log",
}  # fmt: skip


async def answered(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"a payload"})


async def get(path: str, shut: str) -> httpx.Response:
    transport = httpx.ASGITransport(Gate(answered, lambda: shut))
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        return await client.get(path)


@pytest.mark.parametrize(
    "path",
    ["/v1/records", "/v1/records/00", "/v1/me/summary", "/v1/peer/payloads/00", "/v1/grants/x/records", "/anything"],
)
async def test_what_may_show_a_payload_waits(path):
    found = await get(path, "it learns")
    assert found.status_code == 503
    assert found.json()["type"].endswith("not-ready")
    assert "payload" not in found.text
    assert (await get(path, "")).status_code == 200


@pytest.mark.parametrize("path", OPEN)
async def test_what_shows_none_is_answered(path):
    assert (await get(path, "it learns")).status_code == 200


@pytest.mark.parametrize("path", ["/v1/logs", "/v1/peer/payloads", "/v1/erasuresx", "/V1/records", "//v1/status"])
def test_nothing_is_open_by_resemblance(path):
    assert not is_open(path)


def test_every_route_of_the_api_is_shut_but_those_that_are_named_here():
    paths = set(api(None).openapi()["paths"])  # type: ignore[arg-type]
    opened = {path for path in paths if is_open(path)}
    assert opened
    assert all(any(path == known or path.startswith(known + "/") for known in PUBLIC) for path in opened)
    assert {"/v1/records", "/v1/records/{id}", "/v1/me/summary", "/v1/wallet"} & opened == set()
