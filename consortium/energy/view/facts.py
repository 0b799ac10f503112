"""An opened record as the view folds it."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from consortium.energy.payloads import (  # noqa: F401  # they register
    access,
    contracts,
    erasure,
    keys,
    market,
    metering,
    money,
    settlement,
)
from consortium.energy.payloads.base import Part, read_part
from consortium.errors import Malformed
from consortium.model.names import Party
from consortium.model.records import Header

P = TypeVar("P", bound=Part)


@dataclass(frozen=True, slots=True)
class Fact:
    """An accepted record at tree index `index`, and those of its sections that this node may read and knows.

    `author` signed it; `time_ms` is the ledger's time of its block; `commitment` is of its first section.
    """

    index: int
    id: bytes
    author: str
    time_ms: int
    type: str
    start_ms: int
    parts: tuple[Part, ...]
    commitment: bytes

    def find(self, kind: builtins.type[P]) -> P | None:
        """The section of that class, or None."""
        return next((part for part in self.parts if isinstance(part, kind)), None)

    def every(self, kind: builtins.type[P]) -> tuple[P, ...]:
        """All sections of that class."""
        return tuple(part for part in self.parts if isinstance(part, kind))

    def speaks_for(self, party: str) -> bool:
        """Whether the record's author is the member that the party belongs to."""
        return Party.parse(party).member == self.author


def fact_of(index: int, header: Header, time_ms: int, plaintexts: Sequence[bytes | None]) -> Fact | None:
    """The fact, or None if no section of it is known here."""
    parts = []
    for plaintext in plaintexts:
        if plaintext is None:
            continue
        try:
            part = read_part(plaintext)
        except Malformed:
            return None  # any member may have written it: what breaks one field is no record of its type
        if part is not None:
            parts.append(part)
    if not parts or len({(part.TYPE, part.start_ms) for part in parts}) != 1:
        return None
    first = parts[0]
    commitment = header.sections[0].commitment
    return Fact(index, header.id, header.author, time_ms, first.TYPE, first.start_ms, tuple(parts), commitment)
