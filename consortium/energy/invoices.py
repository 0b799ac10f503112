"""An invoice: what a party owes and is owed in a period, contract by contract, each line with its records.

An amount is what the party pays; a negative one is paid to it. Nothing is netted away: of a corrected statement the
original stands, then its reversal, then the new one, and their sum is what is owed in the end.

A line is *paid* when a movement of the party's account names its record as the cause (an amount of 0 needs none),
*disputed* while the two sides' statements of that version differ, else *open*. What was replaced before it was paid
is open together with its reversal, so the two come to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from consortium.energy.gathering import Bill, bills
from consortium.energy.opened import Opened, Period, Statement, Trade, in_order, statements, trades
from consortium.energy.payloads.money import Entry
from consortium.energy.payloads.settlement import Dispute
from consortium.energy.payments import GRID_FEE, LOCAL_FEE, TRADE_PRICE
from consortium.energy.shown import shown

State = Literal["paid", "open", "disputed"]
Kind = Literal["charge", "reversal", "correction"]
MARKET = "market"


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """Energy at one price by one clause: `wh` times `price` is `amount`, unless `price` is None (amounts only).

    `ids` are the records behind it (hex), `start_ms` and `last_ms` the starts of the first and the last interval.
    """

    clause: str
    kind: Kind
    state: State
    wh: int
    price: int | None
    amount: int
    start_ms: int
    last_ms: int
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Subtotal:
    """Amounts by state; `total` is their sum."""

    paid: int
    open: int
    disputed: int

    @property
    def total(self) -> int:
        """What the lines come to."""
        return self.paid + self.open + self.disputed


@dataclass(frozen=True, slots=True)
class Section:
    """One contract's lines; `contract` is its id in hex, or "market" for trades. `role` is the party's."""

    contract: str
    role: str
    lines: tuple[InvoiceLine, ...]
    subtotal: Subtotal


@dataclass(frozen=True, slots=True)
class Invoice:
    """A party's invoice of a period."""

    party: str
    period: Period
    currency: str
    sections: tuple[Section, ...]
    total: Subtotal

    def as_json(self) -> dict[str, Any]:
        """JSON-ready: ids in hex, times RFC 3339, every subtotal with its `total`."""
        fields: dict[str, Any] = shown(self)
        fields["total"]["total"] = self.total.total
        for section, given in zip(self.sections, fields["sections"], strict=True):
            given["subtotal"]["total"] = section.subtotal.total
        return fields


def invoice(opened: Iterable[Opened], party: str, period: Period, currency: str = "USD") -> Invoice:
    """The invoice over whatever of the statements, trades, payments, disputes and contracts `party` may open."""
    records = in_order(opened)
    known = _States(records, party, period)
    by_contract: dict[tuple[str, str], list[InvoiceLine]] = {}
    for bill in bills(records, party, period):
        lines = [line for line in _billed(bill, known) if bill.currency == currency]
        by_contract.setdefault((bill.last.contract, bill.role), []).extend(lines)
    for trade in trades(records, party, period):
        if trade.currency == currency:
            by_contract.setdefault((MARKET, "customer"), []).extend(_traded(trade, known))
    sections = tuple(
        Section(contract, role, grouped, subtotal(grouped))
        for (contract, role), lines in sorted(by_contract.items())
        if (grouped := group(lines))
    )
    return Invoice(
        party, period, currency, sections, subtotal([line for section in sections for line in section.lines])
    )


def group(lines: Iterable[InvoiceLine]) -> tuple[InvoiceLine, ...]:
    """Lines of one clause, kind, state and price as one, in the order in which they first came."""
    found: dict[tuple[Any, ...], list[InvoiceLine]] = {}
    for line in sorted(lines, key=lambda line: line.start_ms):
        found.setdefault((line.clause, line.kind, line.state, line.price), []).append(line)
    return tuple(_joined(items) for items in found.values())


def _joined(items: Sequence[InvoiceLine]) -> InvoiceLine:
    first = items[0]
    return InvoiceLine(
        first.clause,
        first.kind,
        first.state,
        sum(item.wh for item in items),
        first.price,
        sum(item.amount for item in items),
        first.start_ms,
        items[-1].last_ms,
        tuple(dict.fromkeys(id for item in items for id in item.ids)),
    )


def subtotal(lines: Iterable[InvoiceLine]) -> Subtotal:
    """What the lines come to, by state."""
    sums: dict[State, int] = {"paid": 0, "open": 0, "disputed": 0}
    for line in lines:
        sums[line.state] += line.amount
    return Subtotal(sums["paid"], sums["open"], sums["disputed"])


class _States:
    """Which records are paid, and which versions of which statements are disputed."""

    def __init__(self, records: Sequence[Opened], party: str, period: Period) -> None:
        self.paid: set[str] = set()
        self._disputed: set[tuple[str, int, int]] = set()
        self._twins: dict[tuple[str, int, int], set[str]] = {}
        for record in records:
            entry, dispute = record.part(Entry), record.part(Dispute)
            if entry is not None and entry.owner == party:
                self.paid.update(line.cause.hex() for line in entry.lines if line.kind != "reversal")
            if dispute is not None:
                self._disputed.add((dispute.contract.hex(), dispute.start_ms, dispute.version))
        for (contract, start_ms), items in statements(records, period).items():
            for item in items:
                self._twins.setdefault((contract, start_ms, item.version), set()).add(item.id)

    def of(self, contract: str, start_ms: int, version: int, moves: int) -> State:
        """The state of one version of a bill that moves `moves` in all."""
        key = (contract, start_ms, version)
        if self._twins.get(key, set()) & self.paid:
            return "paid"
        if key in self._disputed:
            return "disputed"
        # Nothing moves for nothing: it is settled once both sides said the same.
        return "paid" if not moves and len(self._twins.get(key, ())) > 1 else "open"


def _billed(bill: Bill, known: _States) -> Iterator[InvoiceLine]:
    """The lines of every version: the first is the charge, and each later one reverses the one before it."""
    states = [known.of(item.contract, item.start_ms, item.version, _moves(item)) for item in bill.versions]
    for number, item in enumerate(bill.versions):
        last, state = number == len(bill.versions) - 1, states[number]
        yield from _lines(
            bill, item, "correction" if number else "charge", state if last or state == "paid" else "open"
        )
        if not last:
            # What was paid goes back with the payment of a later version, and not before.
            later = "paid" if "paid" in states[number + 1 :] else states[-1]
            back: State = later if state == "paid" else "open"
            yield from _lines(bill, item, "reversal", back, bill.versions[number + 1].id)


def _moves(item: Statement) -> int:
    """Whether anything has to move for a statement: not 0 if so."""
    physical = item.physical
    return abs(item.terms.amount if item.terms else 0) + abs(physical.grid_fee) + abs(physical.local_fee)


def _lines(bill: Bill, item: Statement, kind: Kind, state: State, *more: str) -> Iterator[InvoiceLine]:
    """A statement's lines from the party's side; of the provider also the grid fee that it hands on, of the customer
    the fee for a neighbour's energy.
    """
    sign = -1 if kind == "reversal" else 1
    side = sign if bill.role == "customer" else -sign
    ids = (item.id, *more)
    for line in item.terms.lines if item.terms else ():
        yield InvoiceLine(
            line.clause, kind, state, side * line.wh, line.price, side * line.amount, item.start_ms, item.start_ms, ids
        )
    provides, wh = bill.role == "provider", item.physical.wh_out
    fee = item.physical.grid_fee if provides else item.physical.local_fee
    if fee:
        price, clause = fee // wh if wh and fee % wh == 0 else None, GRID_FEE if provides else LOCAL_FEE
        yield InvoiceLine(clause, kind, state, sign * wh, price, sign * fee, item.start_ms, item.start_ms, ids)


def _traded(trade: Trade, known: _States) -> Iterator[InvoiceLine]:
    settled = trade.id in known.paid or not (trade.value or trade.fee)
    state: State = "paid" if settled else "open"
    at, ids = trade.start_ms, (trade.id,)
    yield InvoiceLine(TRADE_PRICE, "charge", state, trade.wh, trade.price, trade.value, at, at, ids)
    if trade.fee:
        price = trade.fee // trade.wh if trade.fee % trade.wh == 0 else None
        yield InvoiceLine(LOCAL_FEE, "charge", state, trade.wh, price, trade.fee, at, at, ids)
