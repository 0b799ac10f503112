"""`consortium`: run a node, use it, prove with it, audit it."""

from __future__ import annotations

import typer

from consortium.cli.accesses import COMMANDS as ACCESSES
from consortium.cli.account import app as account
from consortium.cli.audit import audit, export
from consortium.cli.contract import app as contract
from consortium.cli.demo import demo
from consortium.cli.erase import app as erase
from consortium.cli.etcd import app as etcd
from consortium.cli.governance import app as governance
from consortium.cli.join import app as join
from consortium.cli.keys import app as keys
from consortium.cli.market import market
from consortium.cli.me import certificate, dispute, me
from consortium.cli.node import app as node
from consortium.cli.officer import app as officer
from consortium.cli.order import app as order
from consortium.cli.output import EXIT_CODES
from consortium.cli.policy import app as policy
from consortium.cli.prices import wallet
from consortium.cli.receipt import app as receipt
from consortium.cli.record import app as record
from consortium.cli.recover import app as recover

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="A permissioned ledger for electricity markets.\n\n" + EXIT_CODES,
)
app.add_typer(account, name="account", help="Sign in; invite people, change and shut their accounts.")
app.add_typer(node, name="node", help="Set up, run and ask a node.")
app.add_typer(join, name="join", help="Invite a newcomer; check an invitation and take its ledger over.")
app.add_typer(etcd, name="etcd", help="Let etcd do what the ledger decided about members.")
app.add_typer(keys, name="keys", help="The member's own keys: rotate, revoke, retire.")
app.add_typer(record, name="record", help="Submit, show and list records.")
app.add_typer(receipt, name="receipt", help="Get receipts and verify them offline.")
app.add_typer(order, name="order", help="Order in a market, see what became of it.")
app.add_typer(contract, name="contract", help="See contracts, propose them, take the steps of their life.")
app.add_typer(governance, name="governance", help="Propose, vote, see what stands decided.")
app.add_typer(policy, name="policy", help="Check policies, run their examples, ask why, compare two sets.")
app.add_typer(recover, name="recover", help="Go on in a new epoch after all of etcd was lost.")
app.add_typer(erase, name="erase", help="Have records erased, see who did it.")
app.add_typer(market, name="market", help="See a market, check it, complain; publish prices.")
app.add_typer(wallet, name="wallet", help="Accounts of money.")
app.add_typer(me, name="me", help="What one party used, traded, owes and is owed.")
app.add_typer(certificate, name="certificate", help="Certificates of origin.")
app.add_typer(dispute, name="dispute", help="Statements that differ.")
for command in ACCESSES:
    me.command()(command)
app.add_typer(officer, name="officer", help="Grants: ask for one, read under it, take the evidence along.")
app.command("demo")(demo)
app.command("export")(export)
app.command("audit")(audit)


def main() -> None:
    """Entry point."""
    app()
