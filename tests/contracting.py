"""Contracts for tests."""

from __future__ import annotations

from typing import Any

from consortium.energy.contracts.contract import Contract
from consortium.energy.contracts.lifecycle import advance, propose
from consortium.energy.contracts.quantities import quantities
from consortium.energy.contracts.terms import Terms, parse_terms
from consortium.energy.payloads.contracts import ContractFrame, ContractStep

HOME = "home-01@suncoop"
START = 1_497_510_000_000
DAY = 86_400_000
TARIFF = {
    "type": "time-of-use",
    "zone": "America/Los_Angeles",
    "bands": [
        {"days": "weekday", "from": "00:00", "to": "16:00", "price": 220},
        {"days": "weekday", "from": "16:00", "to": "24:00", "price": 540},
        {"days": "weekend", "from": "00:00", "to": "00:00", "price": 200},
    ],
}
MARKET = {
    "name": "local",
    "zone": "-08:00",
    "currency": "USD",
    "price_min": 0,
    "price_max": 1000,
    "operators": ["gridco", "suncoop"],
    "agree": 2,
    "settlement_agent": "gridco",
    "grid_operator": "gridco",
    "members": ["gridco", "suncoop", "cityretail"],
    "local_fee": 20,
    "area_fees": [["north", "south", 7]],
}
TERMS: dict[str, dict[str, Any]] = {
    "supply": {"tariff": TARIFF, "feed_in": 50, "notice_days": 30},
    "grid": {"local_fee": 20, "grid_fee": 80, "area_fees": {"north": 7}, "operators": ["gridco", "suncoop"]},
    "mandate": {
        "market": "local",
        "bid_share_percent": 62,
        "ask_share_percent": 13,
        "max_wh": 20_000,
        "price_min": 50,
        "price_max": 1000,
        "operators": ["gridco", "suncoop"],
    },
    "wallet": {"account": HOME, "credit_limit": 12_500_000},
    "balance": {"series": "wholesale", "account": "outside"},
    "market": MARKET,
    "ppa": {"price": 120, "profile": [100] * 24, "zone": "-08:00"},
    "p2p": {"price": 130, "max_wh": 500},
    "flexibility": {"price": 300, "max_wh": 400, "max_calls": 10},
}
SIDES = {
    "supply": ("cityretail", HOME),
    "grid": ("gridco", HOME),
    "mandate": ("suncoop", HOME),
    "wallet": ("gridco", HOME),
    "balance": ("gridco", "cityretail"),
    "market": ("gridco", "suncoop"),
    "ppa": ("cityretail", HOME),
    "p2p": ("home-02@suncoop", HOME),
    "flexibility": (HOME, "gridco"),
}


def terms_of(kind: str, **changes: Any) -> Terms:
    return parse_terms(kind, {**TERMS[kind], **changes})


def frame_of(kind: str, **changes: Any) -> ContractFrame:
    provider, customer = SIDES[kind]
    fields = {
        "kind": kind,
        "start_ms": START,
        "end_ms": START + 100 * DAY,
        "provider": provider,
        "customer": customer,
        "proposer": provider,
        "notice_days": TERMS[kind].get("notice_days", 0),
        "point": "point-01" if kind == "grid" else None,
        "area": "north" if kind == "grid" else None,
        **quantities(terms_of(kind)),
    }
    return ContractFrame(**{**fields, **changes})


def proposed(kind: str = "supply", number: int = 1, **changes: Any) -> Contract:
    frame = frame_of(kind, **changes)
    author = frame.proposer.rpartition("@")[2]
    found = propose(bytes([number]) * 16, number, author, frame, terms_of(kind), "USD")
    assert isinstance(found, Contract), found
    return found


def step_of(contract: Contract, step: str, by: str, start_ms: int = START, **more: Any) -> ContractStep:
    return ContractStep(contract=contract.id, step=step, by=by, start_ms=start_ms, **more)


def signed(kind: str = "supply", number: int = 1, **changes: Any) -> Contract:
    contract = proposed(kind, number, **changes)
    step = step_of(contract, "countersigned", contract.other_side)
    after = advance({contract.id: contract}, step, contract.other_side.rpartition("@")[2], number + 100)
    assert not isinstance(after, str), after
    return after[0]
