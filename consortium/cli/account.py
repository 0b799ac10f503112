"""`consortium account`: signing in, setting up one's own account, and the member's accounts for its administrators."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from consortium.bootstrap import open_stores
from consortium.cli.client import Client, open_http
from consortium.cli.output import console, pairs, reported
from consortium.cli.reading import Cells, show_one, show_rows
from consortium.cli.record import AsJson, Url
from consortium.client.session import Session
from consortium.config import load_settings
from consortium.crypto import signing
from consortium.errors import ConfigurationError, InvalidRequest
from consortium.model.names import is_name
from consortium.ports.accounts import Account

app = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The account's name.")]
Duty = Annotated[
    list[str] | None, typer.Option(help="A duty of staff: billing, metering, trading, operations; may be repeated.")
]
KeyFile = Annotated[
    Path | None, typer.Option(help="The file of the account's signing key (64 hex digits); made if it is not there.")
]
SessionFile = Annotated[Path, typer.Option(envvar="CONSORTIUM_SESSION", help="Where the session is kept.")]
_ADMINISTRATOR = "administrator"


@app.command("sign-in")
def sign_in(
    name: Name,
    url: Url,
    session: SessionFile,
    key_file: KeyFile = None,
    code: Annotated[str, typer.Option(help="A code of the second factor.")] = "",
) -> None:
    """Sign in with a password (asked for, or from standard input), or with a signing key; tokens go into a file."""
    with reported(), open_http(url) as http:
        if key_file is not None:
            made = Session.with_key(http, name, _seed(key_file), code=code)
        else:
            made = Session.with_password(http, name, _secret("Password"), code=code)
        made.save(session)
        console.print(f"signed in as {name}; export CONSORTIUM_SESSION={session}", soft_wrap=True, markup=False)


@app.command("sign-out")
def sign_out(url: Url, session: SessionFile) -> None:
    """End the session of a file, and remove the file."""
    with reported(), open_http(url) as http:
        Session.load(http, session).sign_out()


@app.command()
def accept(url: Url, key_file: KeyFile = None) -> None:
    """Set up an account with a one-time code (asked for, or the first line of standard input).

    Users then choose a password (asked for, or the second line); all others register the key of --key-file.
    """
    with reported(), open_http(url) as http:
        body = {"code": _secret("Code")}
        if key_file is None:
            body["password"] = _secret("New password")
        else:
            body["public_key"] = signing.public_key(_seed(key_file, make=True)).hex()
        made = Client.over(http).request("POST", "/v1/auth/accept", json=body).json()
        console.print(f"account {made['name']} ({made['kind']}) is set up; now sign in")


@app.command()
def first(
    name: Name,
    key_file: KeyFile = None,
    public_key: Annotated[str | None, typer.Option(help="Ed25519 public key instead, 64 hex digits.")] = None,
    config: Annotated[Path | None, typer.Option(help="The node's TOML file; CONSORTIUM_CONFIG if absent.")] = None,
) -> None:
    """Make the member's first administrator, on the node's own machine. Refused if there is one."""
    with reported():
        if (key_file is None) == (public_key is None):
            raise InvalidRequest("give exactly one of --key-file and --public-key")
        public = _public(public_key) if public_key else signing.public_key(_seed(key_file or Path(), make=True))
        if not is_name(name):
            raise InvalidRequest("a name is 2 to 32 of a-z, 0-9 and hyphen, a letter first")
        url = load_settings(config).database_url.get_secret_value()
        asyncio.run(_first(url, Account(name, _ADMINISTRATOR, "", public)))
        console.print(f"account {name} (administrator) is set; sign in with its key")


@app.command("list")
def all_accounts(url: Url, as_json: AsJson = False) -> None:
    """Accounts, and invitations that were not accepted."""
    with reported():
        found = Client(url).json("/v1/accounts")
        if as_json:
            show_one(found, True)
            return
        cells: Cells = {"name": "name", "kind": "kind", "duties": _duties, "state": _state}
        show_rows([*found["accounts"], *found["invitations"]], cells, False)


@app.command()
def invite(
    name: Name,
    url: Url,
    kind: Annotated[str, typer.Option(help="user, staff, machine, officer, administrator or service.")] = "user",
    duty: Duty = None,
    as_json: AsJson = False,
) -> None:
    """Invite somebody: prints a one-time code for them."""
    body = {"name": name, "kind": kind, "duties": duty or []}
    _given(url, "/v1/accounts", body, as_json)


@app.command()
def confirm(name: Name, url: Url) -> None:
    """Confirm another administrator's invitation of an administrator."""
    _done(url, "POST", f"/v1/accounts/{name}/confirm", f"the invitation of {name} is confirmed")


@app.command()
def withdraw(name: Name, url: Url) -> None:
    """Withdraw an invitation."""
    _done(url, "DELETE", f"/v1/accounts/{name}/invitation", f"{name} is not invited")


@app.command()
def disable(name: Name, url: Url) -> None:
    """Shut an account; its tokens end within seconds."""
    _done(url, "POST", f"/v1/accounts/{name}/disable", f"account {name} is shut")


@app.command()
def enable(name: Name, url: Url) -> None:
    """Open an account again."""
    _done(url, "POST", f"/v1/accounts/{name}/enable", f"account {name} is open")


@app.command()
def duties(name: Name, url: Url, duty: Duty = None) -> None:
    """Set all duties of staff; none if none is given."""
    _done(url, "PUT", f"/v1/accounts/{name}/duties", f"the duties of {name} are set", {"duties": duty or []})


@app.command()
def reset(
    name: Name,
    url: Url,
    second_factor: Annotated[bool, typer.Option(help="Take the second factor off as well.")] = False,
    as_json: AsJson = False,
) -> None:
    """Void what an account signs in with; prints a one-time code for its owner to set up anew."""
    _given(url, f"/v1/accounts/{name}/reset", {"second_factor": second_factor}, as_json)


@app.command()
def revoke(name: Name, url: Url) -> None:
    """Sign an account out everywhere."""
    _done(url, "POST", f"/v1/accounts/{name}/revoke", f"{name} is signed out everywhere")


def _given(url: str, path: str, body: dict[str, Any], as_json: bool) -> None:
    with reported():
        found = Client(url).request("POST", path, json=body).json()
        if as_json:
            show_one(found, True)
            return
        console.print(pairs({"code": found["code"], "until": found["expires_at"]}))
        if found["needs_confirmation"]:
            console.print("a second administrator must confirm it before it can be used: consortium account confirm")


def _done(url: str, method: str, path: str, words: str, body: dict[str, Any] | None = None) -> None:
    with reported():
        Client(url).request(method, path, **({} if body is None else {"json": body}))
        console.print(words)


def _duties(row: dict[str, Any]) -> str:
    return ", ".join(row["duties"])


def _state(row: dict[str, Any]) -> str:
    if "state" in row:
        return str(row["state"])
    what = "may come back" if row["recovers"] else "invited"
    return f"{what} by {row['by']}" + (", unconfirmed" if row["needs_confirmation"] else "")


def _secret(what: str) -> str:
    """Never an argument: a command line can be seen by others."""
    if sys.stdin.isatty():
        return str(typer.prompt(what, hide_input=True))
    return sys.stdin.readline().rstrip("\n")


def _seed(file: Path, *, make: bool = False) -> bytes:
    """An account's signing key, from its file; a new one if there is none."""
    if make and not file.exists():
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(os.urandom(signing.SEED_BYTES).hex() + "\n")
    try:
        return _public(file.read_text("ascii").strip())
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"cannot read a key from {file}: {type(error).__name__}") from None


def _public(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != signing.SEED_BYTES:
        raise InvalidRequest("a key is 64 hex digits")
    return key


async def _first(url: str, account: Account) -> None:
    async with open_stores(url) as stores:
        if any(one.kind == _ADMINISTRATOR for one in await stores.accounts.all_accounts()):
            raise ConfigurationError("there is an administrator", hint="they invite others: consortium account invite")
        if not await stores.accounts.add_account(account):
            raise ConfigurationError(f"there is an account {account.name}", hint="choose another name")
