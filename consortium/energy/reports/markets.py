"""A market as everyone in it sees it (rules, prices, volumes), and its sessions as its operators see them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from consortium.energy.contracts.contract import Contract, state_at
from consortium.energy.contracts.terms import MarketTerms, dump
from consortium.energy.metering import to_rfc3339
from consortium.energy.payloads.market import Order, Result
from consortium.energy.shown import shown
from consortium.energy.view.sessions import Session


def market_words(contract: Contract, terms: MarketTerms, at_ms: int) -> dict[str, Any]:
    """A market's rules, the contract that they stand in, and its state."""
    end = contract.stopped_ms if contract.stopped_ms is not None else contract.frame.end_ms or None
    return {
        "name": terms.name,
        "contract": contract.id.hex(),
        "state": str(state_at(contract, at_ms)),
        "from": to_rfc3339(contract.frame.start_ms),
        "to": None if end is None else to_rfc3339(end),
        "rules": shown(dump(terms)),
    }


def result_rows(sessions: Iterable[Session]) -> list[tuple[int, dict[str, Any]]]:
    """(start, row) of every session with a result, rising: price and volume, and each round's published result."""
    found = []
    for session in sorted(sessions, key=lambda one: one.start_ms):
        rounds = sorted(session.results.values(), key=lambda one: one[1].round)
        if rounds:
            found.append((session.start_ms, _result_row(session, rounds)))
    return found


def _result_row(session: Session, rounds: list[tuple[bytes, Result]]) -> dict[str, Any]:
    results = [result for _, result in rounds]
    prices = [result.price for result in results if result.price is not None]
    return {
        "market": session.market,
        "start": to_rfc3339(session.start_ms),
        "session_s": results[0].session_s,
        "price": prices[-1] if prices else None,
        "wh": sum(result.wh for result in results),
        "trades": sum(result.trades for result in results),
        "final": any(result.last for result in results),
        "rounds": [
            {
                "id": id.hex(),
                "gate": result.gate.hex(),
                "round": result.round,
                "price": result.price,
                "wh": result.wh,
                "trades": result.trades,
                "book_root": result.book_root.hex(),
                "book_size": result.book_size,
            }
            for id, result in rounds
        ],
    }


def session_rows(sessions: Iterable[Session]) -> list[tuple[int, dict[str, Any]]]:
    """(start, row) of every session, rising, as its operators see it.

    The book's orders are those ordered before the last gate, bids only with money held. `state` is open, closed,
    cleared, or stopped (the operators' results differ).
    """
    return [(one.start_ms, _session_row(one)) for one in sorted(sessions, key=lambda one: one.start_ms)]


def _session_row(session: Session) -> dict[str, Any]:
    orders = [(fact.id, order) for fact in before_gate(session) if (order := fact.find(Order)) is not None]
    bids = [order for id, order in orders if order.side == "bid" and _held(session, id)]
    asks = [order for _, order in orders if order.side == "ask"]
    terms = [trade.terms for trade in session.trades.values() if trade.terms]
    points = [trade.points for trade in session.trades.values() if trade.points]
    row = _result_row(session, list(session.results.values())) if session.results else {}
    return {
        "market": session.market,
        "start": to_rfc3339(session.start_ms),
        "state": session_state(session),
        "ordered": len(session.orders),
        "bids": len(bids),
        "asks": len(asks),
        "bid_wh": sum(order.wh for order in bids),
        "ask_wh": sum(order.wh for order in asks),
        "trades": len(terms),
        "wh": sum(part.wh for part in points),
        "value": sum(part.value for part in terms),
        "fee": sum(part.fee for part in points),
        "price": row.get("price"),
        "differences": [{"id": id.hex(), "where": found.where} for id, found in session.differences],
    }


def before_gate(session: Session) -> list[Any]:
    """The orders (facts) of the ledger's order that came before the last gate; all while it is open."""
    gates = [fact.index for fact in session.gates.values()]
    return [fact for fact in session.orders.values() if not session.closed or fact.index < max(gates)]


def _held(session: Session, order: bytes) -> bool:
    verdict = session.verdicts.get(order)
    return verdict is not None and verdict.held


def session_state(session: Session) -> str:
    """open, closed, cleared or stopped."""
    if session.final:
        return "cleared"
    if session.differences:
        return "stopped"
    return "closed" if session.closed else "open"
