"""Trimming: the log is transport. What every member that is still there has cosigned need not stay in it.

A node deletes only its own batches, never its newest: the log must always show how far each member came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from consortium.errors import OperatorError, PeerError
from consortium.ledger.state import LedgerState
from consortium.pipeline.apply import Applier
from consortium.ports.ledger import LedgerStore
from consortium.ports.log import OrderingLog
from consortium.ports.witness import WitnessStore


class Trimmer:
    """Trims this member's part of the log.

    `keep_batches` of its newest batches stay in any case; members whose latest batch is older than `away_ms` by the
    ledger's time are not waited for: they catch up from the other members' nodes. For these nothing goes that a quorum
    has not cosigned (`witnessed` tells up to which tree size one has): they could not prove what they are given. Who
    was removed is not waited for either.
    """

    def __init__(
        self,
        member: str,
        log: OrderingLog,
        store: LedgerStore,
        witness: WitnessStore,
        applier: Applier,
        witnessed: Callable[[], int],
        *,
        interval_s: float,
        keep_batches: int,
        away_ms: int,
    ) -> None:
        self._member = member
        self._log = log
        self._store = store
        self._witness = witness
        self._applier = applier
        self._witnessed = witnessed
        self._interval_s = interval_s
        self._keep = max(1, keep_batches)
        self._away_ms = away_ms
        self._trimmed = 0

    async def run(self) -> None:
        """Trim for ever."""
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self.trim()
            except (OperatorError, PeerError):  # a changed row is for the node's own check to name
                continue

    async def trim(self) -> int:
        """One round; the number of batches deleted."""
        state = self._applier.state
        safe = await self._safe_size(state)
        if not self._witnessed():  # an empty tree nobody cosigns: who comes late could not be proved even its blocks
            return 0
        low, high = self._trimmed, state.next_sequence(self._member) - self._keep
        while low < high:  # the first own batch whose block is not yet cosigned by all
            middle = (low + high) // 2
            block = await self._store.block_of_batch(self._member, middle)
            if block is not None and block.size <= safe:
                low = middle + 1
            else:
                high = middle
        if low <= self._trimmed:
            return 0
        removed = await self._log.trim(low)
        self._trimmed = low
        return removed

    async def _safe_size(self, state: LedgerState) -> int:
        sizes = await self._witness.member_sizes()
        latest = {member.name: state.members[member.name].latest_ms for member in state.governance.members}
        waited_for = [name for name, ms in latest.items() if ms is not None and ms >= state.time_ms - self._away_ms]
        return min([self._witnessed(), *(sizes.get(name, 0) for name in waited_for)])
