"""The load generator, a process of its own: reads a `Spec` as JSON on standard input, writes a `Result` on output.

- *closed*: so many callers, each sends its next record when it has the answer to the last one.
- *open*: records are sent by the clock at a given rate, whatever the answers do; a record's time counts from the
  moment that the clock says, so that a stall shows in full.
- *bulk*: streams of NDJSON to all nodes at once.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

import uvloop

from benchmarks.http import Connection
from benchmarks.readings import readings
from benchmarks.stream import stream


@dataclass(frozen=True, slots=True)
class Target:
    """One node: where it is, a token of a machine there, and the users that it submits readings of."""

    port: int
    subjects: list[str]
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Spec:
    """What to do. `callers` of a closed load; `rate` per second of an open one; `records` in all of a bulk one."""

    mode: str
    targets: list[Target]
    callers: int = 0
    rate: float = 0.0
    records: int = 0
    warmup_s: float = 1.0
    seconds: float = 5.0

    @classmethod
    def from_json(cls, text: str) -> Spec:
        """The inverse of `json.dumps(asdict(spec))`."""
        raw = json.loads(text)
        return cls(**{**raw, "targets": [Target(**target) for target in raw["targets"]]})


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it: only what fell after the warm-up counts. Times in milliseconds, until applied."""

    records: int
    failed: int
    seconds: float
    per_s: float
    p50_ms: float = 0.0
    p99_ms: float = 0.0


class _Load:
    """What the two loads one by one share: connections, readings, and the clock that decides what counts."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.loop = asyncio.get_running_loop()
        self.bodies: list[Iterator[bytes]] = [readings(target.subjects) for target in spec.targets]
        self.times: list[float] = []
        self.failed = 0
        self.begin = time.perf_counter() + spec.warmup_s
        self.end = self.begin + spec.seconds

    async def connect(self, number: int) -> Connection:
        """Connection `number`, to the nodes in turn."""
        target = self.spec.targets[number % len(self.spec.targets)]
        _, connection = await self.loop.create_connection(lambda: Connection(target.token), "127.0.0.1", target.port)
        return connection

    def count(self, began: float, good: bool) -> None:
        """A record that began at a time has its answer."""
        now = time.perf_counter()
        if self.begin <= now < self.end:
            self.times.append(now - began)
            self.failed += not good

    def result(self) -> Result:
        """All that counted."""
        times = sorted(self.times)
        return Result(
            len(times),
            self.failed,
            self.spec.seconds,
            len(times) / self.spec.seconds,
            _ms(times, 0.5),
            _ms(times, 0.99),
        )


def _ms(times: Sequence[float], quantile: float) -> float:
    return times[min(len(times) - 1, math.ceil(quantile * len(times)) - 1)] * 1000 if times else math.nan


async def closed(spec: Spec) -> Result:
    """Each caller sends when it has its answer."""
    load = _Load(spec)
    connections = [await load.connect(n) for n in range(spec.callers)]
    load.begin, load.end = (t + time.perf_counter() - load.begin + spec.warmup_s for t in (load.begin, load.end))
    await asyncio.gather(*(_caller(load, n, connection) for n, connection in enumerate(connections)))
    return load.result()


def _caller(load: _Load, number: int, connection: Connection) -> asyncio.Future[None]:
    """Without a task: each answer sends the next record."""
    finished: asyncio.Future[None] = load.loop.create_future()
    bodies = load.bodies[number % len(load.bodies)]
    began = 0.0

    def send() -> None:
        nonlocal began
        began = time.perf_counter()
        connection.submit(next(bodies), answered)

    def answered(good: bool) -> None:
        load.count(began, good)
        if time.perf_counter() < load.end:
            load.loop.call_soon(send)
        else:
            connection.close()
            finished.set_result(None)

    send()
    return finished


async def open_loop(spec: Spec) -> Result:
    """Records by the clock. A record that finds no free connection waits, and its waiting counts."""
    load = _Load(spec)
    count = spec.callers
    free: list[deque[Connection]] = [deque() for _ in spec.targets]
    waiting: list[deque[float]] = [deque() for _ in spec.targets]
    for number in range(count):
        free[number % len(free)].append(await load.connect(number))
    under_way = 0
    idle = asyncio.Event()

    def send(node: int, due: float) -> None:
        nonlocal under_way
        if not free[node]:
            waiting[node].append(due)
            return
        connection = free[node].popleft()
        under_way += 1

        def answered(good: bool) -> None:
            nonlocal under_way
            under_way -= 1
            load.count(due, good)
            free[node].append(connection)
            if waiting[node]:
                load.loop.call_soon(send, node, waiting[node].popleft())
            elif not under_way:
                idle.set()

        connection.submit(next(load.bodies[node]), answered)

    began = time.perf_counter()
    load.begin, load.end = began + spec.warmup_s, began + spec.warmup_s + spec.seconds
    number = 0
    while (due := began + number / spec.rate) < load.end:
        if (pause := due - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        send(number % len(free), due)
        number += 1
    # What was sent and has not come back counts too: as if it came now.
    load.end = math.inf
    idle.clear()
    while under_way or any(waiting):
        await asyncio.wait_for(idle.wait(), 30)
        idle.clear()
    return load.result()


async def bulk(spec: Spec) -> Result:
    """All streams at once, from the first byte sent to the last answer received."""
    each = spec.records // len(spec.targets)
    bodies = [
        b"\n".join(body for body, _ in zip(readings(t.subjects), range(each), strict=False)) for t in spec.targets
    ]
    began = time.perf_counter()
    done = await asyncio.gather(*(stream(t.port, t.token, body) for t, body in zip(spec.targets, bodies, strict=True)))
    seconds = time.perf_counter() - began
    accepted = sum(answers.accepted for answers in done)
    return Result(accepted, each * len(done) - accepted, seconds, accepted / seconds)


_MODES = {"closed": closed, "open": open_loop, "bulk": bulk}


def main() -> None:
    """One load."""
    spec = Spec.from_json(sys.stdin.read())
    result = uvloop.run(_MODES[spec.mode](spec))
    print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()
