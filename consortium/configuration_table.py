"""The table of settings in docs/configuration.md, made from `consortium.config`.

`python -m consortium.configuration_table` writes it anew; a test holds file and code together.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from consortium.config import Settings

BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"
PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
_HEAD = "| setting | environment variable | default | meaning |\n|---|---|---|---|\n"


def settings_table() -> str:
    """A Markdown table with a line per setting, in the order of the class."""
    prefix = str(Settings.model_config.get("env_prefix", ""))
    return _HEAD + "".join(
        f"| `{name}` | `{prefix}{name.upper()}` | {_default(field)} | {field.description} |\n"
        for name, field in Settings.model_fields.items()
    )


def with_table(page: str) -> str:
    """The page with the table of the moment between its two marks. Raises `ValueError` if a mark is missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has no place for the table")
    return f"{before}{begin}\n{settings_table()}{end}{after}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**needed**"
    return _shown(field.get_default(call_default_factory=True))


def _shown(value: Any) -> str:
    if value in (None, "", {}):
        return "none"
    if isinstance(value, Path):
        return f"`{value.name}` beside the package"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8")), "utf-8")
