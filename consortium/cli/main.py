"""`consortium`: run a node, use it, prove with it, audit it."""

from __future__ import annotations

import typer

from consortium.cli import audit, demo, node, receipt, record
from consortium.cli.output import EXIT_CODES

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="A permissioned ledger for electricity markets.\n\n" + EXIT_CODES,
)
app.add_typer(node.app, name="node", help="Set up, run and ask a node.")
app.add_typer(record.app, name="record", help="Submit, show and list records.")
app.add_typer(receipt.app, name="receipt", help="Get receipts and verify them offline.")
app.command("demo")(demo.demo)
app.command("export")(audit.export)
app.command("audit")(audit.audit)


def main() -> None:
    """Entry point."""
    app()
