"""`consortium etcd enforce`: etcd does what the ledger decided about members."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from consortium.adapters.etcd.cluster import Cluster, EtcdRoot
from consortium.adapters.etcd.enforcing import Round, decided, enforce
from consortium.bootstrap import open_stores, read_file, read_genesis
from consortium.cli.node import Config
from consortium.cli.output import console, reported
from consortium.config import Settings, load_settings
from consortium.errors import InvalidRequest

app = typer.Typer(no_args_is_help=True, callback=lambda: None)


@app.command(name="enforce")
def enforce_decided(
    cert: Annotated[Path, typer.Option(help="Certificate of etcd's root user: its common name is `root`.")],
    key: Annotated[Path, typer.Option(help="Its private key.")],
    config: Config = None,
    etcd: Annotated[
        list[str] | None,
        typer.Option(help="The etcd of a member that joined, as member=https://host:2380; repeatable."),
    ] = None,
) -> None:
    """Give etcd users and rights to members that were admitted, take them from those that were removed; let etcd
    members join as learners, vote once they have caught up, and leave. To be repeated until nothing is waited for.
    """
    with reported():
        settings = load_settings(config)
        root = EtcdRoot(
            settings.etcd_endpoints,
            read_file(settings.ca_file),
            read_file(cert),
            read_file(key),
            settings.etcd_server_name,
        )
        told = asyncio.run(_round(settings, root, dict(_joining(each) for each in etcd or [])))
        for sentence in told.done:
            console.print(f"[green]done:[/green] {escape(sentence)}", soft_wrap=True)
        for sentence in told.waiting:
            console.print(f"[yellow]waiting:[/yellow] {escape(sentence)}", soft_wrap=True)
        if not told.done and not told.waiting:
            console.print("etcd is as the ledger decided")


async def _round(settings: Settings, root: EtcdRoot, joining: dict[str, str]) -> Round:
    async with open_stores(settings.database_url.get_secret_value()) as stores:
        state = await stores.ledger.load(read_genesis(settings.genesis))
    async with root.client() as client:
        return await enforce(client, Cluster(root, client), decided(state.governance), joining)


def _joining(text: str) -> tuple[str, str]:
    name, equals, url = text.partition("=")
    if not equals or not url.startswith("https://"):
        raise InvalidRequest("an etcd that joins is written member=https://host:port", field="etcd")
    return name, url.rstrip("/")
