"""From a node's view to a day's totals by area and interval, under the market's group rule (`energy.analytics`).

A day is published once, when every home that had a grid contract as the day began was read in each of its intervals;
what comes after the last of these first readings (corrections, say) changes no total. So whoever asks, whenever, gets
the same figures or none, and there are no two versions to subtract. A meter that stays silent holds its day back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from consortium.energy.analytics import QUANTITIES, Table, prices, publish
from consortium.energy.contracts.terms import MarketTerms
from consortium.energy.groups import Contribution, Day, Rule, day
from consortium.energy.metering import to_rfc3339
from consortium.energy.payloads.market import Order
from consortium.energy.reports.markets import before_gate
from consortium.energy.view.meters import ReadingSeen
from consortium.energy.view.view import View
from consortium.energy.zones import covering, local_day, sessions

_WEIGHT = {"estimated": 0, "measured": 1, "corrected": 2}


@dataclass(frozen=True, slots=True)
class Published:
    """A day's totals; None while they are not due."""

    starts: tuple[int, ...]
    table: Table | None


def area_rows(view: View, terms: MarketTerms, from_ms: int, to_ms: int) -> list[dict[str, Any]]:
    """A row per area and interval of every local day that begins in the period: totals in Wh, None where suppressed.

    Days that are not due yet have one row without an area. `price` and `traded_wh` are the session's public ones.
    """
    rule = Rule(terms.group_k, terms.group_share_percent)
    found: list[dict[str, Any]] = []
    at = local_day(terms.zone, from_ms)
    while (starts := sessions(terms.zone, at, terms.session_s)) and starts[0] < to_ms:
        if starts[0] >= from_ms:
            found += _rows(view, terms, _published(view, terms, tuple(starts), rule))
        at += timedelta(days=1)
    return found


def _published(view: View, terms: MarketTerms, starts: tuple[int, ...], rule: Rule) -> Published:
    of = _day(view, terms, starts)
    if of is None:
        return Published(starts, None)
    before = local_day(terms.zone, starts[0]) - timedelta(days=1)
    earlier = _day(view, terms, tuple(sessions(terms.zone, before, terms.session_s)))
    # Mandates order by the day before: its table shows what the orders may repeat. See analytics, rule 5.
    echoes = [] if earlier is None else [(earlier, publish(earlier, rule))]
    return Published(starts, publish(of, rule, echoes))


def _day(view: View, terms: MarketTerms, starts: tuple[int, ...]) -> Day | None:
    """The day's contributions, or None if it is not complete."""
    length_ms = terms.session_s * 1000
    homes = [c.frame.customer for c in view.of_kind("grid")]
    expected = {home for home in homes if view.in_force("grid", home, starts[0]) is not None}
    first = [_first(view, home, start, length_ms) for home in expected for start in starts]
    known = [index for index in first if index is not None]
    if not first or len(known) < len(first):
        return None
    cutoff = max(known) + 1
    orders = _orders(view, terms, starts)
    everyone = sorted({*homes, *(home for home, _ in orders)})
    rows = [
        _row(view, terms, home, start, cutoff, orders.get((home, start), (0, 0)))
        for home in everyone
        for start in starts
    ]
    return day(starts, [row for row in rows if row is not None], cutoff)


def _pieces(view: View, home: str, start_ms: int, length_ms: int) -> list[list[ReadingSeen]]:
    """The home's readings of an interval by their own start and length, in the ledger's order."""
    known = view.meters.get(home)
    found: dict[tuple[int, int], list[ReadingSeen]] = {}
    hour = start_ms - start_ms % 3_600_000
    for start in range(hour, hour + 3_600_000, 900_000) if known else ():
        for seen in known.readings.get(start, ()) if known else ():
            if start < start_ms + length_ms and start + seen.reading.interval_s * 1000 > start_ms:
                found.setdefault((start, seen.reading.interval_s), []).append(seen)
    return list(found.values())


def _first(view: View, home: str, start_ms: int, length_ms: int) -> int | None:
    """Where the ledger first had the whole interval; None if it has not."""
    pieces: list[tuple[int, int, int]] = []
    for seen in sorted((group[0] for group in _pieces(view, home, start_ms, length_ms)), key=lambda one: one.index):
        pieces.append((seen.reading.start_ms, seen.reading.interval_s, 0))
        if covering(start_ms, length_ms // 1000, pieces) is not None:
            return seen.index  # what comes after it, in finer pieces say, does not move the cutoff
    return None


def _in_force(group: Sequence[ReadingSeen], cutoff: int) -> ReadingSeen | None:
    """What counted at the cutoff: see `energy.readings`."""
    chosen: ReadingSeen | None = None
    for seen in group:
        if seen.index >= cutoff:
            break
        weight = _WEIGHT[seen.reading.quality]
        if chosen is None or weight > _WEIGHT[chosen.reading.quality] or seen.reading.quality == "corrected":
            chosen = seen
    return chosen


def _row(
    view: View, terms: MarketTerms, home: str, start_ms: int, cutoff: int, ordered: tuple[int, int]
) -> Contribution | None:
    groups = _pieces(view, home, start_ms, terms.session_s * 1000)
    pieces = [seen for group in groups if (seen := _in_force(group, cutoff)) is not None]
    loads = [(s.reading.start_ms, s.reading.interval_s, s.reading.load_wh) for s in pieces]
    made = [(s.reading.start_ms, s.reading.interval_s, s.reading.pv_wh) for s in pieces]
    load, pv = covering(start_ms, terms.session_s, loads), covering(start_ms, terms.session_s, made)
    if load is None and not any(ordered):
        return None
    contract = view.in_force("grid", home, start_ms)
    area = (contract.frame.area if contract else None) or ""
    # What is no later than the cutoff counts, and orders are closed before their meter is read.
    return Contribution(home, area, start_ms, cutoff - 1, load, pv or 0, *ordered)


def _orders(view: View, terms: MarketTerms, starts: Sequence[int]) -> dict[tuple[str, int], tuple[int, int]]:
    """(bid Wh, ask Wh) by owner and session, of what was ordered before the gate."""
    found: dict[tuple[str, int], tuple[int, int]] = {}
    for start in starts:
        session = view.sessions.get((terms.name, start))
        for fact in before_gate(session) if session else ():
            order = fact.find(Order)
            if order is not None:
                bid, ask = found.get((order.owner, start), (0, 0))
                bids = order.side == "bid"
                found[order.owner, start] = (bid + order.wh * bids, ask + order.wh * (not bids))
    return found


def _rows(view: View, terms: MarketTerms, of: Published) -> list[dict[str, Any]]:
    table = of.table
    if table is None:
        day_words = {"start": to_rfc3339(of.starts[0]), "area": None, "interval_s": terms.session_s}
        return [{**day_words, "published": False}]
    outcomes = {
        start: one
        for start in of.starts
        if (session := view.sessions.get((terms.name, start))) is not None
        for one in prices(result for _, result in session.results.values())
    }
    rows = []
    for place, start in enumerate(of.starts):
        public = outcomes.get(start)
        for area in table.areas:
            cells = {quantity: table.cells[area, quantity, place] for quantity in QUANTITIES}
            rows.append(
                {
                    "start": to_rfc3339(start),
                    "area": area,
                    "interval_s": terms.session_s,
                    "published": True,
                    **{f"{quantity}_wh": value for quantity, value in cells.items()},
                    "suppressed": [quantity for quantity, value in cells.items() if value is None],
                    "price": public.price if public else None,
                    "traded_wh": public.wh if public else 0,
                }
            )
    return rows
