"""What the lead writes of a cleared round: trades, the result for everyone, each order's own result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from consortium.agents.market.duty import Cause, Done, Duty
from consortium.agents.market.readers import named, operators, owner_and_member
from consortium.energy.contracts.terms import MarketTerms
from consortium.energy.market.book import BookOrder, Match, OrderRefusal
from consortium.energy.market.rounds import Round, filled
from consortium.energy.market.settings import MarketSettings
from consortium.energy.payloads.market import (
    Order,
    OrderDone,
    OrderResult,
    Result,
    TradeMoney,
    TradePoints,
    TradeTerms,
)
from consortium.energy.view.sessions import Session
from consortium.model.names import Party
from consortium.model.records import DraftSection


def trades(terms: MarketTerms, settings: MarketSettings, session: Session, one: Round, done: Done) -> Iterator[Duty]:
    """A record for each match."""
    for number, match in enumerate(one.outcome.matches):
        cause: Cause = ("trade", one.gate.id, number)
        if done(cause):
            continue
        sections = _trade(terms, settings, session, one.gate.id, number, match)
        yield Duty(cause, TradePoints.TYPE, session.start_ms, sections)


def _trade(
    terms: MarketTerms, settings: MarketSettings, session: Session, gate: bytes, number: int, match: Match
) -> tuple[DraftSection, ...]:
    """Points, energy and fee for the grid as well; names and prices for the two sides, their members, the operators."""
    bid, ask = match.bid, match.ask
    fee = match.wh * settings.fee(bid.area, ask.area)
    sides = (*owner_and_member(bid.owner), *owner_and_member(ask.owner), *operators(terms))
    points = TradePoints(
        start_ms=session.start_ms,
        market=session.market,
        session_s=terms.session_s,
        buyer_point=bid.point,
        seller_point=ask.point,
        wh=match.wh,
        fee=fee,
    )
    agreed = TradeTerms(
        start_ms=session.start_ms,
        market=session.market,
        gate=gate,
        number=number,
        buyer=bid.owner,
        seller=ask.owner,
        bid=bid.id,
        ask=ask.id,
        price=match.price,
        value=match.value,
        currency=terms.currency,
    )
    money = TradeMoney(
        start_ms=session.start_ms,
        market=session.market,
        bid=bid.id,
        buyer=bid.owner,
        seller=ask.owner,
        grid=terms.grid_operator,
        value=match.value,
        fee=fee,
        currency=terms.currency,
    )
    return (
        points.section((*sides, Party(terms.grid_operator))),
        agreed.section(sides),
        money.section(named(bid.owner, ask.owner, terms.settlement_agent)),
    )


def result(terms: MarketTerms, session: Session, one: Round, number: int, readers: Sequence[Party]) -> Duty:
    """Price and volume for everyone in the market."""
    said = Result(
        start_ms=session.start_ms,
        market=session.market,
        session_s=terms.session_s,
        gate=one.gate.id,
        round=number,
        last=one.gate.last,
        price=one.outcome.price,
        wh=one.outcome.wh,
        trades=len(one.outcome.matches),
        book_root=one.tree.root,
        book_size=one.tree.size,
    )
    return Duty(("result", one.gate.id), said.TYPE, session.start_ms, (said.section(readers),))


def order_results(terms: MarketTerms, session: Session, rounds: Sequence[Round], done: Done) -> Iterator[Duty]:
    """For each order of the session: that it was counted, with the proof, or why it was not."""
    seen: set[bytes] = {record_id for record_id in session.orders if done(("order-result", record_id))}
    for one in rounds:
        for leaf, order in enumerate(one.outcome.book):
            if order.id not in seen:
                seen.add(order.id)
                yield _counted(terms, session, rounds, one, leaf, order)
        for refused in one.refused:
            if refused.id in seen:
                continue
            seen.add(refused.id)
            yield _refused(terms, session, one, refused.id, refused.reason)
    for record_id in session.orders:
        if record_id not in seen:
            yield _refused(terms, session, rounds[-1], record_id, OrderRefusal.LATE)


def _counted(
    terms: MarketTerms, session: Session, rounds: Sequence[Round], one: Round, leaf: int, order: BookOrder
) -> Duty:
    wh, value = filled(rounds, order)
    said = OrderResult(
        start_ms=session.start_ms,
        market=session.market,
        order=order.id,
        gate=one.gate.id,
        state="counted",
        wh=wh,
        value=value,
        price=rounds[-1].outcome.price,
        leaf=leaf,
        book_root=one.tree.root,
        book_size=one.tree.size,
        proof=one.tree.proof(leaf),
    )
    return _duty(terms, said, order.owner, bid=order.side == "bid")


def _refused(terms: MarketTerms, session: Session, one: Round, record_id: bytes, reason: str) -> Duty:
    order = session.orders[record_id].find(Order)
    owner = order.owner if order is not None else session.orders[record_id].author
    said = OrderResult(
        start_ms=session.start_ms,
        market=session.market,
        order=record_id,
        gate=one.gate.id,
        state="refused",
        reason=str(reason),
        book_root=one.tree.root,
        book_size=one.tree.size,
    )
    return _duty(terms, said, owner, bid=order is not None and order.side == "bid")


def _duty(terms: MarketTerms, said: OrderResult, owner: str, *, bid: bool) -> Duty:
    sections = [said.section(owner_and_member(owner))]
    if bid:  # what is still reserved for it goes back
        done = OrderDone(start_ms=said.start_ms, market=said.market, order=said.order, owner=owner)
        sections.append(done.section(named(owner, terms.settlement_agent)))
    return Duty(("order-result", said.order), said.TYPE, said.start_ms, tuple(sections))
