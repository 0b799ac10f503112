"""Slows down guessing: after a few failures in a row, a name gets no further attempt for a while, ever longer.

A stranger who guesses can thus keep a name's owner out, but only from devices that they never signed in from: who
shows a device's token (`consortium.adapters.tokens.devices`) is counted apart.
"""

from __future__ import annotations

from collections import OrderedDict

FAILURES = 5
DELAY_MS = 30_000
LONGEST_MS = 15 * 60_000
MAX_NAMES = 10_000


class Throttle:
    """Counts by name, whether an account of that name exists or not; bounded, the longest quiet name goes first."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()

    def enter(self, name: str, now_ms: int, device: str = "") -> bool:
        """Whether an attempt may go on. It counts as failed from now on, so that parallel guesses gain nothing.

        One that may not go on counts nothing: whoever asks all the time does not make the delay longer.
        """
        key = name, device
        count, last_ms = self._counts.get(key, (0, 0))
        if count >= FAILURES and 0 <= now_ms - last_ms < delay_ms(count):
            return False
        self._counts[key] = count + 1, now_ms
        self._counts.move_to_end(key)
        if len(self._counts) > MAX_NAMES:
            self._counts.popitem(last=False)
        return True

    def succeeded(self, name: str, device: str = "") -> None:
        """The attempt was good: the count begins anew."""
        self._counts.pop((name, device), None)


def delay_ms(failures: int) -> int:
    """How long the next attempt waits after so many failures, from `FAILURES` on: doubled each time, within a bound."""
    return min(LONGEST_MS, DELAY_MS << min(failures - FAILURES, 16))
