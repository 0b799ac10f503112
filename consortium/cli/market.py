"""The reading commands of `consortium market`, and its two that trust nobody: `replay` and `complain`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from consortium.cli.bringing import bring
from consortium.cli.client import Client
from consortium.cli.output import console, reported
from consortium.cli.prices import market
from consortium.cli.reading import AsJson, Cells, From, Limit, To, Url, rows_of, show_one, show_rows
from consortium.cli.receipt import read
from consortium.crypto.receipts import parse_receipt, verify_receipt
from consortium.crypto.trust import parse_policy
from consortium.energy.market.bundle import BookBundle
from consortium.energy.market.replay import replay as clear_again
from consortium.energy.reports.complaints import ground
from consortium.errors import Forbidden, InvalidRequest, NotFound, ProofInvalid

__all__ = ["market"]
Name = Annotated[str, typer.Argument(help="The market's name.")]
Trust = Annotated[Path | None, typer.Option(help="A trust file of your own (C2SP tlog-policy); else the node's.")]
_NOT_EQUAL = 1


@market.command("list")
def list_markets(url: Url, as_json: AsJson = False) -> None:
    """The markets that the caller is in."""
    with reported():
        cells: Cells = {"name": "name", "state": "state", "mechanism": lambda row: row["rules"]["mechanism"]}
        operators: Cells = {"operators": lambda row: ", ".join(row["rules"]["operators"])}
        show_rows(rows_of(Client(url), "/v1/markets", 500), {**cells, **operators}, as_json)


@market.command()
def results(
    name: Name, url: Url, start: From = None, end: To = None, limit: Limit = 100, as_json: AsJson = False
) -> None:
    """Price and volume by session."""
    with reported():
        rows = rows_of(Client(url), f"/v1/markets/{name}/results", limit, from_=start, to=end)
        show_rows(rows, {column: column for column in ("start", "price", "wh", "trades", "final")}, as_json)


@market.command()
def sessions(
    name: Name, url: Url, start: From = None, end: To = None, limit: Limit = 100, as_json: AsJson = False
) -> None:
    """Sessions in figures: for the operators' staff."""
    with reported():
        rows = rows_of(Client(url), f"/v1/markets/{name}/sessions", limit, from_=start, to=end)
        columns = ("start", "state", "bids", "asks", "bid_wh", "ask_wh", "trades", "wh", "value", "price")
        show_rows(rows, {column: column for column in columns}, as_json)


@market.command()
def book(
    name: Name,
    start: Annotated[str, typer.Argument(help="Start of the session (RFC 3339).")],
    url: Url,
    out: Annotated[Path | None, typer.Option(help="Write it here instead of standard output.")] = None,
) -> None:
    """A session's book with its orders opened, for `market replay`: for the operators' staff."""
    with reported():
        text = Client(url).request("GET", f"/v1/markets/{name}/sessions/{start}/book").text
        if out is None:
            typer.echo(text)
            return
        try:
            out.write_text(text, "utf-8")
        except OSError as error:
            raise InvalidRequest(f"cannot write {out}: {error.strerror}") from error


@market.command()
def replay(file: Annotated[Path, typer.Argument(help="What `market book` wrote.")], as_json: AsJson = False) -> None:
    """Clear a book again, offline: equal, or where not (exit code 1)."""
    with reported():
        found = clear_again(BookBundle.from_json(read(file)))
        shown = {"equal": found.equal, "orders": found.orders, "trades": found.trades, "wh": found.wh}
        if as_json:
            console.print_json(json.dumps({**shown, "price": found.price, "findings": list(found.findings)}))
        else:
            show_one({**shown, "price": found.price}, False)
            for finding in found.findings:
                console.print(finding, markup=False, soft_wrap=True)
        if not found.equal:
            raise typer.Exit(_NOT_EQUAL)


@market.command()
def complain(
    order: Annotated[str, typer.Argument(help="The order's id.")], url: Url, trust: Trust = None, timeout: float = 10.0
) -> None:
    """Check that an order stood before the gate and no result accounts for it; if so, complain on the ledger."""
    with reported():
        client = Client(url)
        record = client.json(f"/v1/records/{order}")
        data = record["data"].get("order") if record["type"] == "order" else None
        if data is None:
            raise InvalidRequest("the record is no order that the caller can read")
        policy = client.request("GET", "/v1/log/trust").text if trust is None else read(trust)
        proof = client.json(f"/v1/orders/{order}/proof")
        published = _published(client, data, (proof.get("result") or {}).get("gate"))
        order_index = _proven(client, order, policy)
        gate_index = _gate_index(client, published["gate"], policy)
        why = ground(order_index, gate_index, proof, published)
        complaint = {"market": data["market"], "start": data["start"], "owner": data["owner"], "order": order}
        places = {"gate": published["gate"], "order_index": order_index, "gate_index": gate_index}
        bring(url, "/v1/complaints", {**complaint, **places, "why": why}, None, "applied", timeout)


def _published(client: Client, data: dict[str, Any], gate: str | None) -> dict[str, Any]:
    """The round of the session's result that the order's own result names, else the last one. Raises `NotFound` while
    there is none.
    """
    rows = rows_of(client, f"/v1/markets/{data['market']}/results", 1, from_=data["start"])
    if not rows or rows[0]["start"] != data["start"] or not rows[0]["final"]:
        raise NotFound("the session has no result yet", hint="complain once it is cleared")
    rounds: list[dict[str, Any]] = rows[0]["rounds"]
    return next((one for one in rounds if one["gate"] == gate), rounds[-1])


def _proven(client: Client, id: str, policy: str) -> int:
    """The place of a record in the ledger's tree by its receipt, verified here. Raises `ProofInvalid`."""
    receipt = client.request("GET", f"/v1/records/{id}/receipt").text
    proven = verify_receipt(parse_receipt(receipt), parse_policy(policy))
    if proven.header.id.hex() != id:
        raise ProofInvalid("the receipt is for another record")
    return proven.index


def _gate_index(client: Client, gate: str, policy: str) -> int:
    """The gate's place: by its receipt for who may have it, else by its public header. Raises `NotFound`."""
    try:
        return _proven(client, gate, policy)
    except (NotFound, Forbidden):
        header = client.json(f"/v1/records/{gate}/header")
    if header["index"] is None:
        raise NotFound("the gate was not accepted by the ledger")
    return int(header["index"])
