"""A market's session as this node sees it: orders, verdicts, gates, clearings, trades, results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from consortium.energy.payloads.base import Part
from consortium.energy.payloads.market import (
    Clearing,
    Difference,
    Funded,
    Gate,
    Order,
    OrderResult,
    Reserve,
    Result,
    TradeMoney,
    TradePoints,
    TradeTerms,
    Verdict,
)
from consortium.energy.view.facts import Fact


@dataclass(frozen=True, slots=True)
class Trade:
    """A trade's sections, as far as this node may read them."""

    id: bytes
    index: int
    points: TradePoints | None
    terms: TradeTerms | None
    money: TradeMoney | None


@dataclass(slots=True)
class Session:
    """One session. Orders, gates and trades stand in the order of the ledger."""

    market: str
    start_ms: int
    orders: dict[bytes, Fact] = field(default_factory=dict)
    verdicts: dict[bytes, Verdict] = field(default_factory=dict)
    gates: dict[bytes, Fact] = field(default_factory=dict)
    funded: set[bytes] = field(default_factory=set)
    clearings: dict[bytes, dict[str, tuple[bytes, Clearing]]] = field(default_factory=dict)
    differences: list[tuple[bytes, Difference]] = field(default_factory=list)
    trades: dict[bytes, Trade] = field(default_factory=dict)
    results: dict[bytes, tuple[bytes, Result]] = field(default_factory=dict)
    order_results: dict[bytes, OrderResult] = field(default_factory=dict)

    @property
    def closed(self) -> bool:
        """Whether it takes no more orders."""
        return any(gate.last for gate in self._gates())

    @property
    def rounds(self) -> int:
        """Gates so far."""
        return len(self.gates)

    @property
    def final(self) -> bool:
        """Whether all its trades are known."""
        return any(result.last for _, result in self.results.values())

    @property
    def fresh_orders(self) -> bool:
        """Whether something was ordered since the last gate."""
        last = max((gate.index for gate in self.gates.values()), default=-1)
        return any(order.index > last for order in self.orders.values())

    def _gates(self) -> list[Gate]:
        return [gate for fact in self.gates.values() if (gate := fact.find(Gate)) is not None]

    def add(self, fact: Fact) -> None:
        """Fold a fact of this session."""
        for part in fact.parts:
            fold = _FOLDS.get(type(part))
            if fold is not None:
                fold(self, fact, part)


def _order(session: Session, fact: Fact, _: Any) -> None:
    session.orders.setdefault(fact.id, fact)


def _verdict(session: Session, _: Fact, verdict: Verdict) -> None:
    session.verdicts.setdefault(verdict.order, verdict)


def _gate(session: Session, fact: Fact, _: Any) -> None:
    session.gates.setdefault(fact.id, fact)


def _funded(session: Session, _: Fact, funded: Funded) -> None:
    session.funded.add(funded.gate)


def _clearing(session: Session, fact: Fact, clearing: Clearing) -> None:
    session.clearings.setdefault(clearing.gate, {})[clearing.by] = (fact.id, clearing)  # the last word counts


def _difference(session: Session, fact: Fact, difference: Difference) -> None:
    session.differences.append((fact.id, difference))


def _trade(session: Session, fact: Fact, _: Any) -> None:
    points, terms, money = fact.find(TradePoints), fact.find(TradeTerms), fact.find(TradeMoney)
    session.trades.setdefault(fact.id, Trade(fact.id, fact.index, points, terms, money))


def _result(session: Session, fact: Fact, result: Result) -> None:
    session.results.setdefault(result.gate, (fact.id, result))


def _order_result(session: Session, _: Fact, outcome: OrderResult) -> None:
    session.order_results.setdefault(outcome.order, outcome)


_FOLDS: dict[type[Part], Callable[[Session, Fact, Any], None]] = {
    Order: _order,
    Reserve: _order,
    Verdict: _verdict,
    Gate: _gate,
    Funded: _funded,
    Clearing: _clearing,
    Difference: _difference,
    TradePoints: _trade,
    TradeTerms: _trade,
    TradeMoney: _trade,
    Result: _result,
    OrderResult: _order_result,
}
