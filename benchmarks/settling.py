"""How fast the pure settlement is: home-intervals a second on one core."""

from __future__ import annotations

import time

from consortium.energy.settlement import settle_columns

HOME_INTERVALS = 200_000
ROUNDS = 5


def measure() -> dict[str, float | int]:
    """Settle 200,000 home-intervals by columns, the best of five rounds; the sums show that the work was done."""
    load = [400 + 37 * n % 2_000 for n in range(HOME_INTERVALS)]
    pv = [53 * n % 1_900 for n in range(HOME_INTERVALS)]
    position = [11 * n % 700 - 350 for n in range(HOME_INTERVALS)]
    price = [220 if n % 24 < 15 else 540 for n in range(HOME_INTERVALS)]
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        columns = settle_columns(load, pv, position, price, feed_in=50, grid_fee=80)
        seconds.append(time.perf_counter() - started)
    return {
        "home_intervals": HOME_INTERVALS,
        "seconds": min(seconds),
        "home_intervals_per_s": round(HOME_INTERVALS / min(seconds)),
        "net_wh": sum(columns.bought_wh) - sum(columns.sold_back_wh),
    }


if __name__ == "__main__":
    print(measure())
