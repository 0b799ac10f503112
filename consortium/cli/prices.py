"""`consortium market prices` and `consortium wallet deposit`: what the operators' staff bring."""

from __future__ import annotations

from typing import Annotated

import typer

from consortium.cli.bringing import By, Id, Timeout, Until, Url, bring, now, read_data
from consortium.cli.output import reported

market = typer.Typer(no_args_is_help=True)
wallet = typer.Typer(no_args_is_help=True)


@market.callback()
@wallet.callback()
def _group() -> None:
    """Without it a group of one command would be that command."""


@market.command("prices")
def prices(
    file: Annotated[str, typer.Argument(help="A JSON file with the series and, best, an id of your own; - for stdin.")],
    url: Url,
    wait: Until = "applied",
    timeout: Timeout = 10.0,
) -> None:
    """Publish a series of prices to the market's members."""
    with reported():
        bring(url, "/v1/prices", read_data(file), None, wait, timeout)


@wallet.command("deposit")
def deposit(
    url: Url,
    agent: By,
    account: Annotated[str, typer.Option(help="The account's name: a party, or an outside account's.")],
    amount: Annotated[int, typer.Option(help="Micro-units of the currency; negative for money that left.")],
    currency: Annotated[str, typer.Option(help="ISO 4217 code.")],
    owner: Annotated[str | None, typer.Option(help="Its owner, where the name does not say so.")] = None,
    booked: Annotated[str | None, typer.Option(help="When it came in (RFC 3339); now if left out.")] = None,
    reference: Annotated[str | None, typer.Option(help="What it was.")] = None,
    id: Id = None,
    wait: Until = "applied",
    timeout: Timeout = 10.0,
) -> None:
    """Book money that came into an account from outside."""
    data = {"agent": agent, "account": account, "owner": owner, "amount": amount, "currency": currency}
    with reported():
        bring(url, "/v1/deposits", {**data, "booked": booked or now(), "reference": reference}, id, wait, timeout)
