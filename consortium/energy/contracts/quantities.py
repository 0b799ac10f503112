"""The energy of a contract's terms as it stands in its frame, for the grid: never a price."""

from __future__ import annotations

from typing import Any

from consortium.energy.contracts.terms import FlexibilityTerms, P2pTerms, PpaTerms, Terms
from consortium.energy.payloads.contracts import ContractFrame


def quantities(terms: Terms) -> dict[str, Any]:
    """The fields of `ContractFrame` that say what energy is agreed on; None where the terms have none."""
    found: dict[str, Any] = dict.fromkeys(("interval_s", "zone", "profile_wh", "max_wh", "max_calls"))
    if isinstance(terms, PpaTerms):
        found |= {"interval_s": terms.interval_s, "zone": terms.zone, "profile_wh": terms.profile}
    elif isinstance(terms, P2pTerms):
        found |= {"interval_s": terms.interval_s, "max_wh": terms.max_wh}
    elif isinstance(terms, FlexibilityTerms):
        found |= {"max_wh": terms.max_wh, "max_calls": terms.max_calls}
    return found


def fits(frame: ContractFrame, terms: Terms) -> bool:
    """Whether a frame says of the energy what the terms do: who wrote others to the grid has proposed nothing."""
    return all(getattr(frame, name) == value for name, value in quantities(terms).items())
