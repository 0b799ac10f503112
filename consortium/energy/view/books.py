"""From the view to what clearing needs: a market's settings, a session's candidates and gates."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from consortium.energy.contracts import lifecycle
from consortium.energy.contracts.lifecycle import Contract
from consortium.energy.contracts.terms import MandateTerms, MarketTerms
from consortium.energy.market.rounds import GateSeen
from consortium.energy.market.screening import Candidate
from consortium.energy.market.settings import MandateLimits, MarketSettings, Mechanism
from consortium.energy.payloads.market import Gate, Order, Verdict
from consortium.energy.view.facts import Fact
from consortium.energy.view.sessions import Session
from consortium.energy.view.view import View


def settings_of(contract: Contract, terms: MarketTerms) -> MarketSettings:
    """A market's rules as clearing takes them."""
    return MarketSettings(
        name=terms.name,
        mechanism=Mechanism(terms.mechanism),
        session_s=terms.session_s,
        min_wh=terms.min_wh,
        price_min=terms.price_min,
        price_max=terms.price_max,
        currency=terms.currency,
        members=terms.members,
        local_fee=terms.local_fee,
        area_fees=terms.area_fees,
        opens_s=terms.opens_s,
        from_ms=contract.frame.start_ms,
        until_ms=contract.frame.end_ms,
    )


def candidates(view: View, settings: MarketSettings, session: Session) -> list[Candidate]:
    """The session's orders as they stand on the ledger."""
    found = []
    for fact in session.orders.values():
        order = fact.find(Order)
        if order is not None:
            found.append(_candidate(view, settings, fact, order, session.verdicts.get(fact.id)))
    return found


def _candidate(view: View, settings: MarketSettings, fact: Fact, order: Order, verdict: Verdict | None) -> Candidate:
    needed = max(0, order.wh * (order.price + settings.highest_fee(order.area)))
    held = None if verdict is None else verdict.held and verdict.amount >= needed
    mandate = view.contract(order.mandate) if order.mandate else None
    limits, index = _limits(mandate, order)
    return Candidate(
        fact.id,
        order,
        fact.author,
        fact.commitment,
        fact.index,
        held,
        limits,
        index,
        ordered_ms=fact.time_ms,
        placed=_placed(view, order),
    )


def _placed(view: View, order: Order) -> bool:
    """Whether the energy can flow where the order says: the grid operator and the owner signed it."""
    grid = view.in_force("grid", order.owner, order.start_ms)
    return grid is not None and (grid.frame.point, grid.frame.area) == (order.point, order.area)


def _limits(mandate: Contract | None, order: Order) -> tuple[MandateLimits | None, int | None]:
    if mandate is None or not isinstance(mandate.terms, MandateTerms):
        return None, None
    if not lifecycle.executes(mandate, order.start_ms):
        return None, None
    terms = mandate.terms
    limits = MandateLimits(mandate.frame.customer, terms.market, terms.max_wh, terms.price_min, terms.price_max)
    return limits, mandate.in_force_index


def gates(session: Session) -> list[GateSeen]:
    """The session's gates by rising index, up to the last one."""
    seen: list[GateSeen] = []
    for fact in sorted(session.gates.values(), key=lambda one: one.index):
        gate = fact.find(Gate)
        if gate is not None and gate.round == len(seen):
            seen.append(GateSeen(fact.id, fact.index, gate.last))
            if gate.last:
                break
    return seen


@dataclass(frozen=True, slots=True)
class Suspended(Container[str]):
    """The parties that a market suspended at a time."""

    contract: Contract
    at_ms: int

    def __contains__(self, party: object) -> bool:
        return isinstance(party, str) and lifecycle.party_suspended(self.contract, party, self.at_ms)
