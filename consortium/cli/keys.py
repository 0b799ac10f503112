"""`consortium keys list|rotate|prepare|revoke|retire|schedule`: the member's own keys."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from consortium.adapters import keyfile
from consortium.adapters.keysecrets import What
from consortium.bootstrap import unlock_of
from consortium.cli.client import Client
from consortium.cli.node import Config
from consortium.cli.output import console, pairs, reported
from consortium.cli.receipt import read
from consortium.cli.record import Url
from consortium.config import load_settings
from consortium.errors import InvalidRequest, PeerError
from consortium.model.members import MemberKeys
from consortium.setup import finish_certificates, renew_certificate_requests

app = typer.Typer(no_args_is_help=True)
TLS = "tls"
_LOOK_S = 0.5


@app.command("list")
def show(url: Url) -> None:
    """What keys a node holds, which are in force, and what stands in the way of destroying old ones."""
    with reported():
        _show(Client(url).json("/v1/node/keys"))


@app.command()
def rotate(
    what: Annotated[str, typer.Argument(help="signing, encryption, all, storage or tls.")],
    url: Url = "",
    config: Config = None,
    finish: Annotated[
        bool, typer.Option(help="tls: the authority has signed; put key and certificate in place.")
    ] = False,
) -> None:
    """Take new keys into use without a restart. The token (an administrator's) is read from CONSORTIUM_TOKEN.

    tls works on the node's files, in two steps: first new keys and requests for the authority, then, with --finish,
    what it signed. The node shows the new certificates to whoever connects from then on.
    """
    with reported():
        if what == TLS:
            _rotate_tls(config, finish)
            return
        if what not in (*What, "storage"):
            raise InvalidRequest("what to rotate is signing, encryption, all, storage or tls")
        client = Client(_needed(url))
        given = client.request("POST", "/v1/node/keys/rotations", json={"what": what}).json()
        if given.get("state") == "rejected":
            raise PeerError(f"the ledger refused the new keys: {given.get('reason')}")
        _show(client.json("/v1/node/keys"))


def _needed(url: str) -> str:
    if not url:
        raise InvalidRequest("--url is needed: the running node does this")
    return url


def _rotate_tls(config: Path | None, finish: bool) -> None:
    settings = load_settings(config)
    files = {"client": (settings.cert_file, settings.cert_key_file)}
    files["server"] = settings.peer_cert_file, settings.peer_key_file
    if finish:
        for path in finish_certificates(files):
            console.print(f"in place: {path}", soft_wrap=True)
        return
    for path in renew_certificate_requests(settings.member, files):
        console.print(f"request for the consortium's authority: {path}", soft_wrap=True)
    console.print("put each certificate beside its request, its name and .next: then `keys rotate tls --finish`")


@app.command()
def prepare(
    out: Annotated[Path, typer.Argument(help="Where to write the new public keys, for the others.")],
    config: Config = None,
) -> None:
    """Make new keys in the key file of a member whose keys were stolen; the node need not run.

    The others then name them by vote (`consortium keys revoke`), and the node takes them into use by itself.
    """
    with reported():
        settings = load_settings(config)
        chain = keyfile.change(
            settings.key_file, unlock_of(settings), lambda chain: chain.with_next(What.ALL, os.urandom)
        )
        keys = chain.generations[-1].public()
        _write(out, json.dumps({"name": settings.member, "keys": keys.as_dict()}, indent=2) + "\n")
        console.print(f"new public keys of {settings.member}: {out}", soft_wrap=True)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise InvalidRequest(f"cannot write {path}: {error.strerror}") from error


@app.command()
def revoke(
    file: Annotated[Path, typer.Argument(help="The member's new public keys, as `keys prepare` wrote them.")],
    url: Url,
    reason: Annotated[str, typer.Option(help="Why, for those who vote.")] = "",
) -> None:
    """Propose to take a member's keys from it, and to name these instead. Compare them with the member by telephone."""
    with reported():
        name, keys = _prepared(read(file))
        body = {"kind": "revoke-keys", "terms": {"name": name, "keys": keys.as_dict()}, "reason": reason}
        given = Client(url).request("POST", "/v1/governance/proposals", json=body).json()
        console.print(pairs({"proposal": given["id"], "state": given["state"], "member": name, **keys.as_dict()}))


def _prepared(text: str) -> tuple[str, MemberKeys]:
    try:
        raw = json.loads(text)
        return str(raw["name"]), MemberKeys.from_dict(raw["keys"])
    except (ValueError, TypeError, KeyError):
        raise InvalidRequest("the file holds no prepared keys") from None


@app.command()
def retire(url: Url) -> None:
    """Destroy old keys, once whatever only they open is wrapped anew. Waits until it is done."""
    with reported():
        client = Client(url)
        found = client.request("POST", "/v1/node/keys/retirement").json()
        while found["retiring"]:
            time.sleep(_LOOK_S)
            found = client.json("/v1/node/keys")
        _show(found)


@app.command()
def schedule(config: Config = None) -> None:
    """What happens to keys by itself, by the node's settings."""
    with reported():
        settings = load_settings(config)
        days = settings.key_rotation_days
        console.print(
            pairs(
                {
                    "all keys but those of TLS change": f"after {days} days" if days else "by command alone",
                    "old ones are destroyed": f"{settings.key_grace_s} s later" if days else "by command alone",
                    "settings": "key_rotation_days, key_grace_s",
                }
            )
        )


def _show(found: dict[str, Any]) -> None:
    shown: dict[str, object] = {}
    for number, generation in enumerate(found["generations"], 1):
        since = generation["since"]
        place = "not on the ledger" if since is None else f"on the ledger from block {since}"
        named = ", ".join(f"{name} {generation[name][:16]}" for name in ("signing", "encryption"))
        shown[f"generation {number}"] = f"{generation['state']}, {place}\n{named}"
    shown["storage keys"] = ", ".join(found["storage"])
    shown["held as the ledger names them"] = "yes" if found["held"] else "no: the node takes no records"
    shown["old keys"] = "being retired" if found["retiring"] else found["retire"] or "may be retired"
    console.print(pairs(shown))
