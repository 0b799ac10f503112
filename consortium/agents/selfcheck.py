"""A node's check of itself: replay its own store in slices, and compare every row with what follows from the log.

A byte that somebody changed in the database is named by table and place, in the log and in the status.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from consortium.audit.live import StoreAudit
from consortium.audit.report import Finding
from consortium.errors import OperatorError, PeerError, Tampering
from consortium.model.members import Genesis
from consortium.ports.ledger import LedgerStore
from consortium.ports.witness import WitnessStore

_MOST_BLOCKS = 20
_TURN_S = 0.02
"""About so long may a slice take: while it reads and compares rows nothing else of the node moves."""
_REST = 9
"""Times as much as a slice computed: the check takes a tenth of a core at the most, however long the ledger is. What it
waits for (other processes on a busy machine, Postgres) does not count, or a pass would come to no end there."""


class SelfCheck:
    """Goes over the whole ledger again and again, with a pause of `interval_s` between two passes."""

    def __init__(
        self,
        genesis: Genesis,
        store: LedgerStore,
        witness: WitnessStore,
        alarm: Callable[[Exception], None],
        *,
        interval_s: float,
    ) -> None:
        self._genesis = genesis
        self._store = store
        self._witness = witness
        self._alarm = alarm
        self._interval_s = interval_s
        self.checked_height = 0

    async def run(self) -> None:
        """Check for ever."""
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self._pass()
            except OperatorError:
                continue
            except PeerError as error:
                self._alarm(error)

    async def _pass(self) -> None:
        audit = StoreAudit(self._store, self._witness, self._genesis)
        blocks, began = 1, time.thread_time()
        while await audit.advance(blocks):
            self._tell(audit.findings)
            self.checked_height = audit.height
            took_s = time.thread_time() - began
            blocks = max(1, min(_MOST_BLOCKS, 2 * blocks, int(blocks * _TURN_S / max(took_s, 0.001))))
            await asyncio.sleep(_REST * took_s)
            began = time.thread_time()
        await audit.close()
        self._tell(audit.findings)

    def _tell(self, findings: list[Finding]) -> None:
        if findings:
            more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
            self._alarm(Tampering(f"the node's own database does not hold: {findings[0]}{more}"))
