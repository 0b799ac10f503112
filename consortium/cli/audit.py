"""`consortium export` and `consortium audit`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from consortium.adapters.postgres.migrate import check
from consortium.audit.evidence import audit_evidence
from consortium.audit.export import ExportSummary
from consortium.audit.export import export as write_export
from consortium.audit.live import audit_store
from consortium.audit.offline import audit_export
from consortium.audit.report import AuditReport
from consortium.audit.report import Progress as OnProgress
from consortium.bootstrap import open_stores, read_genesis
from consortium.cli.node import Config
from consortium.cli.officer import show_report
from consortium.cli.output import console, pairs, reported
from consortium.cli.progress import bar, follow
from consortium.cli.receipt import read
from consortium.config import load_settings
from consortium.crypto.sealing import open_section
from consortium.crypto.trust import TrustPolicy, parse_policy
from consortium.errors import InvalidRequest
from consortium.ledger import witnessing
from consortium.model.members import Genesis

Database = Annotated[str | None, typer.Option(envvar="CONSORTIUM_DATABASE_URL", help="The node's database.")]
GenesisFile = Annotated[Path | None, typer.Option("--genesis", envvar="CONSORTIUM_GENESIS", help="The genesis file.")]


def export(
    directory: Annotated[Path, typer.Argument(help="An empty or new folder.")],
    config: Config = None,
    database: Database = None,
    genesis: GenesisFile = None,
) -> None:
    """Write the ledger of a node's database to a folder that anyone can audit."""
    with reported():
        url, found = _source(config, database, genesis)
        with bar("exporting") as progress:
            summary = asyncio.run(_export(url, found, directory, follow(progress)))
        console.print(
            f"{directory}: {summary.height} blocks, {summary.size} records, {summary.checkpoints} cosigned "
            f"checkpoints, {summary.files} files",
            soft_wrap=True,
        )


async def _export(url: str, genesis: Genesis, directory: Path, progress: OnProgress) -> ExportSummary:
    async with open_stores(url) as stores:
        trust = witnessing.trust_file((await stores.ledger.load(genesis)).governance)
        return await write_export(stores.ledger, stores.witness, genesis, trust, directory, progress=progress)


def audit(
    directory: Annotated[
        Path | None, typer.Argument(help="An export. If absent, a node's database is audited.")
    ] = None,
    bundle: Annotated[Path | None, typer.Argument(help="After the word evidence: an officer's bundle.")] = None,
    trust: Annotated[
        Path | None, typer.Option(help="A trust file of your own (C2SP tlog-policy), instead of the export's.")
    ] = None,
    genesis: GenesisFile = None,
    config: Config = None,
    database: Database = None,
) -> None:
    """Replay a whole ledger with public keys alone, and name what does not hold (then exit code 1)."""
    if directory == Path("evidence") and bundle is not None:
        return _audit_bundle(bundle, trust)
    with reported():
        if directory is not None and not directory.is_dir():
            raise InvalidRequest(f"there is no folder {directory}")
        policy = parse_policy(read(trust)) if trust else None
        with bar("auditing") as progress:
            if directory is not None:
                own = read_genesis(genesis) if genesis else None
                report = audit_export(directory, policy, genesis=own, progress=follow(progress))
            else:
                url, found = _source(config, database, genesis)
                report = asyncio.run(_audit(url, found, policy, follow(progress)))
        _show(report)
    if not report.sound:
        raise typer.Exit(1)
    return None


def _audit_bundle(directory: Path, trust: Path | None) -> None:
    with reported():
        if not directory.is_dir():
            raise InvalidRequest(f"there is no folder {directory}")
        report = audit_evidence(directory, parse_policy(read(trust)) if trust else None, open_section)
        show_report(report)
    if not report.sound:
        raise typer.Exit(1)


async def _audit(url: str, genesis: Genesis, trust: TrustPolicy | None, progress: OnProgress) -> AuditReport:
    async with open_stores(url) as stores:
        return await audit_store(stores.ledger, stores.witness, genesis, trust, progress)


def _source(config: Path | None, database: str | None, genesis: Path | None) -> tuple[str, Genesis]:
    """A database that answers, and its network's genesis."""
    if database is not None and genesis is not None:
        found = database, read_genesis(genesis)
    else:
        settings = load_settings(config)
        found = settings.database_url.get_secret_value(), read_genesis(settings.genesis)
    check(found[0])  # by one connection: a pool would try for seconds, and say so line by line
    return found


def _show(report: AuditReport) -> None:
    counts = {
        "network": report.network,
        "blocks": report.height,
        "records": report.size,
        "root": report.root.hex(),
        "witnessed by a quorum up to": report.witnessed_size,
        "refused": len(report.refused),
        "findings": len(report.findings),
    }
    console.print(pairs(counts))
    for refused in report.refused:
        place = f"block {refused.height}" + ("" if refused.item is None else f", record {refused.item}")
        what = "batch" if refused.item is None else refused.id.hex() or "no id"
        line = f"refused: {place}: {what} of {refused.member or 'nobody'}: {refused.reason}"
        console.print(escape(line), soft_wrap=True)
    for finding in report.findings:
        console.print(f"[red]does not hold:[/red] {escape(str(finding))}", soft_wrap=True)
    if report.sound:
        console.print("[green]everything holds[/green]")
