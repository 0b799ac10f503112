"""The day in figures, each asked of the API by whoever may see it: nothing is computed beside the ledger.

Energy in Wh, money in micro-units, carbon in mg.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from consortium.devnet.calls import Calls
from consortium.devnet.day import TradingDay
from consortium.devnet.market import MARKET, WHOLESALE, Home

_OUTSIDE = ("deposit", "withdrawal")
_PAGE = 500
LOCAL_FEE = "grid.local-fee"


@dataclass(frozen=True, slots=True)
class Figures:
    """What everyone sees of the day: homes their summaries, operators the sessions, each account its movements."""

    homes: Mapping[str, Mapping[str, Any]]
    sessions: list[dict[str, Any]]
    accounts: Mapping[str, int]
    local_fee: int
    deliveries: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """`day` of demo.json."""
        return {"totals": self.totals(), "clearing": self.clearing(), "accounts": dict(self.accounts)}

    def totals(self) -> dict[str, int]:
        """Sums over the day."""
        homes, sessions = list(self.homes.values()), self.sessions
        used = {name: sum(home[f"{name}_wh"] for home in homes) for name in ("used", "made", "import", "export")}
        return {
            "bids": _sum(sessions, "bids"),
            "asks": _sum(sessions, "asks"),
            "bid_wh": _sum(sessions, "bid_wh"),
            "ask_wh": _sum(sessions, "ask_wh"),
            "trades": _sum(sessions, "trades"),
            "local_wh": _sum(sessions, "wh"),
            "local_value": _sum(sessions, "value"),
            "local_fee": self.local_fee,
            "residual_bought": _sum(self.deliveries, "bought_wh"),
            "residual_sold_back": _sum(self.deliveries, "sold_back_wh"),
            "load": used["used"],
            "pv": used["made"],
            "import": used["import"],
            "export": used["export"],
            "certificates_self": sum(home["certificates"]["self_wh"] for home in homes),
            "certificates_local": sum(home["certificates"]["local_wh"] for home in homes),
            "certificates_retailer": sum(home["certificates"]["retail_wh"] for home in homes),
            "feeder_net": used["import"] - used["export"],
            "carbon_mg": sum(home["carbon_mg"] or 0 for home in homes),
            "dso_total": self.accounts["dso"],
        }

    def clearing(self) -> dict[str, list[int]]:
        """Price and volume by the hour in which something was traded."""
        return {str(one["hour"]): [one["price"], one["wh"]] for one in self.sessions if one["trades"]}


async def gather(day: TradingDay) -> Figures:
    """All figures, by many calls."""
    calls, period = day.calls, {"from": day.start.isoformat(), "to": day.end.isoformat()}
    homes = {home.name: await calls.get(home.party, "/v1/me/summary", **period) for home in day.homes}
    sessions = await rows(calls, "suncoop", f"/v1/markets/{MARKET}/sessions", period)
    for session in sessions:
        session["hour"] = datetime.fromisoformat(session["start"]).astimezone(day.start.tzinfo).hour
    names = account_names(day.homes)
    outside = await asyncio.gather(
        movements(calls, "cityretail", "cityretail", period),
        movements(calls, "gridco", "gridco", period),
        movements(calls, "gridco", WHOLESALE, period),
    )
    accounts = {names[home.name]: int(homes[home.name]["net"]) for home in day.homes}
    accounts |= dict(zip(("retailer", "dso", "wholesale"), map(net, outside), strict=True))
    local_fee = sum(line["amount"] for line in outside[1] if line["clause"] == LOCAL_FEE)
    return Figures(homes, sessions, accounts, local_fee, await _deliveries(calls, period))


def account_names(homes: Iterable[Home]) -> dict[str, str]:
    """A home's account in demo.json: its number, or its name where numbers do not tell the homes apart."""
    homes = list(homes)
    numbers = [home.number for home in homes]
    return {
        home.name: str(home.number) if home.number and numbers.count(home.number) == 1 else home.name for home in homes
    }


async def rows(calls: Calls, party: str, path: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All rows of a list with a cursor."""
    found: list[dict[str, Any]] = []
    after: int | None = -1
    while after is not None:
        page = await calls.get(party, path, **params, after=after, limit=_PAGE)
        found += page.get("rows", page.get("records", []))
        after = page["next"]
    return found


async def movements(calls: Calls, party: str, account: str, period: Mapping[str, str]) -> list[dict[str, Any]]:
    """An account's lines of the period, what came from outside left out."""
    entries = await rows(calls, party, "/v1/wallet/statement", {**period, "account": account})
    return [line for entry in entries for line in entry["lines"] if line["kind"] not in _OUTSIDE]


def net(lines: Iterable[Mapping[str, Any]]) -> int:
    """What the lines change."""
    return sum(int(line["amount"]) for line in lines)


async def _deliveries(calls: Calls, period: Mapping[str, str]) -> list[dict[str, Any]]:
    """The last version of each delivery, as the retailer reads them."""
    found = await rows(calls, "cityretail", "/v1/records", {**period, "type": "delivery"})
    last = {(one["data"]["physical"]["subject"], one["data"]["physical"]["start"]): one for one in found}
    return [one["data"]["physical"] for one in last.values()]


def _sum(items: Iterable[Mapping[str, Any]], name: str) -> int:
    return sum(int(item[name]) for item in items)
