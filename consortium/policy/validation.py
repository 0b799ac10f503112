"""What a policy set must pass before it decides anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cedarpy

from consortium.errors import ConfigurationError


def parsed_schema(text: str) -> cedarpy.Schema:
    """The schema. Raises `ConfigurationError`."""
    try:
        return cedarpy.Schema.from_str(text)
    except ValueError as error:
        raise ConfigurationError(f"the policy schema does not parse: {error}") from error


@dataclass(frozen=True, slots=True)
class Rule:
    """One policy: its `@id`, the file that it stands in, what it `@says` in a sentence (may be '')."""

    id: str
    file: str
    says: str


def checked_policies(schema: cedarpy.Schema, texts: Mapping[str, str]) -> tuple[cedarpy.PolicySet, Mapping[str, Rule]]:
    """All policies as one set, and by id what they are. Raises `ConfigurationError` that names the file, and the policy
    by its `@id`.
    """
    rules: dict[str, Rule] = {}
    for name in sorted(texts):
        for rule in _check_file(schema, name, texts[name]):
            if rule.id in rules:
                raise ConfigurationError(f"{name}: the policy id {rule.id} is taken by {rules[rule.id].file}")
            rules[rule.id] = rule
    if not rules:
        raise ConfigurationError("there are no policies", hint="nothing would be permitted; check the folder")
    return cedarpy.PolicySet.from_str("\n".join(texts[name] for name in sorted(texts))), rules


def _check_file(schema: cedarpy.Schema, name: str, text: str) -> list[Rule]:
    try:
        nodes = cedarpy.policies_to_pst(text)
    except ValueError as error:
        raise ConfigurationError(f"{name}: it does not parse: {error}") from error
    if nodes.templates:
        raise ConfigurationError(f"{name}: templates are not used here")
    ids = {number: policy.annotations.get("id") for number, policy in nodes.static_policies.items()}
    nameless = [number for number, policy_id in ids.items() if not policy_id]
    if nameless:
        raise ConfigurationError(f'{name}: {nameless[0]} has no @id("...")', hint="policies count from policy0")
    _validate(schema, name, text)
    says = {number: policy.annotations.get("says") for number, policy in nodes.static_policies.items()}
    return [Rule(policy_id, name, says[number] or "") for number, policy_id in ids.items() if policy_id]


def _validate(schema: cedarpy.Schema, name: str, text: str) -> None:
    result = cedarpy.validate_policies(text, schema)
    if result.validation_passed:
        return
    names = result.id_annotations_by_policy_id
    faults = "; ".join(f"{names.get(e.policy_id, e.policy_id)}: {e.error}" for e in result.errors)
    raise ConfigurationError(f"{name}: {faults or 'not valid'}")
