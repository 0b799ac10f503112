"""One real day on the demo's network: the market is made the evening before, then hour by hour the clock is moved on.

The nodes read the time of their records from a file that this module sets, so that gates close, orders are late and
readings are due exactly as on that day, in minutes instead of hours. Nothing else tells the nodes what to do.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

from consortium.adapters.clock import set_clock
from consortium.devnet.calls import Calls
from consortium.devnet.homes import HOUR_S, MeterRow, PriceRow
from consortium.devnet.market import Home, Setup, open_market
from consortium.devnet.network import Devnet
from consortium.energy.metering import to_ms, to_rfc3339
from consortium.errors import InvalidRequest, OperatorError

EVENING = timedelta(hours=2)
"""So long before the day its contracts are signed."""
HOUR = timedelta(hours=1)
_AFTER = timedelta(seconds=1)
Progress = Callable[[str, int, int], None]
"""Called with what is being done, the steps done, and the steps there are."""
Hook = Callable[[int, int], Awaitable[None]]
"""Called before each hour of the day, with its number and how many there are."""


def number_of(home: str) -> int:
    """A home's number: the digits of its name."""
    digits = "".join(c for c in home if c.isdigit())
    return int(digits) if digits else 0


def clock_file(directory: Path) -> Path:
    """Where the network's clock stands."""
    return directory.resolve() / "clock"


@dataclass(slots=True)
class TradingDay:
    """A day to be lived through: `rows` are its readings, `before` those of the day before, if there are any."""

    net: Devnet
    calls: Calls
    rows: Sequence[MeterRow]
    before: Sequence[MeterRow]
    prices: Sequence[PriceRow]
    answers: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    @property
    def start(self) -> datetime:
        """The day's first moment."""
        return self.prices[0].start

    @property
    def end(self) -> datetime:
        """The first moment after it."""
        return self.prices[-1].start + HOUR

    @property
    def homes(self) -> list[Home]:
        """The homes in the order of their numbers."""
        people = [person for person in self.net.people if person.kind == "user"]
        people.sort(key=lambda person: (number_of(person.name), person.name))
        return [
            Home(person.name, person.member, number_of(person.name), f"pt-{place:04d}")
            for place, person in enumerate(people, start=1)
        ]

    async def run(self, progress: Progress, hook: Hook) -> None:
        """The evening before, then the day; returns when nothing is left to do on any node."""
        progress("contracts", 0, 0)
        await open_market(self.calls, Setup(self.homes, self.start, self.prices, self._funds()))
        progress("the day before", 0, 0)
        await self._evening()
        hours = _by_hour(self.rows)
        for number, (start, rows) in enumerate(hours):
            await hook(number, len(hours))
            await self._hour(start, rows)
            progress("hours", number + 1, len(hours))
        progress("settling", 0, 0)

    async def until_settled(self) -> dict[str, dict[str, Any]]:
        """Every node's status once the day is over and all that follows from it is done."""
        self.set_time(self.end)
        return await self.calls.until_quiet(to_rfc3339(to_ms(self.end)))

    def set_time(self, moment: datetime) -> None:
        """The network's time is a second after `moment`."""
        set_clock(clock_file(self.net.directory), to_ms(moment + _AFTER))

    async def _evening(self) -> None:
        """The day before as far as it is over; then its last hours one by one: each foresees its hour of the day."""
        signed = self.start - EVENING
        await self._feed([row for row in self.before if row.start + HOUR <= signed])
        await self.calls.until_quiet()
        for start, rows in _by_hour([row for row in self.before if row.start + HOUR > signed]):
            await self._hour(start, rows)
            await self.calls.until_quiet(to_rfc3339(to_ms(start + HOUR)))

    async def _hour(self, start: datetime, rows: Sequence[MeterRow]) -> None:
        self.set_time(start + HOUR)
        await self._feed(rows)

    async def _feed(self, rows: Sequence[MeterRow]) -> None:
        members = sorted({home.member for home in self.homes})
        await asyncio.gather(*(self._send(member, rows) for member in members))

    async def _send(self, member: str, rows: Sequence[MeterRow]) -> None:
        """Readings of a member's homes, as its meters send them: NDJSON. Raises `OperatorError`."""
        homes = {home.name for home in self.homes if home.member == member}
        mine = [row for row in rows if row.home in homes]
        if not mine:
            return
        lines = [
            json.dumps({"id": os.urandom(16).hex(), "type": "reading", "data": reading(row, member)}) for row in mine
        ]
        answers = await self.calls.stream(f"{member}-meters", member, lines)
        if len(answers) != len(mine):
            raise OperatorError(f"{member} gives {len(answers)} answers to {len(mine)} readings")
        for row, answer in zip(mine, answers, strict=True):
            if answer.get("state") != "accepted":
                raise OperatorError(f"a reading of {row.home} was not accepted: {answer.get('detail') or answer}")
            self.answers[row.home, row.start.isoformat()] = answer

    def _funds(self) -> int:
        """What every home pays in: more than it can need in a day, by the readings of both days and the tariff."""
        dearest = max(abs(row.retail) for row in self.prices) + 1000
        used: dict[str, int] = {}
        for row in (*self.before, *self.rows):
            used[row.home] = used.get(row.home, 0) + row.load_wh + row.pv_wh
        return 2 * dearest * max(used.values(), default=0)


def reading(row: MeterRow, member: str) -> dict[str, Any]:
    """A reading as the API takes it."""
    return {
        "subject": f"{row.home}@{member}",
        "interval_start": row.start.isoformat(),
        "interval_s": HOUR_S,
        "load_wh": row.load_wh,
        "pv_wh": row.pv_wh,
    }


def require_prices(rows: Sequence[MeterRow], prices: Sequence[PriceRow]) -> None:
    """One price for each hour, no hour without. Raises `InvalidRequest`."""
    starts = [row.start for row in prices]
    if any(later - earlier != HOUR for earlier, later in pairwise(starts)):
        raise InvalidRequest("the prices of the day leave out an hour, or have one twice")
    if not {row.start for row in rows} <= set(starts):
        raise InvalidRequest("the prices lack an hour that has readings")


def _by_hour(rows: Sequence[MeterRow]) -> list[tuple[datetime, list[MeterRow]]]:
    return [(start, list(group)) for start, group in groupby(rows, key=lambda row: row.start)]
