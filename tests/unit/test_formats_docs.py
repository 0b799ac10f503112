"""docs/formats.md names every word and string that the code uses on the wire."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from consortium.model.blocks import Block
from consortium.model.verdicts import BatchRefusal, RecordRefusal
from tests.vectors import make

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
