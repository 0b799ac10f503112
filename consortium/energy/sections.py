"""An opened record's sections: typed for those who compute with them, in the API's words for those who show them.

Any member may have written them: what breaks a rule of its type is treated as a version that this code does not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from consortium.energy.metering import READING, describe, read_payload
from consortium.energy.opened import Opened
from consortium.energy.payloads import (  # noqa: F401  # they register
    access,
    contracts,
    disclosures,
    erasure,
    keys,
    market,
    metering,
    money,
    settlement,
)
from consortium.energy.payloads.base import KINDS, Part, read_part
from consortium.energy.payloads.contracts import ContractFrame
from consortium.energy.payloads.metering import MeterReading
from consortium.energy.shown import shown
from consortium.errors import Malformed
from consortium.model.names import is_name

REPEATED = frozenset({("payment", "entry")})
"""Sections that a record may have several of: in the API's words always a list."""
_TYPES = frozenset(type for type, _ in KINDS) - {READING}


def opened_of(
    id: bytes, index: int, author: str, plaintexts: Sequence[bytes | None], created_ms: int = 0
) -> Opened | None:
    """The record with its typed sections (a reading's as plain fields), or None if none of them is known here."""
    parts = [part for text in plaintexts if text is not None and (part := typed(text)) is not None]
    if not parts:
        return None
    given = tuple(_fields(part) if isinstance(part, MeterReading) else part for part in parts)
    return Opened(id.hex(), index, parts[0].TYPE, author, given, created_ms)


def typed(plaintext: bytes) -> Part | None:
    """The section, or None if it is not known here, or breaks a rule of its type."""
    try:
        return read_part(plaintext)
    except Malformed:
        return None


def _fields(reading: MeterReading) -> Mapping[str, Any]:
    return {"type": READING, **reading.model_dump()}


def in_words(plaintexts: Sequence[bytes]) -> tuple[str, dict[str, Any]]:
    """Type and data of a record by those of its sections that its reader opened, at least one. Raises `Malformed`.

    A reading's data are its fields; those of other known types are by section, and of a type that is not known the
    plain values of all sections together.
    """
    payloads = [read_payload(text) for text in plaintexts]
    type = payloads[0]["type"]
    if type not in _TYPES:
        merged = {key: value for payload in payloads for key, value in payload.items()}
        return merged["type"], describe(merged)
    data: dict[str, Any] = {}
    for text, payload in zip(plaintexts, payloads, strict=True):
        part = typed(text)
        name = payload.get("part")
        words = describe(payload) if part is None else part_in_words(part)
        _put(data, type, str(name) if is_name(name) else "payload", words)
    return type, data


def _put(data: dict[str, Any], type: str, name: str, words: dict[str, Any]) -> None:
    known = data.get(name)
    if isinstance(known, list):
        known.append(words)
    elif known is not None:
        data[name] = [known, words]
    else:
        data[name] = [words] if (type, name) in REPEATED else words


def part_in_words(part: Part) -> dict[str, Any]:
    """A section's fields: bytes as hex, a time `x_ms` as RFC 3339 under `x`; an open end is null."""
    words: dict[str, Any] = shown(part.model_dump())
    if isinstance(part, ContractFrame) and not part.end_ms:
        words["end"] = None
    return words
