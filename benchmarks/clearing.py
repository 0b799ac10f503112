"""How long a uniform-price session of 100,000 orders takes to clear: rules alone, no ledger."""

from __future__ import annotations

import gc
import random
from time import perf_counter

from consortium.energy.market.book import BookOrder
from consortium.energy.market.clearing import clear
from consortium.energy.market.settings import MarketSettings, Mechanism

ORDERS = 100_000
ROUNDS = 5
TICKS = 500
"""Prices from 50 up: the more ticks, the fewer ties."""


def measure(orders: int = ORDERS, ticks: int = TICKS) -> dict[str, int | float]:
    """Orders, trades, Wh, and the seconds of the fastest and of the slowest of five clearings of one random book."""
    settings = MarketSettings("local", Mechanism.UNIFORM, 3600, 1, 0, 1_000_000, "USD", ("suncoop",))
    book = _book(orders, ticks)
    seconds = []
    for _ in range(ROUNDS):
        gc.collect()
        start = perf_counter()
        outcome = clear(settings, book)
        seconds.append(perf_counter() - start)
    return {
        "orders": orders,
        "trades": len(outcome.matches),
        "wh": outcome.wh,
        "best_s": round(min(seconds), 4),
        "worst_s": round(max(seconds), 4),
    }


def _book(orders: int, ticks: int) -> list[BookOrder]:
    rng = random.Random(1)
    book = [
        BookOrder(
            number.to_bytes(16, "big"),
            f"home-{number}@suncoop",
            "bid" if rng.random() < 0.5 else "ask",
            rng.randint(1, 5_000),
            50 + rng.randrange(ticks),
            rng.randrange(1_000),
            "point",
            "area",
            bytes(32),
            number,
        )
        for number in range(orders)
    ]
    rng.shuffle(book)
    return book
