"""Who holds which certificates: the fold of the certificate records in the ledger's order. Pure, no I/O.

It takes nobody's word: an event that issues, transfers or cancels a number twice, or that moves what is not the
giver's, is refused with a reason and changes nothing.

**Debt.** A corrected reading may take the energy away from under certificates that were used already. They stay used;
the producer owes as many, and its next issues are reduced by them. So at every moment the certificates that are in
use or held are exactly the metered energy plus what is owed, by producer.
"""

from __future__ import annotations

from collections.abc import Iterator

from consortium.energy.certificates.ranges import Change, Interval
from consortium.energy.payloads.settlement import Certificate

_EMPTY = Interval()


class Holdings:
    """All certificates that the reader's records tell of."""

    def __init__(self) -> None:
        self._intervals: dict[str, dict[int, Interval]] = {}
        self._owed: dict[str, int] = {}

    def apply(self, record: Certificate) -> str:
        """Fold the next record: '' if it stands, else why it was refused."""
        change = Change(
            record.event, record.use, record.first, record.count, record.cancelled, record.holder, record.giver
        )
        return self.change(record.producer, record.start_ms, change)

    def change(self, producer: str, start_ms: int, change: Change) -> str:
        """`apply` for an event by itself."""
        debt = self._debt_after(producer, change)
        if debt < 0:
            return "more is given up than is owed"
        after = self.interval(producer, start_ms).apply(change, producer)
        if isinstance(after, str):
            return after
        self._intervals.setdefault(producer, {})[start_ms] = after
        self._owed[producer] = debt
        return ""

    def interval(self, producer: str, start_ms: int) -> Interval:
        """The producer's certificates of the interval that starts then."""
        return self._intervals.get(producer, {}).get(start_ms, _EMPTY)

    def of(self, producer: str) -> Iterator[tuple[int, Interval]]:
        """The producer's intervals by start, oldest first."""
        return iter(sorted(self._intervals.get(producer, {}).items(), key=lambda item: item[0]))

    def owed(self, producer: str) -> int:
        """How many Wh of certificates the producer still has to give up."""
        return self._owed.get(producer, 0)

    def _debt_after(self, producer: str, change: Change) -> int:
        owed = self.owed(producer)
        if change.event != "withdrawn":
            return owed
        return owed + change.cancelled if change.giver is None else owed - change.count
