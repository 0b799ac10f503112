"""`consortium order submit`."""

from __future__ import annotations

from typing import Annotated

import typer

from consortium.cli.bringing import By, Id, Timeout, Until, Url, bring
from consortium.cli.output import reported

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Without it a group of one command would be that command."""


@app.command()
def submit(
    url: Url,
    owner: By,
    market: Annotated[str, typer.Option(help="The market's name.")],
    start: Annotated[str, typer.Option(help="Start of the session, for example 2017-06-15T10:00:00-08:00.")],
    side: Annotated[str, typer.Option(help="bid or ask.")],
    wh: Annotated[int, typer.Option(help="Energy in Wh.")],
    price: Annotated[int, typer.Option(help="Limit for the energy alone, micro-units of the currency per Wh.")],
    currency: Annotated[str, typer.Option(help="ISO 4217 code.")],
    id: Id = None,
    wait: Until = "applied",
    timeout: Timeout = 10.0,
) -> None:
    """Order in a market and print what became of it. The token is read from CONSORTIUM_TOKEN."""
    data = {"market": market, "start": start, "side": side, "wh": wh, "owner": owner}
    with reported():
        bring(url, "/v1/orders", {**data, "price_micro_per_wh": price, "currency": currency}, id, wait, timeout)
