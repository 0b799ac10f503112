"""`consortium policy`: check a policy set, run its examples, ask why, see what another one would change."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from consortium.adapters.policyfiles import load_examples, load_policies, read_policy_texts
from consortium.cli.bringing import Url
from consortium.cli.client import Client
from consortium.cli.output import console, pairs, reported
from consortium.policy.examples import run

app = typer.Typer(no_args_is_help=True)
Folder = Annotated[Path, typer.Argument(help="The folder of the policy set.")]
_POLICIES = Path("policies")


@app.command()
def check(folder: Folder = _POLICIES) -> None:
    """Parse the policies and validate them against their schema. Asks no node."""
    with reported():
        engine = load_policies(folder)
        console.print(pairs({"policies": len(engine.rules), "policy_set": engine.digest.hex()}))
        for rule in engine.rules.values():
            if not rule.says:
                console.print(f"{escape(rule.file)}: {escape(rule.id)} says nothing for people", soft_wrap=True)


@app.command("test")
def run_examples(folder: Folder = _POLICIES) -> None:
    """Run the examples beside the policies: each says who may, or may not. Asks no node; exit code 1 if one fails."""
    with reported():
        engine, wrong, count = load_policies(folder), 0, 0
        for name, examples in load_examples(folder).items():
            for outcome in run(engine, examples):
                count += 1
                if not outcome.right:
                    wrong += 1
                    decided = "an error" if outcome.errors else ", ".join(outcome.policies) or "no policy permits it"
                    console.print(f"[red]wrong[/red] {escape(name)}: {escape(outcome.example.says)} ({decided})",
                                  soft_wrap=True)  # fmt: skip
        console.print(f"{count - wrong} of {count} examples hold")
        if wrong:
            raise typer.Exit(1)


@app.command()
def explain(
    url: Url,
    person: Annotated[str, typer.Option(help="An account of the node's member: billing@suncoop.")],
    record: Annotated[str, typer.Option(help="A record's id.")],
) -> None:
    """What a person may open of a record, by which policy, at which policy set and height. For administrators."""
    with reported():
        found = Client(url).json("/v1/policy/explain", params={"person": person, "record": record})
        decisions = found.pop("decisions")
        console.print(pairs({name: _text(value) for name, value in found.items()}))
        table = Table("group", "allowed", "policy", "says")
        for decision in decisions:
            policies = decision["policies"] or [{"id": "", "says": "no policy permits it"}]
            for policy in policies:
                told = decision["group"], _text(decision["allowed"]), policy["id"], policy["says"]
                table.add_row(*map(escape, told))
        if decisions:
            console.print(table)


@app.command()
def diff(
    old: Annotated[Path, typer.Argument(help="The folder of one policy set.")],
    new: Annotated[Path, typer.Argument(help="The folder of the other one.")],
    url: Url,
) -> None:
    """How many people gain or lose which access by another policy set, over the records that the node holds."""
    with reported():
        sets = {name: _set(folder) for name, folder in (("old", old), ("new", new))}
        rows = Client(url).request("POST", "/v1/policy/diff", json=sets).json()["rows"]
        if not rows:
            console.print("nobody gains or loses access to anything that this node holds")
            return
        columns = ("role", "type", "group", "before", "after", "gain", "lose", "records")
        table = Table(*columns)
        for row in rows:
            table.add_row(*(escape(str(row[name])) for name in columns))
        console.print(table)


def _set(folder: Path) -> dict[str, Any]:
    schema, texts = read_policy_texts(folder)
    return {"schema": schema, "texts": texts}


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
