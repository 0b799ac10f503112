"""The examples of the API's description, and the schema of what is submitted."""

from __future__ import annotations

from typing import Any

from consortium.energy.catalogue import TYPES
from consortium.energy.contracts.terms import MODELS

ID = "0123456789abcdef0123456789abcdef"
REF = "#/components/schemas/{model}"
_DATA: dict[str, Any] = {
    "subject": "home-01@suncoop",
    "interval_start": "2017-06-15T10:00:00-08:00",
    "interval_s": 3600,
    "load_wh": 1521,
    "pv_wh": 830,
}
SUBMISSION = {"id": ID, "type": "reading", "data": _DATA}
_ID_SCHEMA = {"type": "string", "pattern": "^[0-9a-f]{32}$", "description": "Idempotency key; made if absent."}
SUBMISSION_SCHEMA = {
    "title": "Submission",
    "description": "A record to submit.",
    "type": "object",
    "required": ["type", "data"],
    "additionalProperties": False,
    "properties": {
        "id": _ID_SCHEMA,
        "type": {"type": "string", "enum": list(TYPES)},
        "data": {"anyOf": [{"$ref": REF.format(model=model.__name__ + "Data")} for model in TYPES.values()]},
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
    "withheld": [],
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
    "agents": {"height": 12, "waiting": 0},
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


def data_of(type: str) -> dict[str, Any]:
    """The data of an example of a submitted type."""
    example: dict[str, Any] = TYPES[type].model_config["json_schema_extra"]["examples"][0]
    return example


def submissions() -> dict[str, Any]:
    """OpenAPI `requestBody` for a submission of any type, an example each."""
    shown = {type: {"value": {"id": ID, "type": type, "data": data_of(type)}} for type in TYPES}
    content = {"schema": {"$ref": REF.format(model="Submission")}, "examples": shown}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def data_body(type: str, *without: str) -> dict[str, Any]:
    """OpenAPI `requestBody` for the data of one type and an `id`; fields `without` stand in the path."""
    model = REF.format(model=TYPES[type].__name__ + "Body")
    data = {"id": ID} | {name: value for name, value in data_of(type).items() if name not in without}
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"$ref": model}, "example": data}}}
    }


def schemas() -> dict[str, Any]:
    """The schemas of all that can be submitted, for the description's components."""
    found: dict[str, Any] = {"Submission": SUBMISSION_SCHEMA}
    for terms in MODELS.values():
        found |= _described(terms, terms.__name__)
    for model in TYPES.values():
        found |= _described(model, model.__name__ + "Data")
        data = found[model.__name__ + "Data"]
        body = found[model.__name__ + "Body"] = data | {"properties": {"id": _ID_SCHEMA} | data["properties"]}
        body["title"] = model.__name__ + "Body"
    kinds = [{"$ref": REF.format(model=model.__name__)} for model in MODELS.values()]
    for name in ("ContractProposalData", "ContractProposalBody"):
        found[name]["properties"]["terms"] |= {"anyOf": kinds}
    step = found["ContractStepTakenBody"]
    step["required"] = [name for name in step["required"] if name != "contract"]
    step["properties"] = {name: value for name, value in step["properties"].items() if name != "contract"}
    return found


def _described(model: Any, name: str) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template=REF)
    return {**schema.pop("$defs", {}), name: schema | {"title": name}}
