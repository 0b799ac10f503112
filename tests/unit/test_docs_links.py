"""Every relative link in the documentation leads somewhere, to a heading too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "consortium").rglob("*.md")])
_FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)


def text_of(page: Path) -> str:
    return _FENCE.sub("", page.read_text("utf-8"))


def links_of(page: Path) -> list[str]:
    """Targets of a page's links, without those to other hosts."""
    return [target for target in _LINK.findall(text_of(page)) if "://" not in target]


def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub gives to headings."""
    titles = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in _HEADING.findall(text_of(page))]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def leads_somewhere(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    other = (page.parent / path).resolve() if path else page
    if not other.exists() or not other.is_relative_to(ROOT):
        return False
    return not anchor or other.suffix != ".md" or anchor in anchors_of(other)


def broken(page: Path) -> list[str]:
    return [target for target in links_of(page) if not leads_somewhere(page, target)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    assert broken(page) == []


def test_the_pages_are_found_and_linked_from_the_readme():
    docs = {path for path in PAGES if path.parent == ROOT / "docs"}
    readme = {(ROOT / target.partition("#")[0]).resolve() for target in links_of(ROOT / "README.md")}
    assert len(docs) >= 8
    assert docs <= readme


def test_a_broken_link_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("# One two\n[a](gone.md) [b](#one-two) [c](#three) [d](https://example.org/x)\n```\n[e](x)\n```\n")
    assert broken(page) == ["gone.md", "#three"]
