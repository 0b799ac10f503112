"""`consortium receipt get|verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from consortium.cli.client import Client
from consortium.cli.output import console, reported
from consortium.cli.record import Url
from consortium.crypto.receipts import parse_receipt, verify_receipt
from consortium.crypto.trust import parse_policy
from consortium.energy.metering import to_rfc3339
from consortium.errors import InvalidRequest, ProofInvalid

app = typer.Typer(no_args_is_help=True)


@app.command()
def get(
    id: Annotated[str, typer.Argument(help="The record's id.")],
    url: Url,
    out: Annotated[Path | None, typer.Option(help="Write it here instead of standard output.")] = None,
) -> None:
    """Get a record's receipt (C2SP tlog-proof@v1). The token is read from CONSORTIUM_TOKEN."""
    with reported():
        text = Client(url).request("GET", f"/v1/records/{id}/receipt").text
        if out is None:
            typer.echo(text, nl=False)
        else:
            try:
                out.write_text(text, "utf-8")
            except OSError as error:
                raise InvalidRequest(f"cannot write {out}: {error.strerror}") from error


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="The receipt.")],
    trust: Annotated[Path, typer.Option(help="The trust file (C2SP tlog-policy).")],
    id: Annotated[str | None, typer.Option(help="The record id that it must be for.")] = None,
) -> None:
    """Verify a receipt with a trust file alone: no network, no database. Exit code 4 if it does not hold."""
    with reported():
        receipt = parse_receipt(read(file))
        proven = verify_receipt(receipt, parse_policy(read(trust)))
        found = proven.header.id.hex()
        if id is not None and id != found:
            raise ProofInvalid(f"the receipt is for record {found}")
        console.print(
            f"record {found} of {proven.header.author}, created {to_rfc3339(proven.header.created_ms)}, is leaf "
            f"{proven.index} of {proven.checkpoint.size} in {proven.checkpoint.origin}",
            soft_wrap=True,
        )


def read(path: Path) -> str:
    """A text file. Raises `InvalidRequest`."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"cannot read {path}: {error}") from error
