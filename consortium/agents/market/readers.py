"""Who reads what an agent writes."""

from __future__ import annotations

from consortium.energy.contracts.terms import MarketTerms
from consortium.model.names import Party


def market_members(terms: MarketTerms) -> tuple[Party, ...]:
    """Everyone in the market, by their members."""
    names = (*terms.operators, *terms.members, terms.settlement_agent, terms.grid_operator)
    return tuple(Party(name) for name in dict.fromkeys(names))


def operators(terms: MarketTerms) -> tuple[Party, ...]:
    """The operators."""
    return tuple(Party(name) for name in terms.operators)


def owner_and_member(owner: str) -> tuple[Party, ...]:
    """A party and the member that it belongs to."""
    party = Party.parse(owner)
    return tuple(dict.fromkeys((party, Party(party.member))))


def named(*names: str) -> tuple[Party, ...]:
    """Parties by their texts, each once."""
    return tuple(dict.fromkeys(Party.parse(name) for name in names))
