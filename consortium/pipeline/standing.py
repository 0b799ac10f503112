"""What the node's member is in the consortium and its markets, as the policies ask for it."""

from __future__ import annotations

from consortium.energy.contracts.terms import MarketTerms
from consortium.energy.view.known import Known
from consortium.model.names import Party
from consortium.pipeline.access import GRID_OPERATOR, MARKET_OPERATOR


def standing(view: Known) -> frozenset[str]:
    """Of `grid-operator` and `market-operator` those that the view's member is."""
    runs_grid = Party(view.member) in view.grid_operators
    runs_market = any(
        isinstance(contract.terms, MarketTerms) and view.member in contract.terms.operators
        for contract in view.of_kind("market")
    )
    return frozenset(name for name, holds in ((GRID_OPERATOR, runs_grid), (MARKET_OPERATOR, runs_market)) if holds)
