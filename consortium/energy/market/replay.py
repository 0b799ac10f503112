"""Clear a published book again, offline: do the opened orders lead to the published result?

It shows that the orders are those that their headers commit to, that the result's root is over exactly them, that
none of them should have been refused, and that the market's rules lead from them to the published trades. It does
not show what a bundle cannot hold: that a header stands at its index (a receipt does), that a mandate permitted an
order, that nobody's order is missing (each owner checks their own proof).
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from consortium.crypto.sealing import commit
from consortium.energy.market.book import BookOrder, Match
from consortium.energy.market.bundle import BookBundle, BundleOrder, BundleTrade
from consortium.energy.market.clearing import Outcome, clear
from consortium.energy.market.continuous import clear_round
from consortium.energy.market.proofs import book_tree
from consortium.energy.market.screening import Candidate, screen
from consortium.energy.market.settings import MandateLimits, Mechanism
from consortium.energy.payloads.base import read_part
from consortium.energy.payloads.market import Order
from consortium.errors import Malformed
from consortium.model.records import parse_header

_ANY = 1 << 62


@dataclass(frozen=True, slots=True)
class Replayed:
    """What clearing again came to. `findings` say where it is not what was published, one sentence each."""

    findings: tuple[str, ...]
    orders: int
    trades: int
    wh: int
    price: int | None

    @property
    def equal(self) -> bool:
        """Whether the published result is the one that follows from the orders."""
        return not self.findings


def replay(bundle: BookBundle) -> Replayed:
    """Check and clear a bundle. What does not hold is a finding; nothing is raised for it."""
    candidates, findings = _opened(bundle)
    session, refusals = _session(bundle, candidates)
    since = -1 if bundle.gate.since is None else bundle.gate.since
    book = [order for order in session if order.index > since]
    rested = clear_round(order for order in session if order.index <= since)[1] if since >= 0 else ()
    if bundle.settings.mechanism != Mechanism.CONTINUOUS and len(book) != len(session):
        refusals.append("orders stand before a gate of an earlier round, which this market does not have")
        rested = ()
    outcome = clear(bundle.settings, book, resting=rested, last=bundle.gate.last)
    findings += refusals + _compare_book(bundle, book) + _compare_trades(bundle, outcome)
    return Replayed(tuple(findings), len(book), len(outcome.matches), outcome.wh, outcome.price)


def _opened(bundle: BookBundle) -> tuple[list[Candidate], list[str]]:
    """The orders that hold, each once, and what is wrong with the others."""
    candidates: dict[bytes, Candidate] = {}
    indexes: set[int] = set()
    findings: list[str] = []
    for number, opened in enumerate(bundle.orders):
        result = _open(opened)
        if not isinstance(result, str) and (result.id in candidates or result.index in indexes):
            result = "its id or its index stands in the bundle before"
        if isinstance(result, str):
            findings.append(f"order {number} of the bundle: {result}")
        else:
            candidates[result.id] = result
            indexes.add(result.index)
    return list(candidates.values()), findings


def _open(opened: BundleOrder) -> Candidate | str:
    """The order, its commitment checked against its header; or what is wrong with it."""
    try:
        header = parse_header(opened.header)
        order = read_part(opened.plaintext)
    except Malformed:
        return "its header or its plaintext is malformed"
    if not isinstance(order, Order):
        return "its plaintext is no order"
    if opened.section >= len(header.sections):
        return "its header has no such section"
    commitment = header.sections[opened.section].commitment
    if not hmac.compare_digest(commit(opened.plaintext, opened.key, header.id), commitment):
        return "its plaintext is not what its header commits to"
    if opened.priority > opened.index or (order.mandate is None and opened.priority != opened.index):
        return "its priority is not its place in the ledger"
    # Mandates are sealed to their sides: whether this one permitted the order is not checked here.
    limits = MandateLimits(order.owner, order.market, _ANY, -_ANY, _ANY)
    return Candidate(header.id, order, header.author, commitment, opened.index, opened.held, limits, opened.priority)


def _session(bundle: BookBundle, candidates: Sequence[Candidate]) -> tuple[list[BookOrder], list[str]]:
    screened = screen(bundle.settings, bundle.start_ms, candidates, gate_index=bundle.gate.index)
    findings = [f"order {one.id.hex()} should have been refused: {one.reason}" for one in screened.refused]
    return list(screened.book), findings


def _compare_book(bundle: BookBundle, book: Sequence[BookOrder]) -> list[str]:
    if len(book) != bundle.result.book_size:
        return [f"the published book has {bundle.result.book_size} orders, the bundle {len(book)}"]
    if book_tree(book).root != bundle.result.book_root:
        return ["the published root of the book is not over these orders"]
    return []


def _compare_trades(bundle: BookBundle, outcome: Outcome) -> list[str]:
    result, findings = bundle.result, []
    for number, (ours, theirs) in enumerate(zip(outcome.matches, result.trades, strict=False)):
        if _as_published(ours) != theirs:
            findings.append(
                f"trade {number} differs: {_said(theirs)} was published, {_said(_as_published(ours))} follows"
            )
            break
    if len(outcome.matches) != len(result.trades):
        findings.append(f"{len(result.trades)} trades were published, {len(outcome.matches)} follow")
    for name, published, follows in (("price", result.price, outcome.price), ("volume", result.wh, outcome.wh)):
        if published != follows:
            findings.append(f"the {name} differs: {published} was published, {follows} follows")
    return findings


def _as_published(match: Match) -> BundleTrade:
    return BundleTrade(bid=match.bid.id, ask=match.ask.id, wh=match.wh, price=match.price)


def _said(trade: BundleTrade) -> str:
    return f"{trade.wh} Wh at {trade.price} from ask {trade.ask.hex()} to bid {trade.bid.hex()}"
