"""Decisions explained, and policy sets compared: for administrators. Nothing here holds a payload."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from consortium.errors import (
    Forbidden,
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    PayloadTooLarge,
    StoreUnavailable,
)
from consortium.model.names import parse_record_id
from consortium.pipeline.explaining import Texts
from consortium.web import examples
from consortium.web.problems import documented
from consortium.web.reading import Rows, answer, page
from consortium.web.routes.records import Asking, Node

router = APIRouter(prefix="/v1/policy", tags=["policy"])
_PERSON, _FILE = "suncoop-billing@suncoop", 'permit (principal, action == Action::"readStatus", resource);'
_SCHEMA = "entity User = { name: String, member: String, duties: Set<String> };"
_EXPLAINED = {
    "person": _PERSON, "kind": "staff", "duties": ["billing"], "record": examples.ID, "permitted": ["physical"],
    "decisions": [{"group": "physical", "allowed": True, "policies": [
        {"id": "billing-reads-what-is-billed", "file": "staff.cedar", "says": "Billing staff see ..."}]}],
    "why": "", "policy_set": "5f" * 32, "height": 0,
}  # fmt: skip
_CHANGE = {
    "role": "staff: metering", "type": "contract", "group": "terms", "before": 0, "after": 2, "gain": 2, "lose": 0,
    "records": 58,
}  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class PolicySetIn(_Strict):
    """A policy set: the schema's text, and the policies by file name."""

    schema_text: Annotated[str, Field(alias="schema", max_length=65_536, examples=[_SCHEMA])]
    texts: Annotated[dict[str, str], Field(max_length=64, examples=[{"everyone.cedar": _FILE}])]


class CompareIn(_Strict):
    """Two policy sets."""

    old: PolicySetIn
    new: PolicySetIn


@router.get("/explain", summary="Which policy decided", response_model=dict[str, Any],
            responses=examples.of(_EXPLAINED)
            | documented(NotAuthenticated, Forbidden, NotFound, InvalidRequest, StoreUnavailable))  # fmt: skip
async def explain(
    node: Node,
    asking: Asking,
    person: Annotated[str, Query(max_length=70, description="An account of this member.", examples=[_PERSON])],
    record: Annotated[str, Query(max_length=64, description="A record's id.", examples=[examples.ID])],
) -> Response:
    """Group by group what a person may open of a record, by which policy, at which policy set and height.

    Where nothing is permitted the answer is the same as for a record that does not exist.
    """
    return answer(await node.explainer.explain(asking, person, parse_record_id(record)))


@router.post("/diff", summary="What another policy set would change", response_model=Rows,
             responses=examples.of({"rows": [_CHANGE], "next": None})
             | documented(NotAuthenticated, Forbidden, PayloadTooLarge, InvalidRequest, StoreUnavailable))  # fmt: skip
async def diff(node: Node, asking: Asking, sets: CompareIn) -> Response:
    """Over the people and records of this node: how many gain or lose which access, by role, type and field group."""
    old, new = (Texts(one.schema_text, one.texts) for one in (sets.old, sets.new))
    return page([asdict(change) for change in await node.explainer.compare(asking, old, new)], None)
