"""What is being done, on a terminal as a line that moves, elsewhere as a line for each step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Steps:
    """Counts the steps of a run."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total)

    def __call__(self, what: str) -> None:
        """The next step begins."""
        done = self._progress.tasks[0].completed + (1 if self._progress.tasks[0].description else 0)
        self._progress.update(self._task, description=what, completed=done)
        if not self._progress.console.is_terminal:
            self._progress.console.print(f"- {what}")


@contextmanager
def steps(console: Console, total: int) -> Iterator[Steps]:
    """Show the progress of `total` steps."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Steps(progress, total)
