"""Who read a user's records, and whom the user lets read them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

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
)
from consortium.model.names import parse_record_id
from consortium.pipeline.write import Wait
from consortium.web import examples, examples_accesses
from consortium.web.problems import documented
from consortium.web.reading import LISTED, After, Limit, Rows, answer, page
from consortium.web.routes.records import Asking, Node, RecordAnswer, RecordId, Timeout, Until, body_of
from consortium.web.submissions import MAX_RECORD_BYTES, answer_json, parse_data

router = APIRouter(prefix="/v1", tags=["accesses"])
_FAILURES = (
    NotAuthenticated,
    Forbidden,
    IdConflict,
    InvalidRequest,
    LogUnavailable,
    StoreUnavailable,
    NotReady,
    DeadlineExceeded,
)


class AccessPage(BaseModel):
    """A page of accesses, and every author's chain: `whole` says that none has a gap."""

    rows: list[dict[str, Any]]
    next: int | None = None
    whole: bool
    chains: list[dict[str, Any]]


@router.get(
    "/me/accesses",
    summary="Who read my records",
    response_model=AccessPage,
    responses=examples.of(examples_accesses.ACCESSES) | LISTED,
)
async def accesses(
    node: Node,
    asking: Asking,
    after: After = -1,
    limit: Limit = 100,
    plaintexts: Annotated[bool, Query(description="With each record's section as it was sealed, in hex.")] = False,
) -> Response:
    """Who read what, when, by which duty, grant or delegation, and what for; each row is a record of the ledger, with a
    receipt at /v1/records/{id}/receipt.

    `ledger_time` is the ledger's, `start` and `last` are what the node claims; `timing` says where the two do not fit:
    late, back-dated, ahead.
    """
    return answer(await node.accesses.page(asking, after, limit, plaintexts=plaintexts))


@router.get(
    "/delegations",
    summary="Delegations",
    response_model=Rows,
    responses=examples.of({"rows": [examples_accesses.DELEGATION], "next": None}) | LISTED,
)
async def delegations(node: Node, asking: Asking, after: After = -1, limit: Limit = 100) -> Response:
    """Those that the caller gave, and those that were given to the caller; ended ones too."""
    return page(*node.delegating.list(asking, after, limit))


@router.post(
    "/delegations",
    summary="Let somebody read",
    response_model=RecordAnswer,
    responses=examples.of(examples.ANSWER) | documented(*_FAILURES, PayloadTooLarge),
    openapi_extra=examples_accesses.delegation_body(),
)
async def delegate(
    request: Request, node: Node, asking: Asking, wait: Until = Wait.APPLIED, timeout_s: Timeout = 10.0
) -> Response:
    """Another user, or a service, of the same member may read some of the caller's own records, until it ends.

    The delegate reads with the header `Consortium-Behalf: home-01@suncoop`; each read stands in the user's accesses.
    """
    given = parse_data("delegation", await body_of(request, MAX_RECORD_BYTES))
    done = await node.delegating.give(asking, given.id, given.data, wait, timeout_s)
    return Response(answer_json(done), media_type="application/json")


@router.delete(
    "/delegations/{id}",
    summary="End a delegation",
    response_model=RecordAnswer,
    responses=examples.of(examples.ANSWER) | documented(*_FAILURES, NotFound),
)
async def undelegate(
    id: RecordId, node: Node, asking: Asking, wait: Until = Wait.APPLIED, timeout_s: Timeout = 10.0
) -> Response:
    """From here on the delegate reads nothing more by it. The answer is about the record of the end; asked again, the
    same one.
    """
    done = await node.delegating.end(asking, parse_record_id(id), wait, timeout_s)
    return Response(answer_json(done), media_type="application/json")
