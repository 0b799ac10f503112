"""What a network begins with: the genesis' rules, settings and policy digest, or the defaults where it is silent."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from consortium.errors import Malformed
from consortium.ledger.governance.rules import KINDS, OWN, Rule, default_rules
from consortium.ledger.governance.settings import LedgerSettings
from consortium.ledger.governance.state import Governance, KeyPeriod, PolicySet, Standing
from consortium.model.members import Genesis


class _Constitution(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    rules: dict[str, Rule] = Field(default_factory=dict)
    settings: LedgerSettings = Field(default_factory=LedgerSettings)
    policy_set: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


def founded(genesis: Genesis) -> Governance:
    """What stands decided before the first block. Raises `Malformed` for a constitution that is none."""
    raw = _read(genesis.constitution)
    standings = {m.name: Standing(m.name, m.roles, (KeyPeriod(m.keys, 0),), 0, 0) for m in genesis.members}
    digest = bytes.fromhex(raw.policy_set) if raw.policy_set else None
    return Governance(
        genesis,
        standings,
        {**default_rules(), **raw.rules},
        raw.settings,
        PolicySet(digest, "", {}, 0),
        epoch=genesis.epoch,
    )


def constitution(policy_set: bytes, **more: Any) -> dict[str, Any]:
    """A constitution for a genesis: the digest of the policy set; `rules` and `settings` where they differ."""
    raw = {"policy_set": policy_set.hex(), **more}
    _read(raw)
    return raw


def _read(raw: Any) -> _Constitution:
    try:
        found = _Constitution.model_validate_json(json.dumps(dict(raw)), strict=True)
    except ValidationError as error:
        raise Malformed("the constitution of the genesis has a wrong field") from error
    if not set(found.rules) <= set(KINDS) - OWN:
        raise Malformed("the constitution has a rule for an unknown kind of proposal")
    return found
