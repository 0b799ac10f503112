"""Records: submit one, submit many, list, read, header, receipt."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import AwareDatetime, BaseModel, BeforeValidator

from consortium.energy.metering import require_rfc3339, to_ms, to_rfc3339
from consortium.errors import (
    CommitmentMismatch,
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
from consortium.model.records import Accepted
from consortium.pipeline import read
from consortium.pipeline.write import Wait
from consortium.ports.callers import Caller
from consortium.web import examples
from consortium.web.callers import caller
from consortium.web.problems import documented
from consortium.web.services import Services
from consortium.web.streaming import NDJSON, DuplexResponse, Stream
from consortium.web.submissions import MAX_RECORD_BYTES, answer_json, parse_submission

_MAX_INDEX = (1 << 63) - 1

router = APIRouter(prefix="/v1", tags=["records"])
Asking = Annotated[Caller, Depends(caller)]
Timeout = Annotated[float, Query(gt=0, le=60, alias="timeout_s", description="Time limit for the answer, seconds.")]
Until = Annotated[Wait, Query(description="The state that the answer waits for.")]
RecordId = Annotated[str, Path(description="32 lowercase hex digits.", examples=[examples.ID])]
Moment = Annotated[AwareDatetime | None, BeforeValidator(lambda value: value and require_rfc3339(value))]


async def services(request: Request) -> Services:
    """The node's services."""
    found: Services = request.app.state.services
    return found


Node = Annotated[Services, Depends(services)]


class RecordAnswer(BaseModel):
    """What became of a submitted record. `state` names what was waited for, or `rejected`."""

    id: str
    state: str
    position: int | None = None
    height: int | None = None
    item: int | None = None
    index: int | None = None
    reason: str | None = None


class RecordOut(BaseModel):
    """A record as its caller may see it. `withheld` are the fields in `data` that are null because they name a user, or
    may, and the caller's role does not see names.
    """

    id: str
    type: str
    author: str
    created: AwareDatetime
    index: int
    data: dict[str, Any]
    withheld: list[str] = []


class RecordPage(BaseModel):
    """A page of records; pass `next` as `after` for the following page."""

    records: list[RecordOut]
    next: int | None = None


class HeaderOut(BaseModel):
    """A record's public header, as every node keeps it (docs/formats.md)."""

    id: str
    kind: str
    author: str
    created: AwareDatetime
    size_classes: list[int]
    state: str
    height: int
    item: int
    index: int | None = None
    reason: str | None = None
    header: str


@router.post(
    "/records",
    summary="Submit one record",
    response_model=RecordAnswer,
    responses=examples.of(examples.ANSWER)
    | documented(
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
    ),
    openapi_extra=examples.submissions(),
)
async def submit(
    request: Request, node: Node, asking: Asking, wait: Until = Wait.APPLIED, timeout_s: Timeout = 10.0
) -> Response:
    """Seal a record for its parties, order it, apply it, and answer with the state that `wait` names.

    The `id` is the idempotency key: the same id with the same content gives the same answer and one record; with
    other content it is refused (409).
    """
    submission = parse_submission(await body_of(request, MAX_RECORD_BYTES))
    answer = await node.submitter.submit(asking, submission, wait, timeout_s)
    return Response(answer_json(answer), media_type="application/json")


@router.post(
    "/records/stream",
    summary="Submit many records",
    response_class=DuplexResponse,
    responses=examples.of(json.dumps(examples.ANSWER) + "\n" + json.dumps(examples.PROBLEM_LINE) + "\n", NDJSON)
    | documented(NotAuthenticated, InvalidRequest),
    openapi_extra=examples.body(NDJSON, json.dumps(examples.SUBMISSION) + "\n"),
)
async def submit_many(
    request: Request, node: Node, asking: Asking, wait: Until = Wait.APPLIED, timeout_s: Timeout = 60.0
) -> DuplexResponse:
    """One submission a line (NDJSON), one answer a line in the same order: an answer or a problem with `line`.

    `line` counts from 1, blank lines too; those get no answer. `timeout_s` bounds each line. A line that is refused
    does not stop the others.
    """
    return DuplexResponse(Stream(request, node.submitter, asking, wait, timeout_s).answers())


@router.get(
    "/records",
    summary="List own records",
    response_model=RecordPage,
    responses=examples.of({"records": [examples.RECORD], "next": 340})
    | documented(NotAuthenticated, Forbidden, InvalidRequest, StoreUnavailable),
)
async def list_records(
    node: Node,
    asking: Asking,
    type: Annotated[str | None, Query(max_length=64, pattern="^[a-z-]+$", description="Only this type.")] = None,
    start: Annotated[Moment, Query(alias="from", description="Start of the period (RFC 3339).")] = None,
    end: Annotated[Moment, Query(alias="to", description="End of the period, not included.")] = None,
    after: Annotated[int, Query(ge=-1, le=_MAX_INDEX, description="Cursor: `next` of the page before.")] = -1,
    limit: Annotated[int, Query(ge=1, le=read.MAX_PAGE, description="At most so many records.")] = 100,
) -> Response:
    """The records that the caller's party (a user; for staff their member) can open, in the order of the ledger."""
    query = read.Query(type, _ms(start), _ms(end), after, limit)
    found, last = await node.reader.list(asking, query)
    page = {"records": [_record_out(record) for record in found], "next": last}
    return Response(json.dumps(page), media_type="application/json")


@router.get(
    "/records/{id}",
    summary="Read one record",
    response_model=RecordOut,
    responses=examples.of(examples.RECORD)
    | documented(NotAuthenticated, NotFound, InvalidRequest, CommitmentMismatch, StoreUnavailable),
)
async def get_record(id: RecordId, node: Node, asking: Asking) -> Response:
    """A record that the caller's party can open; 404 for any other, whether it exists or not."""
    record = await node.reader.get(asking, parse_record_id(id))
    return Response(json.dumps(_record_out(record)), media_type="application/json")


@router.get(
    "/records/{id}/header",
    summary="A record's public header",
    response_model_exclude_none=True,
    responses=examples.of(examples.HEADER)
    | documented(NotAuthenticated, Forbidden, NotFound, InvalidRequest, StoreUnavailable),
)
async def get_header(id: RecordId, node: Node, asking: Asking) -> HeaderOut:
    """What every member's node knows of a record: that it exists, when, by which member, its size class."""
    stored = await node.reader.header(asking, parse_record_id(id))
    header, verdict = stored.header, stored.verdict
    accepted = isinstance(verdict, Accepted)
    return HeaderOut(
        id=header.id.hex(),
        kind=header.kind,
        author=header.author,
        created=datetime.fromisoformat(to_rfc3339(header.created_ms)),
        size_classes=[seal.size_class for seal in header.sections],
        state="accepted" if accepted else "rejected",
        height=verdict.height,
        item=verdict.item,
        index=verdict.index if isinstance(verdict, Accepted) else None,
        reason=None if isinstance(verdict, Accepted) else verdict.reason,
        header=stored.header_bytes.hex(),
    )


@router.get(
    "/records/{id}/receipt",
    summary="A receipt that verifies offline",
    response_class=PlainTextResponse,
    responses=examples.of(examples.RECEIPT, "text/plain")
    | documented(NotAuthenticated, NotFound, InvalidRequest, NotReady, StoreUnavailable),
)
async def get_receipt(id: RecordId, node: Node, asking: Asking, timeout_s: Timeout = 10.0) -> PlainTextResponse:
    """C2SP tlog-proof@v1: inclusion proof, checkpoint and a quorum's cosignatures, waited for if need be."""
    verdict, header = await node.reader.accepted(asking, parse_record_id(id))
    receipt = await node.prover.receipt(verdict.index, header)
    if receipt is None:
        try:
            async with asyncio.timeout(timeout_s):
                await node.cosigner.until_witnessed(verdict.index + 1)
        except TimeoutError:
            raise NotReady("no quorum has cosigned the record yet", hint="ask again later") from None
        receipt = await node.prover.receipt(verdict.index, header)
    if receipt is None:
        raise NotReady("no quorum has cosigned the record yet", hint="ask again later")
    return PlainTextResponse(str(receipt))


def _record_out(record: read.ReadableRecord) -> dict[str, Any]:
    return {
        "id": record.id.hex(),
        "type": record.type,
        "author": record.author,
        "created": record.created,
        "index": record.index,
        "data": record.data,
        "withheld": list(record.withheld),
    }


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(moment)


async def body_of(request: Request, limit: int) -> bytes:
    """The body, refused as soon as it is longer than `limit`."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise PayloadTooLarge(f"a record is at most {limit:,} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
