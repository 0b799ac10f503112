"""`tests/matrix.md` as the tests read it: three tables of cells, and what the words of their columns mean."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from consortium.energy.field_groups import TYPES
from consortium.policy.requests import Principal

LETTERS = {"P": "physical", "T": "terms", "M": "money", "I": "identity"}
GROUPS = frozenset(LETTERS.values())
WHO: dict[str, tuple[str, frozenset[str], frozenset[str]]] = {
    # column: kind of account, duties, what the member is
    "home": ("user", frozenset(), frozenset()),
    "billing": ("staff", frozenset({"billing"}), frozenset()),
    "metering": ("staff", frozenset({"metering"}), frozenset()),
    "trading": ("staff", frozenset({"trading"}), frozenset()),
    "operations": ("staff", frozenset({"operations"}), frozenset()),
    "none": ("staff", frozenset(), frozenset()),
    "operator": ("staff", frozenset({"trading"}), frozenset({"market-operator"})),
    "grid": ("staff", frozenset({"metering"}), frozenset({"grid-operator"})),
    "all duties": ("staff", frozenset({"billing", "metering", "trading"}), frozenset()),
    "officer": ("officer", frozenset(), frozenset()),
    "granted": ("officer", frozenset(), frozenset()),
    "administrator": ("administrator", frozenset(), frozenset()),
    "machine": ("machine", frozenset(), frozenset()),
    "service": ("service", frozenset(), frozenset()),
    "delegate": ("service", frozenset(), frozenset()),
    "peer": ("peer", frozenset(), frozenset()),
}


@dataclass(frozen=True)
class Cell:
    row: str
    column: str
    says: str

    def __str__(self):
        return f"{self.row}-{self.column}"


def principal(column: str) -> Principal:
    """Somebody of suncoop, as the column says."""
    kind, duties, _ = WHO[column]
    return Principal(kind, "home-01@suncoop" if kind == "user" else "somebody@suncoop", "suncoop", duties)


def groups(says: str) -> frozenset[str]:
    """What a cell of the first table stands for."""
    return GROUPS if says == "all" else frozenset(LETTERS[letter] for letter in says.replace("-", ""))


@cache
def tables() -> tuple[tuple[Cell, ...], ...]:
    """The cells of each table. Raises `ValueError` for a row that says a thing twice, or not for every column."""
    found: list[list[Cell]] = []
    columns: list[str] = []
    for line in Path(__file__).with_name("matrix.md").read_text().splitlines():
        words = [word.strip() for word in line.strip("|").split("|")]
        if not line.startswith("|"):
            columns = []
        elif not columns:
            columns = words[1:]
            found.append([])
        elif not set(line) <= set("|-"):
            if len(words) != len(columns) + 1 or any(cell.row == words[0] for cell in found[-1]):
                raise ValueError(line)
            found[-1] += [Cell(words[0], column, says) for column, says in zip(columns, words[1:], strict=True)]
    return tuple(tuple(cells) for cells in found)


def opened() -> dict[tuple[str, str], frozenset[str]]:
    """The first table: field groups by type of record and column, also for the types without a row of their own."""
    said = {(cell.row, cell.column): groups(cell.says) for cell in tables()[0]}
    rest = TYPES - {row for row, _ in said}
    return said | {
        (type, column): given for (row, column), given in said.items() if row == "any other" for type in rest
    }
