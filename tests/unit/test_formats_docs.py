"""docs/formats.md names every word and string that the code uses on the wire."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import pytest

from consortium.energy.contracts.clauses import Clause
from consortium.energy.market.book import OrderRefusal
from consortium.energy.payloads import base, money, settlement
from consortium.energy.payloads.base import KINDS
from consortium.energy.payloads.money import EntryLine
from consortium.energy.payloads.settlement import Line
from consortium.ledger.governance.rules import Rule
from consortium.ledger.governance.settings import LedgerSettings
from consortium.ledger.governance.terms import TERMS
from consortium.model.blocks import Block
from consortium.model.public import BODIES
from consortium.model.scope import Scope
from consortium.model.verdicts import BatchRefusal, RecordRefusal
from tests.vectors import make
from tests.vectors.market import CAUSES

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "formats.md").read_text("utf-8")
STRINGS = sorted(
    {
        found
        for path in (ROOT / "consortium").rglob("*.py")
        for found in re.findall(r'b"(consortium[ /][^"]*)"', path.read_text("utf-8"))
    }
)


@pytest.mark.parametrize("string", STRINGS)
def test_every_domain_separation_is_listed(string):
    assert f"`{string}`" in TEXT


def test_personalisations_are_distinct_and_fit():
    persons = [s for s in STRINGS if s.startswith("consortium ")]
    assert len(persons) > 5
    assert len({s.encode().ljust(16, b"\0") for s in persons}) == len(persons)
    assert all(len(s) <= 16 for s in persons)


@pytest.mark.parametrize("word", [*BatchRefusal, *RecordRefusal])
def test_every_verdict_is_listed(word):
    assert f"| `{word}` |" in TEXT


def test_the_words_stand_in_the_order_of_the_checks():
    for words in (list(BatchRefusal), list(RecordRefusal)):
        assert sorted(words, key=lambda word: TEXT.index(f"| `{word}` |")) == words


@pytest.mark.parametrize("name", make.VECTORS)
def test_every_file_of_vectors_is_named(name):
    assert f"tests/vectors/{name}.json" in TEXT


def test_a_block_has_as_many_fields_as_the_table_says():
    section = TEXT.split("\n## Block\n")[1].split("\n## ")[0]
    rows = [n for row in re.findall(r"^\| ([0-9, ]+) \|", section, re.MULTILINE) for n in row.split(",")]
    assert [int(n) for n in rows] == list(range(len(Block.__slots__) + 1)), "the version, and every field"


# --- payloads ---

PAYLOADS = TEXT.split("\n## Payloads\n")[1].split("\n## ")[0]
WORDS = {
    base.Wh: "Wh",
    base.Price: "price",
    base.Amount: "amount",
    base.TimeMs: "time",
    base.RecordId: "id",
    base.Digest: "digest",
    base.PartyText: "party",
    base.Name: "name",
    base.IntervalS: "seconds",
    base.Currency: "currency",
    base.Text: "text",
    money.AccountName: "account",
    settlement.Version: "version",
    bool: "boolean",
    bytes: "bytes",
    int: "integer",
    str: "string",
    EntryLine: "entry line",
    Line: "line",
    dict[str, Any]: "map",
}


def kind_of(hint: Any) -> str:
    """A field's kind in the words of the page; a bound of its own does not change it."""
    if hint in WORDS:
        return WORDS[hint]
    arguments = get_args(hint)
    if type(None) in arguments:
        return f"{kind_of(arguments[0])} or null"
    if get_origin(hint) is Literal:
        return ", ".join(f"`{word}`" for word in arguments)
    if get_origin(hint) is tuple:
        return "list of " + " or ".join(dict.fromkeys(kind_of(one) for one in arguments if one is not ...))
    known = [word for alias, word in WORDS.items() if get_origin(alias) is Annotated and _within(hint, alias)]
    return known[0] if known else kind_of(arguments[0])


def _within(hint: Any, alias: Any) -> bool:
    """Whether the hint is the alias with more bounds: `Annotated` lays them one after the other."""
    inner = len(alias.__metadata__)
    return get_origin(hint) is Annotated and hint.__metadata__[:inner] == alias.__metadata__


def table_of(title: str) -> list[tuple[str, str]]:
    """The (field, kind) rows under a heading."""
    body = PAYLOADS.split(f"\n### {title}\n")[1].split("\n### ")[0]
    return re.findall(r"^\| `(\w+)` \| (.*?) \|", body, re.MULTILINE)


def rows_of(model: Any) -> list[tuple[str, str]]:
    hints = get_type_hints(model, include_extras=True)
    return [(name, kind_of(hints[name])) for name in model.model_fields if name != "start_ms"]


@pytest.mark.parametrize(("type", "part"), sorted(KINDS))
def test_every_field_of_a_section_is_listed_with_its_kind_in_its_order(type, part):
    title = f"`{type}`: `{part}`" if part else f"`{type}`"
    assert table_of(title) == rows_of(KINDS[type, part])
    body = PAYLOADS.split(f"\n### {title}\n")[1].split("\n### ")[0]
    assert body.count("\nReaders: ") == 1


def test_no_section_is_listed_that_is_not_there():
    titles = re.findall(r"^### (`.*`)$", PAYLOADS, re.MULTILINE)
    assert len(titles) == len(set(titles)) == len(KINDS)


@pytest.mark.parametrize("model", [Line, EntryLine])
def test_every_field_of_a_line_is_listed(model):
    title = {Line: "A line", EntryLine: "An entry line"}[model]
    assert table_of(title) == rows_of(model)


def test_a_field_that_is_not_listed_is_seen():
    class More(KINDS["gate", "gate"]):  # type: ignore[misc]
        TYPE = ""
        note: base.Text | None = None

    assert rows_of(More) == [*table_of("`gate`: `gate`"), ("note", "text or null")]


@pytest.mark.parametrize("word", [*Clause, *OrderRefusal])
def test_every_stable_word_of_the_market_is_listed(word):
    assert f"`{word}`" in TEXT


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: "-".join(str(one) for one in cause if isinstance(one, str)))
def test_every_cause_is_listed(cause):
    assert f"| `{cause[0]}`" in TEXT.split("\n## Derived record ids\n")[1].split("\n## ")[0]


def test_the_agents_have_no_other_causes():
    words = {
        word
        for path in (ROOT / "consortium" / "agents" / "market").glob("*.py")
        for word in re.findall(r'(?<!in_force)(?<! in )\("([a-z-]+)", ', path.read_text("utf-8"))
    }
    assert words == {cause[0] for cause in CAUSES}


# --- public records ---

PUBLIC = TEXT.split("\n## Public records\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("kind", sorted(BODIES))
def test_every_field_of_a_public_record_is_listed_in_its_order(kind):
    body = PUBLIC.split(f"\n### `{kind}`\n")[1].split("\n### ")[0]
    assert re.findall(r"^\| `(\w+)` \|", body, re.MULTILINE) == list(BODIES[kind].model_fields)


@pytest.mark.parametrize("kind", sorted(TERMS))
def test_every_term_of_a_proposal_is_listed_in_its_order(kind):
    (row,) = re.findall(rf"^\| `{kind}` \| (.*) \|$", PUBLIC, re.MULTILINE)
    named = re.sub(r"\([^)]*\)|: .*", "", row)
    assert re.findall(r"`(\w+)`", named) == list(TERMS[kind].model_fields)


@pytest.mark.parametrize("model", [Scope, LedgerSettings, Rule])
def test_every_field_within_the_terms_is_listed(model):
    assert all(f"`{name}`" in PUBLIC for name in model.model_fields)
