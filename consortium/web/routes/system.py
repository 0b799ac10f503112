"""Status, health, readiness, metrics."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from consortium.errors import Forbidden, NotAuthenticated, NotReady, StoreUnavailable
from consortium.web import examples
from consortium.web.problems import documented, problem_of, problem_response
from consortium.web.routes.records import Asking, Node

router = APIRouter(tags=["system"])


class AgentsOut(BaseModel):
    """A node's market agents: up to block `height` nothing was left to do, `waiting` records are on their way."""

    height: int
    waiting: int


class Status(BaseModel):
    """A node's view of the ledger and of itself."""

    member: str
    network: str
    channel: str
    epoch: int
    height: int
    size: int
    root: str
    block: str
    ledger_time: str
    position: int
    lag: int
    witnessed_size: int
    state: str
    alarms: list[str]
    checked_height: int
    agents: AgentsOut | None
    policy_set: str
    peers: dict[str, dict[str, Any]]


@router.get(
    "/v1/status",
    summary="Height, root, lag, alarms",
    response_model=Status,
    responses=examples.of(examples.STATUS) | documented(NotAuthenticated, Forbidden, StoreUnavailable),
)
async def status(node: Node, asking: Asking) -> dict[str, Any]:
    """The node's status; for every signed-in caller."""
    node.access.require_status(asking)
    return node.node.status()


@router.get("/healthz", summary="The process answers", responses=examples.of({"status": "ok"}) | documented())
async def healthz() -> dict[str, str]:
    """Liveness."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    summary="The node takes records and answers reads",
    responses=examples.of({"status": "ready"}) | documented(NotReady),
)
async def readyz(node: Node) -> Response:
    """Readiness: the store answers, all that stood in the log at the start is applied, the node has not stopped."""
    reason = await node.node.unready()
    if reason:
        return problem_response(*problem_of(NotReady(reason)))
    return Response('{"status":"ready"}', media_type="application/json")


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=PlainTextResponse,
    responses=examples.of(examples.METRICS, "text/plain") | documented(),
)
async def metrics(node: Node) -> Response:
    """Prometheus text format; no names of users, no payloads."""
    return Response(generate_latest(node.node.metrics.registry), media_type=CONTENT_TYPE_LATEST)
