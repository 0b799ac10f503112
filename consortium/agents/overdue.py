"""Looks, once in a while, who is late with disclosing: others at an officer's node, this node itself at any."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from consortium.errors import OperatorError


class OverdueWatch:
    """Tells `observe` by member how much is overdue; `own` counts this node's own lateness, in grants."""

    def __init__(
        self,
        member: str,
        others: Callable[[], Awaitable[Mapping[str, int]]],
        own: Callable[[], int],
        observe: Callable[[Mapping[str, int]], None],
        *,
        interval_s: float,
    ) -> None:
        self._member = member
        self._others = others
        self._own = own
        self._observe = observe
        self._interval_s = interval_s

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self.look()
            except OperatorError:
                continue

    async def look(self) -> None:
        """Look once."""
        found = dict(await self._others())
        if own := self._own():
            found[self._member] = own
        self._observe(found)
