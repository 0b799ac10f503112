"""The examples of the API's description for accesses and delegations."""

from __future__ import annotations

from typing import Any

from consortium.energy.submissions.delegations import DelegationGiven
from consortium.web.examples import ID

_ROW = {
    "id": ID,
    "index": 377,
    "author": "cityretail",
    "ledger_time": "2017-06-15T19:00:24.000Z",
    "timing": "",
    "start": "2017-06-15T19:00:04.250Z",
    "last": "2017-06-15T19:00:09.100Z",
    "subject": "home-01@suncoop",
    "role": "staff",
    "duties": ["billing"],
    "name": "",
    "member": "cityretail",
    "basis": "duties",
    "under": None,
    "purpose": "bill of June",
    "records": ["fedcba9876543210fedcba9876543210"],
    "types": ["statement"],
    "groups": ["money", "terms"],
    "answers": 2,
    "sequence": 1,
    "previous": "0" * 64,
}
ACCESSES = {
    "rows": [_ROW],
    "next": None,
    "whole": True,
    "chains": [{"author": "cityretail", "count": 1, "wrong": ""}],
}
DELEGATION = {
    "id": ID,
    "index": 340,
    "subject": "home-01@suncoop",
    "delegate": "adviser@suncoop",
    "types": ["payment", "reading"],
    "from": "2017-01-01T08:00:00Z",
    "to": "2018-01-01T08:00:00Z",
    "groups": ["money", "physical"],
    "until": "2027-06-30T07:00:00Z",
    "purpose": "tax return 2017",
    "given": "2026-11-22T19:00:04.250Z",
    "ended": None,
    "state": "in force",
}


def delegation_body() -> dict[str, Any]:
    """OpenAPI `requestBody` of a delegation, with an optional `id`."""
    schema: dict[str, Any] = DelegationGiven.model_json_schema()
    examples: list[dict[str, Any]] = schema.pop("examples")
    id_schema = {"type": "string", "pattern": "^[0-9a-f]{32}$", "description": "Idempotency key; made if absent."}
    schema["properties"] = {"id": id_schema} | schema["properties"]
    content = {"schema": schema, "example": {"id": ID} | examples[0]}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}
