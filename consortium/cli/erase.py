"""`consortium erase`: have records erased, see what was ordered and who did it, clean the database's dead space."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from consortium.adapters.postgres.erasure import rewrite
from consortium.cli.bringing import Timeout, Url
from consortium.cli.client import Client
from consortium.cli.output import console, listing, pairs, reported
from consortium.config import load_settings
from consortium.errors import ConfigurationError


class _Records(typer.core.TyperGroup):
    """`consortium erase 11ab...` is short for `consortium erase records 11ab...`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["records", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_Records, no_args_is_help=True)


class Ground(StrEnum):
    """On what ground."""

    USER = "user"
    AUTHOR = "author"
    COURT = "court"


@app.command()
def records(
    ids: Annotated[list[str], typer.Argument(metavar="RECORD...", help="The records' ids.")],
    url: Url,
    ground: Annotated[
        Ground,
        typer.Option(help="user: about yourself; author: written by mistake; court: proposed, and voted on."),
    ] = Ground.USER,
    reference: Annotated[str, typer.Option(help="Public, so name nobody in it: a court's file number, say.")] = "",
    timeout: Timeout = 10.0,
) -> None:
    """Have records erased by all who hold them. What became of each is told record by record."""
    with reported():
        client, params = Client(url), {"timeout_s": timeout}
        if ground is Ground.COURT:
            body: dict[str, Any] = {"kind": "erase", "terms": {"records": ids, "reference": reference}}
            answer = client.request("POST", "/v1/governance/proposals", json=body, params=params).json()
            console.print(pairs(answer))
            return
        body = {"records": ids, "ground": ground.value, "reference": reference}
        table = listing("record", "state", "by", "reason")
        for row in client.request("POST", "/v1/erasures", json=body, params=params).json()["rows"]:
            table.add_row(row["id"], row["state"], row["by"] or "", escape(row["reason"]))
        console.print(table)


@app.command("list")
def list_(url: Url) -> None:
    """All erasures, the newest first: who has said that it is done, who holds back, who is late."""
    with reported():
        table = listing("id", "by", "ground", "records", "done", "held back", "awaited", "overdue")
        for row in Client(url).json("/v1/erasures")["rows"]:
            names = (row["acknowledged"], row["held_back"], row["awaited"], row["overdue"])
            cells = [", ".join(found) for found in names]
            table.add_row(row["id"], row["by"] or "(a court)", row["ground"], str(len(row["records"])), *cells)
        console.print(table)


@app.command()
def show(erasure: Annotated[str, typer.Argument(help="The erasure's id.")], url: Url) -> None:
    """One erasure, with its records and every member's word."""
    with reported():
        console.print(pairs(Client(url).json(f"/v1/erasures/{erasure}")))


@app.command()
def clean(config: Annotated[Path, typer.Option(help="The node's settings; database_owner_url must be known.")]) -> None:
    """Write the tables of payloads anew, so that no dead bytes stay in their files. Applying waits meanwhile.

    The write-ahead log, the ordering log and backups have their own times: docs/operations.md, "Erasure".
    """
    with reported():
        settings = load_settings(config)
        if settings.database_owner_url is None:
            raise ConfigurationError("only the database's owner may do this", hint="set CONSORTIUM_DATABASE_OWNER_URL")
        for table, seconds in rewrite(settings.database_owner_url.get_secret_value()):
            console.print(f"{table} written anew in {seconds:.1f} s", soft_wrap=True)
