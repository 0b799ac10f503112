"""Ordering: one batch at a time, who goes with whom, and what a ticket tells."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from consortium.crypto import signing
from consortium.errors import Tampering
from consortium.model.batches import parse_batch
from consortium.model.records import Accepted, Ordered, Rejected
from consortium.pipeline import order
from consortium.pipeline.order import AlreadyKnown, Indexed, Orderer
from tests.builders import T0, Chain, make_batch, make_genesis, make_record, make_records, signing_secret
from tests.fakes.log import MemoryLog, MemoryLogServer
from tests.fakes.store import MemoryStore

DEADLINE_S = 20.0
GENESIS = make_genesis()
CUSTODY = SimpleNamespace(sign_batch=lambda message: signing.sign(message, signing_secret("alpha")))
CLOCK = SimpleNamespace(now_ms=lambda: T0 + 1000)


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Whoever waits for more company than it has would wait longer than the test."""
    monkeypatch.setattr(order, "_LEAST_PATIENCE_S", 60.0)
    monkeypatch.setattr(order, "_MOST_PATIENCE_S", 60.0)


class Line:
    """An orderer on a log in memory; the test applies its batches."""

    def __init__(self, store=None):
        self.server = MemoryLogServer()
        self.store = store or MemoryStore()
        self.orderer = Orderer(
            GENESIS, "alpha", MemoryLog(self.server, "alpha"), self.store, CUSTODY, CLOCK, heartbeat_s=60.0
        )

    async def batch(self, sequence):
        """The headers of the batch, once it stands in the log."""
        async with asyncio.timeout(DEADLINE_S), self.server.changed:
            await self.server.changed.wait_for(lambda: ("alpha", sequence) in self.server.values)
        return [record.header for record in parse_batch(self.server.values["alpha", sequence]).records]


@asynccontextmanager
async def running(line, next_sequence=0):
    task = asyncio.create_task(line.orderer.run(next_sequence))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def headers(records):
    return [record.header_bytes for record in records]


async def test_a_lone_caller_never_waits_for_company():
    line = Line()
    async with running(line):
        for sequence, record in enumerate(make_records("alpha", 3)):
            line.orderer.submit(record)
            assert await line.batch(sequence) == [record.header_bytes]
            line.orderer.batch_applied(sequence)


async def test_what_comes_while_a_batch_is_under_way_goes_together_with_who_was_answered():
    line = Line()
    first, *queued, back = make_records("alpha", 4)
    async with running(line):
        line.orderer.submit(first)
        await line.batch(0)
        for record in queued:
            line.orderer.submit(record)
        line.orderer.batch_applied(0)
        line.orderer.submit(back)
        assert await line.batch(1) == headers([*queued, back])


async def test_enough_is_enough(monkeypatch):
    monkeypatch.setattr(order, "_ENOUGH", 2)
    line = Line()
    first, *queued = make_records("alpha", 4)
    async with running(line):
        line.orderer.submit(first)
        await line.batch(0)
        for record in queued:
            line.orderer.submit(record)
        line.orderer.batch_applied(0)
        assert await line.batch(1) == headers(queued)


async def test_nothing_is_sent_before_the_last_batch_is_applied():
    line = Line()
    one, two = make_records("alpha", 2)
    async with running(line):
        line.orderer.submit(one)
        await line.batch(0)
        line.orderer.submit(two)
        for _ in range(100):
            await asyncio.sleep(0)
        assert ("alpha", 1) not in line.server.values


async def test_a_ticket_tells_position_and_verdict():
    line = Line()
    record, *_ = make_records("alpha", 1)
    async with running(line):
        ticket = line.orderer.submit(record)
        await line.batch(0)
        async with asyncio.timeout(DEADLINE_S):
            ordered = await ticket.ordered
        assert ordered == Ordered(record.header.id, line.server.position)
        assert not ticket.applied.done()
        verdict = Accepted(record.header.id, 1, 0, 0)
        line.orderer.record_applied(verdict, record.header_bytes, line.server.position)
        assert ticket.applied.result() == verdict


async def test_what_is_applied_is_ordered_though_the_answer_of_the_log_was_lost():
    line = Line()
    record, *_ = make_records("alpha", 1)
    line.orderer._log.lost_answers = 10**6
    async with running(line):
        ticket = line.orderer.submit(record)
        await line.batch(0)
        verdict = Rejected(record.header.id, 1, 0, "duplicate-id")
        line.orderer.record_applied(verdict, record.header_bytes, 7)
        assert (ticket.ordered.result(), ticket.applied.result()) == (Ordered(record.header.id, 7), verdict)


async def test_a_record_of_the_same_id_that_is_not_the_one_that_was_submitted_settles_nothing():
    line = Line()
    record = make_record("alpha", 1)
    other = make_record("alpha", 2, id=record.header.id)
    async with running(line):
        ticket = line.orderer.submit(record, Indexed("reading", T0, (b"tag",)))
        await line.batch(0)
        assert line.orderer.indexed(record.header.id, other.header_bytes) is None
        assert line.orderer.indexed(record.header.id, record.header_bytes) == Indexed("reading", T0, (b"tag",))
        line.orderer.record_applied(Accepted(record.header.id, 1, 0, 0), other.header_bytes, 7)
        assert not ticket.applied.done()


async def test_an_id_that_the_ledger_has_is_not_ordered_again():
    chain, store = Chain(GENESIS), MemoryStore()
    known, fresh = make_records("alpha", 2)
    await store.commit(chain.add("alpha", [known]), ())
    line = Line(store)
    async with running(line, next_sequence=1):
        tickets = [line.orderer.submit(record) for record in (known, fresh)]
        assert await line.batch(1) == [fresh.header_bytes]
        assert tickets[0].ordered.result() == tickets[0].applied.result() == AlreadyKnown(known.header.id)
        assert not tickets[1].applied.done()


async def test_tampering_fails_the_tickets_that_were_not_ordered():
    line = Line()
    await line.server.put("alpha", 0, make_batch(GENESIS, "bravo", 0, T0))
    line.store.block_of_batch = _no_block
    one, two = make_records("alpha", 2)
    async with running(line) as task:
        tickets = [line.orderer.submit(one), line.orderer.submit(two)]
        line.orderer.batch_applied(0)
        async with asyncio.timeout(DEADLINE_S):
            await task
    assert isinstance(line.orderer.failure, Tampering)
    for ticket in tickets:
        for future in (ticket.ordered, ticket.applied):
            with pytest.raises(Tampering):
                future.result()


async def _no_block(member, sequence):
    return None
