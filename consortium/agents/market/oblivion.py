"""What the market's agents must still know of what was erased: that they wrote it, and of what to compute nothing anew.

The view is folded without an erased record. So an agent could take its own record for unwritten, or find that what
follows from the rest differs from what stands on the ledger, and write it again. Neither may be.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from consortium.agents.market.duty import Duty
from consortium.energy.payloads.base import Part, read_part
from consortium.energy.retention import due_before, hours_of
from consortium.energy.view.known import Known
from consortium.ledger.state import LedgerState
from consortium.model.encoding import encode
from consortium.ports.keys import KeyCustody

_COMPUTED = frozenset({"reading", "order"})
"""The types from which others are computed: what is older than these are kept is computed no more."""
_CAUSED = frozenset({"payment", "payment-refused", "gate", "funded"})
"""These follow from one record each, or from time, whatever became of the others: they are always written."""


class Oblivion:
    """Knows by blinded tags which users' and sessions' hours are closed."""

    def __init__(self, member: str, custody: KeyCustody, state: Callable[[], LedgerState]) -> None:
        self._member = member
        self._custody = custody
        self._state = state
        self._closed: set[bytes] = set()

    def close(self, tags: Collection[bytes]) -> None:
        """These as well."""
        self._closed.update(tags)

    def tags(self, parts: Sequence[Part], known: Known | None) -> tuple[bytes, ...]:
        """What is closed by erasing a record: its users' and its session's hours. Nothing if time closes it anyhow."""
        if not parts or self._too_old(parts[0].start_ms):
            return ()
        return tuple(self._tag(name, hour) for name, hour in hours_of(parts, known))

    def own_ids(self) -> set[bytes]:
        """Ids of this member's records that are to be erased: they stand on the ledger, whatever is left of them."""
        erasures = self._state().governance.erasures.values()
        return {record for one in erasures if one.author in ("", self._member) for record in one.records}

    def forbids(self, duty: Duty) -> bool:
        """Whether it would be computed without something that was erased."""
        if duty.type in _CAUSED:
            return False
        if self._too_old(duty.start_ms):
            return True
        if not self._closed:
            return False
        parts = [part for section in duty.sections if (part := read_part(section.plaintext)) is not None]
        return any(self._tag(name, hour) in self._closed for name, hour in hours_of(parts))

    def _too_old(self, start_ms: int) -> bool:
        state = self._state()
        before = due_before(state.governance.settings.retention, state.time_ms)
        return any(start_ms < before[type] for type in _COMPUTED if type in before)

    def _tag(self, name: str, hour_ms: int) -> bytes:
        return self._custody.derive_id(encode(["closed", name, hour_ms]))
