"""Frozen values as plain ones for an API's answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from consortium.energy.metering import to_rfc3339


def shown(value: Any) -> Any:
    """A dataclass as a dict, a sequence as a list, bytes as hex; a time `x_ms` becomes RFC 3339 text under `x`."""
    if is_dataclass(value):
        return dict(_field(item.name, getattr(value, item.name)) for item in fields(value))
    if isinstance(value, Mapping):
        return dict(_field(str(key), item) for key, item in value.items())
    if isinstance(value, tuple | list):
        return [shown(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value


def _field(name: str, value: Any) -> tuple[str, Any]:
    if name.endswith("_ms") and isinstance(value, int):
        return name.removesuffix("_ms"), to_rfc3339(value)
    return name, shown(value)
