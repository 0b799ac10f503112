"""Pages of a list: rows after a cursor, and the cursor of the next page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from consortium.energy.opened import Opened
from consortium.energy.payloads.base import Part
from consortium.energy.sections import part_in_words

Row = TypeVar("Row")


def page(rows: Iterable[tuple[int, Row]], after: int, limit: int) -> tuple[list[Row], int | None]:
    """Of (cursor, row), rising cursors, the first `limit` rows after `after`; None as cursor: no more."""
    rest = [(cursor, row) for cursor, row in rows if cursor > after]
    shown = rest[:limit]
    return [row for _, row in shown], shown[-1][0] if len(rest) > limit else None


def record_words(record: Opened, kind: type[Part]) -> dict[str, Any] | None:
    """A record's one section with the record's id and place, or None if it has no such section."""
    part = record.part(kind)
    return None if part is None else {"id": record.id, "index": record.index, **part_in_words(part)}
