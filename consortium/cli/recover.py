"""`consortium recover`: go on in a new epoch after all of etcd was lost. The nodes stand still meanwhile."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from consortium.adapters import keyfile
from consortium.adapters.clock import ShiftedClock, SystemClock
from consortium.adapters.etcd.log import EtcdLog
from consortium.bootstrap import etcd_settings, open_stores, read_genesis, unlock_of
from consortium.cli.node import Config
from consortium.cli.output import console, pairs, reported
from consortium.cli.receipt import read
from consortium.config import Settings, load_settings
from consortium.ledger.recovery import signers
from consortium.ledger.state import LedgerState
from consortium.pipeline.apply import Applier
from consortium.pipeline.keyring import LiveMembership, hint_keys
from consortium.pipeline.recover import open_epoch, parse, proposed, require_agreed, signed

app = typer.Typer(no_args_is_help=True)
Statement = Annotated[Path, typer.Argument(help="The statement's file; it goes from member to member.")]


@app.command()
def state(file: Statement, config: Config = None) -> None:
    """Write down where this member would go on: the end of its own ledger."""
    with reported():
        found = asyncio.run(_state(load_settings(config)))
        _write(file, proposed(found))
        console.print(pairs({"block": found.height, "digest": found.digest.hex(), "records": found.tree.size}))
        console.print(f"written to {file}; every member that agrees signs it", soft_wrap=True)


@app.command()
def sign(file: Statement, config: Config = None) -> None:
    """Agree, if this member's ledger ends at that very block."""
    with reported():
        settings = load_settings(config)
        raw, _ = parse(read(file))
        found = asyncio.run(_state(settings))
        _write(file, signed(raw, found, settings.member, keyfile.open(settings.key_file, unlock_of(settings))))
        _, body = parse(read(file))
        names = sorted(signers(found.governance, body)) if body else []
        console.print(f"signed by {', '.join(names)}", soft_wrap=True)


@app.command(name="open")
def open_(file: Statement, config: Config = None) -> None:
    """Open the epoch in the new etcd, or follow who opened it, on this member's own ledger. Then start the node."""
    with reported():
        after = asyncio.run(_open(load_settings(config), file))
        console.print(pairs({"epoch": after.governance.epoch, "block": after.height}))


async def _state(settings: Settings) -> LedgerState:
    async with open_stores(settings.database_url.get_secret_value()) as stores:
        return await stores.ledger.load(read_genesis(settings.genesis))


async def _open(settings: Settings, file: Path) -> LedgerState:
    genesis = read_genesis(settings.genesis)
    custody = keyfile.open(settings.key_file, unlock_of(settings))
    clock = ShiftedClock(settings.clock_file) if settings.clock_file else SystemClock()
    async with open_stores(settings.database_url.get_secret_value()) as stores:
        found = await stores.ledger.load(genesis)
        recovery = require_agreed(parse(read(file))[1], found)
        membership = LiveMembership(found.governance)
        applier = Applier(stores.ledger, found, hint_keys(membership, custody), _nothing_witnessed)
        log = EtcdLog(etcd_settings(settings, genesis, recovery.epoch))
        try:
            return await open_epoch(recovery, settings.member, clock.now_ms(), log, applier, custody)
        finally:
            await log.close()


async def _nothing_witnessed(_: int) -> int:
    return 0


def _write(file: Path, raw: object) -> None:
    file.write_text(json.dumps(raw, indent=2) + "\n", "utf-8")
