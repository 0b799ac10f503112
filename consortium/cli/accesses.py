"""`consortium me accesses`, and whom one lets read: `me delegate`, `me delegations`, `me undelegate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from consortium.cli.bringing import Id, Timeout, Until, bring
from consortium.cli.client import Client
from consortium.cli.output import console, reported
from consortium.cli.reading import AsJson, Cells, Limit, Url, rows_of, show_rows
from consortium.cli.receipt import read
from consortium.client.accesses import CheckedAccesses, check_accesses
from consortium.crypto.trust import parse_policy
from consortium.errors import InvalidRequest

_ALL = 1_000_000
_UNFIT = 1
Trust = Annotated[Path | None, typer.Option(help="The trust file (C2SP tlog-policy) to verify receipts with.")]
Verify = Annotated[bool, typer.Option("--verify", help="Compute the chains anew and verify every receipt.")]


def accesses(
    url: Url, limit: Limit = 100, verify: Verify = False, trust: Trust = None, as_json: AsJson = False
) -> None:
    """Who read my records, when, by what right and what for. With --verify exit code 1 if something does not hold."""
    with reported():
        client = Client(url)
        if verify:
            _verify(client, trust)
            return
        cells: Cells = {
            "when": "start",
            "who": _who,
            "by": lambda row: row["basis"] if row["under"] is None else f"{row['basis']} {row['under']}",
            "purpose": "purpose",
            "what": lambda row: f"{len(row['records'])} records: {', '.join(row['types'])}",
            "fields": lambda row: ", ".join(row["groups"]),
            "told": lambda row: f"{row['ledger_time']} {row['timing']}".strip(),
            "record": "id",
        }
        show_rows(rows_of(client, "/v1/me/accesses", limit), cells, as_json)
        if not as_json:
            _show_chains(client.json("/v1/me/accesses", params={"limit": 1}))


def _who(row: dict[str, Any]) -> str:
    duties = f" ({', '.join(row['duties'])})" if row["duties"] else ""
    return f"{row['name'] or row['role']} of {row['member']}{duties}"


def _show_chains(page: dict[str, Any]) -> None:
    for chain in page["chains"]:
        state = f"broken: {chain['wrong']}" if chain["wrong"] else "no gap"
        console.print(escape(f"{chain['author']}: {chain['count']} records, {state}"), soft_wrap=True)


def _verify(client: Client, trust: Path | None) -> None:
    if trust is None:
        raise InvalidRequest("without a trust file nothing can be verified", hint="give --trust FILE")
    rows = rows_of(client, "/v1/me/accesses", _ALL, plaintexts=True)
    if not rows:
        console.print("nobody read anything, as far as this node was told")
        return

    def receipt(id: str) -> str:
        return client.request("GET", f"/v1/records/{id}/receipt").text

    found = check_accesses(rows, str(rows[0]["subject"]), receipt, parse_policy(read(trust)))
    _report(found)


def _report(found: CheckedAccesses) -> None:
    for chain in found.verified.chains:
        console.print(f"{chain.author}: {chain.count} records, {'broken' if chain.wrong else 'no gap'}")
    for problem in found.problems:
        console.print(escape(problem), soft_wrap=True)
    if found.problems:
        raise typer.Exit(_UNFIT)
    console.print(f"{len(found.verified.rows)} records: chains whole, receipts verified, times fit")


def delegate(
    url: Url,
    to: Annotated[str, typer.Option("--delegate", help="Who may read, as user@member, of your own member.")],
    start: Annotated[str, typer.Option("--from", help="Records of periods from here on (RFC 3339).")],
    until: Annotated[str, typer.Option(help="When the delegation ends, at most two years from now (RFC 3339).")],
    end: Annotated[str | None, typer.Option("--to", help="Records of periods before; without it open.")] = None,
    type: Annotated[list[str] | None, typer.Option(help="A type of records; may be repeated; none: all.")] = None,
    group: Annotated[
        list[str] | None, typer.Option(help="A field group: physical, terms, money; may be repeated; none: these.")
    ] = None,
    purpose: Annotated[str, typer.Option(help="What for, in at most 100 characters.")] = "",
    id: Id = None,
    wait: Until = "applied",
    timeout: Timeout = 10.0,
) -> None:
    """Let another user or a service of your member read some of your records. Each read is listed in your accesses."""
    data = {"delegate": to, "types": type or [], "from": start, "to": end, "groups": group or [], "until": until}
    with reported():
        bring(url, "/v1/delegations", {**data, "purpose": purpose}, id, wait, timeout)


def delegations(url: Url, limit: Limit = 100, as_json: AsJson = False) -> None:
    """Whom you let read, and who lets you read; ended ones too."""
    cells: Cells = {name: name for name in ("id", "state", "subject", "delegate")}
    lists: Cells = {
        "types": lambda row: ", ".join(row["types"]) or "all",
        "fields": lambda row: ", ".join(row["groups"]),
    }
    times: Cells = {name: name for name in ("from", "to", "until", "purpose")}
    with reported():
        show_rows(rows_of(Client(url), "/v1/delegations", limit), {**cells, **lists, **times}, as_json)


def undelegate(
    id: Annotated[str, typer.Argument(help="The delegation's id.")],
    url: Url,
    wait: Until = "applied",
    timeout: Timeout = 10.0,
) -> None:
    """End a delegation: from here on nothing more is read by it."""
    with reported():
        params: dict[str, Any] = {"wait": wait, "timeout_s": timeout}
        answer = Client(url).request("DELETE", f"/v1/delegations/{id}", params=params)
        typer.echo(json.dumps(answer.json()))


COMMANDS = (accesses, delegate, delegations, undelegate)
