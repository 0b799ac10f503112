"""What every `AccessStore` owes (consortium.ports.accesses), over the fake and over Postgres."""

from __future__ import annotations

import asyncio

import pytest

from consortium.adapters.postgres.accesses import PostgresAccesses
from consortium.ports.accesses import AccessStore, Backlog, Noted, Step, Tail, Unwritten
from tests.builders import noise
from tests.fakes.accesses import MemoryAccesses

HOME, OTHER = noise("home", size=16), noise("other", size=16)
NOTHING = Tail(0, bytes(32))


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.processes)])
def accesses(request: pytest.FixtureRequest) -> AccessStore:
    if request.param == "memory":
        return MemoryAccesses()
    return PostgresAccesses(request.getfixturevalue("database"))


def noted(at_ms: int, subject: bytes = HOME) -> Noted:
    return Noted(subject, at_ms, noise("body", at_ms, size=40))


def record(sequence: int, subject: bytes = HOME, at_ms: int = 5) -> Unwritten:
    return Unwritten(noise("id", subject, sequence, size=16), subject, sequence, at_ms, noise("record", sequence))


def tail(sequence: int) -> Tail:
    return Tail(sequence, noise("tail", sequence))


async def test_nothing_waits_in_an_empty_store(accesses):
    assert list(await accesses.subjects(10)) == []
    assert list(await accesses.waiting([HOME], 10)) == []
    assert dict(await accesses.tails([HOME])) == {}
    assert list(await accesses.unwritten(10)) == []
    assert await accesses.backlog() == Backlog(0, None)
    await accesses.note([])
    await accesses.written([])
    assert await accesses.go_on([])


async def test_reads_wait_in_their_order_and_by_subject(accesses):
    await accesses.note([noted(9), noted(3, OTHER)])
    await accesses.note([noted(7)])
    assert [one.noted for one in await accesses.waiting([HOME], 10)] == [noted(9), noted(7)]
    assert [one.noted for one in await accesses.waiting([HOME, OTHER], 2)] == [noted(9), noted(3, OTHER)]
    assert list(await accesses.subjects(10)) == [HOME, OTHER]
    assert list(await accesses.subjects(1)) == [HOME]
    assert await accesses.backlog() == Backlog(3, 3)


async def test_a_chain_goes_on_and_its_reads_are_told(accesses):
    await accesses.note([noted(1), noted(2), noted(3, OTHER)])
    first, second = await accesses.waiting([HOME], 10)
    assert await accesses.go_on([Step(HOME, NOTHING, tail(1), (record(1),), (first.number,))])
    assert dict(await accesses.tails([HOME, OTHER])) == {HOME: tail(1)}
    assert list(await accesses.waiting([HOME], 10)) == [second]
    assert list(await accesses.unwritten(10)) == [record(1)]
    steps = [
        Step(HOME, tail(1), tail(3), (record(2), record(3)), (second.number,)),
        Step(OTHER, NOTHING, tail(1), (), ()),
    ]
    assert await accesses.go_on(steps)
    assert dict(await accesses.tails([HOME, OTHER])) == {HOME: tail(3), OTHER: tail(1)}
    assert list(await accesses.unwritten(2)) == [record(1), record(2)]
    await accesses.written([record(1).id, record(3).id, noise("nobody", size=16)])
    assert list(await accesses.unwritten(10)) == [record(2)]
    assert await accesses.backlog() == Backlog(2, 3)


@pytest.mark.parametrize("before", [NOTHING, tail(2), Tail(1, noise("another"))])
async def test_a_chain_that_stands_elsewhere_does_not_go_on_and_nothing_is_done(accesses, before):
    await accesses.note([noted(1)])
    (waiting,) = await accesses.waiting([HOME], 10)
    assert await accesses.go_on([Step(HOME, NOTHING, tail(1), (), ())])
    good = Step(OTHER, NOTHING, tail(1), (record(1, OTHER),), ())
    assert not await accesses.go_on([good, Step(HOME, before, tail(9), (record(9),), (waiting.number,))])
    assert dict(await accesses.tails([HOME, OTHER])) == {HOME: tail(1)}
    assert list(await accesses.unwritten(10)) == []
    assert list(await accesses.waiting([HOME], 10)) == [waiting]


async def test_a_chain_may_begin_where_the_ledger_says(accesses):
    assert await accesses.go_on([Step(HOME, NOTHING, tail(40), (record(40),), ())])
    assert dict(await accesses.tails([HOME])) == {HOME: tail(40)}


async def test_of_many_that_go_on_at_once_one_does(accesses):
    steps = [Step(HOME, NOTHING, tail(n), (record(n),), ()) for n in range(1, 9)]
    done = await asyncio.gather(*(accesses.go_on([step]) for step in steps))
    assert done.count(True) == 1
    assert list(await accesses.unwritten(10)) == [record(1 + done.index(True))]
