"""What a caller opened, sorted for those who show it: statements by version, trades, readings that count.

Everything here is a pure function over typed sections. It trusts the caller in one thing: that the records were
accepted by the ledger and pass the market's own rules of who may author what (who is settlement agent, who the grid
operator). What names its own author by what it says (a reading, an order, a statement) is checked here.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from consortium.energy.metering import READING
from consortium.energy.payloads.base import Part
from consortium.energy.payloads.contracts import ContractFrame
from consortium.energy.payloads.market import Order, TradeMoney, TradePoints, TradeTerms
from consortium.energy.payloads.settlement import StatementMoney, StatementPhysical, StatementTerms
from consortium.energy.readings import replaces
from consortium.errors import InvalidRequest
from consortium.model.names import Party

P = TypeVar("P", bound=Part)
Role = Literal["customer", "provider", "grid"]


@dataclass(frozen=True, slots=True)
class Opened:
    """A record as its reader sees it.

    `id` is hex, `index` its place in the tree, `type` of its payload, `author` the member that signed it, `parts` the
    sections that could be opened: typed ones, and a reading's as the fields of `metering.read_payload`. `created_ms`
    is when its author made it, UTC ms (0: not asked for).
    """

    id: str
    index: int
    type: str
    author: str
    parts: tuple[Part | Mapping[str, Any], ...]
    created_ms: int = 0

    def part(self, kind: builtins.type[P]) -> P | None:
        """The section of this kind, if it could be opened."""
        return next((part for part in self.parts if isinstance(part, kind)), None)


@dataclass(frozen=True, slots=True)
class Period:
    """From `start_ms` on, up to and without `end_ms`. Raises `InvalidRequest` if it is empty."""

    start_ms: int
    end_ms: int

    def __post_init__(self) -> None:
        if self.end_ms <= self.start_ms:
            raise InvalidRequest("a period ends after it starts", field="end")

    def holds(self, start_ms: int) -> bool:
        """Whether what starts at `start_ms` belongs to the period."""
        return self.start_ms <= start_ms < self.end_ms


@dataclass(frozen=True, slots=True)
class Statement:
    """One version of one side's computation. `contract` is hex, `amount` what the customer pays the provider."""

    id: str
    contract: str
    start_ms: int
    by: str
    version: int
    physical: StatementPhysical
    terms: StatementTerms | None
    money: StatementMoney | None


@dataclass(frozen=True, slots=True)
class Trade:
    """A market trade from one party's point of view: `wh`, `value` and `fee` are positive if it bought; a seller pays
    no fee.
    """

    id: str
    start_ms: int
    session_s: int
    wh: int
    price: int
    value: int
    fee: int
    currency: str


Key = tuple[str, int]
"""A contract (hex) and the start of an interval."""


def in_order(opened: Iterable[Opened]) -> list[Opened]:
    """Each record once, in the ledger's order."""
    return sorted({record.id: record for record in opened}.values(), key=lambda record: record.index)


def _speaks_for(author: str, party: str) -> bool:
    return Party.parse(party).member == author


def statements(opened: Iterable[Opened], period: Period) -> dict[Key, list[Statement]]:
    """Every statement by contract and interval, in the ledger's order; of a side's version the first one stands."""
    found: dict[Key, list[Statement]] = {}
    seen: set[tuple[Key, str, int]] = set()
    for record in opened:
        physical = record.part(StatementPhysical)
        if physical is None or not period.holds(physical.start_ms) or not _speaks_for(record.author, physical.by):
            continue
        key = (physical.contract.hex(), physical.start_ms)
        if (key, physical.by, physical.version) not in seen:
            seen.add((key, physical.by, physical.version))
            found.setdefault(key, []).append(_statement(record, physical))
    return found


def _statement(record: Opened, physical: StatementPhysical) -> Statement:
    return Statement(
        id=record.id,
        contract=physical.contract.hex(),
        start_ms=physical.start_ms,
        by=physical.by,
        version=physical.version,
        physical=physical,
        terms=record.part(StatementTerms),
        money=record.part(StatementMoney),
    )


def versions(found: Iterable[Statement], party: str) -> list[Statement]:
    """The versions of one contract and interval, one each, rising: the party's own computation if there is one."""
    chosen: dict[int, Statement] = {}
    for statement in found:
        if statement.version not in chosen or statement.by == party:
            chosen[statement.version] = statement
    return [chosen[version] for version in sorted(chosen)]


def role(contract: str, found: Iterable[Statement], frames: Mapping[str, ContractFrame], party: str) -> Role:
    """What `party` is in a contract; whoever is neither side reads it for the grid."""
    frame = frames.get(contract)
    sides = [(frame.customer, frame.provider)] if frame else []
    sides += [(item.money.customer, item.money.provider) for item in found if item.money]
    for customer, provider in sides:
        if party == customer:
            return "customer"
        if party == provider:
            return "provider"
    return "grid"


def frames(opened: Iterable[Opened]) -> dict[str, ContractFrame]:
    """The frames of contracts by the contract's id in hex."""
    return {record.id: frame for record in opened if (frame := record.part(ContractFrame))}


def trades(opened: Iterable[Opened], party: str, period: Period) -> Iterator[Trade]:
    """The party's own trades, each (gate and number) once."""
    seen: set[tuple[bytes, int]] = set()
    for record in opened:
        points, terms = record.part(TradePoints), record.part(TradeTerms)
        if points is None or terms is None or not period.holds(terms.start_ms) or (terms.gate, terms.number) in seen:
            continue
        seen.add((terms.gate, terms.number))
        if party in (terms.buyer, terms.seller):
            yield _trade(record, points, terms, 1 if party == terms.buyer else -1)


def _trade(record: Opened, points: TradePoints, terms: TradeTerms, sign: int) -> Trade:
    money = record.part(TradeMoney)
    fee = (money.fee if money else points.fee) if sign > 0 else 0
    return Trade(
        record.id,
        terms.start_ms,
        points.session_s,
        sign * points.wh,
        terms.price,
        sign * terms.value,
        fee,
        terms.currency,
    )


def readings(opened: Iterable[Opened], party: str, period: Period) -> dict[tuple[int, int], list[Opened]]:
    """All readings of `party` by start and length of their interval, in the ledger's order, by its own member."""
    found: dict[tuple[int, int], list[Opened]] = {}
    for record in opened:
        fields = reading_fields(record)
        if fields is None or fields["subject"] != party or not _speaks_for(record.author, party):
            continue
        if period.holds(fields["start_ms"]):
            found.setdefault((fields["start_ms"], fields["interval_s"]), []).append(record)
    return found


def reading_fields(record: Opened) -> Mapping[str, Any] | None:
    """A reading's fields, or None of any other record."""
    for part in record.parts:
        if not isinstance(part, Part) and part.get("type") == READING:
            return part
    return None


def in_force(found: list[Opened]) -> Opened:
    """The reading of one interval that counts, by the rule of `energy.readings`."""
    chosen = found[0]
    for record in found[1:]:
        if replaces(_quality(record), _quality(chosen)):
            chosen = record
    return chosen


def _quality(record: Opened) -> str:
    fields = reading_fields(record)
    return str(fields["quality"]) if fields else ""


def own_orders(opened: Iterable[Opened], party: str, period: Period) -> list[Order]:
    """The party's orders, each as its own member signed it, whatever became of them."""
    found = []
    for record in opened:
        order = record.part(Order)
        if order is not None and order.owner == party and period.holds(order.start_ms):
            found += [order] if _speaks_for(record.author, party) else []
    return found
