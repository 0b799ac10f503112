"""`consortium me`, `certificate list`, `dispute list`, and the reading commands of `wallet`, `order`, `contract`."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import typer

from consortium.cli.client import Client
from consortium.cli.contract import app as contract
from consortium.cli.order import app as order
from consortium.cli.output import console, reported
from consortium.cli.prices import wallet
from consortium.cli.reading import (
    AsJson,
    Begin,
    Cells,
    End,
    From,
    Limit,
    To,
    Url,
    rows_of,
    show_one,
    show_rows,
)

me = typer.Typer(no_args_is_help=True)
certificate = typer.Typer(no_args_is_help=True)
dispute = typer.Typer(no_args_is_help=True)
OfAccount = Annotated[str | None, typer.Option(help="An account that the caller keeps; by default their own.")]


@certificate.callback()
@dispute.callback()
def _group() -> None:
    """Without it a group of one command would be that command."""


def _listed(url: str, path: str, cells: Cells, limit: int, as_json: bool, **query: object) -> None:
    with reported():
        show_rows(rows_of(Client(url), path, limit, **query), cells, as_json)


@me.command()
def summary(url: Url, start: Begin, end: End, as_json: AsJson = False) -> None:
    """The period at a glance: energy in Wh, money in micro-units, carbon in mg."""
    with reported():
        show_one(Client(url).json("/v1/me/summary", params={"from": start, "to": end}), as_json)


@me.command()
def invoice(url: Url, start: Begin, end: End, as_json: AsJson = False) -> None:
    """The invoice of the period, line by line; with --json each line has its records."""
    with reported():
        found = Client(url).json("/v1/invoices", params={"from": start, "to": end})
        lines = [{"contract": part["contract"], **line} for part in found["sections"] for line in part["lines"]]
        cells: Cells = {name: name for name in ("contract", "clause", "kind", "state", "wh", "price", "amount")}
        if as_json:
            show_one(found, True)
            return
        show_rows(lines, {**cells, "records": lambda line: len(line["ids"])}, False)
        console.print(f"total {found['total']['total']} {found['currency']} in micro-units")


@me.command()
def readings(url: Url, start: Begin, end: End, limit: Limit = 100, as_json: AsJson = False) -> None:
    """The reading that counts of each interval, and whether it is missing, late, duplicate, estimated, corrected."""
    names = ("start", "subject", "load_wh", "pv_wh", "version")
    flags: Cells = {"flags": lambda row: ", ".join(row["flags"])}
    _listed(url, "/v1/readings", {**{name: name for name in names}, **flags}, limit, as_json, from_=start, to=end)


@me.command()
def positions(url: Url, start: Begin, end: End, limit: Limit = 100, as_json: AsJson = False) -> None:
    """Ordered, traded, metered, deviation, by interval."""
    names = ("start", "ordered_wh", "traded_wh", "metered_wh", "deviation_wh", "bought_wh", "sold_back_wh")
    _listed(url, "/v1/positions", {name: name for name in names}, limit, as_json, from_=start, to=end)


@wallet.command("show")
def show_wallet(url: Url, account: OfAccount = None, as_json: AsJson = False) -> None:
    """What stands in a wallet, and whether its chain is whole."""
    with reported():
        params = {} if account is None else {"account": account}
        show_one(Client(url).json("/v1/wallet", params=params), as_json)


@wallet.command()
def statement(
    url: Url, start: From = None, end: To = None, account: OfAccount = None, limit: Limit = 100, as_json: AsJson = False
) -> None:
    """The entries of a wallet; with --json each line has its cause."""
    cells: Cells = {
        "no": "sequence",
        "period": "start",
        "lines": lambda row: ", ".join(f"{line['kind']} {line['amount']}" for line in row["lines"]),
        "balance": "balance",
        "reserved": "reserved",
        "record": "id",
    }
    _listed(url, "/v1/wallet/statement", cells, limit, as_json, from_=start, to=end, account=account)


@order.command("list")
def list_orders(url: Url, start: From = None, end: To = None, limit: Limit = 100, as_json: AsJson = False) -> None:
    """Own orders and what became of them."""
    cells: Cells = {name: name for name in ("id", "start", "side", "wh", "price", "state")}
    traded: Cells = {"traded": lambda row: row["result"] and row["result"]["wh"]}
    _listed(url, "/v1/orders", {**cells, **traded}, limit, as_json, from_=start, to=end)


@order.command()
def proof(id: Annotated[str, typer.Argument(help="The order's id.")], url: Url, as_json: AsJson = False) -> None:
    """The proof that an order was counted."""
    with reported():
        show_one(Client(url).json(f"/v1/orders/{id}/proof"), as_json)


@contract.command("list")
def list_contracts(url: Url, limit: Limit = 100, as_json: AsJson = False) -> None:
    """Own contracts and their state."""
    cells: Cells = {"id": "id", "state": "state"}
    names = ("kind", "provider", "customer", "start", "end")
    frame: Cells = {name: partial(_of_frame, name) for name in names}
    _listed(url, "/v1/contracts", {**cells, **frame}, limit, as_json)


def _of_frame(name: str, row: dict[str, Any]) -> object:
    return row["frame"][name]


@contract.command("show")
def show_contract(
    id: Annotated[str, typer.Argument(help="The contract's id.")], url: Url, as_json: AsJson = False
) -> None:
    """A contract: state, terms, and its clauses in plain words."""
    with reported():
        found = Client(url).json(f"/v1/contracts/{id}")
        show_one(found, as_json)
        if not as_json:
            for clause in found["clauses"]:
                console.print(f"{clause['id']} ({clause['side']}): {clause['en']}", markup=False, soft_wrap=True)
                console.print(f"  {clause['zh']}", markup=False, soft_wrap=True)


@certificate.command("list")
def list_certificates(
    url: Url, start: From = None, end: To = None, limit: Limit = 100, as_json: AsJson = False
) -> None:
    """Certificates of origin."""
    names = ("start", "producer", "event", "use", "first", "count", "cancelled", "holder")
    _listed(url, "/v1/certificates", {name: name for name in names}, limit, as_json, from_=start, to=end)


@dispute.command("list")
def list_disputes(url: Url, start: From = None, end: To = None, limit: Limit = 100, as_json: AsJson = False) -> None:
    """Intervals whose two sides came to different figures."""
    cells: Cells = {name: name for name in ("id", "start", "contract", "version", "where")}
    _listed(url, "/v1/disputes", cells, limit, as_json, from_=start, to=end)
