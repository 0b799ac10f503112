"""The examples of the API's description, and the schema of what is submitted."""

from __future__ import annotations

from typing import Any

from consortium.energy.metering import Reading

ID = "0123456789abcdef0123456789abcdef"
_DATA: dict[str, Any] = {
    "subject": "home-01@suncoop",
    "interval_start": "2017-06-15T10:00:00-08:00",
    "interval_s": 3600,
    "load_wh": 1521,
    "pv_wh": 830,
}
SUBMISSION = {"id": ID, "type": "reading", "data": _DATA}
SUBMISSION_SCHEMA = {
    "title": "Submission",
    "description": "A record to submit.",
    "type": "object",
    "required": ["type", "data"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9a-f]{32}$", "description": "Idempotency key; made if absent."},
        "type": {"type": "string", "enum": ["reading"]},
        "data": Reading.model_json_schema(),
    },
}
ANSWER = {"id": ID, "state": "accepted", "position": 57, "height": 12, "item": 0, "index": 340}
PROBLEM_LINE = {
    "type": "urn:consortium:problem:invalid-request",
    "title": "The request is not valid",
    "status": 422,
    "detail": "the body is no JSON",
    "line": 2,
}
RECORD = {
    "id": ID,
    "type": "reading",
    "author": "suncoop",
    "created": "2017-06-15T19:00:04.250Z",
    "index": 340,
    "data": {**_DATA, "interval_start": "2017-06-15T18:00:00Z", "quality": "measured"},
}
HEADER = {
    "id": ID,
    "kind": "sealed",
    "author": "suncoop",
    "created": "2017-06-15T19:00:04.250Z",
    "size_classes": [256],
    "state": "accepted",
    "height": 12,
    "item": 0,
    "index": 340,
    "header": "890150" + ID + "...",
}
CHECKPOINT = (
    "demo.consortium.example/main/1\n341\n3Vw6...=\n\n"
    "\u2014 demo.consortium.example/main/1 Zm9v...\n\u2014 demo.consortium.example/main/1/gridco YmFy...\n"
)
RECEIPT = "c2sp.org/tlog-proof@v1\nextra iQFQ...\nindex 340\nMgrYmP...=\n\n" + CHECKPOINT
TRUST = (
    "log demo.consortium.example/main/1+1a2b3c4d+AXf1...\n"
    "witness gridco demo.consortium.example/main/1/gridco+5e6f7081+BLx0...\n"
    "group members 1 gridco\nquorum members\n"
)
STATUS = {
    "member": "suncoop",
    "network": "demo",
    "channel": "main",
    "epoch": 1,
    "height": 12,
    "size": 341,
    "root": "dd5c3a" + "0" * 58,
    "block": "77aa01" + "0" * 58,
    "ledger_time": "2017-06-15T19:00:04.250Z",
    "position": 57,
    "lag": 0,
    "witnessed_size": 341,
    "state": "running",
    "alarms": [],
    "checked_height": 11,
    "policy_set": "0c6e2f" + "0" * 58,
    "peers": {"gridco": {"height": 12, "size": 341, "root": "dd5c3a" + "0" * 58}},
}
METRICS = "# HELP consortium_height Blocks applied\n# TYPE consortium_height gauge\nconsortium_height 12.0\n"


def of(value: Any, media_type: str = "application/json") -> dict[int | str, dict[str, Any]]:
    """OpenAPI `responses` with an example of success."""
    return {200: {"content": {media_type: {"example": value}}}}


def of_bytes(what: str) -> dict[int | str, dict[str, Any]]:
    """The same for bytes, which no text can show."""
    content = {"schema": {"type": "string", "format": "binary"}, "example": "..."}
    return {200: {"description": what, "content": {"application/octet-stream": content}}}


def body(media_type: str, example: Any) -> dict[str, Any]:
    """OpenAPI `requestBody` for submissions."""
    content = {"schema": {"$ref": "#/components/schemas/Submission"}, "example": example}
    return {"requestBody": {"required": True, "content": {media_type: content}}}
