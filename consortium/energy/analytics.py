"""Totals for grid operator and market, and none from which one home's figures follow.

**The attacker** reads everything that is published, of all days, may ask any query that is offered as often as he
likes, and knows the rule, which home lies in which area, since when, who has panels, how homes forecast, and the
market's public prices and volumes. He may own fewer than `homes` - 1 of the homes in a total. He wants a figure of a
home that is not his own. What he may do is add and subtract published figures. So the rule is not about one total:
**whatever can be had by adding and subtracting must itself be a group's** (at least `homes` homes that contribute,
none with more than `share_percent`), or be known already. This is how:

1. *Fixed cells.* Only (area, interval) totals of one fixed interval length exist. A query is a union of whole cells;
   so two overlapping queries differ by whole cells, which are published anyhow. A query by homes is not offered.
2. *Whole days.* A home counts in all of a day's intervals or in none, and in one area (`groups.Day`): who joins or
   leaves during a day stands in no total of it. So no two cells of a day differ by a membership.
3. *Once.* A day is computed from what stood on the ledger before a fixed place, and never again: a late or corrected
   reading changes no total, and there are no two versions to subtract.
4. *Quantities hang together.* demand - import = generation - export = what homes used of their own, and demand -
   generation = import - export. A quantity is published only if all that follows from it and those already published
   passes the rule too; demand first, then import, generation, export.
5. *Orders echo meters.* Under a naive forecast a day's bids are an earlier day's import, its asks that day's export.
   They are published only where that earlier total is published, and the homes in which the two differ are none or
   pass the rule themselves, and no home of the area moved to another one. Nothing is published of orders without such
   an earlier day to compare with.
6. *The rest.* The sum over all areas may be known from elsewhere. What is suppressed of an interval, taken together,
   passes the rule or is nothing; else further cells are suppressed, the smallest first. The market's volume is public,
   and where all asks were filled it is their sum over all homes, and by the forecast an earlier day's export. So for
   asks, export and generation the homes outside the totals belong to that rest, and generation is published only
   where own use passes.

**Not covered**, since the market itself publishes its volume: a session in which *every bid* is filled shows the sum
of all bids; and a home that orders nothing on the next day is missing in a volume that else repeats a published
export. A market to which that matters leaves out `export` and `generation` (`publish(..., quantities=...)`).

Estimates from comparing days (a home joined, and the area's mean rose) are not excluded: no rule on totals can.
A suppressed cell is marked and says nothing of the reason. Prices are public to the market, so no rule is on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from consortium.energy.groups import Contribution, Day, Rule
from consortium.energy.payloads.market import Result
from consortium.errors import InvalidRequest

METERED = ("demand", "import", "generation", "export")
ORDERED = {"bids": "import", "asks": "export"}
QUANTITIES = (*METERED, *ORDERED)
_OWN = "own"
_NET = "net"
_FOLLOWS = {
    frozenset({"generation"}): (_OWN,),
    frozenset({"generation", "import"}): (_OWN,),
    frozenset({"demand", "import"}): (_OWN,),
    frozenset({"generation", "export"}): (_OWN,),
    frozenset({"demand", "generation"}): (_OWN, _NET, "import", "export"),
}
"""What quantities give away together, the market's volume (as export) at hand; three give away everything."""
_SUMMED_ELSEWHERE = frozenset({*ORDERED, "export", "generation"})
_EVERYTHING = (_OWN, "import", "export", _NET)

Cell = tuple[str, str, int]
"""(area, quantity, place of the interval in the day)."""


@dataclass(frozen=True, slots=True)
class Table:
    """A day's published totals in Wh; None is a suppressed cell. `starts` are the intervals' starts."""

    starts: tuple[int, ...]
    areas: tuple[str, ...]
    cells: Mapping[Cell, int | None]

    def total(self, quantity: str, areas: Iterable[str], starts: Iterable[int]) -> int | None:
        """The sum over whole cells, None if any of them is suppressed. Raises `InvalidRequest` for what is no cell."""
        wanted_areas, wanted = set(areas), set(starts)
        if quantity not in QUANTITIES or not wanted_areas <= set(self.areas) or not wanted <= set(self.starts):
            raise InvalidRequest(
                "totals exist of whole areas and intervals only", hint="quantities: " + ", ".join(QUANTITIES)
            )
        places = [place for place, start in enumerate(self.starts) if start in wanted]
        values = [self.cells[area, quantity, place] for area in wanted_areas for place in places]
        return sum(value for value in values if value is not None) if values and None not in values else None


def publish(
    of: Day, rule: Rule, echoes: Sequence[tuple[Day, Table]] = (), quantities: Sequence[str] = QUANTITIES
) -> Table:
    """The day's totals of `quantities`; what is left out is suppressed.

    `echoes` are the days that the day's orders may repeat, each with its own published table.

    An echo of another number of intervals (daylight saving) cannot be compared: then no orders are published.
    """
    areas = of.areas()
    cells: dict[Cell, int | None] = dict.fromkeys(
        (area, quantity, place) for area in areas for quantity in QUANTITIES for place in range(len(of.starts))
    )
    for place in range(len(of.starts)):
        for area in areas:
            for quantity in _allowed(of, rule, area, place, echoes, quantities):
                cells[area, quantity, place] = sum(_values(of, area, quantity, place).values())
        for quantity in QUANTITIES:
            _protect_rest(of, rule, cells, quantity, place)
    return Table(of.starts, areas, cells)


def measure(row: Contribution, quantity: str) -> int:
    """One home's figure of a quantity, or of what follows from several (own use, net)."""
    load, pv = row.load_wh or 0, row.pv_wh
    figures = {
        "demand": load,
        "generation": pv,
        "import": max(0, load - pv),
        "export": max(0, pv - load),
        "bids": row.bid_wh,
        "asks": row.ask_wh,
        _OWN: min(load, pv),
        _NET: load - pv,
    }
    return figures[quantity]


def _values(of: Day, area: str, quantity: str, place: int) -> dict[str, int]:
    return {home: measure(rows[place], quantity) for home, rows in of.roster.items() if rows[place].area == area}


def _allowed(
    of: Day, rule: Rule, area: str, place: int, echoes: Sequence[tuple[Day, Table]], quantities: Sequence[str]
) -> list[str]:
    """The quantities of a cell that may be published together."""

    def passes(quantity: str) -> bool:
        return rule.passes(_values(of, area, quantity, place).values())

    wanted = set(quantities)
    chosen: list[str] = []
    for quantity in METERED:
        if quantity in wanted and passes(quantity) and all(map(passes, _revealed({*chosen, quantity}))):
            chosen.append(quantity)
    for quantity in ORDERED:
        if quantity in wanted and passes(quantity) and _echoes_well(of, rule, area, quantity, place, echoes):
            chosen.append(quantity)
    return chosen


def _revealed(quantities: set[str]) -> tuple[str, ...]:
    """What follows from metered quantities by adding and subtracting, beside themselves."""
    return _EVERYTHING if len(quantities) > 2 else _FOLLOWS.get(frozenset(quantities), ())


def _echoes_well(
    of: Day, rule: Rule, area: str, quantity: str, place: int, echoes: Sequence[tuple[Day, Table]]
) -> bool:
    """Whether orders give away no more than what the echoes' tables show already, or a group's difference from it."""
    now = _values(of, area, quantity, place)
    for earlier, table in echoes:
        repeated = ORDERED[quantity]
        if len(earlier.starts) != len(of.starts) or table.cells.get((area, repeated, place)) is None:
            return False
        before = _values(earlier, area, repeated, place)
        if any(_moved(of, earlier, home) for home in {*now, *before}):
            return False
        differences = [now.get(home, 0) - before.get(home, 0) for home in {*now, *before}]
        if any(differences) and not rule.passes(differences):
            return False
    return bool(echoes)


def _moved(one: Day, other: Day, home: str) -> bool:
    """Whether a home lies in two areas: it would cancel out of their sum, and leave whoever is new alone."""
    return home in one.roster and home in other.roster and one.roster[home][0].area != other.roster[home][0].area


def _protect_rest(of: Day, rule: Rule, cells: dict[Cell, int | None], quantity: str, place: int) -> None:
    """Suppress further areas, the smallest first, until what is suppressed passes the rule or is nothing."""
    shown = sorted((value, area) for area in of.areas() if (value := cells[area, quantity, place]) is not None)
    rest, unread = _outside(of, place, quantity) if quantity in _SUMMED_ELSEWHERE else ([], False)
    for area in of.areas():
        if cells[area, quantity, place] is None:
            rest += _values(of, area, quantity, place).values()
    for _, area in shown:
        if rule.passes(rest) or not (unread or any(rest)):
            return
        cells[area, quantity, place] = None
        rest += _values(of, area, quantity, place).values()


def _outside(of: Day, place: int, quantity: str) -> tuple[list[int], bool]:
    """What homes outside the totals are known to add, and whether some may add what is not known yet: a meter that is
    read too late for the totals is still in time for an order.
    """
    start = of.starts[place]
    rows = [known.get(start) for known in of.rest.values()]
    read = [row for row in rows if row is not None and (quantity in ORDERED or row.load_wh is not None)]
    return [measure(row, quantity) for row in read], quantity not in ORDERED and len(read) < len(rows)


@dataclass(frozen=True, slots=True)
class MarketPrice:
    """A session's public outcome: `price` in micro-units per Wh (None without trades), `wh` what was traded."""

    market: str
    start_ms: int
    session_s: int
    price: int | None
    wh: int


def prices(results: Iterable[Result]) -> tuple[MarketPrice, ...]:
    """The market's prices and volumes by session: of several rounds the volumes' sum, and the last round's price."""
    found: dict[tuple[str, int], MarketPrice] = {}
    for result in sorted(results, key=lambda result: result.round):
        key = (result.market, result.start_ms)
        before = found.get(key)
        price = result.price if result.price is not None or before is None else before.price
        wh = result.wh + (before.wh if before else 0)
        found[key] = MarketPrice(result.market, result.start_ms, result.session_s, price, wh)
    return tuple(found[key] for key in sorted(found))
