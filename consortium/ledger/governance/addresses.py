"""Where members' nodes answer each other, as far as the ledger says so."""

from __future__ import annotations

from consortium.ledger.governance.state import Governance
from consortium.ledger.governance.terms import AdmitMember


def peer_urls(governance: Governance) -> dict[str, str]:
    """By member of now, the address that it was last admitted with; nothing for those of the genesis."""
    admitted = [
        (state.decided or 0, state.terms)
        for state in governance.proposals.values()
        if state.outcome == "passed" and isinstance(state.terms, AdmitMember)
    ]
    last = {terms.name: terms.peer_url for _, terms in sorted(admitted, key=lambda each: each[0])}
    return {name: url for name, url in last.items() if url and governance.member(name) is not None}
