"""SIGKILL in the middle of a trading day: an operator while it clears, the settlement agent while it pays, and a member
that is away for six hours.

At the end everything is as on a day on which nothing happened: price and volume, every account, every sum; each record
that an agent writes stands once; all chains of all accounts verify. What the day comes to is computed from the meters.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from consortium.devnet.figures import Figures, gather
from consortium.energy.payloads import contracts, market, metering, money, settlement
from consortium.energy.wallets import verify_chain
from tests.faults.patience import PatientCalls
from tests.faults.support import same_ledger, same_roots
from tests.fixtures.day import LivedDay, expected, short_day, silent
from tests.fixtures.network import short_directory, wait_until
from tests.opened_ledger import Opened, every, opened_ledger

pytestmark = pytest.mark.processes

HOURS = range(9, 17)
OPERATOR, AGENT, MEMBER = "suncoop", "gridco", "cityretail"
VICTIMS = {0: OPERATOR, 2: AGENT, 3: OPERATOR, 5: AGENT, 7: AGENT}
"""Who is killed in which hour of the day: the operator in the first one while it has still to clear, the others at any
moment; the agent in the last one too, when the bills of six hours come at once.
"""
AWAY, BACK = 1, 7
"""The hours before which the member goes away and comes back."""
MOMENTS = {OPERATOR: range(8), AGENT: range(6, 16)}
"""After how many of an hour's records the victim is killed at the latest. Any hour brings more, the member away or not;
the first ones are of clearing, the later ones of paying.
"""
BILLS = range(20, 60)
"""After how many records once the member is back: what six hours left open comes to more than a hundred."""
SEED = int(os.environ.get("CONSORTIUM_TEST_SEED", random.SystemRandom().randrange(1 << 32)))


@dataclass
class Faults:
    """The hook of a day: it sets out for the hour's victim, once the one before is back."""

    lived: LivedDay
    chance: random.Random
    killed: Counter[str] = field(default_factory=Counter)
    last_strike: int = 0
    """How many records there were when the last victim was killed."""
    late: int = 0
    """Readings that the member's meters kept while its node was away."""
    alone: tuple[int, list[Any]] = (0, [])
    """With one operator gone: how many sessions the other had cleared for its part, and what everyone was told of."""
    _striking: asyncio.Task[None] | None = None

    async def before_hour(self, number: int, _: int) -> None:
        net, calls = self.lived.network.net, self.lived.calls
        assert isinstance(calls, PatientCalls)
        if number in VICTIMS:
            await self.over()
            self._striking = asyncio.create_task(self._strike(number) if number else self._leave_one_alone())
            await asyncio.sleep(0)  # it has begun before the hour does
        if number == AWAY:
            calls.goes_away(MEMBER)
            net.nodes[MEMBER].kill()
        if number == BACK:
            await net.start([MEMBER])
            self.late = await calls.comes_back(MEMBER)

    async def over(self) -> None:
        """The last victim is back."""
        if self._striking is not None:
            await self._striking

    async def _strike(self, number: int) -> None:
        """Kill it in the middle: when it has records under way, or after some of the hour's records, by chance."""
        victim, before = VICTIMS[number], (await self._status("regulator"))["size"]
        after = before + self.chance.choice(BILLS if number == BACK else MOMENTS[victim])
        patient = number == BACK or self.chance.random() < 0.5

        async def now() -> int:
            head = await self._status(victim)
            busy = head["agents"]["waiting"] and not patient
            return int(head["size"]) if busy or head["size"] > after else 0

        while not (size := await now()):  # no pause: the middle of its work is short
            pass
        self.lived.network.net.nodes[victim].kill()
        self.killed[victim] += 1
        self.last_strike = size
        await self.lived.network.net.start([victim])

    async def _leave_one_alone(self) -> None:
        """The operator is killed before it has cleared; the other has nothing left to do without it."""
        net, calls = self.lived.network.net, self.lived.calls
        net.nodes[OPERATOR].kill()
        self.killed[OPERATOR] += 1

        async def waits() -> list[Any]:
            head = await self._status(AGENT)
            idle = not head["agents"]["waiting"] and head["agents"]["height"] >= head["height"]
            page = await calls.get(AGENT, "/v1/records", type="clearing")
            return page["records"] if idle else []

        found = await wait_until(waits, "the other operator has cleared, and waits")
        self.alone = len(found), (await calls.get(MEMBER, "/v1/markets/local/results"))["rows"]
        await net.start([OPERATOR])

    async def _status(self, member: str) -> dict[str, Any]:
        return await self.lived.network.status(member)


@dataclass
class Aftermath:
    """What came of the day."""

    faults: Faults
    figures: Figures
    records: list[Opened]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def aftermath() -> Any:
    sys.stdout.write(f"repeat with CONSORTIUM_TEST_SEED={SEED}\n")
    async with short_directory() as directory, short_day(directory, HOURS, PatientCalls) as lived:
        faults = Faults(lived, random.Random(SEED))
        await lived.day.run(silent, faults.before_hour)
        await faults.over()
        await lived.day.until_settled()
        yield Aftermath(faults, await gather(lived.day), await opened_ledger(lived.network))


def test_all_were_struck(aftermath):
    assert aftermath.faults.killed == Counter(VICTIMS.values())
    assert aftermath.faults.late == 2 * (BACK - AWAY)
    unpaid = [one for one in aftermath.records if one.index >= aftermath.faults.last_strike and is_bill(one)]
    assert len(unpaid) > BACK - AWAY


def test_one_operators_word_alone_made_no_price(aftermath):
    clearings, told = aftermath.faults.alone
    assert clearings > 0
    assert told == []


def test_prices_and_volumes_are_those_of_a_day_without_faults(aftermath):
    assert aftermath.figures.clearing() == expected(HOURS).clearing


def test_every_account_and_sum_is_as_on_a_day_without_faults(aftermath):
    found, right = aftermath.figures, expected(HOURS)
    assert dict(found.accounts) == right.accounts
    assert {name: found.totals()[name] for name in right.totals} == right.totals
    assert sum(found.accounts.values()) == 0


def test_every_chain_verifies_and_holds_what_the_account_came_to(aftermath):
    chains: dict[str, list[money.Entry]] = {}
    for entry in every(aftermath.records, money.Entry):
        chains.setdefault(entry.account, []).append(entry)
    paid_in = Counter[str]()
    for deposit in every(aftermath.records, money.Deposit):
        paid_in[deposit.account] += deposit.amount
    assert [verify_chain(chain) for chain in chains.values()] == [""] * len(chains)
    assert sum(chain[-1].balance for chain in chains.values()) == sum(paid_in.values())
    assert {chain[-1].reserved for chain in chains.values()} == {0}
    home = "home-01@suncoop"
    assert chains[home][-1].balance - paid_in[home] == expected(HOURS).accounts["1"]


def test_every_record_of_an_agent_stands_once(aftermath):
    found = Counter(cause for record in aftermath.records for cause in causes(record))
    assert {cause: count for cause, count in found.items() if count > 1} == {}
    types = Counter(cause[0] for cause in found)
    assert types["trade"] == expected(HOURS).totals["trades"]
    assert types["clearing"] == 2 * len(HOURS)
    assert types["delivery"] == 4 * len(HOURS)
    assert types["statement"] == 2 * 4 * len(HOURS) + 2 * len(HOURS)


def test_nothing_was_refused_disputed_or_done_over(aftermath):
    types = {record.type for record in aftermath.records}
    assert not types & {"difference", "dispute", "payment-refused"}
    versions = {part.version for part in every(aftermath.records, settlement.StatementPhysical)}
    assert versions == {part.version for part in every(aftermath.records, settlement.Delivery)} == {1}


async def test_all_members_stand_at_one_ledger(aftermath):
    network = aftermath.faults.lived.network
    heads = await same_roots(network)
    assert len({head["size"] for head in heads.values()}) == 1
    assert min(head["size"] for head in heads.values()) >= len(aftermath.records)
    await same_ledger(network)


def is_bill(record: Opened) -> bool:
    """Whether it pays one."""
    return any(line.kind == "bill" for entry in every([record], money.Entry) for line in entry.lines)


def causes(record: Opened) -> Iterator[tuple[Any, ...]]:
    """What a record follows from, in its own words: one cause, one record."""
    for part in record.parts:
        match part:
            case metering.MeterReading():
                yield "reading", part.subject, part.start_ms
            case contracts.ContractStep():
                yield "step", part.contract, part.by, part.step
            case market.Order():
                yield "order", part.owner, part.start_ms
            case market.Verdict():
                yield "verdict", part.order
            case market.Gate():
                yield "gate", part.start_ms, part.round
            case market.Funded():
                yield "funded", part.gate
            case market.Clearing():
                yield "clearing", part.gate, part.by
            case market.TradeTerms():
                yield "trade", part.gate, part.number
            case market.Result():
                yield "result", part.gate
            case market.OrderResult():
                yield "order-result", part.order
            case settlement.Delivery():
                yield "delivery", part.subject, part.start_ms
            case settlement.StatementPhysical():
                yield "statement", part.contract, part.start_ms, part.by
            case settlement.Certificate():
                yield "certificate", part.producer, part.start_ms, part.event, part.first
            case money.Entry():
                yield "entry", part.account, part.sequence
                yield from paid(part)


def paid(entry: money.Entry) -> Iterator[tuple[Any, ...]]:
    """What an entry's lines pay for. A bid's money comes free piece by piece: that is no cause."""
    for line in entry.lines:
        if line.kind != "release":
            yield "line", entry.account, line.kind, line.clause, line.cause, line.amount > 0
