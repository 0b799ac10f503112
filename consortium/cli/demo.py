"""`consortium demo`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from consortium.cli.output import console, reported
from consortium.devnet.demo import Demo, DemoOptions, run_demo
from consortium.devnet.homes import DATA
from consortium.errors import InvalidRequest


def demo(
    stop: Annotated[bool, typer.Option("--exit", help="Stop everything at the end.")] = False,
    with_join: Annotated[
        bool, typer.Option("--with-join", help="At the end a fifth member joins, trades, and is removed.")
    ] = False,
    directory: Annotated[Path, typer.Option("--dir", help="Where everything goes that the demo writes.")] = Path(
        ".demo"
    ),
    meters: Annotated[Path, typer.Option(help="Readings: interval_start, home, load_wh, pv_wh.")] = DATA / "meters.csv",
    prices: Annotated[Path, typer.Option(help="Prices by the hour, of the same day.")] = DATA / "prices.csv",
    day: Annotated[str, typer.Option(help="The day to feed, YYYY-MM-DD.")] = "2017-06-15",
    postgres: Annotated[
        str | None,
        typer.Option(
            envvar="CONSORTIUM_DEMO_POSTGRES",
            help="Administrator URL of a Postgres server to use instead of the embedded one.",
        ),
    ] = None,
) -> None:
    """Run four members on this machine, feed them a real day, check everything. Stays up until Ctrl-C.

    Exit code 0 only if every check held.
    """
    with reported():
        options = DemoOptions(directory, meters, prices, _day(day), postgres, with_join)
        held = asyncio.run(_run(options, stop))
    if not held:
        raise typer.Exit(1)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidRequest("a day is written YYYY-MM-DD") from None


async def _run(options: DemoOptions, stop: bool) -> bool:
    """SIGINT, SIGTERM and a closed terminal end the demo in order, whenever they come."""
    interrupted = asyncio.Event()
    hung_up = () if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else (signal.SIGHUP,)  # nohup: stay
    for number in (signal.SIGINT, signal.SIGTERM, *hung_up):
        asyncio.get_running_loop().add_signal_handler(number, interrupted.set)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        shown = _Steps(progress)

        async def finished(demo: Demo) -> None:
            shown.done()
            progress.stop()
            _show(demo)
            if not stop:
                _invite(demo)
                await interrupted.wait()
                console.print("stopping")

        work = asyncio.create_task(run_demo(options, shown, finished))
        interruption = asyncio.create_task(interrupted.wait())
        await asyncio.wait([work, interruption], return_when=asyncio.FIRST_COMPLETED)
        if not work.done() and not shown.finished:
            work.cancel()
        interruption.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            return await work
        return False


class _Steps:
    """Progress by step: a bar where there is something to count; a plain line each where nobody watches."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None)
        self._last = ""
        self.finished = False

    def __call__(self, what: str, done: int, total: int) -> None:
        self._progress.update(self._task, description=what, completed=done, total=total or None)
        if not console.is_terminal and what != self._last:
            console.print(f"- {what}")
        self._last = what

    def done(self) -> None:
        """The work is over."""
        self.finished = True
        self._progress.update(self._task, description="done", completed=1, total=1)


def _show(demo: Demo) -> None:
    table = Table(title=f"{demo.options.day}, checked just now", title_justify="left")
    table.add_column("")
    table.add_column("what")
    table.add_column("seen")
    for check in demo.checks:
        table.add_row("[green]holds[/green]" if check.held else "[red]FAILS[/red]", check.name, check.seen)
    console.print(table)


def _invite(demo: Demo) -> None:
    summary = demo.options.directory / "demo.json"
    home = demo.rows[0].home
    node = demo.net.nodes[demo.net.person(home).member]
    urls = Table(title="nodes", title_justify="left", show_header=False)
    for name, each in demo.net.nodes.items():
        urls.add_row(name, f"{each.url}/docs")
    console.print(urls)
    console.print(f"Everything else, tokens too: {summary}. For example, as {home}:", soft_wrap=True)
    console.print(f"  export CONSORTIUM_URL={node.url}", soft_wrap=True, markup=False)
    console.print(f"  export CONSORTIUM_TOKEN={demo.tokens[home]}", soft_wrap=True, markup=False)
    console.print("  consortium record list --limit 5", markup=False)
    console.print("Ctrl-C stops everything.")
