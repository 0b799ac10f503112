"""What a node knows of the market, as a test lays it down: `energy.catalogue.Directory` over plain values."""

from __future__ import annotations

from dataclasses import dataclass, field

from consortium.energy.contracts.contract import Contract, executes, in_force
from consortium.energy.contracts.terms import MarketTerms, parse_terms
from consortium.energy.payloads.contracts import ContractFrame
from consortium.model.names import Party

MARKET = {
    "name": "local",
    "zone": "-08:00",
    "currency": "USD",
    "session_s": 3600,
    "opens_s": 86_400,
    "gate_s": 600,
    "min_wh": 10,
    "price_min": 0,
    "price_max": 1000,
    "operators": ["gridco", "suncoop"],
    "agree": 2,
    "settlement_agent": "gridco",
    "grid_operator": "gridco",
    "members": ["gridco", "suncoop", "cityretail"],
    "local_fee": 20,
    "area_fees": [["south", "north", 7], ["east", "north", 3], ["north", "south", 90]],
}


def contract(
    number: int,
    kind: str,
    provider: str,
    customer: str,
    terms: dict,
    *,
    signed: bool = True,
    start_ms: int = 0,
    **frame,
) -> Contract:
    """A contract whose id is `number` 16 times over, in force from its start unless it is not `signed`."""
    typed = parse_terms(kind, terms)
    frame.setdefault("proposer", provider)
    made = ContractFrame(
        kind=kind,
        start_ms=start_ms,
        end_ms=frame.pop("end_ms", 0),
        provider=provider,
        customer=customer,
        notice_days=getattr(typed, "notice_days", 0),
        **frame,
    )
    author = Party.parse(made.proposer).member
    index = number + 100 if signed else None
    return Contract(bytes([number] * 16), number, author, made, typed, "USD", in_force_index=index)


@dataclass
class FakeDirectory:
    """A `Directory` of these contracts."""

    contracts: list[Contract]
    now_ms: int
    free: dict[str, int] = field(default_factory=dict)
    closed: set[tuple[str, int]] = field(default_factory=set)
    grid_operators: tuple[Party, ...] = (Party("gridco"),)
    compliance: tuple[Party, ...] = (Party("regulator"),)

    def market(self, name: str, at_ms: int) -> MarketTerms | None:
        for found in self.contracts:
            if isinstance(found.terms, MarketTerms) and found.terms.name == name and executes(found, at_ms):
                return found.terms
        return None

    def contract(self, contract_id: bytes) -> Contract | None:
        return next((c for c in self.contracts if c.id == contract_id), None)

    def in_force(self, kind: str, customer: str, at_ms: int) -> Contract | None:
        return in_force(tuple(self.contracts), kind, customer, at_ms)

    def contracts_of(self, kind: str, customer: str) -> tuple[Contract, ...]:
        return tuple(c for c in self.contracts if (c.frame.kind, c.frame.customer) == (kind, customer))

    def available(self, account: str) -> int | None:
        return self.free.get(account)

    def gate_closed(self, market: str, start_ms: int) -> bool:
        return (market, start_ms) in self.closed
