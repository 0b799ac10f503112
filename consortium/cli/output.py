"""How the command speaks: results on standard output, one line and a hint on standard error, documented exit codes."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from consortium.errors import ConsortiumError, DefectError

EXIT_CODES = """Exit codes: 0 it went well; 1 a check found something that does not hold; 2 the request was wrong;
3 the node, its settings or its servers need their operator; 4 another member's data does not hold; 70 a defect."""

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def listing(first: str, *others: str) -> Table:
    """A table whose first column is an id: whole in one line, to be copied; the others are folded, never cut."""
    columns = [Column(first, no_wrap=True), *(Column(name, overflow="fold") for name in others)]
    return Table(*columns, box=SIMPLE, pad_edge=False)


def pairs(values: Mapping[str, object]) -> Table:
    """Names and values as a table. Long values are folded, never cut: an id must be whole to be copied."""
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in values.items():
        table.add_row(name, escape(str(value)))
    return table


@contextmanager
def reported() -> Iterator[None]:
    """Turn a failure into one line with a hint, and its family's exit code."""
    try:
        yield
    except ConsortiumError as error:
        fail(error)
    except Exception as error:
        leaf = _leaf(error)
        if isinstance(leaf, typer.Exit | typer.Abort):
            raise
        fail(leaf if isinstance(leaf, ConsortiumError) else _defect(leaf))


def _leaf(error: BaseException) -> BaseException:
    """The failure inside groups: one of ours, if there is one."""
    while isinstance(error, BaseExceptionGroup):
        ours = error.subgroup(ConsortiumError)
        error = (ours or error).exceptions[0]
    return error


def _defect(error: BaseException) -> DefectError:
    """A failure that nobody foresaw: its type and place, not its words, which may hold anything."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return DefectError(f"a defect: {type(error).__name__}{place}", hint="please report it")


def fail(error: ConsortiumError) -> None:
    """Print the error and end."""
    errors.print(f"[red]error:[/red] {escape(str(error))}", soft_wrap=True)
    if error.hint:
        errors.print(f"  hint: {escape(error.hint)}", soft_wrap=True)
    sys.exit(error.exit_code)
