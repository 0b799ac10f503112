"""The network under load: three members' nodes, three etcd and Postgres, all on this machine, everything durable."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from benchmarks.load import Result, Spec, Target
from consortium.adapters.clock import set_clock
from consortium.devnet.demo import clean_directory
from consortium.devnet.network import Devnet, MemberPlan
from consortium.devnet.postgres import EmbeddedPostgres
from consortium.devnet.processes import Processes
from consortium.errors import OperatorError

HOMES = 10
PLANS = (
    MemberPlan("gridco", ("grid-operator", "utility"), users=tuple(f"site-{n:02d}" for n in range(HOMES))),
    MemberPlan("suncoop", ("cooperative",), users=tuple(f"home-{n:02d}" for n in range(HOMES))),
    MemberPlan("cityretail", ("retailer",), users=tuple(f"flat-{n:02d}" for n in range(HOMES))),
)
_TOKEN_TTL_S = 86_400
_HEARTBEAT_S = 0.5
"""Where a clock jumps, the ledger's time follows soon."""


@asynccontextmanager
async def network(
    directory: Path, *, plans: Sequence[MemberPlan] = PLANS, market: bool = False, clock_ms: int | None = None
) -> AsyncIterator[Devnet]:
    """The network in an absolute `directory`, started; everything is stopped and removed at the end.

    Without `market` its nodes do what a ledger does and nothing for markets: the ledger is measured alone. With
    `clock_ms` (UTC) they take the time of their records from a clock that starts then, see `clock_of`.
    """
    with clean_directory(directory):
        postgres = EmbeddedPostgres(directory / "postgres")
        postgres.start()
        settings: dict[str, object] = {"token_ttl_s": _TOKEN_TTL_S, "market": market}
        if clock_ms is not None:
            clock = directory / "clock"
            set_clock(clock, clock_ms)
            settings |= {"clock_file": str(clock), "heartbeat_s": _HEARTBEAT_S}
        try:
            with Processes(directory / "processes") as processes:
                net = Devnet(directory, processes, postgres, plans, settings=settings)
                await net.prepare()
                await net.start()
                yield net
        finally:
            postgres.stop()
    shutil.rmtree(directory, ignore_errors=True)


def clock_of(net: Devnet) -> Path:
    """The clock of a network that has one, for `set_clock`."""
    return net.directory / "clock"


def postmaster(net: Devnet) -> int:
    """The process id of the Postgres server."""
    return int((net.directory / "postgres" / "data" / "postmaster.pid").read_text("utf-8").split()[0])


async def targets(net: Devnet) -> list[Target]:
    """Where the load goes: each node with a token of its staff, and the homes whose readings they submit.

    Not of its meters: machines prove a key with each request (DPoP), and the generator shall cost next to nothing.
    """
    found = []
    for plan in net.plans:
        token = await net.sign_in(net.person(f"{plan.name}-staff"))
        subjects = [f"{user}@{plan.name}" for user in plan.users]
        found.append(Target(net.nodes[plan.name].port, subjects, token))
    return found


async def run_load(spec: Spec) -> Result:
    """The load in a process of its own. Raises `OperatorError` if it fails, or if a record was not accepted."""
    output = await child("benchmarks.load", json.dumps(asdict(spec)))
    result = Result(**json.loads(output))
    if result.failed:
        raise OperatorError(f"{result.failed} of {result.records + result.failed} records were not accepted")
    return result


async def child(module: str, given: str) -> str:
    """What a module prints that runs in a process of its own and is given a text on standard input."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        output, _ = await process.communicate(given.encode())
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise OperatorError(f"{module} ended with code {process.returncode}")
    return output.decode()
