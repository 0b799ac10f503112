"""An order as a record: its sections and their readers."""

from __future__ import annotations

from consortium.energy.contracts.terms import MarketTerms
from consortium.energy.payloads.market import Order, Reserve
from consortium.model.names import Party
from consortium.model.records import DraftSection


def reserve_amount(order: Order, terms: MarketTerms) -> int:
    """The most that a bid can cost, in micro-units: its energy at its limit, and the dearest way to its area."""
    dearest = max([0, *(fee for _, target, fee in terms.area_fees if target == order.area)])
    return max(0, order.wh * (order.price + terms.local_fee + dearest))


def order_sections(order: Order, terms: MarketTerms) -> tuple[DraftSection, ...]:
    """The order for its owner, the owner's member and the operators; of a bid also what to reserve, for the settlement
    agent.
    """
    owner = Party.parse(order.owner)
    own = (owner, Party(owner.member))
    sections = [order.section((*own, *(Party(name) for name in terms.operators)))]
    if order.side == "bid":
        reserve = Reserve(
            start_ms=order.start_ms,
            market=order.market,
            owner=order.owner,
            amount=reserve_amount(order, terms),
            currency=order.currency,
        )
        sections.append(reserve.section((*own, Party(terms.settlement_agent))))
    return tuple(sections)
