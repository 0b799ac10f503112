"""Grants: an officer asks, follows, reads what a grant in force covers, and sees what was not disclosed."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

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
    StoreUnavailable,
)
from consortium.model.names import Party, parse_record_id
from consortium.model.scope import GROUPS, Scope
from consortium.pipeline.disclosed import MAX_PAGE
from consortium.pipeline.disclosed import Query as Asked
from consortium.pipeline.grants import Wanted
from consortium.pipeline.write import Wait
from consortium.web import examples
from consortium.web.problems import documented
from consortium.web.reading import After, From, Rows, To, answer, ms, page
from consortium.web.routes.records import Asking, Node, RecordAnswer, RecordId, Timeout, Until
from consortium.web.submissions import answer_json

router = APIRouter(prefix="/v1/grants", tags=["grants"])
_FOUND = documented(NotAuthenticated, Forbidden, NotFound, InvalidRequest, StoreUnavailable)
_READ = documented(NotAuthenticated, Forbidden, NotFound, InvalidRequest, StoreUnavailable, NotReady)
_ASKED = documented(
    NotAuthenticated, Forbidden, IdConflict, InvalidRequest, LogUnavailable, StoreUnavailable, NotReady,
    DeadlineExceeded,
)  # fmt: skip
_SCOPE = {
    "types": ["trade"], "parties": [], "areas": ["area-1"], "groups": ["physical", "terms"],
    "from": "2017-06-15T08:00:00Z", "to": "2017-06-15T20:00:00Z",
}  # fmt: skip
_GRANT = {
    "id": examples.ID, "officer": "regulator-officer@regulator", "scope": _SCOPE, "purpose": "complaint 17-204",
    "basis": "Regulation (EU) No 1227/2011, Art. 13", "until": "2017-07-15T00:00:00Z", "emergency": False,
    "state": "in force", "in_force": True,
}  # fmt: skip
_RECORD = {
    "id": examples.ID, "index": 340, "type": "trade", "author": "gridco", "created": "2017-06-15T18:00:04Z",
    "start": "2017-06-15T18:00:00Z", "data": {"physical": {"wh": 500}}, "masked": [], "grant": examples.ID,
    "groups": ["physical"], "holders": ["gridco"], "by_word": True, "words": ["area-1"], "proof": None,
}  # fmt: skip
GrantId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="The grant's id.", examples=[examples.ID])]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="At most so many records.")]
Type = Annotated[str | None, Query(pattern="^[a-z][a-z0-9-]{0,30}[a-z0-9]$", description="Only this type.")]
_Words = Annotated[list[Annotated[str, Field(max_length=70)]], Field(max_length=256)]


class GrantIn(BaseModel):
    """What an officer asks for. No parties or areas: any. The period is of what records are about."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=True)

    types: Annotated[_Words, Field(min_length=1, examples=[["trade"]])]
    parties: Annotated[_Words, Field(examples=[["home-01@suncoop"]])] = []
    areas: Annotated[_Words, Field(examples=[["area-1"]])] = []
    groups: Annotated[_Words, Field(min_length=1, examples=[["physical", "terms"]])]
    start: Annotated[AwareDatetime, Field(alias="from", examples=["2017-06-15T00:00:00-08:00"])]
    end: Annotated[AwareDatetime, Field(alias="to", examples=["2017-06-15T12:00:00-08:00"])]
    purpose: Annotated[str, Field(min_length=1, max_length=300, examples=["complaint 17-204"])]
    basis: Annotated[str, Field(min_length=1, max_length=300, examples=["Regulation (EU) No 1227/2011, Art. 13"])]
    until: Annotated[AwareDatetime, Field(examples=["2027-07-15T00:00:00Z"])]
    emergency: bool = False
    reason: Annotated[str, Field(max_length=500)] = ""
    id: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None

    def wanted(self) -> Wanted:
        """Raises `InvalidRequest`."""
        return Wanted(self._scope(), self.purpose, self.basis, to_ms(self.until), self.emergency, self.reason)

    def _scope(self) -> Scope:
        if not set(self.groups) <= set(GROUPS):
            raise InvalidRequest("there are four field groups", field="groups", hint=", ".join(GROUPS))
        for party in self.parties:
            try:
                Party.parse(party)
            except InvalidRequest as error:
                raise InvalidRequest(str(error), field="parties", hint=error.hint) from None
        lists = {name: tuple(sorted(set(getattr(self, name)))) for name in ("types", "parties", "areas", "groups")}
        try:
            return Scope.model_validate({**lists, "from_ms": to_ms(self.start), "to_ms": to_ms(self.end)})
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            field = {"from_ms": "from", "to_ms": "to"}.get(str(next(iter(first["loc"]), "")), "")
            name = str(next(iter(first["loc"]), ""))
            message = first["msg"].removeprefix("Value error, ")
            raise InvalidRequest(message, field=field or (name if name in lists else "")) from None


@router.post("", summary="Ask for a grant", response_model=RecordAnswer,
             responses=examples.of(examples.ANSWER) | _ASKED)  # fmt: skip
async def ask(
    body: Annotated[GrantIn, Body()], node: Node, asking: Asking, wait: Until = Wait.APPLIED, timeout_s: Timeout = 10.0
) -> Response:
    """A proposal for the members to vote on; its id is the grant's. A key is made for it, and never leaves the node."""
    given_id = parse_record_id(body.id) if body.id else None
    given = await node.grants.ask(asking, body.wanted(), given_id, wait, timeout_s)
    return Response(answer_json(given), media_type="application/json")


@router.get("", summary="Own grants", response_model=Rows,
            responses=examples.of({"rows": [_GRANT], "next": None}) | _FOUND)  # fmt: skip
async def grants(node: Node, asking: Asking) -> Response:
    """An officer's own, asked for ones too; to administrators everybody's."""
    return page(node.grants.all(asking), None)


@router.get("/{grant}", summary="One grant", response_model=dict[str, Any],
            responses=examples.of(_GRANT) | _FOUND)  # fmt: skip
async def one(grant: GrantId, node: Node, asking: Asking) -> Response:
    """With the number of records that each holder disclosed: open, waiting for the ciphertext, refused."""
    return answer(await node.grants.one(asking, parse_record_id(grant)))


@router.get("/{grant}/records", summary="What a grant covers", response_model=Rows,
            responses=examples.of({"rows": [_RECORD], "next": None}) | _READ)  # fmt: skip
async def records(
    grant: GrantId, node: Node, asking: Asking, type: Type = None, start: From = None, end: To = None,
    after: After = -1, limit: Limit = 50,
) -> Response:  # fmt: skip
    """Opened records, page by page. That they are read stands on the ledger before the answer leaves."""
    wanted = Asked(type, ms(start), ms(end), after, limit)
    return page(*await node.disclosed.page(asking, parse_record_id(grant), wanted))


@router.get("/{grant}/records/{id}", summary="One record under a grant", response_model=dict[str, Any],
            responses=examples.of(_RECORD) | _READ)  # fmt: skip
async def record(grant: GrantId, id: RecordId, node: Node, asking: Asking) -> Response:
    """404 for what the grant does not cover, whether it exists or not. `proof` lets the reader check all of it."""
    return answer(await node.disclosed.get(asking, parse_record_id(grant), parse_record_id(id)))


@router.get("/{grant}/missing", summary="What was not disclosed", response_model=dict[str, Any],
            responses=examples.of({"overdue": [], "undisclosed": [], "refused": [], "waiting": 0})
            | _FOUND)  # fmt: skip
async def missing(grant: GrantId, node: Node, asking: Asking) -> Response:
    """Records by id and holder: overdue ones, those that disclosed ones refer to, those that were refused."""
    return answer(await node.grants.missing(asking, parse_record_id(grant)))


@router.get("/{grant}/evidence", summary="Votes and access records of a grant", response_model=dict[str, Any],
            responses=examples.of({"genesis": "{}", "grant": _GRANT, "public": [], "accesses": []})
            | _FOUND)  # fmt: skip
async def evidence(grant: GrantId, node: Node, asking: Asking) -> Response:
    """What `consortium officer report` writes beside the records."""
    return answer(await node.grants.evidence(asking, parse_record_id(grant)))
