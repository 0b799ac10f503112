"""What a contract must keep when it is proposed: the rules that need the frame, the market or other contracts.

Every rule raises `InvalidRequest` with the field at fault ("terms.tariff.bands", "frame.end_ms") and a hint. Before a
countersignature the same check finds what came into force in between.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from consortium.energy.contracts.contract import Contract, State, state_at
from consortium.energy.contracts.quantities import quantities
from consortium.energy.contracts.term_checks import check_terms, refuse
from consortium.energy.contracts.terms import MandateTerms, MarketTerms, Terms, WalletTerms
from consortium.energy.payloads.contracts import ContractFrame
from consortium.model.names import Party

MANY = frozenset({"ppa", "p2p", "flexibility"})
"""Kinds of which a customer may have one with each provider at a time; of the others one in all."""


def check_contract(
    frame: ContractFrame,
    terms: Terms,
    currency: str,
    *,
    known: Iterable[Contract] = (),
    grid_operators: Collection[str] = (),
    market: MarketTerms | None = None,
) -> None:
    """Raises `InvalidRequest` for the first rule that a proposal breaks.

    `known` are contracts of the same kind and customer (of a market: all markets), `grid_operators` the members with
    that role, `market` the rules of the market that a mandate is for. What is not given is not checked.
    """
    _sides(frame)
    _dates(frame, terms)
    _roles(frame, terms, frozenset(grid_operators))
    check_terms(terms)
    _market_fits(terms, currency, market)
    _energy(frame, terms)
    _others(frame, terms, currency, tuple(known))


def _energy(frame: ContractFrame, terms: Terms) -> None:
    """The grid works by the frame, the sides pay by the terms: both say the same. Somebody's meter has to be read."""
    for name, value in quantities(terms).items():
        if getattr(frame, name) != value:
            refuse("the frame's energy is the terms' own", f"frame.{name}")
    if frame.kind in MANY and not any(Party.parse(side).user for side in (frame.provider, frame.customer)):
        refuse("one side of such an agreement is a home", "frame.customer")


def _sides(frame: ContractFrame) -> None:
    if frame.proposer not in (frame.provider, frame.customer):
        refuse("the proposer is one of the two sides", "frame.proposer")
    # A market with one operator is the operator's own.
    if frame.provider == frame.customer and frame.kind not in ("market", "wallet"):
        refuse("a contract has two sides", "frame.customer", "provider and customer are different parties")


def _dates(frame: ContractFrame, terms: Terms) -> None:
    if frame.end_ms and frame.end_ms <= frame.start_ms:
        refuse("the end lies after the start", "frame.end_ms", "leave it 0 for a contract without an end")
    if frame.kind != terms.kind:
        refuse(f"the terms are of kind {terms.kind}", "frame.kind")
    if frame.notice_days != getattr(terms, "notice_days", 0):
        refuse("the frame's notice period is the terms' own", "frame.notice_days")


def _roles(frame: ContractFrame, terms: Terms, grid_operators: frozenset[str]) -> None:
    """Whether the provider can serve what the kind is about."""
    provider = Party.parse(frame.provider)
    if frame.kind in ("supply", "grid", "wallet", "balance", "mandate") and provider.user:
        refuse(f"the provider of a {frame.kind} contract is a member", "frame.provider")
    if frame.kind == "mandate" and Party.parse(frame.customer).member != provider.member:
        refuse("under a mandate a home's own member orders", "frame.provider", "the provider is the home's member")
    if frame.kind in ("grid", "balance") and grid_operators and frame.provider not in grid_operators:
        refuse("the provider is no grid operator", "frame.provider")
    if frame.kind == "grid" and (frame.point is None or frame.area is None):
        refuse("a grid contract names the point and its area", "frame.point" if frame.point is None else "frame.area")
    if isinstance(terms, MarketTerms) and not {frame.provider, frame.customer} <= set(terms.operators):
        refuse("both sides of a market's rules are its operators", "frame.provider")
    alone = frame.kind == "market" and frame.provider == frame.customer
    if alone and grid_operators and frame.provider not in grid_operators:
        refuse("nobody opens a market alone, but who runs the grid", "frame.customer", "let another operator sign")
    if isinstance(terms, WalletTerms) and "@" in terms.account and terms.account != frame.customer:
        refuse("an account that bears a party's name is that party's", "terms.account")
    if isinstance(terms, WalletTerms) and frame.proposer != frame.provider and terms.credit_limit:
        refuse("credit is offered by who keeps the account", "terms.credit_limit", "let the provider propose")


def _market_fits(terms: Terms, currency: str, market: MarketTerms | None) -> None:
    if isinstance(terms, MarketTerms) and terms.currency != currency:
        refuse("the contract's currency is the market's", "currency")
    if not isinstance(terms, MandateTerms) or market is None:
        return
    if terms.market != market.name or currency != market.currency:
        field = "currency" if terms.market == market.name else "terms.market"
        refuse(f"the market is {market.name} and trades in {market.currency}", field)
    if set(terms.operators) != set(market.operators):
        refuse("the operators are not the market's", "terms.operators")


def _others(frame: ContractFrame, terms: Terms, currency: str, known: tuple[Contract, ...]) -> None:
    """No second contract for the same at the same time, unless it amends the first."""
    if frame.amends is not None:
        _amendment(frame, currency, next((c for c in known if c.id == frame.amends), None))
    for other in known:
        if other.id == frame.amends or _slot(other.frame, other.terms) != _slot(frame, terms):
            continue
        both_ms = max(frame.start_ms, other.frame.start_ms)
        signed = state_at(other, both_ms) not in (State.PROPOSED, State.ENDED)
        if signed and (not frame.end_ms or both_ms < frame.end_ms):
            refuse("there is such a contract for that time already", "frame.start_ms", "amend or end that one")


def _amendment(frame: ContractFrame, currency: str, old: Contract | None) -> None:
    if old is None or old.in_force_index is None or old.replaced_by is not None:
        refuse("what it amends is not there, not countersigned, or amended already", "frame.amends")
    if (old.frame.kind, *old.sides) != (frame.kind, frame.provider, frame.customer):
        refuse("an amendment is of the same kind and between the same sides", "frame.amends")
    if old.currency not in (None, currency):
        refuse("an amendment keeps the currency", "currency")


def _slot(frame: ContractFrame, terms: Terms | None) -> tuple[str, ...]:
    """What there may be one of at a time."""
    if isinstance(terms, MarketTerms):
        return frame.kind, terms.name
    if isinstance(terms, WalletTerms):
        return frame.kind, terms.account
    if isinstance(terms, MandateTerms):
        return frame.kind, frame.customer, terms.market
    return (frame.kind, frame.customer, frame.provider) if frame.kind in MANY else (frame.kind, frame.customer)
