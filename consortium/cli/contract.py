"""`consortium contract propose|countersign|suspend|resume|end`."""

from __future__ import annotations

from typing import Annotated

import typer

from consortium.cli.bringing import By, Id, Timeout, Until, Url, bring, now, read_data
from consortium.cli.output import reported

app = typer.Typer(no_args_is_help=True)
Contract = Annotated[str, typer.Argument(help="The contract's id.")]
Effective = Annotated[str | None, typer.Option(help="When it takes effect (RFC 3339); now if left out.")]
OneParty = Annotated[str | None, typer.Option(help="In a market: the one party that is meant.")]
Reason = Annotated[str | None, typer.Option(help="Why.")]


@app.command()
def propose(
    file: Annotated[str, typer.Argument(help="A JSON file: the contract and, best, an id of your own; - for stdin.")],
    url: Url,
    wait: Until = "applied",
    timeout: Timeout = 10.0,
) -> None:
    """Propose a contract and print what became of it: its id is the contract's."""
    with reported():
        bring(url, "/v1/contracts", read_data(file), None, wait, timeout)


@app.command()
def countersign(
    contract: Contract, url: Url, by: By, effective: Effective = None, id: Id = None, timeout: Timeout = 10.0
) -> None:
    """Sign what the other side proposed: from its start on it is in force."""
    _step(url, contract, "countersigned", by, effective, id, timeout)


@app.command()
def suspend(
    contract: Contract,
    url: Url,
    by: By,
    effective: Effective = None,
    party: OneParty = None,
    reason: Reason = None,
    id: Id = None,
    timeout: Timeout = 10.0,
) -> None:
    """Suspend a contract, or one party in a market: nothing executes until it is resumed."""
    _step(url, contract, "suspended", by, effective, id, timeout, party=party, reason=reason)


@app.command()
def resume(
    contract: Contract,
    url: Url,
    by: By,
    effective: Effective = None,
    party: OneParty = None,
    id: Id = None,
    timeout: Timeout = 10.0,
) -> None:
    """Resume what the same side suspended."""
    _step(url, contract, "resumed", by, effective, id, timeout, party=party)


@app.command()
def end(
    contract: Contract,
    url: Url,
    by: By,
    effective: Effective = None,
    reason: Reason = None,
    id: Id = None,
    timeout: Timeout = 10.0,
) -> None:
    """End a contract: the notice period is kept, so `--effective` lies after it."""
    _step(url, contract, "ended", by, effective, id, timeout, reason=reason)


@app.command()
def accept(
    contract: Contract,
    url: Url,
    by: By,
    interval: Annotated[str, typer.Option(help="Start of the interval in dispute (RFC 3339).")],
    reason: Reason = None,
    id: Id = None,
    timeout: Timeout = 10.0,
) -> None:
    """Accept the other side's figures of an interval in dispute: they are paid, and the dispute is over."""
    _step(url, contract, "accepted", by, interval, id, timeout, reason=reason)


def _step(
    url: str,
    contract: str,
    step: str,
    by: str,
    effective: str | None,
    id: str | None,
    timeout: float,
    **more: str | None,
) -> None:
    data = {"by": by, "step": step, "effective": effective or now(), **more}
    with reported():
        bring(url, f"/v1/contracts/{contract}/steps", data, id, "applied", timeout)
