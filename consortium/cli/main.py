"""`consortium`: run a node, use it, prove with it, audit it."""

from __future__ import annotations

import typer

from consortium.cli.audit import audit, export
from consortium.cli.demo import demo
from consortium.cli.node import app as node
from consortium.cli.output import EXIT_CODES
from consortium.cli.receipt import app as receipt
from consortium.cli.record import app as record

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="A permissioned ledger for electricity markets.\n\n" + EXIT_CODES,
)
app.add_typer(node, name="node", help="Set up, run and ask a node.")
app.add_typer(record, name="record", help="Submit, show and list records.")
app.add_typer(receipt, name="receipt", help="Get receipts and verify them offline.")
app.command("demo")(demo)
app.command("export")(export)
app.command("audit")(audit)


def main() -> None:
    """Entry point."""
    app()
