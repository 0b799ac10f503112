"""docs/configuration.md and consortium/config.py say the same."""

from __future__ import annotations

import pytest

from consortium import configuration_table
from consortium.config import Settings
from consortium.configuration_table import PAGE, settings_table, with_table


def test_the_page_has_the_table_of_the_code():
    page = PAGE.read_text("utf-8")
    assert with_table(page) == page, "run: python -m consortium.configuration_table"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_one_line_with_its_variable_and_its_meaning(name):
    lines = [line for line in settings_table().splitlines() if line.startswith(f"| `{name}` |")]
    assert len(lines) == 1
    assert f"| `CONSORTIUM_{name.upper()}` |" in lines[0]
    assert Settings.model_fields[name].description
    assert lines[0].count(" | ") == 3


def test_a_changed_default_shows(monkeypatch):
    before = settings_table()
    monkeypatch.setattr(Settings.model_fields["port"], "default", 1)
    assert settings_table() != before


def test_no_line_tells_where_this_machine_keeps_the_project():
    assert str(configuration_table.PAGE.parent.parent) not in settings_table()


def test_a_page_without_a_place_for_the_table_is_refused():
    with pytest.raises(ValueError, match="no place"):
        with_table("# Configuration\n")
