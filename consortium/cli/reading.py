"""How the commands that read show what they get: JSON as it came, or tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Column, Table

from consortium.cli.client import Client
from consortium.cli.output import console, pairs

Url = Annotated[str, typer.Option(envvar="CONSORTIUM_URL", help="The node's URL.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
From = Annotated[str | None, typer.Option("--from", help="Start of the period (RFC 3339).")]
To = Annotated[str | None, typer.Option("--to", help="End of the period, not included.")]
Begin = Annotated[str, typer.Option("--from", help="Start of the period (RFC 3339).")]
End = Annotated[str, typer.Option("--to", help="End of the period, not included.")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many rows.")]
Cells = Mapping[str, Callable[[Any], object] | str]
"""Columns by heading: a field of the row, or what makes the cell of a row."""
_PAGE = 500


def rows_of(client: Client, path: str, limit: int, **query: Any) -> list[Any]:
    """A list over all its pages, at most `limit` rows; what is None is not asked for."""
    params = {name.rstrip("_"): value for name, value in query.items() if value is not None}
    rows: list[Any] = []
    after: int | None = -1
    while after is not None and len(rows) < limit:
        page = client.json(path, params={**params, "after": after, "limit": min(_PAGE, limit)})
        rows += page["rows"]
        after = page["next"]
    return rows[:limit]


def show_rows(rows: Sequence[Any], cells: Cells, as_json: bool) -> None:
    """Rows as JSON or as a table. Ids stand whole in one line, to be copied; all else is folded, never cut."""
    if as_json:
        console.print_json(json.dumps(rows))
        return
    columns = [Column(name, no_wrap=name == "id", overflow="fold") for name in cells]
    table = Table(*columns, box=SIMPLE, pad_edge=False)
    for row in rows:
        values = [row[made] if isinstance(made, str) else made(row) for made in cells.values()]
        table.add_row(*["-" if value is None else escape(str(value)) for value in values])
    console.print(table)


def show_one(value: Mapping[str, Any], as_json: bool) -> None:
    """One object: its plain fields as a table, what is nested with dots."""
    if as_json:
        console.print_json(json.dumps(value))
    else:
        console.print(pairs(flat(value)))


def flat(value: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested objects by dotted names; of lists their length."""
    found: dict[str, Any] = {}
    for name, item in value.items():
        if isinstance(item, Mapping):
            found |= flat(item, f"{before}{name}.")
        else:
            found[before + name] = f"{len(item)} rows" if isinstance(item, list) else "-" if item is None else item
    return found
