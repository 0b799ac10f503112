"""Policies from a folder: `consortium.cedarschema` and every `*.cedar` beside it."""

from __future__ import annotations

from pathlib import Path

from consortium.errors import ConfigurationError
from consortium.policy.engine import PolicyEngine

SCHEMA_FILE = "consortium.cedarschema"


def load_policies(folder: Path) -> PolicyEngine:
    """The engine of the policies in `folder`. Raises `ConfigurationError`."""
    schema, texts = read_policy_texts(folder)
    return PolicyEngine(schema, texts)


def read_policy_texts(folder: Path) -> tuple[str, dict[str, str]]:
    """The schema's text, and the policy texts by file name. Raises `ConfigurationError`."""
    try:
        schema = (folder / SCHEMA_FILE).read_text("utf-8")
        return schema, {path.name: path.read_text("utf-8") for path in sorted(folder.glob("*.cedar"))}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the policies in {folder} cannot be read: {error}") from error
