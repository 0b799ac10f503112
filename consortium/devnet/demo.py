"""The demo: a consortium of four, one real day from meters to money, faults on the way, and every promise checked.

Each line of its closing table comes from a real call: the API, the database, a receipt file, or the etcd cluster.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import shutil
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from consortium.adapters.clock import set_clock
from consortium.devnet import checks, market_checks, privacy_checks
from consortium.devnet.calls import Calls
from consortium.devnet.day import EVENING, Progress, TradingDay, clock_file, number_of, require_prices
from consortium.devnet.figures import Figures, gather
from consortium.devnet.homes import MeterRow, PriceRow, homes_of, meters_of, read_meters, read_prices
from consortium.devnet.join_demo import with_join
from consortium.devnet.network import Devnet, MemberPlan
from consortium.devnet.postgres import EmbeddedPostgres, PostgresServer, external
from consortium.devnet.processes import Processes
from consortium.energy.metering import to_ms
from consortium.errors import ConfigurationError

MARK = ".consortium-demo"
FIRST_OF_RETAILER = 9
"""Homes 1 to 8 belong to the cooperative, the others to the retailer."""
_TOKEN_TTL_S = 86_400
_HEARTBEAT_S = 0.5
_ACCESS_INTERVAL_S = 1.0
"""A quiet node's sign of life carries the time, which the demo moves on in jumps."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What to run. `postgres_url` is an administrator's URL of a server to use instead of the embedded one.

    `with_join`: a fifth member joins at the end, and is removed again.
    """

    directory: Path
    meters: Path
    prices: Path
    day: date
    postgres_url: str | None = None
    with_join: bool = False


@dataclass(slots=True)
class Demo:
    """A running demo: the network, the day, and what was reached."""

    options: DemoOptions
    net: Devnet
    rows: Sequence[MeterRow]
    before: Sequence[MeterRow]
    prices: Sequence[PriceRow]
    tokens: dict[str, str] = field(default_factory=dict)
    checks: list[checks.Check] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every check held."""
        return bool(self.checks) and all(check.held for check in self.checks)


def plans(homes: Sequence[str]) -> list[MemberPlan]:
    """The four members, with the homes shared out between cooperative and retailer by their number."""
    cooperative = tuple(home for home in homes if number_of(home) < FIRST_OF_RETAILER)
    retailer = tuple(home for home in homes if number_of(home) >= FIRST_OF_RETAILER)
    return [
        MemberPlan("gridco", ("grid-operator", "utility")),
        MemberPlan("suncoop", ("cooperative",), users=cooperative),
        MemberPlan("cityretail", ("retailer",), users=retailer),
        MemberPlan("regulator", ("compliance",), votes=False),
    ]


@contextmanager
def clean_directory(directory: Path) -> Iterator[None]:
    """An empty directory, ours as long as this lasts.

    What an earlier run left there is ended and removed. Raises `ConfigurationError` for a directory that holds
    something else (nobody's files are deleted), and for one in which a demo is running.
    """
    directory = directory.resolve()
    if directory.exists() and any(directory.iterdir()):
        if not (directory / MARK).exists():
            raise ConfigurationError(
                f"{directory} holds something that is no demo", hint="choose another folder with --dir"
            )
        with _locked(directory):
            with Processes(directory / "processes"):
                pass  # ends what a crashed run left
            _stop_left_postgres(directory)
            shutil.rmtree(directory)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(directory):
        yield


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    with (directory / MARK).open("w") as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigurationError(
                f"a demo is running in {directory}", hint="end it, or choose another folder with --dir"
            ) from None
        yield


def _stop_left_postgres(directory: Path) -> None:
    if (directory / "postgres" / "data" / "postmaster.pid").exists():
        left = EmbeddedPostgres(directory / "postgres")
        left.start()
        left.stop("immediate")


@contextmanager
def postgres_for(options: DemoOptions) -> Iterator[PostgresServer]:
    """The embedded server, stopped at the end, or the one that was named."""
    if options.postgres_url:
        yield external(options.postgres_url)
        return
    server = EmbeddedPostgres(options.directory.resolve() / "postgres")
    server.start()
    try:
        yield server
    finally:
        server.stop()


async def run_day(demo: Demo, progress: Progress) -> None:
    """Start everything, live through the day with faults on the way, check, and write demo.json."""
    progress("keys, certificates, databases", 0, 0)
    await demo.net.prepare()
    progress("starting four nodes", 0, 0)
    await demo.net.start()
    for person in demo.net.people:
        demo.tokens[person.name] = await demo.net.sign_in(person)
    async with Calls(demo.net, demo.tokens) as calls:
        day = TradingDay(demo.net, calls, demo.rows, demo.before, demo.prices)
        await day.run(progress, partial(_faults, demo))
        await _heal(demo, len({row.start for row in demo.rows}))
        heads = await day.until_settled()
        progress("waiting for all members to agree", 0, 0)
        heads = await agreed(demo, heads["gridco"]["size"])
        progress("checking", 0, 0)
        figures = await gather(day)
        seen = checks.Seen(demo.net, day, demo.tokens, heads, figures)
        demo.checks = [*await checks.run_all(seen), *await market_checks.run_all(seen)]
        demo.checks += await privacy_checks.run_all(seen)
        if demo.options.with_join:
            progress("a fifth member joins, and leaves", 0, 0)
            demo.checks += await with_join(seen)
    counts = {
        "records": heads["gridco"]["size"],
        "readings": len(day.answers),
        "blocks": heads["gridco"]["height"],
        "root": heads["gridco"]["root"],
        "applied": {name: head["size"] for name, head in heads.items()},
    }
    write_summary(demo, counts, figures)


async def _faults(demo: Demo, number: int, hours: int) -> None:
    """In the middle of the day an etcd member and a node are killed; the node comes back later."""
    kill_at, back_at = hours * 2 // 5, hours * 4 // 5
    if number == kill_at:
        demo.net.etcd.kill("cityretail")
        demo.net.nodes["gridco"].kill()
    if number == back_at:
        demo.net.launch("gridco")


async def _heal(demo: Demo, hours: int) -> None:
    if hours <= hours * 4 // 5:
        demo.net.launch("gridco")
    await demo.net.wait_ready("gridco")
    await demo.net.etcd.restart("cityretail")


async def agreed(demo: Demo, records: int, timeout_s: float = 60.0) -> dict[str, dict[str, Any]]:
    """Every member's status once all stand at the same block with `records` records; else the last ones seen."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout_s
    while True:
        heads = {name: await _status(demo, name) for name in demo.net.nodes}
        same = len({(head["block"], head["size"]) for head in heads.values()}) == 1
        witnessed = all(head["witnessed_size"] >= records for head in heads.values())
        if (same and witnessed and heads["gridco"]["size"] >= records) or loop.time() > end:
            return heads
        await asyncio.sleep(0.1)


async def _status(demo: Demo, member: str) -> dict[str, Any]:
    return await checks.status(demo.net, member, demo.tokens[f"{member}-staff"])


def write_summary(demo: Demo, counts: dict[str, Any], figures: Figures) -> None:
    """`demo.json`: what scripts need. It holds tokens, so only its owner may read it."""
    net = demo.net
    client = {name: net.authority.client(name) for name in [*net.nodes, "root"]}
    summary = {
        "date": demo.options.day.isoformat(),
        "day": figures.as_json(),
        "members": {
            name: {
                "url": node.url,
                "peer_url": node.peer_url,
                "database_url": node.database_url,
                "config": str(node.config.resolve()),
                "pid": node.child.pid if node.child else None,
            }
            for name, node in net.nodes.items()
        },
        "people": [
            {
                "name": person.name,
                "kind": person.kind,
                "member": person.member,
                "party": person.party,
                "token": demo.tokens.get(person.name, ""),
                **({"password": person.password} if person.password else {"key_seed": person.seed.hex()}),
            }
            for person in net.people
        ],
        "etcd": {
            "endpoints": [f"https://{endpoint}" for endpoint in net.etcd.endpoints],
            "ca": str(net.authority.certificate.resolve()),
            "certificates": {
                name: {"cert": str(files.certificate.resolve()), "key": str(files.key.resolve())}
                for name, files in client.items()
            },
            "prefix": f"/{net.genesis.network}/{net.genesis.channel}/{net.genesis.epoch}/log/",
        },
        "genesis": str(net.genesis_file.resolve()),
        "trust_file": str(net.trust_file.resolve()),
        "counts": counts,
        "checks": [{"name": check.name, "held": check.held, "seen": check.seen} for check in demo.checks],
    }
    path = demo.options.directory / "demo.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(summary, indent=2) + "\n", "utf-8")


async def run_demo(options: DemoOptions, progress: Progress, finished: Callable[[Demo], Awaitable[None]]) -> bool:
    """The whole demo; `finished` is called while everything still runs. Whether every check held."""
    rows = read_meters(options.meters, options.day)
    homes = homes_of(rows)
    before = [row for row in meters_of(options.meters, options.day - timedelta(days=1)) if row.home in homes]
    prices = read_prices(options.prices, options.day)
    require_prices(rows, prices)
    progress("starting etcd and Postgres", 0, 0)
    with (
        clean_directory(options.directory),
        postgres_for(options) as postgres,  # outlives the nodes
        Processes(options.directory.resolve() / "processes") as processes,
    ):
        clock = clock_file(options.directory)
        set_clock(clock, to_ms(prices[0].start - EVENING))
        settings = {"token_ttl_s": _TOKEN_TTL_S, "heartbeat_s": _HEARTBEAT_S, "clock_file": str(clock)}
        settings["access_interval_s"] = _ACCESS_INTERVAL_S
        net = Devnet(options.directory.resolve(), processes, postgres, plans(homes), settings=settings)
        demo = Demo(options, net, rows, before, prices)
        await run_day(demo, progress)
        await finished(demo)
        return demo.passed
