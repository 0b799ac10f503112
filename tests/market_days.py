"""Days on a `tests.market_world`: the demo's own market and meters, small made-up ones, and sums over a ledger."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from consortium.devnet.homes import DATA, MeterRow, read_meters, read_prices
from consortium.devnet.market import Home, Setup, open_market
from consortium.energy.contracts.terms import WalletTerms
from consortium.energy.metering import to_ms, to_rfc3339
from consortium.energy.payloads.base import Part
from consortium.energy.payloads.market import Clearing, Order
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

    async def until_quiet(self, *_: Any) -> None:
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


def check_limits(world: MarketWorld) -> None:
    """No account ever stood below its credit, its reservations included; nor did any make a reservation negative."""
    limits = {
        contract.terms.account: contract.terms.credit_limit
        for contract in world.desk("gridco").of_kind("wallet")
        if isinstance(contract.terms, WalletTerms)
    }
    for account, chain in entries(world).items():
        assert all(entry.balance - entry.reserved >= -limits[account] for entry in chain), account


def held(world: MarketWorld, until_ms: int) -> list[Order]:
    """The orders for sessions before `until_ms` for which something is still reserved."""
    reserved: Counter[bytes] = Counter()
    for chain in entries(world).values():
        for entry in chain:
            for line in entry.lines:
                reserved[line.cause] += line.reserved
    return [order for record, order in world.found(Order) if reserved[record.id] and order.start_ms < until_ms]


def told(world: MarketWorld) -> dict[Hashable, tuple[Any, ...]]:
    """Every record by its id: author and sections, without what follows from the order in which members wrote.

    A clearing's id follows from its digest, which covers the places of the orders: it stands by gate and operator.
    """
    found: dict[Hashable, tuple[Any, ...]] = {}
    for record in world.records:
        clearing = next((part for part in record.parts if isinstance(part, Clearing)), None)
        key = record.id if clearing is None else (clearing.gate, clearing.by)
        assert key not in found
        found[key] = (record.author, *map(_told, record.parts))
    return found


_BY_ORDER = {
    "payment": {"sequence", "previous", "balance", "reserved"},
    "clearing": {"digest", "chunks", "book_root"},
    "result": {"book_root"},
    "order-result": {"book_root", "leaf", "proof"},
}
"""Links of chains, and places in a book: who reads a home's chain meets the same movements in another order."""


def _told(part: Part) -> tuple[str, str]:
    fields = part.model_dump(exclude=_BY_ORDER.get(part.TYPE, set()) if part.PART != "verdict" else set())
    return part.PART, repr(fields)


# --- small markets -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Small:
    """A made-up market: homes `home-1@suncoop`, `home-2@cityretail`... in turn, one fixed tariff, all prefunded."""

    homes: int = 4
    start_ms: int = 1_497_510_000_000
    """2017-06-15T07:00Z, the first midnight of Los Angeles' day."""
    market: Mapping[str, Any] = field(default_factory=dict)
    """Terms of the market that differ from `RULES`."""
    funds: int = 10_000_000
    days: int = 7
    retail: int = 220
    mandates: bool = True
    max_wh: int = 100_000

    @property
    def parties(self) -> tuple[str, ...]:
        """The homes."""
        return tuple(f"home-{n}@{'suncoop' if n % 2 else 'cityretail'}" for n in range(1, self.homes + 1))

    @property
    def step_ms(self) -> int:
        """A session's length."""
        return int({**RULES, **self.market}["session_s"]) * 1000


RULES: dict[str, Any] = {
    "name": "local",
    "zone": "America/Los_Angeles",
    "currency": "USD",
    "mechanism": "uniform",
    "session_s": 3600,
    "opens_s": 2 * 86_400,
    "gate_s": 900,
    "min_wh": 1,
    "price_min": -1000,
    "price_max": 2000,
    "operators": ["gridco", "suncoop"],
    "agree": 2,
    "settlement_agent": "gridco",
    "grid_operator": "gridco",
    "members": ["cityretail", "gridco", "suncoop"],
    "local_fee": 20,
}


def propose(
    world: MarketWorld,
    kind: str,
    provider: str,
    customer: str,
    terms: Mapping[str, Any],
    from_ms: int,
    to_ms: int,
    *,
    signed: bool = True,
    **more: Any,
) -> bytes:
    """A contract, and the other side's signature unless it is not `signed`; its id."""
    words = {"kind": kind, "provider": provider, "customer": customer, "proposer": provider, "currency": "USD", **more}
    term = {"from": to_rfc3339(from_ms), "to": to_rfc3339(to_ms)}
    contract = world.submit("contract", {**words, **term, "terms": dict(terms)})
    if signed and provider != customer:
        step(world, contract, customer, "countersigned", from_ms)
    return contract


def step(world: MarketWorld, contract: bytes, by: str, step: str, at_ms: int, **more: Any) -> bytes:
    """A step in a contract's life."""
    taken = {"contract": contract.hex(), "by": by, "step": step, "effective": to_rfc3339(at_ms)}
    return world.submit("contract-step", {**taken, **more})


def deposit(world: MarketWorld, account: str, amount: int, owner: str | None = None) -> bytes:
    """Money from outside."""
    booked = {"booked": to_rfc3339(world.now_ms - world.now_ms % 1000), "reference": "test"}
    money = {"account": account, "owner": owner, "amount": amount, "currency": "USD"}
    return world.submit("deposit", {"agent": "gridco", **money, **booked})


def publish(world: MarketWorld, series: str, start_ms: int, values: Sequence[int], interval_s: int = 3600) -> bytes:
    """A series."""
    words = {"publisher": "gridco", "market": "local", "series": series, "unit": "micro/Wh"}
    said = {"start": to_rfc3339(start_ms), "interval_s": interval_s, "values": list(values)}
    return world.submit("prices", {**words, **said})


def open_small(world: MarketWorld, small: Small) -> dict[tuple[str, str], bytes]:
    """All contracts of a small market, its money and the wholesale prices; the contracts' ids by kind and customer."""
    start, end = small.start_ms, small.start_ms + small.days * 24 * HOUR_MS
    world.now_ms = start - 2 * HOUR_MS
    rules, made = {**RULES, **small.market}, {}

    def make(kind: str, provider: str, customer: str, terms: dict[str, Any], begins: int = start, **more: Any) -> None:
        made[kind, customer] = propose(world, kind, provider, customer, terms, begins, end, **more)

    make("market", "gridco", "suncoop", rules)
    early = start - 24 * HOUR_MS
    for account, owner in (("cityretail", "cityretail"), ("gridco", "gridco"), ("wholesale", "gridco")):
        make("wallet", "gridco", owner, {"account": account, "credit_limit": 10**12}, early)
    make("balance", "gridco", "cityretail", {"series": "wholesale", "account": "wholesale"})
    place = {"area": "north"}
    for number, home in enumerate(small.parties, start=1):
        supply = {"tariff": {"type": "fixed", "price": small.retail}, "feed_in": 50}
        make("wallet", "gridco", home, {"account": home, "credit_limit": 0}, early)
        fees = {"local_fee": rules["local_fee"], "grid_fee": 80, "operators": rules["operators"]}
        make("grid", "gridco", home, fees, point=f"pt-{number}", **place)
        make("supply", "cityretail", home, supply, point=f"pt-{number}", **place, grid_fee_micro_per_wh=80)
    for number, home in enumerate(small.parties if small.mandates else (), start=1):
        shares = {"bid_share_percent": 60 + 2 * number, "ask_share_percent": 10 + 3 * number, "max_wh": small.max_wh}
        bounds = {"market": "local", "price_min": 0, "price_max": 1000, "operators": rules["operators"]}
        make("mandate", home.rpartition("@")[2], home, {**shares, **bounds})
    for home in small.parties:
        if small.funds:
            deposit(world, home, small.funds)
    publish(world, "wholesale", start, [31] * (small.days * 24 * HOUR_MS // small.step_ms), small.step_ms // 1000)
    world.settle()
    return made
