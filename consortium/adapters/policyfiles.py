"""Policies from a folder: `consortium.cedarschema`, every `*.cedar` beside it, and examples in `examples/*.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path

from consortium.errors import ConfigurationError
from consortium.policy.engine import PolicyEngine
from consortium.policy.examples import Example, parse_examples

SCHEMA_FILE = "consortium.cedarschema"
EXAMPLES = "examples"


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


def load_examples(folder: Path) -> dict[str, tuple[Example, ...]]:
    """The examples beside the policies, by file name. Raises `ConfigurationError`, also if there are none."""
    found = {}
    for path in sorted((folder / EXAMPLES).glob("*.toml")):
        try:
            found[path.name] = parse_examples(path.name, tomllib.loads(path.read_text("utf-8")))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigurationError(f"the examples in {path} cannot be read: {error}") from error
    if not found:
        raise ConfigurationError(f"there are no examples in {folder / EXAMPLES}")
    return found
