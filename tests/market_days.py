"""Days on a `tests.market_world`: the demo's own market and meters, small made-up ones, and sums over a ledger."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from consortium.devnet.homes import DATA, MeterRow, read_meters, read_prices
from consortium.devnet.market import Home, Setup, open_market
from consortium.energy.metering import to_ms, to_rfc3339
from consortium.energy.payloads.money import Deposit, Entry
from consortium.energy.wallets import verify_chain
from tests.market_world import MarketWorld

HOUR = timedelta(hours=1)
HOUR_MS = 3_600_000
FUNDS = 200_000_000


class Calls:
    """`consortium.devnet.calls.Calls` onto a world: so the demo's own setup opens the market here."""

    def __init__(self, world: MarketWorld) -> None:
        self._world = world

    async def post(self, party: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Submit by the API's path."""
        words = path.removeprefix("/v1/").split("/")
        data, kind = dict(body), {"contracts": "contract", "deposits": "deposit", "prices": "prices"}[words[0]]
        if words[-1] == "steps":
            kind, data = "contract-step", {**data, "contract": words[1]}
        return {"id": self._world.submit(kind, data).hex(), "state": "accepted"}

    async def propose(self, proposal: Mapping[str, Any]) -> dict[str, Any]:
        """A contract."""
        return await self.post(proposal["proposer"], "/v1/contracts", proposal)

    async def until_quiet(self) -> None:
        """Everybody acts."""
        self._world.settle()


def open_demo(world: MarketWorld, setup: Setup) -> None:
    """The demo's contracts, accounts, money and prices."""
    world.now_ms = to_ms(setup.start - 2 * HOUR)
    calls: Any = Calls(world)
    asyncio.run(open_market(calls, setup))
    world.settle()


def demo_homes(names: Sequence[str]) -> tuple[Home, ...]:
    """Homes by number: 1 to 8 are of the cooperative, as in the demo."""
    numbers = [int("".join(filter(str.isdigit, name))) for name in names]
    return tuple(
        Home(name, "suncoop" if number <= 8 else "cityretail", number, f"pt-{number:02d}")
        for name, number in zip(names, numbers, strict=True)
    )


def read(
    world: MarketWorld,
    home: str,
    start_ms: int,
    load: int,
    pv: int,
    quality: str = "measured",
    interval_s: int = 3600,
) -> bytes:
    """A reading of a home by its member."""
    return world.submit(
        "reading",
        {
            "subject": home,
            "interval_start": to_rfc3339(start_ms),
            "interval_s": interval_s,
            "load_wh": load,
            "pv_wh": pv,
            "quality": quality,
        },
    )


def real_day(world: MarketWorld, day: date) -> Setup:
    """A day of the demo's files, hour by hour as the demo runs it."""
    rows, before = read_meters(DATA / "meters.csv", day), read_meters(DATA / "meters.csv", day - timedelta(days=1))
    homes = demo_homes(sorted({row.home for row in rows}))
    setup = Setup(homes, rows[0].start, read_prices(DATA / "prices.csv", day), FUNDS)
    open_demo(world, setup)
    party = {home.name: home.party for home in homes}
    by_hour: dict[datetime, list[MeterRow]] = {}
    for row in (*before, *rows):
        by_hour.setdefault(row.start, []).append(row)
    for start, hour in by_hour.items():
        world.now_ms = max(world.now_ms, to_ms(start + HOUR) + 1000)
        for row in hour:
            read(world, party[row.home], to_ms(start), row.load_wh, row.pv_wh)
        if start + HOUR >= setup.start - 2 * HOUR:
            world.settle()
    return setup


# --- sums over a ledger --------------------------------------------------------------------------------------------


def entries(world: MarketWorld) -> dict[str, list[Entry]]:
    """All links of each account's chain, in the ledger's order."""
    chains: dict[str, list[Entry]] = {}
    for entry in world.every(Entry):
        chains.setdefault(entry.account, []).append(entry)
    return chains


def balances(world: MarketWorld) -> dict[str, int]:
    """What stands in each account, by its last entry."""
    return {account: chain[-1].balance for account, chain in entries(world).items()}


def earned(world: MarketWorld) -> dict[str, int]:
    """What each account has come to without its deposits."""
    deposits: Counter[str] = Counter()
    for deposit in world.every(Deposit):
        deposits[deposit.account] += deposit.amount
    return {account: balance - deposits[account] for account, balance in balances(world).items()}


def check_money(world: MarketWorld) -> None:
    """Every chain is whole, nothing stays reserved, and money only moves: no account makes any."""
    for account, chain in entries(world).items():
        assert verify_chain(chain) == "", account
    assert sum(earned(world).values()) == 0
