"""Erasure: ask for it, see what was ordered, who did it and who is late."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Response
from pydantic import BaseModel, ConfigDict, Field

from consortium.energy.payloads.erasure import MAX_ASKED
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
from consortium.web import examples
from consortium.web.problems import documented
from consortium.web.reading import Rows, answer, page
from consortium.web.routes.records import Asking, Node, RecordId, Timeout

router = APIRouter(prefix="/v1/erasures", tags=["erasure"])
_WRITING = documented(
    NotAuthenticated, Forbidden, NotFound, IdConflict, PayloadTooLarge, InvalidRequest, LogUnavailable,
    StoreUnavailable, NotReady, DeadlineExceeded,
)  # fmt: skip
_READING = documented(NotAuthenticated, Forbidden, NotFound, InvalidRequest)
_ASKED = {
    "rows": [
        {"id": examples.ID, "state": "ordered", "by": "11" * 16, "reason": ""},
        {"id": "22" * 16, "state": "refused", "by": None, "reason": "the interval is not settled yet"},
    ],
    "next": None,
}
_ERASURE = {
    "id": "11" * 16, "by": "suncoop", "ground": "user", "reference": "", "records": [examples.ID], "height": 812,
    "time": "2017-06-15T12:00:00Z", "acknowledged": ["gridco", "suncoop"], "held_back": {}, "awaited": ["cityretail"],
    "overdue": [],
}  # fmt: skip
IdText = Annotated[str, Field(pattern="^[0-9a-f]{32}$", examples=[examples.ID])]


class ErasureIn(BaseModel):
    """Which records, and why: `user`, a person those about themself; `author`, an administrator what their member wrote
    by mistake. A court's order is a proposal (`erase`), and is voted on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    records: Annotated[list[IdText], Field(min_length=1, max_length=MAX_ASKED)]
    ground: Literal["user", "author"] = "user"
    reference: Annotated[str, Field(max_length=200, description="Public: name nobody in it.")] = ""


@router.post("", summary="Have records erased", response_model=Rows, responses=examples.of(_ASKED) | _WRITING)
async def post_erasure(
    asked: Annotated[ErasureIn, Body()], node: Node, asking: Asking, timeout_s: Timeout = 10.0
) -> Response:
    """By record what became of it: `ordered`, `asked` (of the member that wrote it), or `refused` with the reason.

    404 if any of them is not the caller's to ask for, whether it exists or not.
    """
    ids = [parse_record_id(record) for record in asked.records]
    found = await node.erasing.ask(asking, ids, asked.ground, asked.reference, timeout_s=timeout_s)
    rows = [
        {"id": one.id.hex(), "state": one.state, "by": one.by.hex() if one.by else None, "reason": one.reason}
        for one in found
    ]
    return page(rows, None)


@router.get(
    "", summary="All erasures", response_model=Rows,
    responses=examples.of({"rows": [_ERASURE], "next": None}) | _READING,
)  # fmt: skip
async def get_erasures(node: Node, asking: Asking) -> Response:
    """What was ordered, the newest first: who has done it, who holds something back and why, who is late."""
    return page(node.erasing.orders(asking), None)


@router.get("/{id}", summary="One erasure", response_model=dict[str, Any], responses=examples.of(_ERASURE) | _READING)
async def get_erasure(id: RecordId, node: Node, asking: Asking) -> Response:
    """One of them."""
    return answer(node.erasing.one(asking, parse_record_id(id)))
