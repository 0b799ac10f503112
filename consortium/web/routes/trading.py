"""What people bring to the market, a path for each type: the same way as POST /v1/records, with the data as the body.

`field` in a problem names what is wrong as in a submission: `data.wh`.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from consortium.errors import (
    DeadlineExceeded,
    Forbidden,
    IdConflict,
    InvalidRequest,
    LogUnavailable,
    NotAuthenticated,
    NotFound,
    NotReady,
    PayloadTooLarge,
    StoreUnavailable,
    UnknownParty,
)
from consortium.model.names import parse_record_id
from consortium.pipeline.write import Wait
from consortium.ports.callers import Caller
from consortium.web import examples
from consortium.web.problems import documented
from consortium.web.routes.records import Asking, Node, RecordAnswer, RecordId, Timeout, Until, body_of
from consortium.web.services import Services
from consortium.web.submissions import MAX_RECORD_BYTES, answer_json, parse_data

router = APIRouter(prefix="/v1", tags=["trading"])
_FAILURES = (
    NotAuthenticated,
    Forbidden,
    IdConflict,
    PayloadTooLarge,
    InvalidRequest,
    UnknownParty,
    LogUnavailable,
    StoreUnavailable,
    NotReady,
    DeadlineExceeded,
)


def _described(type: str, *without: str) -> dict[str, Any]:
    """How a route is documented. About a contract of the path there is one more answer: there is none."""
    failures = (*_FAILURES, NotFound) if type in ("contract", "contract-step", "call") else _FAILURES
    return {
        "response_model": RecordAnswer,
        "responses": examples.of(examples.ANSWER) | documented(*failures),
        "openapi_extra": examples.data_body(type, *without),
    }


async def _bring(
    type: str, request: Request, node: Services, asking: Caller, wait: Wait, timeout_s: float, **given: str
) -> Response:
    submission = parse_data(type, await body_of(request, MAX_RECORD_BYTES), **given)
    answer = await node.submitter.submit(asking, submission, wait, timeout_s)
    return Response(answer_json(answer), media_type="application/json")


@router.post("/orders", summary="Order in a market", **_described("order"))
async def post_order(
    request: Request, node: Node, asking: Asking, wait: Until = Wait.APPLIED, timeout_s: Timeout = 10.0
) -> Response:
    """A bid or an ask for one session. What a bid may cost, with the grid's fees, is reserved from the account."""
    return await _bring("order", request, node, asking, wait, timeout_s)


@router.post("/contracts", summary="Propose a contract", **_described("contract"))
async def post_contract(
    request: Request, node: Node, asking: Asking, wait: Until = Wait.APPLIED, timeout_s: Timeout = 10.0
) -> Response:
    """One side proposes; nothing executes until the other side countersigns by a step."""
    return await _bring("contract", request, node, asking, wait, timeout_s)


@router.post("/contracts/{id}/steps", summary="Take a step", **_described("contract-step", "contract"))
async def post_step(
    id: RecordId, request: Request, node: Node, asking: Asking, wait: Until = Wait.APPLIED, timeout_s: Timeout = 10.0
) -> Response:
    """Countersign, suspend, resume or end a contract, or accept the other side's figures of an interval.

    404 for a contract that is not the caller's, whether it exists or not.
    """
    contract = parse_record_id(id).hex()
    return await _bring("contract-step", request, node, asking, wait, timeout_s, contract=contract)


@router.post("/prices", summary="Publish prices", **_described("prices"))
async def post_prices(
    request: Request, node: Node, asking: Asking, wait: Until = Wait.APPLIED, timeout_s: Timeout = 10.0
) -> Response:
    """A series for everyone in the market, by the staff of a grid operator or of the market's operators."""
    return await _bring("prices", request, node, asking, wait, timeout_s)


@router.post("/deposits", summary="Book money from outside", **_described("deposit"))
async def post_deposit(
    request: Request, node: Node, asking: Asking, wait: Until = Wait.APPLIED, timeout_s: Timeout = 10.0
) -> Response:
    """Money that came into an account from outside, or left it, by the staff of who keeps the account."""
    return await _bring("deposit", request, node, asking, wait, timeout_s)


@router.post("/calls", summary="Call flexibility", **_described("call"))
async def post_call(
    request: Request, node: Node, asking: Asking, wait: Until = Wait.APPLIED, timeout_s: Timeout = 10.0
) -> Response:
    """The customer of a flexibility contract asks its provider to use less in an interval."""
    return await _bring("call", request, node, asking, wait, timeout_s)


@router.post("/complaints", summary="Complain of an order left out", **_described("complaint"))
async def post_complaint(
    request: Request, node: Node, asking: Asking, wait: Until = Wait.APPLIED, timeout_s: Timeout = 10.0
) -> Response:
    """An order that stands before the gate and was not counted; operators and compliance read it."""
    return await _bring("complaint", request, node, asking, wait, timeout_s)
