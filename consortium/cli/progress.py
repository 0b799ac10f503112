"""A bar over blocks, on a terminal; nothing where nobody watches."""

from __future__ import annotations

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from consortium.audit.report import Progress as OnProgress
from consortium.cli.output import console


def bar(what: str) -> Progress:
    """A context manager."""
    return Progress(
        TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn("blocks"), TimeRemainingColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip


def follow(progress: Progress) -> OnProgress:
    """What moves it on."""
    task = progress.add_task("", total=None)
    return lambda done, total: progress.update(task, completed=done, total=total)
