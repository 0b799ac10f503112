"""How the command speaks: results on standard output, one line and a hint on standard error, documented exit codes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

from consortium.errors import ConsortiumError

EXIT_CODES = """Exit codes: 0 it went well; 1 a check found something that does not hold; 2 the request was wrong;
3 the node, its settings or its servers need their operator; 4 another member's data does not hold; 70 a defect."""

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


@contextmanager
def reported() -> Iterator[None]:
    """Turn a failure into one line with a hint, and its family's exit code."""
    try:
        yield
    except ConsortiumError as error:
        fail(error)
    except BaseExceptionGroup as group:
        known = group.subgroup(ConsortiumError)
        if known is None:
            raise
        leaf: BaseException = known
        while isinstance(leaf, BaseExceptionGroup):
            leaf = leaf.exceptions[0]
        if isinstance(leaf, ConsortiumError):
            fail(leaf)


def fail(error: ConsortiumError) -> None:
    """Print the error and end."""
    errors.print(f"[red]error:[/red] {escape(str(error))}", soft_wrap=True)
    if error.hint:
        errors.print(f"  hint: {escape(error.hint)}", soft_wrap=True)
    sys.exit(error.exit_code)
