"""Slows down guessing: after a few failures in a row, a name gets no further attempt for a while."""

from __future__ import annotations

from collections import OrderedDict

FAILURES = 5
DELAY_MS = 30_000
MAX_NAMES = 10_000


class Throttle:
    """Counts by name, whether an account of that name exists or not; bounded, the longest quiet name goes first."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def enter(self, name: str, now_ms: int) -> bool:
        """Whether an attempt may go on. It counts as failed from now on, so that parallel guesses gain nothing."""
        count, last_ms = self._counts.get(name, (0, 0))
        if count >= FAILURES and 0 <= now_ms - last_ms < DELAY_MS:
            return False
        self._counts[name] = count + 1, now_ms
        self._counts.move_to_end(name)
        if len(self._counts) > MAX_NAMES:
            self._counts.popitem(last=False)
        return True

    def succeeded(self, name: str) -> None:
        """The attempt was good: the count begins anew."""
        self._counts.pop(name, None)
