"""What the grid operator writes for one home and interval: certificates issued, transferred, used, withdrawn. Pure.

The numbers of an issue go, in this order, to what the home itself used, to the buyers of its local sales in the order
of the trades (as far as the meter exported), and to its retailer. The producer's debt is paid from the end of the
issue, before those are used: first the retailer goes without, then the last buyers, then the home itself.

A corrected reading with more PV issues further numbers, for the uses that its figures call for and that have none yet.
With less PV the last numbers that energy stood behind are withdrawn; of those the used ones are owed. A correction of
the load alone changes nothing: what was cancelled was cancelled in good faith, and no Wh counts twice by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from consortium.energy.certificates.ranges import Change, Interval, Span
from consortium.energy.payloads.base import TimeMs
from consortium.energy.payloads.settlement import Certificate
from consortium.errors import DefectError

NOTHING = Interval()


@dataclass(frozen=True, slots=True)
class Sold:
    """What a home sold in one trade. `consumed_wh` of it the buyer used at once (None: all), the rest it holds."""

    trade: bytes
    buyer: str
    wh: int
    consumed_wh: int | None = None


@dataclass(frozen=True, slots=True)
class Metering:
    """A producer's reading that counts, Wh, its trades in their order, and who takes the rest of its export."""

    producer: str
    retailer: str
    load_wh: int
    pv_wh: int
    sold: tuple[Sold, ...] = ()

    def split(self) -> tuple[int, int, int]:
        """The PV by use: (self, local, retail), Wh; together all of it."""
        own = min(self.load_wh, self.pv_wh)
        export = self.pv_wh - own
        local = min(sum(one.wh for one in self.sold), export)
        return own, local, export - local


def issue(metering: Metering, before: Interval = NOTHING, owed: int = 0) -> tuple[Change, ...]:
    """The events that bring a producer's certificates of an interval from `before` to what the meter says now.

    `owed` is the producer's debt when they are written. Nothing to do gives no events; after the first n of them a
    second call gives the rest, so that whoever is stopped between two of them goes on where it was.
    """
    changes = list(_withdrawn(before, before.backed - metering.pv_wh))
    state = _after(before, changes, metering.producer)
    owed += sum(change.cancelled for change in changes)
    for span in [s for s in state.spans if s.state == "live" and s.holder == metering.producer]:
        spread = list(_spread(metering, state, span.first, span.count, owed))
        owed -= sum(change.count for change in spread if change.event == "withdrawn")
        state, changes = _after(state, spread, metering.producer), changes + spread
    if metering.pv_wh > state.backed:
        changes += _further(metering, state, owed)
    return tuple(changes)


def consumed(imported_wh: int, bought_wh: Sequence[int]) -> list[int]:
    """How much of each of its purchases a buyer used: its metered import, spent on them in the order of the trades."""
    left, used = max(0, imported_wh), []
    for wh in bought_wh:
        used.append(min(wh, left))
        left -= used[-1]
    return used


def certificate(change: Change, producer: str, start_ms: TimeMs, interval_s: int, version: int) -> Certificate:
    """The record's section for an event; `version` is the reading's."""
    return Certificate(
        start_ms=start_ms,
        interval_s=interval_s,
        producer=producer,
        event=change.event,
        use=change.use,
        first=change.first,
        count=change.count,
        cancelled=change.cancelled,
        holder=change.holder,
        giver=change.giver,
        version=version,
    )


def _after(before: Interval, changes: Sequence[Change], producer: str) -> Interval:
    for change in changes:
        after = before.apply(change, producer)
        if isinstance(after, str):
            raise DefectError(f"certificates: {after}")
        before = after
    return before


def _further(metering: Metering, before: Interval, owed: int) -> Iterator[Change]:
    """New numbers for the PV that has none yet: what the home used at once, the rest spread."""
    more, first = metering.pv_wh - before.backed, before.issued
    wanted = max(0, metering.split()[0] - before.count("used", use="self"))
    own = min(wanted, more - min(owed, more))
    yield Change("issued", "self", first, more, own, metering.producer)
    yield from _spread(metering, before, first + own, more - own, owed)


def _spread(metering: Metering, before: Interval, first: int, count: int, owed: int) -> Iterator[Change]:
    """`count` numbers that the producer holds: the last ones pay its debt, then the buyers', the retailer's."""
    home, debt = metering.producer, min(owed, count)
    if debt:
        yield Change("withdrawn", "self", first + count - debt, debt, 0, home, home)
    done = before.count("used", "live", use="local")
    local = min(count - debt, max(0, metering.split()[1] - done))
    yield from _local(metering, first, local, done)
    retail = count - debt - local
    if retail:
        yield Change("transferred", "retail", first + local, retail, retail, metering.retailer, home)


def _local(metering: Metering, first: int, wh: int, done: int) -> Iterator[Change]:
    """`wh` numbers from `first` on to the buyers in the order of the trades, of which `done` Wh have theirs already."""
    for sold in metering.sold:
        skip = min(done, sold.wh)
        done -= skip
        count = min(wh, sold.wh - skip)
        if count:
            used = count if sold.consumed_wh is None else min(count, max(0, sold.consumed_wh - skip))
            yield Change("transferred", "local", first, count, used, sold.buyer, metering.producer, sold.trade)
        first, wh = first + count, wh - count


def _withdrawn(before: Interval, less: int) -> Iterator[Change]:
    """The last `less` backed numbers, an event for each stretch without a gap."""
    for span in reversed(before.spans):
        count = min(span.count, max(0, less))
        if span.state == "void" or not count:
            continue
        owed = 0 if span.state == "live" else count
        yield Change("withdrawn", span.use, span.end - count, count, owed, span.holder)
        less -= count


def uses(intervals: Sequence[Interval]) -> dict[str, int]:
    """Certificates in being by use, Wh: `self`, `local`, `retail`, and `held` (live, not used yet, by whomever)."""
    spans: list[Span] = [span for interval in intervals for span in interval.spans]
    totals = {use: sum(s.count for s in spans if s.use == use and s.state == "used") for use in _USES}
    return {**totals, "held": sum(s.count for s in spans if s.state == "live")}


_USES = ("self", "local", "retail")
