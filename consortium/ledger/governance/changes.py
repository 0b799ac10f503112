"""What a proposal would change, in words: shown before the vote, worked out by the very code that would do it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from consortium.ledger.governance.effects import conflict, effect
from consortium.ledger.governance.state import Governance, ProposalState


def changes(governance: Governance, state: ProposalState, height: int, time_ms: int) -> tuple[str, ...]:
    """One line per thing that would be another one afterwards; that nothing can come of it if it conflicts by now."""
    reason = conflict(governance, state.terms, time_ms)
    if reason is not None:
        return (f"nothing: by now it would be refused ({reason})",)
    return tuple(_differences(governance, effect(governance, state, height, time_ms)))


def _differences(before: Governance, after: Governance) -> Iterator[str]:
    yield from _members(before, after)
    yield from _mapping("rule", _dumped(before.rules), _dumped(after.rules))
    yield from _mapping("setting", before.settings.model_dump(), after.settings.model_dump())
    if before.policy.digest != after.policy.digest:
        yield f"policy set: {_hex(before.policy.digest)} -> {_hex(after.policy.digest)}"
    for name in ("grants", "holds", "erasures", "releases"):
        old, new = getattr(before, name), getattr(after, name)
        yield from (
            f"{name[:-1]} {id.hex()}: {_state(old.get(id))} -> {_state(new[id])}"
            for id in new
            if old.get(id) != new[id]
        )


def _members(before: Governance, after: Governance) -> Iterator[str]:
    names = {member.name for member in (*before.members, *after.members)}
    for name in sorted(names):
        old, new = before.member(name), after.member(name)
        if old is None and new is not None:
            yield f"member {name}: admitted, roles {', '.join(new.roles) or 'none'}"
        elif new is None:
            yield f"member {name}: removed"
        elif old is not None and old.keys != new.keys:
            changed = [key for key, value in new.keys.as_dict().items() if value != old.keys.as_dict()[key]]
            yield f"member {name}: new keys ({', '.join(changed)})"
    if len(before.members) != len(after.members):
        yield f"quorum of cosignatures: {len(before.members) // 2 + 1} -> {len(after.members) // 2 + 1}"


def _mapping(what: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield f"{what} {name}: {before.get(name)} -> {after.get(name)}"


def _dumped(rules: Mapping[str, Any]) -> dict[str, Any]:
    return {name: f"{rule.needed} of {rule.voters}" for name, rule in rules.items()}


def _hex(digest: bytes | None) -> str:
    return digest.hex()[:16] if digest else "of the node's folder"


def _state(value: Any) -> str:
    if value is None:
        return "none"
    if getattr(value, "ended", None) is not None or getattr(value, "released", None) is not None:
        return "ended"
    return "confirmed" if getattr(value, "confirmed", False) else "in force"
