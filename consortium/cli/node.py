"""`consortium node init|migrate|run|status|account`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from consortium.adapters.tokens.passwords import hash_password, require_good
from consortium.adapters.unlock import MountedSecret, Passphrase, Unlock
from consortium.bootstrap import database_urls, open_stores, prepare_database
from consortium.cli.client import Client
from consortium.cli.output import console, pairs, reported
from consortium.cli.record import Url
from consortium.config import load_settings
from consortium.errors import InvalidRequest
from consortium.model.names import is_name
from consortium.ports.accounts import DUTIES, KINDS, Account
from consortium.server import configure_logging, serve
from consortium.setup import create_node_files

app = typer.Typer(no_args_is_help=True)
Config = Annotated[Path | None, typer.Option(help="The node's TOML file; CONSORTIUM_CONFIG if absent.")]


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="Where to write the node's files; made if absent.")],
    member: Annotated[str, typer.Option(help="The member's name.")],
    secret_file: Annotated[
        Path | None, typer.Option(help="Seal the keys under a mounted secret: a file of 32 bytes, or of 64 hex digits.")
    ] = None,
    passphrase_stdin: Annotated[
        bool, typer.Option(help="Seal the keys under a passphrase from standard input.")
    ] = False,
) -> None:
    """Make a member's sealed keys, its certificate requests, and its public keys for the genesis."""
    with reported():
        if not is_name(member):
            raise InvalidRequest("a member's name is 2 to 32 of a-z, 0-9 and hyphen, a letter first")
        made = create_node_files(directory, member, _unlock(secret_file, passphrase_stdin))
        console.print(f"keys, sealed: {made.key_file}", soft_wrap=True)
        console.print(f"certificate requests for the consortium's authority: {directory}/*.csr.pem", soft_wrap=True)
        console.print(f"public keys for the genesis: {made.public_file}", soft_wrap=True)


def _unlock(secret_file: Path | None, passphrase_stdin: bool) -> Unlock:
    if (secret_file is None) == (not passphrase_stdin):
        raise InvalidRequest("give exactly one of --secret-file and --passphrase-stdin")
    if secret_file is not None:
        return MountedSecret.read(secret_file)
    passphrase = (
        typer.prompt("Passphrase", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    )
    if len(passphrase) < 12:
        raise InvalidRequest("a passphrase has at least 12 characters")
    return Passphrase(passphrase)


@app.command()
def run(config: Config = None) -> None:
    """Run a node until it is interrupted. Settings: docs/configuration.md."""
    with reported():
        settings = load_settings(config)
        configure_logging(settings.log_level, settings.log_format)
        uvloop.run(serve(settings))


@app.command()
def migrate(config: Config = None) -> None:
    """Bring the node's database to this version and its roles to their rights. Needs `database_owner_url`."""
    with reported():
        urls = database_urls(load_settings(config))
        if not urls.owner:
            raise InvalidRequest("the setting database_owner_url is needed: only the database's owner migrates it")
        prepare_database(urls)
        console.print("the database has this version's schema; its roles have what the rules say")


@app.command()
def status(url: Url) -> None:
    """Ask a node for its height, root, lag and alarms. The token is read from CONSORTIUM_TOKEN."""
    with reported():
        found = Client(url).json("/v1/status")
        peers = found.pop("peers")
        shown = {name: "\n".join(value) if isinstance(value, list) else value for name, value in found.items()}
        for name, peer in peers.items():
            shown[f"peer {name}"] = f"height {peer['height']}, {peer['size']} records, root {peer['root'][:16]}"
        console.print(pairs(shown))


@app.command()
def account(
    name: Annotated[str, typer.Argument(help="The account's name.")],
    kind: Annotated[str, typer.Option(help="user, staff, machine, officer, administrator or service.")],
    config: Config = None,
    password_stdin: Annotated[
        bool, typer.Option(help="A user's password, from standard input (at least 12 characters).")
    ] = False,
    public_key: Annotated[
        str | None,
        typer.Option(help="Ed25519 public key (64 hex digits): all but users sign in by a challenge."),
    ] = None,
    duty: Annotated[
        list[str] | None, typer.Option(help="A duty of staff: billing, metering, trading, operations; may be repeated.")
    ] = None,
    disabled: Annotated[
        bool, typer.Option(help="Shut the account: no sign-in, and its tokens end within seconds.")
    ] = False,
) -> None:
    """Create an account of this member, or replace it as a whole."""
    with reported():
        settings = load_settings(config)
        made = _account(name, kind, password_stdin, public_key, disabled, frozenset(duty or ()))
        url = settings.database_url.get_secret_value()
        prepare_database(database_urls(settings))
        asyncio.run(_put(url, made))
        console.print(f"account {name} ({kind}) of {settings.member} is {'shut' if disabled else 'set'}")


def _account(
    name: str, kind: str, password_stdin: bool, public_key: str | None, disabled: bool, duties: frozenset[str]
) -> Account:
    if not is_name(name) or kind not in KINDS:
        raise InvalidRequest("a name is 2 to 32 of a-z, 0-9 and hyphen; a kind is " + ", ".join(sorted(KINDS)))
    if not duties <= DUTIES or (duties and kind != "staff"):
        raise InvalidRequest("duties are of staff: " + ", ".join(sorted(DUTIES)))
    password = sys.stdin.readline().rstrip("\n") if password_stdin else ""
    if password_stdin:
        require_good(password)
    try:
        key = bytes.fromhex(public_key or "")
    except ValueError:
        key = b"?"
    if len(key) not in (0, 32):
        raise InvalidRequest("a public key is 64 hex digits")
    return Account(name, kind, hash_password(password) if password else "", key, b"", disabled, duties)


async def _put(url: str, made: Account) -> None:
    async with open_stores(url) as stores:
        await stores.accounts.put_account(made)
