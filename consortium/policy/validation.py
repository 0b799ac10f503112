"""What a policy set must pass before it decides anything."""

from __future__ import annotations

from collections.abc import Mapping

import cedarpy

from consortium.errors import ConfigurationError


def parsed_schema(text: str) -> cedarpy.Schema:
    """The schema. Raises `ConfigurationError`."""
    try:
        return cedarpy.Schema.from_str(text)
    except ValueError as error:
        raise ConfigurationError(f"the policy schema does not parse: {error}") from error


def checked_policies(schema: cedarpy.Schema, texts: Mapping[str, str]) -> cedarpy.PolicySet:
    """All policies as one set. Raises `ConfigurationError` that names the file, and the policy by its `@id`."""
    owners: dict[str, str] = {}
    for name in sorted(texts):
        for policy_id in _check_file(schema, name, texts[name]):
            if policy_id in owners:
                raise ConfigurationError(f"{name}: the policy id {policy_id} is taken by {owners[policy_id]}")
            owners[policy_id] = name
    if not owners:
        raise ConfigurationError("there are no policies", hint="nothing would be permitted; check the folder")
    return cedarpy.PolicySet.from_str("\n".join(texts[name] for name in sorted(texts)))


def _check_file(schema: cedarpy.Schema, name: str, text: str) -> list[str]:
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
    return [policy_id for policy_id in ids.values() if policy_id]


def _validate(schema: cedarpy.Schema, name: str, text: str) -> None:
    result = cedarpy.validate_policies(text, schema)
    if result.validation_passed:
        return
    names = result.id_annotations_by_policy_id
    faults = "; ".join(f"{names.get(e.policy_id, e.policy_id)}: {e.error}" for e in result.errors)
    raise ConfigurationError(f"{name}: {faults or 'not valid'}")
