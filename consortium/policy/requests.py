"""What is asked of the policies, as plain values, and their translation to Cedar's words (`policies/*.cedarschema`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    """The actions of the schema."""

    READ_RECORD = "readRecord"
    READ_RECEIPT = "readReceipt"
    SUBMIT_RECORD = "submitRecord"
    LIST_RECORDS = "listRecords"
    READ_HEADER = "readHeader"
    READ_STATUS = "readStatus"
    READ_MARKET = "readMarket"
    READ_BOOK = "readBook"
    READ_TOTALS = "readTotals"


ENTITY_TYPES = {"user": "User", "staff": "Staff", "machine": "Machine", "auditor": "Auditor"}
"""Kinds of accounts to the schema's principal types. Who is of no such kind (a peer) is permitted nothing here."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: `kind` user, staff, machine or auditor; `name` the party text (`home-01@suncoop`); `member`."""

    kind: str
    name: str
    member: str


@dataclass(frozen=True, slots=True)
class NodeResource:
    """The node itself; `member` is the member that runs it."""

    member: str


@dataclass(frozen=True, slots=True)
class RecordResource:
    """A record as this node knows it; `member` is the member that runs the node.

    `author` is the member that wrote it, `readers` those parties of this node (as text) that can open it, `type` its
    type or '', `subject` the user whom it is about or ''. Its id is left out: no policy depends on it, so that
    decisions on like records are one decision.
    """

    member: str
    author: str
    readers: frozenset[str]
    type: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class MarketResource:
    """A market as this node knows it; `member` runs the node, `members` are in the market, `operators` run it, `grid`
    is its grid operator. Its name is left out: no policy depends on it.
    """

    member: str
    members: frozenset[str]
    operators: frozenset[str]
    grid: str


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """May `principal` do `action` to `resource`? `party` says whose records, for `Action.LIST_RECORDS` only."""

    principal: Principal
    action: str
    resource: NodeResource | RecordResource | MarketResource
    party: str = ""


def cedar_request(request: AccessRequest) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    """Cedar's request and entities, or None if the principal is of a kind that the schema does not have."""
    entity_type = ENTITY_TYPES.get(request.principal.kind)
    if entity_type is None:
        return None
    principal = {"type": entity_type, "id": request.principal.name}
    attributes = {"name": request.principal.name, "member": request.principal.member}
    resource = _resource(request.resource)
    question = {
        "principal": principal,
        "action": {"type": "Action", "id": str(request.action)},
        "resource": resource["uid"],
        "context": {"party": request.party} if request.action == Action.LIST_RECORDS else {},
    }
    return question, [{"uid": principal, "attrs": attributes, "parents": []}, resource]


def _resource(resource: NodeResource | RecordResource | MarketResource) -> dict[str, Any]:
    if isinstance(resource, NodeResource):
        uid = {"type": "Node", "id": resource.member}
        return {"uid": uid, "attrs": {"member": resource.member}, "parents": []}
    if isinstance(resource, MarketResource):
        sides = {"members": sorted(resource.members), "operators": sorted(resource.operators), "grid": resource.grid}
        return {"uid": {"type": "Market", "id": ""}, "attrs": {"member": resource.member, **sides}, "parents": []}
    attributes: dict[str, Any] = {
        "member": resource.member,
        "author": resource.author,
        "readers": sorted(resource.readers),
        "type": resource.type,
    }
    if resource.subject:
        attributes["subject"] = resource.subject
    return {"uid": {"type": "Record", "id": ""}, "attrs": attributes, "parents": []}
