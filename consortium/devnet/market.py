"""The demo's market: who contracts with whom, on which terms, and how it is brought onto the ledger by the API.

Everything is proposed by one side and countersigned by the other with their own tokens, before the day begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from consortium.devnet.calls import Calls
from consortium.devnet.homes import HOUR_S, PriceRow

MARKET = "local"
CURRENCY = "USD"
AREA = "sierra-crest"
FEED_IN, LOCAL_FEE, GRID_FEE = 50, 20, 80
"""Micro-units per Wh."""
GATE_S, OPENS_S = 900, 2 * 86_400
OUTSIDE_CREDIT = 1_000_000_000_000
OPERATORS = ("gridco", "suncoop")
MEMBERS = ("cityretail", "gridco", "suncoop")
_SPOKEN = "1970-01-02"
"""A ledger time that is later: most members have spoken."""
WHOLESALE, RETAIL = "wholesale", "retail"


@dataclass(frozen=True, slots=True)
class Home:
    """A home as the market knows it: its number sets the shares of its mandate."""

    name: str
    member: str
    number: int
    point: str

    @property
    def party(self) -> str:
        """As a party."""
        return f"{self.name}@{self.member}"


@dataclass(frozen=True, slots=True)
class Setup:
    """What the market is made for: its homes in the order of their numbers, the day's start, its prices, and what each
    home pays in before (micro-units).
    """

    homes: Sequence[Home]
    start: datetime
    prices: Sequence[PriceRow]
    funds: int

    def end(self, kind: str) -> datetime:
        """The demo's market is open for its day; the other contracts last a week."""
        if kind in ("market", "mandate"):
            return self.prices[-1].start + timedelta(seconds=HOUR_S)
        return self.start + timedelta(days=7)

    @property
    def zone(self) -> str:
        """The offset in which the file writes its hours."""
        offset = self.start.utcoffset() or timedelta()
        minutes = int(offset.total_seconds()) // 60
        return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"

    def tariff(self) -> dict[str, Any]:
        """The time-of-use tariff of the day's prices: equal hours in one band.

        On a day on which the clock is changed the wall time says too little: then the tariff follows the series.
        """
        if [row.start.hour for row in self.prices] != list(range(24)):
            return {"type": "indexed", "series": RETAIL, "spread": 0}
        bands: list[dict[str, Any]] = []
        for hour in range(24):
            price = self.prices[hour].retail
            if bands and bands[-1]["price"] == price:
                bands[-1]["to"] = _clock(hour + 1)
            else:
                bands.append({"days": "all", "from": _clock(hour), "to": _clock(hour + 1), "price": price})
        return {"type": "time-of-use", "zone": self.zone, "bands": bands}


def _clock(hour: int) -> str:
    return f"{hour:02d}:00"


async def open_market(calls: Calls, setup: Setup) -> None:
    """Contracts, accounts, money and prices, all on the ledger when this returns."""
    await calls.until_quiet(_SPOKEN)
    proposals = [*_rules(setup), *_outside(setup)]
    for home in setup.homes:
        proposals += _home(setup, home)
    mandates = [(home, _mandate(setup, home)) for home in setup.homes]
    answers = await asyncio.gather(
        *(calls.propose(proposal) for proposal in proposals), *(calls.propose(mandate) for _, mandate in mandates)
    )
    await calls.until_quiet()
    signed = [(answer["id"], one) for answer, one in zip(answers, [*proposals, *(m for _, m in mandates)], strict=True)]
    others, last = signed[: len(proposals)], signed[len(proposals) :]
    await asyncio.gather(*(_countersign(calls, setup, *one) for one in others if _other(one[1])))
    for one in last:
        await _countersign(calls, setup, *one)  # one after the other: a mandate's orders count from its signature
    await calls.until_quiet()
    await _fund(calls, setup)
    await _publish(calls, setup)
    await calls.until_quiet()


def _other(proposal: Mapping[str, Any]) -> bool:
    """Whether there is another side to sign."""
    return bool(proposal["provider"] != proposal["customer"])


async def _countersign(calls: Calls, setup: Setup, contract: str, proposal: Mapping[str, Any]) -> None:
    sides = (proposal["provider"], proposal["customer"])
    other = sides[1] if proposal["proposer"] == sides[0] else sides[0]
    step = {"by": other, "step": "countersigned", "effective": setup.start.isoformat()}
    await calls.post(other, f"/v1/contracts/{contract}/steps", step)


def _proposal(
    setup: Setup, kind: str, provider: str, customer: str, terms: dict[str, Any], **more: Any
) -> dict[str, Any]:
    # Money comes before the day, so accounts open before it.
    begins = setup.start - timedelta(days=1) if kind == "wallet" else setup.start
    return {
        "kind": kind,
        "from": begins.isoformat(),
        "to": setup.end(kind).isoformat(),
        "provider": provider,
        "customer": customer,
        "proposer": provider,
        "currency": CURRENCY,
        "terms": terms,
        **more,
    }


def _rules(setup: Setup) -> list[dict[str, Any]]:
    retail = [row.retail for row in setup.prices]
    terms = {
        "name": MARKET,
        "zone": setup.zone,
        "currency": CURRENCY,
        "mechanism": "uniform",
        "session_s": HOUR_S,
        "opens_s": OPENS_S,
        "gate_s": GATE_S,
        "min_wh": 1,
        "price_min": min(0, 2 * min(retail)) - 1000,
        "price_max": max(0, 2 * max(retail)) + 1000,
        "operators": list(OPERATORS),
        "agree": 2,
        "settlement_agent": "gridco",
        "grid_operator": "gridco",
        "members": list(MEMBERS),
        "local_fee": LOCAL_FEE,
    }
    return [_proposal(setup, "market", "gridco", "suncoop", terms)]


def _outside(setup: Setup) -> list[dict[str, Any]]:
    """The retailer's and the grid operator's accounts, and the outside one that balances the retailer."""
    return [
        _proposal(setup, "wallet", "gridco", "cityretail", {"account": "cityretail", "credit_limit": 0}),
        _proposal(setup, "wallet", "gridco", "gridco", {"account": "gridco", "credit_limit": 0}),
        _proposal(setup, "wallet", "gridco", "gridco", {"account": WHOLESALE, "credit_limit": OUTSIDE_CREDIT}),
        _proposal(setup, "balance", "gridco", "cityretail", {"series": WHOLESALE, "account": WHOLESALE}),
    ]


def _home(setup: Setup, home: Home) -> list[dict[str, Any]]:
    grid = {"local_fee": LOCAL_FEE, "grid_fee": GRID_FEE, "area_fees": {}, "operators": list(OPERATORS)}
    supply = {"tariff": setup.tariff(), "feed_in": FEED_IN}
    place = {"point": home.point, "area": AREA}
    return [
        _proposal(setup, "wallet", "gridco", home.party, {"account": home.party, "credit_limit": 0}),
        _proposal(setup, "grid", "gridco", home.party, grid, **place),
        _proposal(setup, "supply", "cityretail", home.party, supply, **place, grid_fee_micro_per_wh=GRID_FEE),
    ]


def _mandate(setup: Setup, home: Home) -> dict[str, Any]:
    retail = [row.retail for row in setup.prices]
    terms = {
        "market": MARKET,
        "bid_share_percent": 60 + 2 * home.number,
        "ask_share_percent": 10 + 3 * home.number,
        "max_wh": 1_000_000,
        "price_min": min(0, 2 * min(retail)) - 1000,
        "price_max": max(0, 2 * max(retail)) + 1000,
        "operators": list(OPERATORS),
    }
    return _proposal(setup, "mandate", home.member, home.party, terms)


async def _fund(calls: Calls, setup: Setup) -> None:
    accounts = [(home.party, home.party, setup.funds) for home in setup.homes]
    accounts.append(("cityretail", "cityretail", setup.funds * (1 + len(setup.homes))))
    booked = (setup.start - timedelta(hours=3)).isoformat()
    await asyncio.gather(
        *(
            calls.post(
                "gridco",
                "/v1/deposits",
                {
                    "agent": "gridco",
                    "account": account,
                    "owner": owner,
                    "amount": amount,
                    "currency": CURRENCY,
                    "booked": booked,
                    "reference": "before the day",
                },
            )
            for account, owner, amount in accounts
        )
    )


async def _publish(calls: Calls, setup: Setup) -> None:
    """The day's prices and the grid's carbon intensity."""
    for series, unit, values in (
        (RETAIL, "micro/Wh", [row.retail for row in setup.prices]),
        (WHOLESALE, "micro/Wh", [row.wholesale for row in setup.prices]),
        ("carbon", "g/kWh", [row.carbon for row in setup.prices]),
    ):
        body = {
            "publisher": "gridco",
            "market": MARKET,
            "series": series,
            "unit": unit,
            "start": setup.prices[0].start.isoformat(),
            "interval_s": HOUR_S,
            "values": values,
        }
        await calls.post("gridco", "/v1/prices", body)
