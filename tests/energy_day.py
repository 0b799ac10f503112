"""A market day from the demo's meters and prices, as the records that its parties would open.

A reference walk in a few lines, for tests that show a day rather than compute it: one area, uniform price.
"""

from __future__ import annotations

import csv
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from consortium.energy.metering import to_ms
from consortium.energy.opened import Opened
from consortium.energy.payloads.contracts import ContractFrame
from consortium.energy.payloads.market import Order, Prices, TradeMoney, TradePoints, TradeTerms
from consortium.energy.payloads.money import Entry, EntryLine
from consortium.energy.payloads.settlement import StatementMoney, StatementPhysical, StatementTerms
from consortium.energy.settlement import deliver, supply_lines

DATA = Path(__file__).parents[1] / "consortium" / "devnet" / "data"
HOUR_MS = 3_600_000
FEED_IN, LOCAL_FEE, GRID_FEE = 50, 20, 80


def home(number: int) -> str:
    return f"home-{number:02}@{'suncoop' if number <= 8 else 'cityretail'}"


class EnergyDay:
    """Records in the ledger's order, made by `add`."""

    def __init__(self, date: str) -> None:
        self.records: list[Opened] = []
        self._numbers = count(1)
        with (DATA / "prices.csv").open() as file:
            self.prices = {ms(row): row for row in csv.DictReader(file)}
        self.starts = [start for start, row in self.prices.items() if row["interval_start"].startswith(date)]
        with (DATA / "meters.csv").open() as file:
            self.meters = {
                (ms(r), int(r["home"][-2:])): (int(r["load_wh"]), int(r["pv_wh"])) for r in csv.DictReader(file)
            }

    def add(self, type: str, author: str, *parts: Any) -> bytes:
        number = next(self._numbers)
        id = number.to_bytes(16, "big")
        self.records.append(Opened(id.hex(), number, type, author, parts))
        return id

    def retail(self, start_ms: int) -> int:
        return int(self.prices[start_ms]["retail_micro_per_wh"])

    def build(self) -> EnergyDay:
        carbon = tuple(int(self.prices[start]["carbon_g_per_kwh"]) for start in self.starts)
        self.add("prices", "gridco", Prices(
            start_ms=self.starts[0], series="carbon", unit="g/kWh", interval_s=3600, values=carbon))  # fmt: skip
        contracts = {n: self.add("contract", "cityretail", supply_frame(n)) for n in range(1, 18)}
        for start in self.starts:
            positions = self.trade(start)
            for number in range(1, 18):
                load, pv = self.meters[start, number]
                self.read(start, number, load, pv)
                self.settle(start, number, contracts[number], deliver(load, pv, positions[number]))
        return self

    def trade(self, start: int) -> dict[int, int]:
        bids, asks, gain = [], [], self.retail(start) - FEED_IN - LOCAL_FEE
        for n in range(1, 18):
            load, pv = self.meters[start - 24 * HOUR_MS, n]
            if load > pv:
                bids.append(
                    [-(FEED_IN + gain * (60 + 2 * n) // 100), n, load - pv, self.order(start, n, "bid", load - pv)]
                )
            elif load < pv:
                asks.append(
                    [FEED_IN + gain * (10 + 3 * n) // 100, n, pv - load, self.order(start, n, "ask", pv - load)]
                )
        return self.clear(start, sorted(bids), sorted(asks))

    def order(self, start: int, n: int, side: Any, wh: int) -> bytes:
        return self.add("order", home(n).rpartition("@")[2], Order(
            start_ms=start, market="feeder", session_s=3600, side=side, owner=home(n), point=f"point-{n}",
            area="feeder", wh=wh, price=100, currency="USD"))  # fmt: skip

    def clear(self, start: int, bids: list[Any], asks: list[Any]) -> dict[int, int]:
        positions, matched, last = dict.fromkeys(range(1, 18), 0), [], (0, 0)
        while bids and asks and -bids[0][0] >= asks[0][0]:
            (limit, buyer, need, bid), (price, seller, have, ask) = bids[0], asks[0]
            wh, last = min(need, have), (-limit, price)
            matched.append((buyer, seller, wh, bid, ask))
            positions[buyer] += wh
            positions[seller] -= wh
            for book, rest in ((bids, need - wh), (asks, have - wh)):
                book[0][2] = rest
                if not rest:
                    book.pop(0)
        for number, match in enumerate(matched):
            self.deal(start, number, sum(last) // 2, *match)
        return positions

    def deal(
        self, start: int, number: int, price: int, buyer: int, seller: int, wh: int, bid: bytes, ask: bytes
    ) -> None:
        value, fee = wh * price, wh * LOCAL_FEE
        common = {"start_ms": start, "market": "feeder"}
        sides = {"buyer": home(buyer), "seller": home(seller), "bid": bid, "currency": "USD"}
        id = self.add(
            "trade", "gridco",
            TradePoints(**common, session_s=3600, buyer_point=f"point-{buyer}", seller_point=f"point-{seller}",
                        wh=wh, fee=fee),
            TradeTerms(**common, **sides, ask=ask, gate=start.to_bytes(16, "big"), number=number, price=price,
                       value=value),
            TradeMoney(**common, **sides, grid="gridco", value=value, fee=fee),
        )  # fmt: skip
        self.pay(start, home(buyer), id, [("trade", -value, "market.price"), ("fee", -fee, "grid.local-fee")])
        self.pay(start, home(seller), id, [("trade", value, "market.price")])

    def pay(self, start: int, owner: str, cause: bytes, lines: list[tuple[Any, int, str]]) -> None:
        """`sequence` is the record's own number here: chains are not what is tested."""
        number = len(self.records) + 1
        self.add("payment", "gridco", Entry(
            start_ms=start, account=owner, owner=owner, sequence=number, previous=bytes(32), balance=0, reserved=0,
            lines=tuple(
                EntryLine(kind=kind, amount=amount, cause=cause, clause=clause) for kind, amount, clause in lines
            ),
            currency="USD"))  # fmt: skip

    def read(self, start: int, n: int, load: int, pv: int, quality: str = "measured") -> bytes:
        return self.add("reading", home(n).rpartition("@")[2], {
            "v": 1, "type": "reading", "subject": home(n), "start_ms": start, "interval_s": 3600, "load_wh": load,
            "pv_wh": pv, "quality": quality})  # fmt: skip

    def settle(
        self, start: int, n: int, contract: bytes, moved: tuple[int, int], version: int = 1, *, paid: bool = True
    ) -> bytes:
        ids = [self.state(start, n, contract, moved, version, by) for by in (home(n), "cityretail")]
        amount = supply_lines(*moved, self.retail(start), FEED_IN, GRID_FEE)[1]
        if paid and amount:
            self.pay(start, home(n), ids[1], [("bill", -amount, "supply.price")])
        return ids[0]

    def state(self, start: int, n: int, contract: bytes, moved: tuple[int, int], version: int, by: str) -> bytes:
        lines, amount, fee = supply_lines(*moved, self.retail(start), FEED_IN, GRID_FEE)
        common = {"start_ms": start, "contract": contract, "by": by, "version": version}
        return self.add(
            "statement", by.rpartition("@")[2],
            StatementPhysical(**common, interval_s=3600, wh_out=moved[0], wh_in=moved[1], grid_fee=fee),
            StatementTerms(**common, lines=lines, amount=amount, currency="USD"),
            StatementMoney(**common, customer=home(n), provider="cityretail", grid="gridco", amount=amount,
                           grid_fee=fee, currency="USD"),
        )  # fmt: skip


def supply_frame(n: int) -> ContractFrame:
    return ContractFrame(
        start_ms=0, kind="supply", end_ms=0, provider="cityretail", customer=home(n), proposer="cityretail",
        point=f"point-{n}", area="feeder", grid_fee=GRID_FEE,
    )  # fmt: skip


def ms(row: dict[str, str]) -> int:
    return to_ms(datetime.fromisoformat(row["interval_start"]))
