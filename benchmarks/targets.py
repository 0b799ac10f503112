"""What we set out to reach, and what the rival does on the same two cores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Target:
    """One figure of the results and the bound that it must keep."""

    name: str
    bound: float
    at_least: bool
    read: Callable[[dict[str, Any]], float]

    def reached(self, results: dict[str, Any]) -> bool:
        """Whether the measured figure keeps the bound."""
        value = self.read(results)
        return value >= self.bound if self.at_least else value < self.bound

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<'} {self.bound:,g}"


def _privacy(results: dict[str, Any], part: str, name: str) -> float:
    return float(results["privacy"][part][name])


TARGETS = (
    Target("single_64_per_s", 1_500, True, lambda r: r["single_64_per_s"]),
    Target("bulk_per_s", 8_000, True, lambda r: r["bulk_per_s"]),
    Target("replay_per_s", 20_000, True, lambda r: r["replay_per_s"]),
    Target("p99_ms_half_load", 100, False, lambda r: r["p99_ms_half_load"]),
    Target("growth_ratio", 1.25, False, lambda r: r["growth_ratio"]),
    Target("bytes_per_record.non_party", 600, False, lambda r: r["bytes_per_record"]["non_party"]),
    Target("clearing.best_s", 0.5, False, lambda r: r["clearing"]["best_s"]),
    Target("settling.home_intervals_per_s", 200_000, True, lambda r: r["settling"]["home_intervals_per_s"]),
)
PRIVACY_TARGETS = (
    Target("privacy.own_pages.p50_ms", 50, False, lambda r: _privacy(r, "own_pages", "p50_ms")),
    Target(
        "privacy.officer_reads.records_per_read",
        1.001,
        False,
        lambda r: _privacy(r, "officer_reads", "records_per_read"),
    ),
)
DISCLOSED = 10_000
DISCLOSURE_TARGET = Target("privacy.disclosure.opened_s", 10, False, lambda r: _privacy(r, "disclosure", "opened_s"))
"""Of so many records; a quick run discloses less."""
MARKET_TARGETS = (
    Target("market.sessions.1000.trades_s", 1, False, lambda r: r["market"]["sessions"]["1000"]["trades_s"]),
    Target("market.sessions.10000.trades_s", 5, False, lambda r: r["market"]["sessions"]["10000"]["trades_s"]),
)
"""Of sessions that a quick run may leave out."""

FABRIC: dict[str, Any] = {
    "what": "Hyperledger Fabric 3.1.5, three peers, three Raft orderers, private data, the same 2 cores",
    "committed_per_s": 241,
    "committed_per_s_tuned": 308,
    "p50_ms_at_that_load": 2_000,
    "ten_in_flight": {"committed_per_s": 32, "p50_ms": 306},
    "bytes_per_record": 27_000,
}


def targets_of(results: dict[str, Any]) -> tuple[Target, ...]:
    """The targets of what was measured."""
    sessions = results["market"]["sessions"]
    market = (target for target in MARKET_TARGETS if target.name.split(".")[2] in sessions)
    disclosed = results["privacy"]["disclosure"]["records"] >= DISCLOSED
    return (*TARGETS, *market, *PRIVACY_TARGETS, *((DISCLOSURE_TARGET,) if disclosed else ()))


def judged(results: dict[str, Any]) -> dict[str, Any]:
    """Every target with what was measured and whether it was reached."""
    return {
        target.name: {"target": str(target), "measured": target.read(results), "reached": target.reached(results)}
        for target in targets_of(results)
    }
