"""A duty: a record that has to be on the ledger because of what stands there already."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from consortium.energy.view.facts import Fact
from consortium.model.encoding import encode
from consortium.model.records import DraftSection

Cause = tuple[str | int | bytes, ...]
"""What a record follows from: its kind first, then ids and numbers. One cause, one record."""
Done = Callable[[Cause], bool]
"""Whether the record of a cause stands on the ledger."""


@dataclass(frozen=True)
class Duty:
    """A record to be written: a pure function of the ledger up to what caused it."""

    cause: Cause
    type: str
    start_ms: int
    sections: tuple[DraftSection, ...]

    @cached_property
    def key(self) -> bytes:
        """The cause's bytes: the record's id is derived from them."""
        return cause_key(self.cause)


def cause_key(cause: Cause) -> bytes:
    """The bytes of a cause."""
    return encode(list(cause))


@dataclass(frozen=True, slots=True)
class Poisoned:
    """Work that failed on what some member wrote. It is left alone, all else goes on: nobody may stop another's node by
    a record that its code does not foresee.
    """

    error: Exception


Given = Duty | Poisoned


def contained(work: Iterator[Duty]) -> Iterator[Given]:
    """The duties of one piece of work, up to where it fails."""
    try:
        yield from work
    except Exception as error:  # noqa: BLE001 - whatever it is: it is told, and the next piece of work goes on
        yield Poisoned(error)


class Agent(Protocol):
    """One role of a node in the market. It keeps nothing that the view could not tell it again."""

    def see(self, fact: Fact) -> None:
        """A fact was folded into the view: note what it may have made due."""
        ...

    def due(self) -> Iterable[Given]:
        """What has to be written now. Asked again after every fact and as time goes on; a duty whose record is on its
        way may be given again.
        """
        ...
