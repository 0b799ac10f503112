"""A party's records gathered for its summary: bills, cells of intervals, movements, corrections."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from consortium.energy.intervals import Cell, Interval, Span, grid_of, metered
from consortium.energy.opened import (
    Opened,
    Period,
    Role,
    Statement,
    Trade,
    frames,
    in_force,
    own_orders,
    reading_fields,
    readings,
    role,
    statements,
    versions,
)
from consortium.energy.payloads.market import Prices
from consortium.energy.payloads.money import Entry, EntryLine
from consortium.energy.payloads.settlement import Agreed
from consortium.energy.settlement import SUPPLY_FEED_IN, SUPPLY_PRICE

CARBON = "carbon"
_OUTSIDE = frozenset({"deposit", "withdrawal"})


@dataclass(frozen=True, slots=True)
class Bought:
    """Energy in Wh and its money in micro-units, fees not included; all of it positive.

    `supplied` was bought from the supplier, `sold_back` went back to it.
    """

    bought_wh: int = 0
    bought_value: int = 0
    sold_wh: int = 0
    sold_value: int = 0
    supplied_wh: int = 0
    supplied_value: int = 0
    sold_back_wh: int = 0
    sold_back_value: int = 0


@dataclass(frozen=True, slots=True)
class Money:
    """How the account changed, in micro-units, deposits and withdrawals left out: net = earned - paid - fees.

    A reversal lessens what it reverses.
    """

    paid: int = 0
    earned: int = 0
    fees: int = 0

    @property
    def net(self) -> int:
        """What the balance changed by."""
        return self.earned - self.paid - self.fees


@dataclass(frozen=True, slots=True)
class Correction:
    """Something of which several versions stand on the ledger: the ids of all, in order; `counts` is the one in force.

    A duplicate reading is listed too, though it changes nothing.
    """

    what: str
    start_ms: int
    ids: tuple[str, ...]
    counts: str


@dataclass(frozen=True, slots=True)
class Bill:
    """A contract's interval: its statements (`versions`, rising; the last one counts) and what the party is in it.

    `kind` is the contract's; without its frame it is told by the bill's clauses.
    """

    role: Role
    kind: str
    versions: tuple[Statement, ...]

    @property
    def last(self) -> Statement:
        """The statement that counts."""
        return self.versions[-1]

    @property
    def currency(self) -> str:
        """The last statement's currency; '' if its terms could not be opened."""
        return self.last.terms.currency if self.last.terms else ""


def bills(records: Sequence[Opened], party: str, period: Period) -> list[Bill]:
    """The bills of contracts in which `party` is a side."""
    known = frames(records)
    found = []
    for (contract, _), items in statements(records, period).items():
        part = role(contract, items, known, party)
        if part != "grid":
            chosen = tuple(versions(items, party))
            found.append(Bill(part, known[contract].kind if contract in known else _kind(chosen[-1]), chosen))
    return found


def _kind(statement: Statement) -> str:
    lines = statement.terms.lines if statement.terms else ()
    return lines[0].clause.partition(".")[0] if lines else "supply"


def bought(deals: Iterable[Trade], owed: Iterable[Bill]) -> Bought:
    """What was traded on the market, and with the supplier as its customer."""
    totals = dict.fromkeys(Bought.__dataclass_fields__, 0)
    for deal in deals:
        name = "bought" if deal.wh > 0 else "sold"
        totals[name + "_wh"] += abs(deal.wh)
        totals[name + "_value"] += deal.value if deal.wh > 0 else -deal.value
    for bill in owed:
        for line in bill.last.terms.lines if bill.last.terms and bill.role == "customer" else ():
            if line.clause == SUPPLY_PRICE:
                totals["supplied_wh"] += line.wh
                totals["supplied_value"] += line.amount
            elif line.clause == SUPPLY_FEED_IN:
                totals["sold_back_wh"] -= line.wh
                totals["sold_back_value"] -= line.amount
    return Bought(**totals)


def cells(
    records: Sequence[Opened], party: str, period: Period, owed: Sequence[Bill], deals: Sequence[Trade]
) -> list[Cell]:
    """The party's intervals in time order, with all that is known of each."""
    meter = _meter(records, party, period)
    orders = own_orders(records, party, period)
    spans = [*meter, *((order.start_ms, order.session_s) for order in orders)]
    spans += [(deal.start_ms, deal.session_s) for deal in deals]
    spans += [(bill.last.start_ms, bill.last.physical.interval_s) for bill in owed if bill.role == "customer"]
    found = grid_of(spans)
    places = _Places(found)
    for cell in found.values():
        read = metered(cell.start_ms, cell.interval_s, meter)
        if read is not None:
            cell.load_wh, cell.pv_wh = read
    for order in orders:
        cell = places(order.start_ms)
        cell.bid_wh += order.wh if order.side == "bid" else 0
        cell.ask_wh += order.wh if order.side == "ask" else 0
    for deal in deals:
        cell = places(deal.start_ms)
        cell.traded_wh += deal.wh
        cell.traded_cost += deal.value + deal.fee
    _settle(places, owed)
    _agree(places, records, party, period)
    return list(found.values())


def _meter(records: Sequence[Opened], party: str, period: Period) -> dict[Span, tuple[int, int]]:
    """(load, pv) by span, of the readings that count."""
    found = {}
    for span, items in readings(records, party, period).items():
        fields = reading_fields(in_force(items))
        if fields is not None:
            found[span] = (fields["load_wh"], fields["pv_wh"])
    return found


class _Places:
    """Finds the cell in which a moment lies."""

    def __init__(self, found: dict[int, Cell]) -> None:
        self._found = found
        self._starts = sorted(found)

    def __call__(self, start_ms: int) -> Cell:
        return self._found[self._starts[bisect_right(self._starts, start_ms) - 1]]

    def covers(self, start_ms: int) -> bool:
        """Whether any cell holds this moment."""
        place = bisect_right(self._starts, start_ms) - 1
        return place >= 0 and start_ms < self._starts[place] + self(start_ms).interval_s * 1000


def _settle(places: _Places, owed: Iterable[Bill]) -> None:
    """Every bill in its cell; a cell is settled by its supply contract's bill.

    An agreement's other side pays, or is paid, what it provides.
    """
    for bill in owed:
        terms = bill.last.terms
        if terms is None or not places.covers(bill.last.start_ms):
            continue
        cell = places(bill.last.start_ms)
        cell.billed += terms.amount + bill.last.physical.local_fee if bill.role == "customer" else -terms.amount
        if bill.role == "customer" and bill.kind == "supply":
            cell.settled = True
            cell.prices.update({line.clause: line.price for line in terms.lines})


def _agree(places: _Places, records: Iterable[Opened], party: str, period: Period) -> None:
    """What bilateral contracts moved, the last version of each."""
    known = frames(records)
    last: dict[tuple[str, int], Agreed] = {}
    for record in records:
        part = record.part(Agreed)
        if part is not None and period.holds(part.start_ms):
            key = (part.contract.hex(), part.start_ms)
            if key not in last or part.version > last[key].version:
                last[key] = part
    for (contract, start_ms), part in last.items():
        frame = known.get(contract)
        if (
            frame is not None
            and frame.kind != "flexibility"
            and places.covers(start_ms)
            and party in (frame.customer, frame.provider)
        ):
            places(start_ms).agreed_wh += part.wh if party == frame.customer else -part.wh


def money(records: Iterable[Opened], party: str, period: Period, currency: str) -> Money:
    """The movements of the party's accounts."""
    paid = earned = fees = 0
    for line in _lines(records, party, period, currency):
        amount, back = line.amount, line.kind == "reversal"
        if _is_fee(line) and (amount < 0) != back:
            fees -= amount
        elif (amount < 0) != back:
            paid -= amount
        else:
            earned += amount
    return Money(paid=paid, earned=earned, fees=fees)


def _lines(records: Iterable[Opened], party: str, period: Period, currency: str) -> Iterable[EntryLine]:
    seen: set[tuple[str, int]] = set()
    for record in records:
        entry = record.part(Entry)
        if entry is None or entry.owner != party or entry.currency != currency or not period.holds(entry.start_ms):
            continue
        if (entry.account, entry.sequence) not in seen:
            seen.add((entry.account, entry.sequence))
            yield from (line for line in entry.lines if line.kind not in _OUTSIDE and line.amount)


def _is_fee(line: EntryLine) -> bool:
    return line.kind == "fee" or (line.kind == "reversal" and line.clause.endswith("-fee"))


def carbon_values(records: Iterable[Opened], rows: Iterable[Interval]) -> list[int | None]:
    """The published g/kWh at each interval's start; of two values of one time the later record's."""
    series = [part for record in records if (part := record.part(Prices)) and part.series == CARBON]
    return [_value(series, row.start_ms) for row in rows]


def _value(series: Sequence[Prices], start_ms: int) -> int | None:
    for part in reversed(series):
        place = (start_ms - part.start_ms) // (part.interval_s * 1000)
        if 0 <= place < len(part.values):
            return part.values[place]
    return None


def corrections(records: Sequence[Opened], party: str, period: Period) -> tuple[Correction, ...]:
    """Readings and statements that stand on the ledger more than once, by time."""
    found = []
    for (start_ms, _), items in readings(records, party, period).items():
        if len(items) > 1:
            ids = tuple(item.id for item in items)
            found.append(Correction("reading", start_ms, ids, in_force(items).id))
    for bill in bills(records, party, period):
        if len(bill.versions) > 1:
            ids = tuple(item.id for item in bill.versions)
            found.append(Correction("statement", bill.last.start_ms, ids, bill.last.id))
    return tuple(sorted(found, key=lambda item: (item.start_ms, item.what, item.ids)))
