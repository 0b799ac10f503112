"""`consortium record submit|show|list`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Column, Table

from consortium.cli.client import Client
from consortium.cli.output import console, pairs, reported
from consortium.errors import InvalidRequest

app = typer.Typer(no_args_is_help=True)
Url = Annotated[str, typer.Option(envvar="CONSORTIUM_URL", help="The node's URL.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def submit(
    file: Annotated[
        str, typer.Argument(help="A JSON file with type, data and, best, an id of your own; - for standard input.")
    ],
    url: Url,
    wait: Annotated[str, typer.Option(help="What to wait for: ordered, applied or witnessed.")] = "applied",
    timeout: Annotated[float, typer.Option(help="Time limit in seconds.")] = 10.0,
) -> None:
    """Submit one record and print what became of it. The token is read from CONSORTIUM_TOKEN."""
    with reported():
        try:
            body = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        except OSError as error:
            raise InvalidRequest(f"cannot read {file}: {error.strerror}") from error
        params = {"wait": wait, "timeout_s": timeout}
        answer = Client(url).request("POST", "/v1/records", content=body, params=params)
        typer.echo(answer.text)


@app.command()
def show(id: Annotated[str, typer.Argument(help="The record's id.")], url: Url, as_json: AsJson = False) -> None:
    """Show one record that the caller may read."""
    with reported():
        record = Client(url).json(f"/v1/records/{id}")
        if as_json:
            console.print_json(json.dumps(record))
            return
        console.print(pairs(_flat(record)))


@app.command("list")
def list_(
    url: Url,
    type: Annotated[str | None, typer.Option(help="Only this type, for example reading.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="Start of the period (RFC 3339).")] = None,
    end: Annotated[str | None, typer.Option("--to", help="End of the period, not included.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many records.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List the caller's own records."""
    with reported():
        records = _pages(Client(url), {"type": type, "from": start, "to": end}, limit)
        if as_json:
            console.print_json(json.dumps(records))
            return
        columns = ("index", Column("id", no_wrap=True), "type", "author", Column("data", overflow="fold"))
        table = Table(*columns, box=SIMPLE, pad_edge=False, collapse_padding=True)
        for record in records:
            data = ", ".join(f"{name} {value}" for name, value in record["data"].items())
            table.add_row(str(record["index"]), record["id"], escape(record["type"]), record["author"], escape(data))
        console.print(table)


def _pages(client: Client, query: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    params = {name: value for name, value in query.items() if value is not None}
    records: list[dict[str, Any]] = []
    after: int | None = -1
    while after is not None and len(records) < limit:
        page = client.json("/v1/records", params={**params, "after": after, "limit": min(500, limit)})
        records += page["records"]
        after = page["next"]
    return records[:limit]


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    return {**{name: value for name, value in record.items() if name != "data"}, **record["data"]}
