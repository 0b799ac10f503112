"""The certificates of one producer and interval as ranges of numbers, and what one event does to them. Pure.

A number is never used twice, not even one that was withdrawn. States: **live** (somebody holds it), **used**
(cancelled on consumption), **given** (given up by the producer for its debt), **void** (withdrawn by a corrected
reading: no energy stands behind it). What is not void is **backed** by metered energy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from consortium.energy.payloads.settlement import Event, Use

State = Literal["live", "used", "given", "void"]


@dataclass(frozen=True, slots=True)
class Change:
    """One event: fields as in `payloads.settlement.Certificate`, without when and whose.

    Of an issue the first `cancelled` are self-consumed; of a transfer the first `cancelled` are consumed by the
    holder. A withdrawal without `giver` is of a correction, and `cancelled` of it had been used before: the producer
    owes them. One with `giver` (the producer) makes a debt good. `trade` names the trade of a local transfer.
    """

    event: Event
    use: Use
    first: int
    count: int
    cancelled: int
    holder: str
    giver: str | None = None
    trade: bytes | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """The numbers `first` to `first + count - 1`, all alike."""

    first: int
    count: int
    state: State
    use: Use
    holder: str

    @property
    def end(self) -> int:
        """The first number after it."""
        return self.first + self.count


@dataclass(frozen=True, slots=True)
class Interval:
    """All certificates that a producer was ever issued for one interval: spans from 0 on without a gap."""

    spans: tuple[Span, ...] = ()

    @property
    def issued(self) -> int:
        """How many numbers were issued: the next number."""
        return self.spans[-1].end if self.spans else 0

    def count(self, *states: State, use: Use | None = None) -> int:
        """How many numbers are in one of these states, and of this use if one is named."""
        return sum(s.count for s in self.spans if s.state in states and (use is None or s.use == use))

    @property
    def backed(self) -> int:
        """How many stand on metered energy: the metered PV in Wh."""
        return self.issued - self.count("void")

    def apply(self, change: Change, producer: str) -> Interval | str:
        """The interval after an event, or why the event cannot be."""
        if change.count <= 0 or not 0 <= change.cancelled <= change.count:
            return "an event is about at least one Wh, and cancels no more than it is about"
        if change.event == "issued":
            return self._issue(change, producer)
        if change.first + change.count > self.issued:
            return "not issued"
        if change.event == "withdrawn":
            return self._withdraw(change, producer)
        return self._move(change, producer)

    def _issue(self, change: Change, producer: str) -> Interval | str:
        if change.first != self.issued:
            return "issued already" if change.first < self.issued else "numbers are left out"
        if change.holder != producer or change.giver is not None:
            return "certificates are issued to their producer"
        new = _used_first(Span(change.first, change.count, "live", "self", producer), change.cancelled)
        return Interval(self.spans + new)

    def _move(self, change: Change, producer: str) -> Interval | str:
        """Transfer (from `giver` to `holder`) or cancel (by `holder`) what is live and theirs."""
        transfer = change.event == "transferred"
        owner = change.giver if transfer else change.holder
        if transfer and owner != producer:
            return "only the producer transfers"
        for span in self._within(change):
            if span.state != "live":
                return f"{span.state} already"
            if span.holder != owner:
                return "held by another"
        if not transfer and change.cancelled != change.count:
            return "a cancellation cancels all that it is about"
        whole = Span(change.first, change.count, "live", change.use, change.holder)
        return self._replaced(change, lambda _: whole, change.cancelled)

    def _withdraw(self, change: Change, producer: str) -> Interval | str:
        spans = self._within(change)
        if change.giver is None:
            if any(span.state == "void" for span in spans):
                return "withdrawn already"
            if sum(span.count for span in spans if span.state != "live") != change.cancelled:
                return "wrong count of those that were used before"
            return self._replaced(change, lambda span: replace(span, state="void"))
        if change.giver != producer or change.cancelled:
            return "only the producer gives up, and only what is not used"
        if any(span.state != "live" or span.holder != producer for span in spans):
            return "not the producer's to give up"
        return self._replaced(change, lambda span: replace(span, state="given"))

    def _within(self, change: Change) -> tuple[Span, ...]:
        """The parts of the spans that lie in the event's range."""
        return tuple(
            _cut(span, change.first, change.first + change.count) for span in self.spans if _meets(span, change)
        )

    def _replaced(self, change: Change, by: Callable[[Span], Span], used: int = -1) -> Interval:
        """With what lies in the event's range replaced: span by span, or (`used` given) by one, its first ones used."""
        end, inside = change.first + change.count, self._within(change)
        middle = _used_first(by(inside[0]), used) if used >= 0 else tuple(by(span) for span in inside)
        before = tuple(_cut(s, 0, change.first) for s in self.spans if s.first < change.first)
        after = tuple(_cut(s, end, s.end) for s in self.spans if s.end > end)
        return Interval(before + middle + after)


def _meets(span: Span, change: Change) -> bool:
    return span.first < change.first + change.count and change.first < span.end


def _cut(span: Span, first: int, end: int) -> Span:
    start = max(span.first, first)
    return replace(span, first=start, count=min(span.end, end) - start)


def _used_first(span: Span, used: int) -> tuple[Span, ...]:
    """The span with its first `used` numbers used and the rest as it is."""
    head = replace(span, count=used, state="used")
    rest = replace(span, first=span.first + used, count=span.count - used)
    return tuple(one for one in (head, rest) if one.count)
