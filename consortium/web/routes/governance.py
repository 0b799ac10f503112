"""Governance: what stands decided, proposals and votes. Public among the members, and to all of their people."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from consortium.energy.metering import to_ms
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
from consortium.web import examples
from consortium.web.problems import documented
from consortium.web.reading import Rows, answer, page
from consortium.web.routes.records import Asking, Node, RecordAnswer, RecordId, Timeout, Until
from consortium.web.submissions import answer_json

router = APIRouter(prefix="/v1/governance", tags=["governance"])
_WRITING = documented(
    NotAuthenticated, Forbidden, NotFound, IdConflict, PayloadTooLarge, InvalidRequest, LogUnavailable,
    StoreUnavailable, NotReady, DeadlineExceeded,
)  # fmt: skip
_READING = documented(NotAuthenticated, Forbidden, NotFound, InvalidRequest)
_PROPOSAL = {
    "id": examples.ID, "kind": "change-settings", "author": "gridco", "reason": "readings go after two years",
    "state": "open", "height": 120, "decided": None, "expires": "2017-07-01T00:00:00Z",
    "voters": ["cityretail", "gridco", "suncoop"], "needed": 2, "yes": ["gridco"], "no": [],
}  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


RecordIdText = Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="An id of your own: asked twice, done once.")]


class ProposalIn(_Strict):
    """A proposal. `terms` are the kind's own fields (docs/formats.md): bytes in hex, times in UTC ms."""

    kind: Annotated[str, Field(max_length=32, examples=["end-grant"])]
    terms: Annotated[dict[str, Any], Field(examples=[{"grant": examples.ID}])]
    reason: Annotated[str, Field(max_length=500)] = ""
    expires: AwareDatetime | None = None
    id: RecordIdText | None = None


class BallotIn(_Strict):
    """A member's vote."""

    proposal: Annotated[str, Field(pattern="^[0-9a-f]{32}$", examples=[examples.ID])]
    yes: bool
    id: RecordIdText | None = None


@router.get("", summary="What stands decided", response_model=dict[str, Any],
            responses=examples.of({"height": 120, "members": [], "rules": {}, "settings": {}}) | _READING)  # fmt: skip
async def overview(node: Node, asking: Asking) -> Response:
    """Members with their keys by height, rules, settings, the policy set, grants and legal holds."""
    return answer(node.governor.overview(asking))


@router.get("/proposals", summary="All proposals", response_model=Rows,
            responses=examples.of({"rows": [_PROPOSAL], "next": None}) | _READING)  # fmt: skip
async def history(node: Node, asking: Asking) -> Response:
    """The newest first, each with its votes."""
    return page(node.governor.history(asking), None)


@router.get("/proposals/{id}", summary="One proposal, and what it would change", response_model=dict[str, Any],
            responses=examples.of({**_PROPOSAL, "terms": {}, "changes": []}) | _READING)  # fmt: skip
async def show(id: RecordId, node: Node, asking: Asking) -> Response:
    """While it is open `changes` says line by line what would be another thing afterwards."""
    return answer(node.governor.show(asking, parse_record_id(id)))


@router.post("/proposals", summary="Propose", response_model=RecordAnswer,
             responses=examples.of(examples.ANSWER) | _WRITING)  # fmt: skip
async def propose(
    body: Annotated[ProposalIn, Body()], node: Node, asking: Asking, wait: Until = Wait.APPLIED,
    timeout_s: Timeout = 10.0,
) -> Response:  # fmt: skip
    """A proposal in the member's name; whoever proposes has not voted yet."""
    given = await node.governor.propose(
        asking, body.kind, body.terms, reason=body.reason, record_id=_id(body.id), wait=wait, timeout_s=timeout_s,
        expires_ms=to_ms(body.expires) if body.expires else None,
    )  # fmt: skip
    return Response(answer_json(given), media_type="application/json")


@router.post("/ballots", summary="Vote", response_model=RecordAnswer,
             responses=examples.of(examples.ANSWER) | _WRITING)  # fmt: skip
async def vote(
    body: Annotated[BallotIn, Body()], node: Node, asking: Asking, wait: Until = Wait.APPLIED,
    timeout_s: Timeout = 10.0,
) -> Response:  # fmt: skip
    """The member's ballot: one for each proposal, and it stands."""
    proposal = parse_record_id(body.proposal)
    given = await node.governor.vote(
        asking, proposal, yes=body.yes, record_id=_id(body.id), wait=wait, timeout_s=timeout_s
    )
    return Response(answer_json(given), media_type="application/json")


def _id(text: str | None) -> bytes | None:
    return parse_record_id(text) if text else None
