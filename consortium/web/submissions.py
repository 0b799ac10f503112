"""A submission's wire form, alone or as a line of a stream: JSON in, an answer or a problem out."""

from __future__ import annotations

import json
from typing import Any

import pydantic_core

from consortium.errors import ConsortiumError, InvalidRequest, PayloadTooLarge
from consortium.model.names import parse_record_id
from consortium.pipeline.submit import Submission
from consortium.pipeline.write import Answer
from consortium.web.problems import problem_of

MAX_RECORD_BYTES = 64 * 1024
_MAX_TYPE_CHARS = 64


def parse_submission(body: bytes) -> Submission:
    """A submission from JSON. Raises `InvalidRequest`, `PayloadTooLarge`."""
    raw = _object(body)
    if not raw.keys() <= {"id", "type", "data"}:
        raise InvalidRequest("unknown field", hint="a submission has id, type and data")
    record_type, record_id = raw.get("type"), raw.get("id")
    if not isinstance(record_type, str) or "data" not in raw:
        raise InvalidRequest("type and data are required", field="data" if isinstance(record_type, str) else "type")
    if len(record_type) > _MAX_TYPE_CHARS:  # policies remember whom they permitted what, by this word
        raise InvalidRequest("unknown record type", field="type")
    return Submission(_id(record_id), record_type, raw["data"])


def parse_data(type: str, body: bytes, **given: str) -> Submission:
    """A submission of that type from its data alone, with an optional `id` among them; `given` are fields that stand
    elsewhere in the request. Raises `InvalidRequest`, `PayloadTooLarge`.
    """
    raw = _object(body)
    record_id = _id(raw.pop("id", None))
    if raw.keys() & given.keys():
        raise InvalidRequest("a field stands in the path already", field="data", hint="leave out " + ", ".join(given))
    return Submission(record_id, type, raw | given)


def _object(body: bytes) -> dict[str, Any]:
    if len(body) > MAX_RECORD_BYTES:
        raise PayloadTooLarge(f"a record is at most {MAX_RECORD_BYTES:,} bytes")
    try:
        raw = pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError:
        raise InvalidRequest("the body is no JSON") from None
    if not isinstance(raw, dict):
        raise InvalidRequest("a submission is a JSON object")
    return raw


def _id(text: object) -> bytes | None:
    if text is not None and not isinstance(text, str):
        raise InvalidRequest("a record id is 32 lowercase hex digits", field="id")
    return None if text is None else parse_record_id(text)


def answer_json(answer: Answer) -> str:
    """An answer as JSON, without the fields that are not known."""
    # By hand: an answer is an id, words of ours and numbers, nothing that JSON would have to escape.
    known = [
        f', "{name}": {value}'
        for name, value in (
            ("position", answer.position),
            ("height", answer.height),
            ("item", answer.item),
            ("index", answer.index),
        )
        if value is not None
    ]
    reason = "" if answer.reason is None else f', "reason": "{answer.reason}"'
    return f'{{"id": "{answer.id.hex()}", "state": "{answer.state}"{"".join(known)}{reason}}}'


def problem_line(error: ConsortiumError, number: int) -> str:
    """The problem of line `number` of a stream, from 1."""
    return json.dumps({**problem_of(error)[1], "line": number}) + "\n"
