"""`consortium governance`: propose, vote, see what stands decided and what a proposal would change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from consortium.adapters.policyfiles import read_policy_texts
from consortium.cli.bringing import Timeout, Url
from consortium.cli.client import Client
from consortium.cli.output import console, listing, pairs, reported
from consortium.errors import InvalidRequest

app = typer.Typer(no_args_is_help=True)
ProposalId = Annotated[str, typer.Argument(help="The proposal's id.")]


@app.command()
def propose(
    kind: Annotated[str, typer.Argument(help="admit-member, remove-member, change-settings, end-grant, ...")],
    url: Url,
    terms: Annotated[str, typer.Option(help="Its terms as JSON, or @file. Bytes in hex, times in UTC ms.")] = "{}",
    policies: Annotated[Path | None, typer.Option(help="change-policies: the folder of the new set.")] = None,
    reason: Annotated[str, typer.Option(help="Why, for those who vote.")] = "",
    timeout: Timeout = 10.0,
) -> None:
    """Propose something in your member's name. Whoever proposes has not voted yet."""
    with reported():
        body = {"kind": kind, "terms": _terms(terms, policies), "reason": reason}
        client = Client(url)
        path = "/v1/governance/proposals"
        answer = client.request("POST", path, json=body, params={"timeout_s": timeout}).json()
        console.print(pairs(answer))
        if answer["state"] == "accepted":
            _show(client.json(f"{path}/{answer['id']}"))


@app.command()
def vote(
    proposal: ProposalId,
    url: Url,
    yes: Annotated[bool, typer.Option("--yes/--no", help="The member's vote.")],
    timeout: Timeout = 10.0,
) -> None:
    """Cast your member's ballot. `governance show` says before what would change."""
    with reported():
        body, client = {"proposal": proposal, "yes": yes}, Client(url)
        answer = client.request("POST", "/v1/governance/ballots", json=body, params={"timeout_s": timeout}).json()
        console.print(pairs(answer))
        _show(client.json(f"/v1/governance/proposals/{proposal}"))


@app.command()
def show(proposal: ProposalId, url: Url) -> None:
    """A proposal, its votes, and line by line what it would change."""
    with reported():
        _show(Client(url).json(f"/v1/governance/proposals/{proposal}"))


@app.command()
def history(url: Url) -> None:
    """All proposals, the newest first."""
    with reported():
        table = listing("id", "kind", "by", "state", "yes", "no", "needed", "decided")
        for row in Client(url).json("/v1/governance/proposals")["rows"]:
            votes = ", ".join(row["yes"]), ", ".join(row["no"])
            table.add_row(
                row["id"],
                row["kind"],
                row["author"],
                row["state"],
                *votes,
                str(row["needed"]),
                str(row["decided"] or ""),
            )
        console.print(table)


@app.command()
def now(url: Url) -> None:
    """Members, rules and grants of now."""
    with reported():
        found = Client(url).json("/v1/governance")
        table = Table("member", "roles", "since", "removed")
        for member in found["members"]:
            table.add_row(
                member["name"], ", ".join(member["roles"]), str(member["admitted"]), str(member["removed"] or "")
            )
        console.print(table)
        rules = Table("proposal", "voters", "needed")
        for kind, rule in found["rules"].items():
            rules.add_row(kind, rule["voters"], str(rule["needed"]))
        console.print(rules)


def _show(found: dict[str, Any]) -> None:
    changes = found.pop("changes", [])
    terms = found.pop("terms", {})
    console.print(pairs({**found, "yes": ", ".join(found["yes"]), "no": ", ".join(found["no"])}))
    if found["kind"] != "change-policies":
        console.print(escape(json.dumps(terms, indent=2)), soft_wrap=True)
    for line in changes:
        console.print("would change  " + escape(line), soft_wrap=True)


def _terms(text: str, policies: Path | None) -> Any:
    if policies is not None:
        schema, texts = read_policy_texts(policies)
        return {"policy_schema": schema, "texts": texts}
    try:
        return json.loads(Path(text[1:]).read_text("utf-8") if text.startswith("@") else text)
    except OSError as error:
        raise InvalidRequest(f"cannot read {text[1:]}: {error.strerror}") from error
    except ValueError:
        raise InvalidRequest("the terms are no JSON", hint="""for example --terms '{"name": "windfarm"}'""") from None
