"""The policy set in force is the ledger's: what was voted for decides from its height on, on every node alike."""

from __future__ import annotations

from collections.abc import Callable

from consortium.errors import ConfigurationError
from consortium.ledger.governance.state import Governance
from consortium.pipeline.access import Access
from consortium.policy.engine import PolicyEngine

_NOTHING = """@id("nothing")
@says("The policy set in force cannot be loaded: nothing is permitted.")
forbid (principal, action, resource);
"""


def engine_in_force(governance: Governance, folder: PolicyEngine) -> PolicyEngine:
    """The engine to start with: the one that was voted for, else the folder's, which must be the genesis'.

    Raises `ConfigurationError`.
    """
    policy = governance.policy
    if policy.texts:
        return PolicyEngine(policy.schema, policy.texts)
    if policy.digest is not None and policy.digest != folder.digest:
        raise ConfigurationError(
            "the policies in the folder are not the set that the ledger has in force",
            hint="set `policies` to the folder that belongs to the genesis; a change of policies is voted for",
        )
    return folder


def nothing_permitted(schema: str) -> PolicyEngine:
    """An engine that permits nothing. Raises `ConfigurationError` for a schema that is none."""
    return PolicyEngine(schema, {"nothing.cedar": _NOTHING})


class Ruling:
    """Follows what is decided. A set that this program cannot load denies everything, and raises an alarm."""

    def __init__(
        self, access: Access, nothing: PolicyEngine, now: Callable[[], Governance], alarm: Callable[[str], None]
    ) -> None:
        """`nothing` is an engine that permits nothing."""
        self._access = access
        self._nothing = nothing
        self._now = now
        self._alarm = alarm
        self._digest = access.policy_set

    def refresh(self) -> None:
        """Something was decided: decide by the set that is in force now."""
        policy = self._now().policy
        if not policy.texts or policy.digest is None or policy.digest == self._digest:
            return
        self._digest = policy.digest
        try:
            engine = PolicyEngine(policy.schema, policy.texts)
        except Exception:  # noqa: BLE001 - whatever it is: nothing is permitted by what cannot be read
            self._alarm("the policy set in force cannot be loaded by this program: nothing is permitted")
            engine = self._nothing
        self._access.replace(engine, policy.since)
