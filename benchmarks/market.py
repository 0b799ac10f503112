"""From a gate's closure to its trades applied on every node, on a real network of three members.

Homes of two members order by the API in their own names, buyers and sellers apart: nobody trades with itself. Then the
devnet's clock is set past the gate, and everything that follows is the agents' work. The time is from the gate's block
at the lead to the block of the last trade at the last node, as one process with one clock sees them (to 10 ms).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.machine import Others
from benchmarks.network import clock_of, postmaster
from benchmarks.stream import stream
from benchmarks.watching import Watched, watching, written
from consortium.adapters.clock import set_clock
from consortium.devnet.calls import Calls
from consortium.devnet.homes import HOUR_S, PriceRow
from consortium.devnet.market import CURRENCY, GATE_S, MARKET, Home, Setup, open_market
from consortium.devnet.network import Devnet, Person
from consortium.energy.metering import to_ms, to_rfc3339
from consortium.errors import OperatorError

BUYER, SELLER = "cityretail", "suncoop"
"""Whose homes buy, and whose sell: gridco and suncoop operate the market, and gridco, which leads it, is the settlement
agent as well.
"""
LEAD = "gridco"
_START = datetime(2017, 6, 15, tzinfo=UTC)
_RETAIL = 300
_PRICES = (50, 300)
_WH = (10, 200)
_FUNDS = 1_000_000_000
_WARMUP = 200
_QUIET_S = 300.0


EVENING_MS = to_ms(_START - timedelta(hours=2))
"""What the clock says while the market is made: no gate is due yet, UTC milliseconds."""


class Market:
    """A market that is open, on a network whose clock file the benchmark holds."""

    def __init__(self, net: Devnet, calls: Calls, tokens: dict[str, str]) -> None:
        self._net = net
        self._calls = calls
        self._tokens = tokens
        self._rng = random.Random(1)
        self._start = _START

    async def open(self) -> None:
        """Contracts, accounts and money, as in the demo."""
        users = self._users(BUYER) + self._users(SELLER)
        homes = [Home(user.name, user.member, n, f"pt-{n:04d}") for n, user in enumerate(users, 1)]
        prices = [PriceRow(_START + timedelta(hours=n), _RETAIL, 40, 400) for n in range(24)]
        await open_market(self._calls, Setup(homes, _START, prices, _FUNDS))

    def _users(self, member: str) -> list[Person]:
        return [person for person in self._net.people if (person.member, person.kind) == (member, "user")]

    async def session(self, orders: int) -> dict[str, Any]:
        """Order for the next session, close it, and see how long what follows takes. Raises `OperatorError`."""
        start, self._start = self._start, self._start + timedelta(seconds=HOUR_S)
        await self._order(start, orders)
        await self._calls.until_quiet(timeout_s=_QUIET_S)
        async with watching(self._net) as watched:
            before, others = watched.height(LEAD), Others(postmaster(self._net))
            gate = start - timedelta(seconds=GATE_S)
            set_clock(clock_of(self._net), to_ms(gate) + 1)
            await self._calls.until_quiet(to_rfc3339(to_ms(gate)), timeout_s=_QUIET_S)
            found = written(self._net.nodes[LEAD].database_url, before)
            busy = others.percent()
            last = max(height for _, height, _ in found.values())
            await watched.until(last)
        await self._require_complete(found, start, orders)
        counts = {"orders": orders, "trades": found["trade"][2], "others_percent": busy}
        return counts | _times(watched, found, last)

    async def _order(self, start: datetime, orders: int) -> None:
        """Half of them bids; all homes at once, each by a stream of its own."""
        sides = [("bid", user) for user in self._users(BUYER)] + [("ask", user) for user in self._users(SELLER)]
        each = orders // len(sides)
        streams = [
            stream(self._net.nodes[user.member].port, self._tokens[user.name], self._lines(start, side, user, each))
            for side, user in sides
        ]
        answers = await asyncio.gather(*streams)
        accepted = sum(answer.accepted for answer in answers)
        if accepted != orders:
            raise OperatorError(f"{accepted} of {orders} orders were accepted")

    def _lines(self, start: datetime, side: str, user: Person, count: int) -> bytes:
        common = {"market": MARKET, "start": start.isoformat(), "side": side, "owner": user.party}
        lines = []
        for _ in range(count):
            limits = {"wh": self._rng.randint(*_WH), "price_micro_per_wh": self._rng.randint(*_PRICES)}
            data = {**common, **limits, "currency": CURRENCY}
            lines.append(json.dumps({"id": os.urandom(16).hex(), "type": "order", "data": data}))
        return "\n".join(lines).encode()

    async def _require_complete(self, found: dict[str, tuple[int, int, int]], start: datetime, orders: int) -> None:
        """Every order has its result, and there are as many trades as the result says."""
        page = await self._calls.get(
            LEAD, "/v1/records", type="result", **{"from": start.isoformat()}, to=(start + _HOUR).isoformat()
        )
        trades = sum(record["data"]["result"]["trades"] for record in page["records"])
        counted = (found["trade"][2], found["order-result"][2])
        if counted != (trades, orders) or not trades:
            raise OperatorError(f"{trades} trades of {orders} orders, but {counted} records of trades and results")


_HOUR = timedelta(seconds=HOUR_S)


def _times(watched: Watched, found: dict[str, tuple[int, int, int]], last: int) -> dict[str, float]:
    """Seconds from the gate's block at the lead: to the operators' clearings, the first and the last trade, the result,
    every order's own result, the last payment, and to whatever came last.
    """
    began = watched.at(LEAD, found["gate"][0])
    return {
        "clearings_s": watched.at(LEAD, found["clearing"][1]) - began,
        "first_trade_s": watched.everywhere(found["trade"][0]) - began,
        "trades_s": watched.everywhere(found["trade"][1]) - began,
        "result_s": watched.everywhere(found["result"][1]) - began,
        "order_results_s": watched.everywhere(found["order-result"][1]) - began,
        "payments_s": watched.everywhere(found["payment"][1]) - began,
        "quiet_s": watched.everywhere(last) - began,
    }


async def measure(net: Devnet, sizes: Sequence[int], step: Callable[[str], None]) -> dict[str, Any]:
    """For each number of orders the times of its session; `net` has its market and a clock at `EVENING_MS`."""
    tokens = {person.name: await net.sign_in(person) for person in net.people}
    async with Calls(net, tokens) as calls:
        market = Market(net, calls, tokens)
        await market.open()
        await market.session(_WARMUP)
        found = {}
        for size in sizes:
            step(f"a session of {size:,} orders")
            found[str(size)] = await market.session(size)
        return found
