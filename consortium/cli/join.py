"""`consortium join`: how a member invites a newcomer, and how the newcomer checks and takes over what it is given."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from consortium.adapters import keyfile
from consortium.audit import invitation, layout
from consortium.audit.export import export
from consortium.audit.importing import bring_in
from consortium.audit.invitation import Invitation, Verified
from consortium.audit.report import Progress
from consortium.bootstrap import database_urls, open_stores, prepare_database, read_file, read_genesis, unlock_of
from consortium.cli.node import Config
from consortium.cli.output import console, pairs, reported
from consortium.cli.progress import bar, follow
from consortium.config import Settings, load_settings
from consortium.errors import ProofInvalid
from consortium.ledger import witnessing
from consortium.ledger.governance.addresses import peer_urls
from consortium.ledger.state import LedgerState
from consortium.pipeline.apply import Applier
from consortium.pipeline.keyring import LiveMembership, hint_keys

app = typer.Typer(no_args_is_help=True)
Folder = Annotated[Path, typer.Argument(help="The folder with the invitation.")]
Digest = Annotated[str, typer.Option(help="The genesis' digest in hex, as you were told it in person.")]


@app.command()
def invite(
    directory: Annotated[Path, typer.Argument(help="An empty or new folder.")],
    config: Config = None,
    own_url: Annotated[str, typer.Option(help="This node's own URL for the other members' nodes.")] = "",
) -> None:
    """Write what a newcomer needs: the ledger, and where and by whom it is kept. Give the printed digest in person."""
    with reported():
        settings = load_settings(config)
        written = asyncio.run(_invite(settings, directory, own_url))
        genesis = read_genesis(settings.genesis)
        console.print(
            f"{directory}: an invitation up to block {written.height}, {written.size} records", soft_wrap=True
        )
        console.print(f"genesis digest, to be told in person: {genesis.digest().hex()}", soft_wrap=True)


async def _invite(settings: Settings, directory: Path, own_url: str) -> Invitation:
    genesis = read_genesis(settings.genesis)
    async with open_stores(settings.database_url.get_secret_value()) as stores:
        state = await stores.ledger.load(genesis)
        trust = witnessing.trust_file(state.governance)
        summary = await export(stores.ledger, stores.witness, genesis, trust, directory / invitation.LEDGER)
        last = await stores.ledger.block(summary.height)
    newest = directory / invitation.LEDGER / layout.CHECKPOINT
    urls = {**settings.peer_urls, **peer_urls(state.governance), **({settings.member: own_url} if own_url else {})}
    made = Invitation(
        inviter=settings.member,
        genesis=genesis.to_json(),
        height=summary.height,
        size=summary.size,
        block=(last.digest() if last else genesis.digest()).hex(),
        root=(last.root if last else state.tree.root()).hex(),
        checkpoint=newest.read_text("utf-8") if newest.exists() else "",
        trust=trust,
        peers={member.name: urls[member.name] for member in state.governance.members if member.name in urls},
        etcd=settings.etcd_endpoints,
        etcd_server_name=settings.etcd_server_name,
        ca=read_file(settings.ca_file).decode("utf-8", "replace"),
    )
    (directory / invitation.FILE).write_text(made.to_json(), "utf-8")
    return made


@app.command()
def verify(directory: Folder, genesis_digest: Digest) -> None:
    """Check an invitation whole, with nothing but the digest: genesis, every block, every vote, cosignatures."""
    with reported():
        verified = _verify(directory, genesis_digest)
    if not verified.sound:
        raise typer.Exit(1)


def _verify(directory: Path, digest: str) -> Verified:
    with bar("verifying") as progress:
        verified = invitation.verify(directory, digest, follow(progress))
    table = Table(title=f"an invitation by {escape(verified.invitation.inviter)}", title_justify="left")
    for heading in ("", "what", "seen"):
        table.add_column(heading, overflow="fold")
    for line in verified.lines:
        table.add_row("[green]holds[/green]" if line.held else "[red]FAILS[/red]", line.name, escape(line.seen))
    console.print(table)
    return verified


@app.command(name="import")
def take_over(directory: Folder, genesis_digest: Digest, config: Config = None) -> None:
    """Check an invitation, and bring its ledger into the database of the node that is to be."""
    with reported():
        settings = load_settings(config)
        verified = _verify(directory, genesis_digest)
        if not verified.sound or verified.state is None:
            raise ProofInvalid("the invitation does not hold: nothing was imported")
        if read_genesis(settings.genesis).digest() != verified.genesis.digest():
            raise ProofInvalid("the node's settings name another genesis than the invitation's")
        with bar("importing") as progress:
            brought, height = asyncio.run(_import(settings, directory, verified.state, follow(progress)))
        console.print(pairs({"blocks brought in": brought, "the node's ledger stands at block": height}))


async def _import(settings: Settings, directory: Path, verified: LedgerState, progress: Progress) -> tuple[int, int]:
    urls = database_urls(settings)
    prepare_database(urls)
    custody = keyfile.open(settings.key_file, unlock_of(settings))
    async with open_stores(urls.node) as stores:
        state = await stores.ledger.load(verified.genesis)
        membership = LiveMembership(state.governance)
        applier = Applier(stores.ledger, state, hint_keys(membership, custody), _nothing_witnessed)
        applier.listen(lambda step, _: membership.update(step.state.governance))
        ledger = directory / invitation.LEDGER
        brought = await bring_in(ledger, applier, stores.witness, verified.height, progress)
        return brought, applier.state.height


async def _nothing_witnessed(_: int) -> int:
    return 0
