"""A party's contracts, orders and wallet, to read."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from consortium.model.names import parse_record_id
from consortium.web import examples, examples_market
from consortium.web.reading import FOUND, LISTED, Account, After, At, From, Limit, Rows, To, answer, ms, page, wanted
from consortium.web.routes.records import Asking, Node, RecordId

router = APIRouter(prefix="/v1", tags=["holdings"])


@router.get(
    "/contracts",
    summary="Own contracts",
    response_model=Rows,
    responses=examples.of({"rows": [examples_market.CONTRACT], "next": None}) | LISTED,
)
async def contracts(node: Node, asking: Asking, at: At = None, after: After = -1, limit: Limit = 100) -> Response:
    """State, frame, terms, the clauses in English and Chinese, and the history with its records."""
    return page(*await node.personal.contracts(asking, ms(at), after, limit))


@router.get(
    "/contracts/{id}",
    summary="One contract",
    response_model=dict[str, Any],
    responses=examples.of(examples_market.CONTRACT) | FOUND,
)
async def contract(id: RecordId, node: Node, asking: Asking, at: At = None) -> Response:
    """A contract that the caller's party is a reader of; 404 for any other, whether it exists or not."""
    return answer(await node.personal.contract(asking, parse_record_id(id), ms(at)))


@router.get(
    "/orders",
    summary="Own orders",
    response_model=Rows,
    responses=examples.of({"rows": [examples_market.ORDER], "next": None}) | LISTED,
)
async def orders(
    node: Node, asking: Asking, start: From = None, end: To = None, after: After = -1, limit: Limit = 100
) -> Response:
    """Orders for the sessions of a period, what became of each, and the proof that it was counted."""
    return page(*await node.personal.orders(asking, wanted(start, end, after), limit))


@router.get(
    "/orders/{id}/proof",
    summary="The proof that an order was counted",
    response_model=dict[str, Any],
    responses=examples.of(examples_market.PROOF) | FOUND,
)
async def proof(id: RecordId, node: Node, asking: Asking) -> Response:
    """The order's header and commitment, its leaf and path in the book, and the root in the session's result."""
    return answer(await node.personal.order_proof(asking, parse_record_id(id)))


@router.get(
    "/wallet",
    summary="What stands in a wallet",
    response_model=dict[str, Any],
    responses=examples.of(examples_market.WALLET) | FOUND,
)
async def wallet(node: Node, asking: Asking, account: Account = None) -> Response:
    """Balance, reserved, available in micro-units; `whole` says that the chain of entries verifies."""
    return answer(await node.personal.wallet(asking, account))


@router.get(
    "/wallet/statement",
    summary="The entries of a wallet",
    response_model=Rows,
    responses=examples.of({"rows": [examples_market.ENTRY], "next": None}) | LISTED,
)
async def statement(
    node: Node,
    asking: Asking,
    start: From = None,
    end: To = None,
    after: After = -1,
    limit: Limit = 100,
    account: Account = None,
) -> Response:
    """Entry by entry, each line with the record that caused it and the clause. A page may be short: go on by `next`."""
    return page(*await node.personal.statement(asking, account, wanted(start, end, after), limit))
