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
    READ_GOVERNANCE = "readGovernance"
    PROPOSE = "propose"
    VOTE = "vote"
    MANAGE_ACCOUNTS = "manageAccounts"
    MANAGE_KEYS = "manageKeys"
    REQUEST_ERASURE = "requestErasure"
    DELEGATE = "delegate"
    READ_ACCESSES = "readAccesses"
    READ_GRANTS = "readGrants"
    EXPLAIN_POLICY = "explainPolicy"


ABOUT = frozenset(
    {
        Action.READ_GOVERNANCE,
        Action.PROPOSE,
        Action.VOTE,
        Action.MANAGE_ACCOUNTS,
        Action.MANAGE_KEYS,
        Action.REQUEST_ERASURE,
        Action.DELEGATE,
        Action.READ_ACCESSES,
        Action.READ_GRANTS,
        Action.EXPLAIN_POLICY,
    }
)
"""Actions at a node about somebody or something: their context is `about` and `kind`."""


ENTITY_TYPES = {
    "user": "User",
    "staff": "Staff",
    "machine": "Machine",
    "officer": "Officer",
    "administrator": "Administrator",
    "service": "Service",
}
"""Kinds of accounts to the schema's principal types. Who is of no such kind (a peer) is permitted nothing here."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: `kind` of the account (see `ENTITY_TYPES`); `name` the party text (`home-01@suncoop`); `member`; the
    `duties` of staff.
    """

    kind: str
    name: str
    member: str
    duties: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NodeResource:
    """The node itself; `member` is the member that runs it."""

    member: str


@dataclass(frozen=True, slots=True)
class RecordResource:
    """A record as this node knows it; `member` is the member that runs the node.

    `author` is the member that wrote it, `readers` the party (as text) in whose name the caller reads if it holds a key
    to the record, `type` its type or '', `subject` the party in whose name it is brought or '', `relations` what else
    connects the caller with it (see the schema). Its id is left out: no policy depends on it, so that decisions on like
    records are one decision.
    """

    member: str
    author: str
    readers: frozenset[str]
    type: str = ""
    subject: str = ""
    relations: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class MarketResource:
    """A market as this node knows it; `member` runs the node, `members` are in the market, `operators` run it, `grid`
    is its grid operator. Its name is left out: no policy depends on it.
    """

    member: str
    members: frozenset[str]
    operators: frozenset[str]
    grid: str


Resource = NodeResource | RecordResource | MarketResource


@dataclass(frozen=True, slots=True)
class Context:
    """What else a decision may depend on; each action has its own fields of it (see the schema).

    `group`, `purpose` and `now_ms` of reading a record; `party` and `delegated` of listing; `about` and `kind` of what
    is done about somebody. `now_ms` is the ledger's time, UTC milliseconds.
    """

    group: str = ""
    purpose: str = ""
    now_ms: int = 0
    party: str = ""
    delegated: bool = False
    about: str = ""
    kind: str = ""


NOTHING = Context()


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """May `principal` do `action` to `resource`?"""

    principal: Principal
    action: str
    resource: Resource
    context: Context = NOTHING


def cedar_request(request: AccessRequest) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    """Cedar's request and entities, or None if the principal is of a kind that the schema does not have."""
    who = request.principal
    entity_type = ENTITY_TYPES.get(who.kind)
    if entity_type is None:
        return None
    principal = {"type": entity_type, "id": who.name}
    attributes = {"name": who.name, "member": who.member, "duties": sorted(who.duties)}
    resource = _resource(request.resource)
    question = {
        "principal": principal,
        "action": {"type": "Action", "id": str(request.action)},
        "resource": resource["uid"],
        "context": _context(request.action, request.context),
    }
    return question, [{"uid": principal, "attrs": attributes, "parents": []}, resource]


def _context(action: str, context: Context) -> dict[str, Any]:
    if action == Action.READ_RECORD:
        return {"group": context.group, "purpose": context.purpose, "now_ms": context.now_ms}
    if action == Action.LIST_RECORDS:
        return {"party": context.party, "delegated": context.delegated}
    return {"about": context.about, "kind": context.kind} if action in ABOUT else {}


def _resource(resource: Resource) -> dict[str, Any]:
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
        "relations": sorted(resource.relations),
    }
    if resource.subject:
        attributes["subject"] = resource.subject
    return {"uid": {"type": "Record", "id": ""}, "attrs": attributes, "parents": []}
