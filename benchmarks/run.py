"""The parts of the benchmark in their order, each once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from benchmarks import clearing, growth, market, privacy, replay, settling
from benchmarks.load import Result, Spec
from benchmarks.machine import Others, machine
from benchmarks.network import child, network, postmaster, run_load, targets
from benchmarks.targets import FABRIC, judged
from consortium.adapters.postgres.migrate import upgrade
from consortium.devnet.network import Devnet
from consortium.devnet.processes import stop_together

T = TypeVar("T")
Step = Callable[[str], None]
CALLERS = (1, 16, 64)
PARTY, AUTHOR, STRANGER = "gridco", "suncoop", "cityretail"
"""In the parts without nodes: a member that may read every record, the one that writes them, and one that may read
none.
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how much."""

    single_s: float
    warmup_s: float
    bulk: int
    replay_batches: int
    growth_sizes: tuple[int, ...]
    growth_batches: int
    market_orders: tuple[int, ...]
    own_pages: int
    disclosed: int
    officer_reads: int

    @property
    def steps(self) -> int:
        """Steps that are shown."""
        return 1 + 3 + len(CALLERS) + 3 + 3 + len(self.market_orders) + 1 + privacy.STEPS


FULL = Plan(20.0, 3.0, 90_000, 100, (10_000, 100_000, 1_000_000), 10, (1_000, 10_000), 300, 10_000, 400)
QUICK = Plan(4.0, 1.0, 18_000, 20, (10_000, 100_000), 4, (200, 1_000), 60, 2_000, 96)


async def run(plan: Plan, directory: Path, step: Step) -> dict[str, Any]:
    """All results."""
    results: dict[str, Any] = {"plan": asdict(plan)}
    step("clearing and settling, rules alone")
    results |= {"clearing": clearing.measure(), "settling": settling.measure()}
    step("starting three members, three etcd and Postgres")
    async with network(directory) as net:
        measured = _Measured(net, step)
        results |= await _loads(net, plan, measured)
        step("stopping the nodes")
        stop_together(node.child for node in net.nodes.values() if node.child is not None)
        results |= await measured("replay", _replays(net, plan, step))
        results |= await measured("growth", _growth(net, plan, step))
        results["machine"] = machine(net.postgres.admin_url)
        results["others_percent"] = measured.others_percent
    results["market"], disturbed = await _market(directory, plan, step)
    results["others_percent"] |= disturbed
    results["privacy"], disturbed = await _privacy(directory, plan, step)
    shutil.rmtree(directory, ignore_errors=True)
    results["others_percent"] |= disturbed
    results["market"]["bulk_ratio"] = results["market"]["bulk_per_s"] / results["bulk_per_s"]
    results["targets"] = judged(results)
    results["fabric"] = FABRIC
    return results


class _Measured:
    """Notes for each part how much of the machine others used meanwhile."""

    def __init__(self, net: Devnet, step: Step) -> None:
        self.step = step
        self.others_percent: dict[str, float] = {}
        self._postmaster = postmaster(net)

    async def __call__(self, part: str, work: Awaitable[T]) -> T:
        others = Others(self._postmaster)
        found = await work
        self.others_percent[part] = others.percent()
        return found


async def _loads(net: Devnet, plan: Plan, measured: _Measured) -> dict[str, Any]:
    nodes = await targets(net)
    found: dict[str, Any] = {"latency_ms": {}}

    async def load(part: str, what: str, spec: Spec) -> Result:
        measured.step(what)
        return await measured(part, run_load(spec))

    for callers in CALLERS:
        spec = Spec("closed", nodes, callers=callers, warmup_s=plan.warmup_s, seconds=plan.single_s)
        result = await load(f"single_{callers}", f"one by one, {callers} callers", spec)
        found[f"single_{callers}_per_s"] = result.per_s
        found["latency_ms"][str(callers)] = {"p50": result.p50_ms, "p99": result.p99_ms}
    rate = found["single_64_per_s"] / 2
    spec = Spec("open", nodes, callers=256, rate=rate, warmup_s=plan.warmup_s, seconds=plan.single_s)
    half = await load("half_load", f"one by one, {rate:,.0f} a second by the clock", spec)
    found |= {"half_load_per_s": half.per_s, "p50_ms_half_load": half.p50_ms, "p99_ms_half_load": half.p99_ms}
    await load("bulk_warmup", "in bulk, warming up", Spec("bulk", nodes, records=plan.bulk // 10))
    bulk = await load("bulk", f"in bulk, {plan.bulk:,} records", Spec("bulk", nodes, records=plan.bulk))
    return found | {"bulk_per_s": bulk.per_s, "bulk_records": bulk.records}


async def _market(directory: Path, plan: Plan, step: Step) -> tuple[dict[str, Any], dict[str, float]]:
    """Sessions by their orders, then readings in bulk as before, on nodes that follow and act for the market; and how
    much others used of the machine in each.
    """
    step("starting the network again, with its market")
    # Elsewhere than the first: the embedded Postgres remembers, by its folder, what it started in this process.
    async with network(directory / "market", market=True, clock_ms=market.EVENING_MS) as net:
        sessions = await market.measure(net, plan.market_orders, step)
        disturbed = {f"market_{size}": session.pop("others_percent") for size, session in sessions.items()}
        nodes = await targets(net)
        step("in bulk while the market is followed, warming up")
        await run_load(Spec("bulk", nodes, records=plan.bulk // 10))
        step(f"in bulk while the market is followed, {plan.bulk:,} records")
        others = Others(postmaster(net))
        bulk = await run_load(Spec("bulk", nodes, records=plan.bulk))
        disturbed["market_bulk"] = others.percent()
        return {"sessions": sessions, "bulk_per_s": bulk.per_s}, disturbed


async def _privacy(directory: Path, plan: Plan, step: Step) -> tuple[dict[str, Any], dict[str, float]]:
    """On nodes with all their agents, as members run them."""
    step("starting a network with a regulator")
    async with network(directory / "privacy", plans=privacy.WITH_OFFICER, market=True) as net:
        return await privacy.measure(
            net, records=plan.disclosed, pages=plan.own_pages, reads=plan.officer_reads, step=step
        )


async def _replays(net: Devnet, plan: Plan, step: Step) -> dict[str, Any]:
    step(f"replay, three times {plan.replay_batches * 500:,} records")
    spec = replay.Spec(
        directory=str(net.directory),
        genesis=str(net.genesis_file),
        author=AUTHOR,
        subjects=_subjects(net),
        replicas={
            "party": replay.Replica(PARTY, _database(net, "replay-party"), index=False),
            "indexed": replay.Replica(PARTY, _database(net, "replay-indexed"), index=True),
            "non_party": replay.Replica(STRANGER, _database(net, "replay-stranger"), index=True),
        },
        batches=plan.replay_batches,
    )
    found = json.loads(await child("benchmarks.replay", json.dumps(asdict(spec))))
    party, indexed, stranger = found["party"], found["indexed"], found["non_party"]
    return {
        "replay_per_s": party["per_s"],
        "replay_bound_per_s": party["bound_per_s"],
        "replay_ratio": party["per_s"] / party["bound_per_s"],
        "replay_indexed_per_s": indexed["per_s"],
        "replay_non_party_per_s": stranger["per_s"],
        "replay_non_party_bound_per_s": stranger["bound_per_s"],
        "replay_bound_us": {"party": party["bound_us"], "non_party": stranger["bound_us"]},
        "bytes_per_record": {
            "party": indexed["bytes_per_record"],
            "non_party": stranger["bytes_per_record"],
            "log": found["log_bytes"],
        },
    }


async def _growth(net: Devnet, plan: Plan, step: Step) -> dict[str, Any]:
    step(f"growth up to {plan.growth_sizes[-1]:,} records")
    spec = growth.Spec(
        directory=str(net.directory),
        genesis=str(net.genesis_file),
        author=AUTHOR,
        subjects=_subjects(net),
        member=PARTY,
        url=_database(net, "growth"),
        admin_url=net.postgres.admin_url,
        sizes=list(plan.growth_sizes),
        batches=plan.growth_batches,
    )
    micros = json.loads(await child("benchmarks.growth", json.dumps(asdict(spec))))
    first, last = (micros[str(size)] for size in (plan.growth_sizes[0], plan.growth_sizes[-1]))
    return {"growth_us_per_record": micros, "growth_ratio": last / first}


def _subjects(net: Devnet) -> list[str]:
    return next([f"{user}@{plan.name}" for user in plan.users] for plan in net.plans if plan.name == AUTHOR)


def _database(net: Devnet, name: str) -> str:
    url = net.postgres.create_database(name, fresh=True).owner
    upgrade(url)
    return url
