"""`consortium officer`: ask for a grant, follow it, read under it, take evidence along. What is read is verified."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from consortium.audit.evidence import EvidenceReport, audit_evidence, check_record, write_bundle
from consortium.cli.bringing import Timeout, Url
from consortium.cli.client import Client
from consortium.cli.output import console, listing, pairs, reported
from consortium.cli.receipt import read as read_text
from consortium.crypto.sealing import open_section
from consortium.crypto.trust import TrustPolicy, parse_policy
from consortium.errors import InvalidRequest, ProofInvalid

app = typer.Typer(no_args_is_help=True)
GrantId = Annotated[str, typer.Argument(help="The grant's id.")]
Start = Annotated[str | None, typer.Option("--from", help="Start of the period (RFC 3339).")]
End = Annotated[str | None, typer.Option("--to", help="End of the period, not included.")]
Trust = Annotated[Path | None, typer.Option(help="A trust file of your own; without it the node's is believed.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_PAGE = 100


@app.command()
def request(
    url: Url,
    type: Annotated[list[str], typer.Option(help="Record types; several times for several.")],
    group: Annotated[list[str], typer.Option(help="Field groups: physical, terms, money, identity.")],
    start: Annotated[str, typer.Option("--from", help="Start of the period that records are about (RFC 3339).")],
    end: Annotated[str, typer.Option("--to", help="Its end, not included.")],
    until: Annotated[str, typer.Option(help="When the grant ends.")],
    purpose: Annotated[str, typer.Option(help="What for.")],
    basis: Annotated[str, typer.Option(help="The law that it rests on.")],
    party: Annotated[list[str] | None, typer.Option(help="Only records of these parties.")] = None,
    area: Annotated[list[str] | None, typer.Option(help="Only records of these grid areas.")] = None,
    emergency: Annotated[bool, typer.Option(help="One member's vote is enough; reviewed afterwards.")] = False,
    reason: Annotated[str, typer.Option(help="Why, for those who vote.")] = "",
    timeout: Timeout = 10.0,
) -> None:
    """Ask the members for a grant. The token is read from CONSORTIUM_TOKEN."""
    with reported():
        body = {
            "types": type, "groups": group, "parties": party or [], "areas": area or [], "from": start, "to": end,
            "until": until, "purpose": purpose, "basis": basis, "emergency": emergency, "reason": reason,
        }  # fmt: skip
        answer = Client(url).request("POST", "/v1/grants", json=body, params={"timeout_s": timeout}).json()
        console.print(pairs(answer))


@app.command("list")
def list_(
    url: Url, grant: Annotated[str | None, typer.Argument(help="One grant, with what is missing.")] = None
) -> None:
    """Your grants, or one of them with what each holder disclosed and what is overdue."""
    with reported():
        client = Client(url)
        if grant is None:
            table = listing("id", "state", "types", "until", "purpose")
            for row in client.json("/v1/grants")["rows"]:
                types = ", ".join(row["scope"]["types"])
                table.add_row(row["id"], row["state"], types, row["until"], escape(row["purpose"]))
            console.print(table)
            return
        found, missing = client.json(f"/v1/grants/{grant}"), client.json(f"/v1/grants/{grant}/missing")
        console.print(pairs({name: _plain(value) for name, value in found.items()}))
        for kind in ("overdue", "undisclosed", "refused"):
            for row in missing[kind]:
                console.print(f"{kind}: {escape(_plain(row))}", soft_wrap=True)


@app.command()
def read(
    grant: GrantId,
    url: Url,
    record: Annotated[str | None, typer.Argument(help="One record; without it all, page by page.")] = None,
    type: Annotated[str | None, typer.Option(help="Only this type.")] = None,
    start: Start = None,
    end: End = None,
    trust: Trust = None,
    as_json: AsJson = False,
) -> None:
    """Read under a grant. Each read stands on the ledger, and those whom it is about see it. Exit code 4 if something
    that was read does not hold.
    """
    with reported():
        client = Client(url)
        policy = _trust(client, trust)
        query = {"type": type, "from": start, "to": end}
        found = [client.json(f"/v1/grants/{grant}/records/{record}")] if record else list(_pages(client, grant, query))
        if as_json:
            console.print_json(json.dumps(found))
        wrong = [f"record {row['id']}: {sentence}" for row in found for sentence in _verify(row, policy)]
        if not as_json:
            for row in found:
                held = "masked, not verifiable" if row["proof"] is None else "verified"
                console.print(pairs({"id": row["id"], "type": row["type"], "start": row["start"], "checked": held,
                                     "data": _plain(row["data"])}))  # fmt: skip
        if wrong:
            raise ProofInvalid("; ".join(wrong))


@app.command()
def report(
    grant: GrantId,
    url: Url,
    directory: Annotated[Path, typer.Argument(help="An empty or new folder.")],
    trust: Trust = None,
) -> None:
    """Read all that the grant covers and write it with its proofs, the votes and the access records into a folder that
    `consortium audit evidence` verifies offline.
    """
    with reported():
        if directory.exists() and any(directory.iterdir()):
            raise InvalidRequest(f"{directory} is not empty")
        client = Client(url)
        policy = _trust(client, trust)
        client.json(f"/v1/grants/{grant}")  # a release has no evidence: known before anything is read and told of
        records = list(_pages(client, grant, {}))
        evidence = client.json(f"/v1/grants/{grant}/evidence")  # after the reads: their access records are in it
        try:
            directory.mkdir(parents=True, exist_ok=True)
            write_bundle(directory, grant, evidence, iter(records))
        except OSError as error:
            raise InvalidRequest(f"cannot write {directory}: {error.strerror}") from error
        found = audit_evidence(directory, policy, open_section)
        show_report(found)
    if not found.sound:
        raise typer.Exit(1)


def show_report(report: EvidenceReport) -> None:
    """Print the outcome of an audit of evidence."""
    console.print(
        pairs(
            {
                "network": report.network,
                "grant": report.grant,
                "officer": report.officer,
                "purpose": report.purpose,
                "voted for by": ", ".join(report.yes),
                "records": report.records,
                "of these without proof (names masked)": report.unproven,
                "of these in the scope by a holder's word": report.by_word,
                "access records": report.accesses,
                "findings": len(report.findings),
            }
        )
    )
    for finding in report.findings:
        console.print(f"[red]does not hold:[/red] {escape(str(finding))}", soft_wrap=True)
    if report.sound:
        console.print("[green]everything holds[/green]")


def _pages(client: Client, grant: str, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    params = {name: value for name, value in query.items() if value is not None}
    after: int | None = -1
    while after is not None:
        page = client.json(f"/v1/grants/{grant}/records", params={**params, "after": after, "limit": _PAGE})
        yield from page["rows"]
        after = page["next"]


def _trust(client: Client, file: Path | None) -> TrustPolicy:
    return parse_policy(read_text(file) if file else client.request("GET", "/v1/log/trust").text)


def _verify(row: dict[str, Any], trust: TrustPolicy) -> list[str]:
    return [] if row["proof"] is None else check_record(row, trust, open_section)[0]


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
