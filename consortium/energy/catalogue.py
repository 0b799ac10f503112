"""The record types that can be submitted, and how each becomes sections with their readers."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from consortium.energy.metering import READING, Reading
from consortium.errors import InvalidRequest

Model = TypeVar("Model", bound=BaseModel)

TYPES: dict[str, type[Reading]] = {READING: Reading}


def parse(type: str, data: Any) -> Reading:
    """The typed content of a submission. Raises `InvalidRequest`, never repeating what was sent."""
    model = TYPES.get(type)
    if model is None:
        raise InvalidRequest("unknown record type", field="type", hint="known types: " + ", ".join(sorted(TYPES)))
    return validate(model, data, "data")


def validate(model: type[Model], data: Any, at: str) -> Model:
    """`data` as a `model`. Raises `InvalidRequest` for the first thing that is wrong."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        # The name of a field that is not ours is the caller's text, and is not repeated.
        unknown = first["type"] == "extra_forbidden"
        names = [str(part) for part in (first["loc"][:-1] if unknown else first["loc"])]
        raise InvalidRequest(
            "unknown field" if unknown else first["msg"].removeprefix("Value error, "),
            field=".".join([at, *names] if at else names),
            hint="its fields are " + ", ".join(model.model_fields) if unknown else "",
        ) from None
