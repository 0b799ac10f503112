"""What the demo shows of the market: each check asks as somebody who may ask, and says what it saw."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from consortium.devnet.checks import Check, Seen, make
from consortium.devnet.figures import rows
from consortium.devnet.market import FEED_IN, MARKET
from consortium.energy.market.proofs import verify_counted

_CURRENCY_UNIT = 1_000_000


async def run_all(seen: Seen) -> list[Check]:
    """All checks of the market, in the order of the table."""
    return await make(_CHECKS, seen)


async def _contracts(seen: Seen) -> tuple[bool, str]:
    """Every home: supply, grid, mandate, wallet. The grid operator sees where and when of a supply, never the price."""
    day, held, count = seen.day, True, 0
    for home in day.homes:
        found = await rows(day.calls, home.party, "/v1/contracts", {"at": day.start.isoformat()})
        kinds = sorted(one["frame"]["kind"] for one in found if one["state"] == "in force")
        held = held and kinds == ["grid", "mandate", "supply", "wallet"]
        count += len(kinds)
    supply = next(one for one in found if one["frame"]["kind"] == "supply")
    grid = await day.calls.get("gridco", f"/v1/records/{supply['id']}")
    hidden = "physical" in grid["data"] and "terms" not in grid["data"] and "terms" in supply
    return held and hidden, f"{count} of {len(day.homes)} homes, both sides signed; the grid operator reads no terms"


async def _cleared(seen: Seen) -> tuple[bool, str]:
    """Both operators' own clearings of every gate are the same."""
    day = seen.day
    period = {"from": day.start.isoformat(), "to": day.end.isoformat()}
    found = await rows(day.calls, "suncoop", "/v1/records", {**period, "type": "clearing"})
    digests: dict[str, dict[str, str]] = {}
    for one in found:
        clearing = one["data"]["clearing"]
        digests.setdefault(clearing["gate"], {})[one["author"]] = clearing["digest"]
    same = [gate for gate, by in digests.items() if len(by) == 2 and len(set(by.values())) == 1]
    states = {session["state"] for session in seen.figures.sessions}
    totals = seen.figures.totals()
    held = len(same) == len(digests) == len(day.prices) and states == {"cleared"}
    return held, f"{len(same)} hours, {totals['trades']} trades, {totals['local_wh']:,} Wh, by gridco and suncoop alike"


async def _public(seen: Seen) -> tuple[bool, str]:
    """A home of each member reads every hour's price and volume; the regulator, no member of the market, nothing."""
    day = seen.day
    period = {"from": day.start.isoformat(), "to": day.end.isoformat()}
    path = f"/v1/markets/{MARKET}/results"
    told = [await rows(day.calls, home.party, path, period) for home in (day.homes[0], day.homes[-1])]
    refused = await seen.get("regulator", "regulator-staff", path)
    prices = [one["price"] for one in told[0] if one["price"] is not None]
    held = told[0] == told[1] and len(told[0]) == len(day.prices) and refused.status_code == 404
    span = f"{min(prices)} to {max(prices)} micro/Wh" if prices else "no trade"
    return held, f"homes of both members read {len(told[0])} hours, {span}; the regulator gets {refused.status_code}"


async def _counted(seen: Seen) -> tuple[bool, str]:
    """A home checks by itself that its order stands in the book that everybody was told the root of."""
    home = seen.day.homes[0]
    orders = await rows(seen.day.calls, home.party, "/v1/orders", {"from": seen.day.start.isoformat()})
    proved = 0
    for order in orders:
        proof = await seen.day.calls.get(home.party, f"/v1/orders/{order['id']}/proof")
        result = proof["result"]["proof"]
        verify_counted(
            bytes.fromhex(proof["commitment"]),
            result["leaf"],
            result["book_size"],
            [bytes.fromhex(one) for one in result["path"]],
            bytes.fromhex(result["book_root"]),
        )
        proved += 1
    return proved == len(orders), f"{home.name} proves {proved} of its {len(orders)} orders against the hours' roots"


async def _replayed(seen: Seen) -> tuple[bool, str]:
    """The busiest hour's book, opened, clears again offline; with one limit price changed it does not."""
    session = max(seen.figures.sessions, key=lambda one: one["trades"])
    book = await seen.day.calls.get("suncoop", f"/v1/markets/{MARKET}/sessions/{session['start']}/book")
    path = seen.net.directory / "book.json"
    path.write_text(json.dumps(book), "utf-8")
    equal = await command("market", "replay", str(path))
    if not book["orders"]:
        return equal == 0, "nothing was ordered on that day: an empty book clears to nothing"
    changed = seen.net.directory / "book-changed.json"
    changed.write_text(json.dumps(_changed(book)), "utf-8")
    refused = await command("market", "replay", str(changed))
    hour = session["hour"]
    return equal == 0 and refused != 0, f"hour {hour}: {session['trades']} trades again; a changed book is refused"


def _changed(book: Mapping[str, Any]) -> dict[str, Any]:
    """The book with one bit of an order's key flipped: it opens to nothing that was committed to."""
    orders = [dict(order) for order in book["orders"]]
    key = orders[0]["key"]
    orders[0]["key"] = f"{int(key[0], 16) ^ 1:x}" + key[1:]
    return {**book, "orders": orders}


async def _energy(seen: Seen) -> tuple[bool, str]:
    t = seen.figures.totals()
    sums = (t["load"] - t["pv"], t["import"] - t["export"], t["residual_bought"] - t["residual_sold_back"])
    return len(set(sums)) == 1, f"load - PV = import - export = bought - sold back = {sums[0]:,} Wh"


async def _money(seen: Seen) -> tuple[bool, str]:
    """Nothing came from nowhere; every owner's chain of entries is whole."""
    accounts = seen.figures.accounts
    whole = []
    for owner in [*(home.party for home in seen.day.homes), "cityretail", "gridco"]:
        wallet = await seen.day.calls.get(owner, "/v1/wallet")
        whole.append(wallet["whole"] and wallet["reserved"] == 0)
    homes = sum(value for name, value in accounts.items() if name not in ("retailer", "dso", "wholesale"))
    held = sum(accounts.values()) == 0 and all(whole)
    return held, (
        f"homes {_units(homes)}, retailer {_units(accounts['retailer'])}, grid {_units(accounts['dso'])}, "
        f"wholesale {_units(accounts['wholesale'])}; sum {sum(accounts.values())}; {len(whole)} chains whole"
    )


async def _certificates(seen: Seen) -> tuple[bool, str]:
    t = seen.figures.totals()
    parts = (t["certificates_self"], t["certificates_local"], t["certificates_retailer"])
    shown = ", ".join(f"{name} {wh:,}" for name, wh in zip(("self", "local", "retailer"), parts, strict=True))
    return sum(parts) == t["pv"], f"{t['pv']:,} Wh: {shown}"


async def _gain(seen: Seen) -> tuple[bool, str]:
    """Against the supplier alone; who loses sees that it lost by its forecast."""
    homes = seen.figures.homes
    saved = {name: home["saved_against_retail"] for name, home in homes.items()}
    explained = all(
        home["saved_against_retail"] == home["trading_gain"] - home["forecast_cost"] and home["trading_gain"] >= 0
        for home in homes.values()
    )
    losers = [name for name, value in saved.items() if value < 0]
    settled = all(home["unsettled"] == 0 for home in homes.values())
    lost = f"; {', '.join(losers)} lost by forecast error, which they see" if losers else ""
    return explained and settled, f"homes gain {_units(sum(saved.values()))} against retail at {FEED_IN} feed-in{lost}"


def _units(amount: int) -> str:
    """Micro-units as whole units and cents, for people."""
    sign, cents = "-" if amount < 0 else "+", abs(amount) // (_CURRENCY_UNIT // 100)
    return f"{sign}{cents // 100:,}.{cents % 100:02d}"


async def command(*arguments: str) -> int:
    """The command that anyone would use, in a process of its own; its exit code."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "consortium", *arguments,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, cwd=Path.cwd(),
    )  # fmt: skip
    return await process.wait()


_CHECKS: tuple[tuple[str, Callable[[Seen], Awaitable[tuple[bool, str]]]], ...] = (
    ("contracts by both sides", _contracts),
    ("cleared twice, equally", _cleared),
    ("price and volume for all", _public),
    ("an order was counted", _counted),
    ("an hour clears again offline", _replayed),
    ("energy adds up", _energy),
    ("money adds up", _money),
    ("certificates, once each", _certificates),
    ("against retail", _gain),
)
