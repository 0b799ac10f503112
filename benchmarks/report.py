"""The results as a table, and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.targets import FABRIC, targets_of

_DISTURBED = 5
RESULTS = Path(__file__).parent / "results" / "latest.json"


def rounded(value: Any) -> Any:
    """Figures with the digits that mean something."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    if isinstance(value, float):
        return round(value, 3) if abs(value) < 10 else round(value, 1)
    return value


def write(results: dict[str, Any], path: Path) -> None:
    """The JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rounded(results), indent=2) + "\n", "utf-8")


def show(results: dict[str, Any], console: Console) -> None:
    """The table."""
    machine = results["machine"]
    title = f"{machine['cores']} cores, {machine['cpu']}, Python {machine['python']}, etcd {machine['etcd']}"
    table = Table(title=f"{title}, Postgres {machine['postgres']}", title_justify="left")
    for column, justify in (("", "left"), ("measured", "right"), ("target", "right"), ("", "left")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    judged = {target.name: target for target in targets_of(results)}
    for name, label, unit in (*_ROWS, *_sessions(results), *_privacy(results)):
        target = judged.get(name)
        mark = "" if target is None else "[green]reached[/green]" if target.reached(results) else "[red]missed[/red]"
        table.add_row(label, f"{_at(results, name):,.{_digits(unit)}f} {unit}", str(target or ""), mark)
    console.print(table)
    ten = FABRIC["ten_in_flight"]
    console.print(
        f"{FABRIC['what']}: {FABRIC['committed_per_s']}/s committed ({FABRIC['committed_per_s_tuned']} tuned) at p50 "
        f"{FABRIC['p50_ms_at_that_load']:,} ms; {ten['committed_per_s']}/s at p50 {ten['p50_ms']} ms with ten in "
        f"flight; {FABRIC['bytes_per_record']:,} B a transaction."
    )
    disturbed = {part: percent for part, percent in results["others_percent"].items() if percent > _DISTURBED}
    if disturbed:
        parts = ", ".join(f"{part} {percent:.0f} %" for part, percent in disturbed.items())
        console.print(f"Others used this machine meanwhile, so expect less than it can: {parts}.")


def _digits(unit: str) -> int:
    return {"times": 2, "ms": 1, "s": 3}.get(unit, 0)


def _sessions(results: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Rows of the market's sessions, whatever their sizes."""
    rows = []
    for size, session in results["market"]["sessions"].items():
        trades = f"{session['trades']:,}"
        rows += [
            (f"market.sessions.{size}.trades_s", f"{int(size):,} orders: gate to all {trades} trades applied", "s"),
            (f"market.sessions.{size}.clearings_s", "  to both operators' clearings", "s"),
            (f"market.sessions.{size}.order_results_s", "  to every order's own result", "s"),
            (f"market.sessions.{size}.quiet_s", "  to everything paid and quiet", "s"),
        ]
    return rows


def _privacy(results: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Rows of what the privacy controls cost."""
    found = results["privacy"]
    disclosed, together = f"{found['disclosure']['records']:,}", found["officer_reads"]["together"]
    names = (
        ("own_pages.p50_ms", "a page of 100 own records, p50", "ms"),
        ("own_pages.p99_ms", "  p99", "ms"),
        ("disclosure.written_s", f"{disclosed} records disclosed: to the holders' last key", "s"),
        ("disclosure.opened_s", "  to all held and checked at the officer's node", "s"),
        ("disclosure.settled_s", "  to what the second holder gave judged as well", "s"),
        ("officer_reads.records_per_read", "an officer's read, records on the ledger", "times"),
        ("officer_reads.p50_ms", "  p50", "ms"),
        ("officer_reads.page.records_per_subject", "  of a page of 100, for each home in it", "times"),
        ("officer_reads.together.reads_per_s", f"  {together['readers']} at a time", "/s"),
        ("officer_reads.together.records_per_batch", "  records in a batch then", "times"),
    )
    return [(f"privacy.{name}", label, unit) for name, label, unit in names]


def _at(results: dict[str, Any], path: str) -> float:
    value: Any = results
    for name in path.split("."):
        value = value[name]
    return float(value)


_ROWS = (
    ("single_1_per_s", "one by one, 1 caller", "/s"),
    ("latency_ms.1.p50", "  p50 until applied", "ms"),
    ("latency_ms.1.p99", "  p99", "ms"),
    ("single_16_per_s", "one by one, 16 callers", "/s"),
    ("latency_ms.16.p50", "  p50", "ms"),
    ("latency_ms.16.p99", "  p99", "ms"),
    ("single_64_per_s", "one by one, 64 callers", "/s"),
    ("latency_ms.64.p50", "  p50", "ms"),
    ("latency_ms.64.p99", "  p99", "ms"),
    ("half_load_per_s", "one by one at half of that, by the clock", "/s"),
    ("p50_ms_half_load", "  p50", "ms"),
    ("p99_ms_half_load", "  p99", "ms"),
    ("bulk_per_s", "in bulk, a stream to each node", "/s"),
    ("replay_per_s", "replay, a party to every record", "/s"),
    ("replay_bound_per_s", "  its primitives alone (hash, CBOR, COPY)", "/s"),
    ("replay_ratio", "  replay to primitives", "times"),
    ("replay_indexed_per_s", "  opening every record for its index too", "/s"),
    ("replay_non_party_per_s", "replay, a party to none", "/s"),
    ("replay_non_party_bound_per_s", "  its primitives alone", "/s"),
    ("growth_ratio", "time per record, longest to shortest ledger", "times"),
    ("bytes_per_record.party", "Postgres, a party", "B/record"),
    ("bytes_per_record.non_party", "Postgres, no party", "B/record"),
    ("bytes_per_record.log", "log", "B/record"),
    ("clearing.best_s", "clearing 100,000 orders, uniform price, rules alone", "s"),
    ("settling.home_intervals_per_s", "settling, rules alone, home-intervals", "/s"),
    ("market.bulk_per_s", "in bulk, on nodes that follow a market", "/s"),
    ("market.bulk_ratio", "  to the ledger alone", "times"),
)
