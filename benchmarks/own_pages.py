"""What a user waits for: a page of 100 own records, authorised, opened and checked, on a node that does nothing else.

Users of one member go through their records page by page and then begin again, so that no page is asked for twice
in a row. One asks at a time; the time is from the request's first byte to the answer's last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.asking import Asker, ms
from consortium.devnet.network import Devnet
from consortium.errors import OperatorError

PAGE = 100
_WARMUP = 10


def measure(net: Devnet, member: str, tokens: Sequence[str], pages: int, laps: int) -> dict[str, Any]:
    """p50 and p99 of `pages` pages, in turn by the users whose `tokens` these are; each has `laps` pages and begins
    again after them. It blocks. Raises `OperatorError`.
    """
    askers = [Asker(net, net.nodes[member], token) for token in tokens]
    places = [-1] * len(askers)
    times: list[float] = []
    for number in range(_WARMUP + pages):
        turn = number % len(askers)
        found = askers[turn].get(f"/v1/records?limit={PAGE}&after={places[turn]}")
        if len(found["records"]) != PAGE or not all(record["data"] for record in found["records"]):
            raise OperatorError(f"a page of {PAGE} records has {len(found['records'])}")
        places[turn] = -1 if number // len(askers) % laps == laps - 1 else found["next"]
        if number >= _WARMUP:
            times.append(askers[turn].times[-1])
    return {"pages": pages, "p50_ms": ms(times, 0.5), "p99_ms": ms(times, 0.99)}
