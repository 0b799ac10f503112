"""An hour of wind: a newcomer sells energy to a home by a power purchase agreement, and both sides state what it came
to. Everything by the API, in each party's own name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from consortium.devnet.calls import Calls
from consortium.devnet.market import CURRENCY, WHOLESALE
from consortium.energy.metering import to_ms, to_rfc3339
from consortium.errors import OperatorError
from consortium.model.names import Party

HOUR = timedelta(hours=1)
PRICE, WH = 90, 400
"""Micro-units per Wh, and Wh an hour."""


@dataclass(frozen=True, slots=True)
class Sale:
    """Who sells to whom, in the hour from `start` on. `grid` runs the grid; `supplier` serves the home from then on
    ('' for a home that has a supplier). The home's point and area are its own.
    """

    seller: str
    buyer: str
    grid: str
    start: datetime
    point: str
    area: str
    supplier: str = ""


async def sell(calls: Calls, sale: Sale, set_time: Callable[[datetime], None]) -> str:
    """Sign before the hour, live through it, meter it; the agreement's id, once nobody has anything left to do.

    `set_time` moves the network's clock, which must stand before the hour. Raises `OperatorError`.
    """
    proposals = [_balance(sale), *([_supply(sale)] if sale.supplier else []), _agreement(sale)]
    contract = ""
    for proposal in proposals:
        contract = str((await calls.propose(proposal))["id"])
        await calls.until_quiet()
        step = {"by": proposal["customer"], "step": "countersigned", "effective": sale.start.isoformat()}
        await calls.post(proposal["customer"], f"/v1/contracts/{contract}/steps", step)
    await calls.until_quiet()
    set_time(sale.start + HOUR)
    await calls.until_quiet(to_rfc3339(to_ms(sale.start + HOUR)))
    await _meter(calls, sale)
    await calls.until_quiet()
    return contract


def _proposal(sale: Sale, kind: str, provider: str, customer: str, terms: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "kind": kind,
        "from": sale.start.isoformat(),
        "to": (sale.start + HOUR).isoformat(),
        "provider": provider,
        "customer": customer,
        "proposer": provider,
        "currency": CURRENCY,
        "terms": dict(terms),
    }


def _balance(sale: Sale) -> dict[str, Any]:
    """Somebody answers for what the seller feeds in, or does not."""
    return _proposal(sale, "balance", sale.grid, sale.seller, {"series": WHOLESALE, "account": WHOLESALE})


def _supply(sale: Sale) -> dict[str, Any]:
    terms = {"tariff": {"type": "fixed", "price": 240}, "feed_in": 50}
    return _proposal(sale, "supply", sale.supplier, sale.buyer, terms) | {"point": sale.point, "area": sale.area}


def _agreement(sale: Sale) -> dict[str, Any]:
    terms = {"price": PRICE, "profile": [WH] * 24, "zone": "+00:00"}
    return _proposal(sale, "ppa", sale.seller, sale.buyer, terms) | {"point": sale.point, "area": sale.area}


async def _meter(calls: Calls, sale: Sale) -> None:
    member = Party.parse(sale.buyer).member
    data = {"subject": sale.buyer, "interval_start": sale.start.isoformat(), "load_wh": 2 * WH, "pv_wh": 0}
    line = json.dumps({"id": os.urandom(16).hex(), "type": "reading", "data": data})
    answers = await calls.stream(f"{member}-meters", member, [line])
    if [answer.get("state") for answer in answers] != ["accepted"]:
        raise OperatorError(f"the reading was not accepted: {answers}")


async def seen_by(calls: Calls, party: str, contract: str) -> list[str]:
    """The ids of the agreement's records that a party reads: what was agreed, and what the sides state."""
    found: list[str] = []
    for kind in ("agreed", "statement"):
        page = await calls.get(party, "/v1/records", type=kind, limit=500)
        found += [r["id"] for r in page["records"] if r["data"].get("physical", {}).get("contract") == contract]
    return found
