"""A home's intervals: what was ordered, traded, metered and billed in each, and what its forecast error cost.

Against retail alone an interval is explained without a remainder:

    saved against retail = trading gain - forecast cost

The *forecast cost* is what the home lost on energy that it traded and its meter then did not need: bought and sold
back at the feed-in price, or sold and bought at the retail price. With a perfect forecast it would not have ordered
it, so its cost is 0. What it ordered too little of cost no money, only a chance (`missed_wh`). The *trading gain* is
what the rest of its trades and agreements brought; no order within its limit makes it negative.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from consortium.energy.forecast import rounded
from consortium.energy.settlement import SUPPLY_FEED_IN, SUPPLY_PRICE

Retail = Callable[[int, int], tuple[int, int] | None]
"""(start_ms, interval_s) -> the supply contract's (price, feed-in price) in micro-units per Wh, if known."""

Span = tuple[int, int]
"""Start in UTC milliseconds and length in seconds."""


@dataclass(slots=True)
class Cell:
    """What is gathered about one interval. Energy towards the home is positive, money that it pays is positive."""

    start_ms: int
    interval_s: int
    load_wh: int | None = None
    pv_wh: int = 0
    bid_wh: int = 0
    ask_wh: int = 0
    traded_wh: int = 0
    traded_cost: int = 0
    agreed_wh: int = 0
    billed: int = 0
    settled: bool = False
    prices: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Interval:
    """One interval explained. Signed energies are demand if positive, surplus if negative.

    `error_wh` is ordered less metered; `excess_wh` was traded and not needed, `missed_wh` needed and not ordered.
    `cost` is what the home pays by its trades, fees and bills, `retail_cost` what the same import and export would
    have cost with the supplier alone; both None until the interval is settled and its prices are known.
    """

    start_ms: int
    interval_s: int
    used_wh: int
    made_wh: int
    import_wh: int
    export_wh: int
    ordered_wh: int
    traded_wh: int
    agreed_wh: int
    metered_wh: int
    error_wh: int
    excess_wh: int
    missed_wh: int
    cost: int | None
    retail_cost: int | None
    saved_against_retail: int | None
    trading_gain: int | None
    forecast_cost: int | None


def grid_of(spans: Iterable[Span]) -> dict[int, Cell]:
    """Non-overlapping cells that cover all spans, by start: a finer span joins the coarser one that it lies in."""
    cells: dict[int, Cell] = {}
    end = -1
    for start_ms, length in sorted(set(spans), key=lambda span: (span[0], -span[1])):
        if start_ms >= end:
            cells[start_ms] = Cell(start_ms, length)
            end = start_ms + length * 1000
    return cells


def metered(start_ms: int, length_s: int, pieces: dict[Span, tuple[int, int]]) -> tuple[int, int] | None:
    """(load, pv) of a span from readings of 15, 30 or 60 minutes; None if any piece is missing.

    Where readings overlap, the finer ones count if they are complete, so that nothing counts twice.
    """
    if length_s > 900:
        half = length_s // 2
        first, second = metered(start_ms, half, pieces), metered(start_ms + half * 1000, half, pieces)
        if first is not None and second is not None:
            return first[0] + second[0], first[1] + second[1]
    return pieces.get((start_ms, length_s))


def explain(cell: Cell, retail: Retail | None) -> Interval:
    """A cell whose meter was read, in words that a home can check."""
    load = cell.load_wh or 0
    net = load - cell.pv_wh
    ordered = cell.bid_wh - cell.ask_wh
    excess, missed = _apart(cell.traded_wh, net - cell.agreed_wh), _apart(net - cell.agreed_wh, ordered)
    price, feed_in = _prices(cell, retail, net, excess)
    cost = cell.traded_cost + cell.billed if cell.settled else None
    known = cost is not None and price is not None and feed_in is not None
    retail_cost = max(0, net) * (price or 0) - max(0, -net) * (feed_in or 0) if known else None
    saved = retail_cost - cost if retail_cost is not None and cost is not None else None
    loss = _loss(cell, excess, price or 0, feed_in or 0) if known else None
    return Interval(
        start_ms=cell.start_ms,
        interval_s=cell.interval_s,
        used_wh=load,
        made_wh=cell.pv_wh,
        import_wh=max(0, net),
        export_wh=max(0, -net),
        ordered_wh=ordered,
        traded_wh=cell.traded_wh,
        agreed_wh=cell.agreed_wh,
        metered_wh=net,
        error_wh=ordered - net,
        excess_wh=abs(excess),
        missed_wh=abs(missed),
        cost=cost,
        retail_cost=retail_cost,
        saved_against_retail=saved,
        trading_gain=None if saved is None or loss is None else saved + loss,
        forecast_cost=loss,
    )


def _apart(one: int, other: int) -> int:
    """What of `one` is not covered by `other`, with its sign: covered is what both have on the same side of zero."""
    if one >= 0:
        return one - min(one, max(0, other))
    return -_apart(-one, -other)


def _loss(cell: Cell, excess: int, price: int, feed_in: int) -> int:
    """What trading `excess` cost: its share of what the trades came to, less what the supplier gave or took for it."""
    if not excess:
        return 0
    share = rounded(cell.traded_cost * excess, cell.traded_wh)
    return share - excess * (feed_in if excess > 0 else price)


def _prices(cell: Cell, retail: Retail | None, net: int, excess: int) -> tuple[int | None, int | None]:
    """The retail and the feed-in price, from the bill's own lines first; what no energy needs counts as 0."""
    told = (retail(cell.start_ms, cell.interval_s) if retail else None) or (None, None)
    price = cell.prices.get(SUPPLY_PRICE, told[0])
    feed_in = cell.prices.get(SUPPLY_FEED_IN, told[1])
    if price is None and net <= 0 and excess >= 0:
        price = 0
    if feed_in is None and net >= 0 and excess <= 0:
        feed_in = 0
    return price, feed_in
