"""The runner around the agents: what nobody foresaw stops neither the node nor the other work."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from consortium.agents.market.duty import Duty, Poisoned, contained
from consortium.agents.market.runner import MarketAgents
from consortium.energy.payloads.metering import MeterReading
from consortium.energy.view.view import View
from consortium.errors import UnknownParty
from consortium.model.names import Party
from consortium.model.records import DraftSection
from consortium.ports.party import Arrived
from tests.builders import T0, Chain, held_of, make_genesis, make_records

HOUR = 3_600_000


def reading(n: int) -> bytes:
    return MeterReading(
        start_ms=T0 + n * HOUR, subject="home@alpha", interval_s=3600, load_wh=n, pv_wh=0, quality="measured"
    ).plaintext()


def duty(n: int) -> Duty:
    return Duty(("test", n), "test", T0, (DraftSection("x", b"\xa0", (Party("alpha"),)),))


class Store:
    """Held records of one block, each with a reading as its payload."""

    def __init__(self, count: int) -> None:
        chain, records = Chain(make_genesis(3)), make_records("bravo", count)
        self.held = held_of(chain.add("bravo", records), records)
        self.plaintexts = {held.id: reading(held.index) for held in self.held}

    async def arrived(self, after: int, limit: int):
        return [Arrived(held, T0) for held in self.held if held.index > after][:limit]

    def open_all(self, held):
        return SimpleNamespace(
            header=SimpleNamespace(id=held.id, author="alpha", sections=[SimpleNamespace(commitment=bytes(32))]),
            sections=(self.plaintexts[held.id],),
        )


class Writer:
    """Takes every draft and never settles it."""

    def __init__(self) -> None:
        self.drafts = []

    def start(self, draft, type, start_ms):
        self.drafts.append(draft)
        return SimpleNamespace(ticket=SimpleNamespace(applied=SimpleNamespace(add_done_callback=lambda _: None)))


@pytest.fixture
def world():
    store, writer, faults = Store(3), Writer(), []
    view = View(make_genesis(3), "alpha")
    custody = SimpleNamespace(derive_id=lambda cause: (cause * 16)[:16])
    clock = SimpleNamespace(now_ms=lambda: T0)
    agents = MarketAgents(view, store, store, writer, custody, clock, lambda: T0 + HOUR, faults.append)
    return SimpleNamespace(agents=agents, view=view, store=store, writer=writer, faults=faults)


async def test_a_record_that_the_view_fails_on_is_left_alone_and_the_others_are_folded(world, monkeypatch):
    fold = world.view.add

    def add(fact):
        if fact.start_ms == T0 + HOUR:
            raise ZeroDivisionError("secret words")
        fold(fact)

    monkeypatch.setattr(world.view, "add", add)
    await world.agents._follow()
    assert sorted(world.view.meter("home@alpha").readings) == [T0, T0 + 2 * HOUR]
    [sentence] = world.faults
    assert "ZeroDivisionError" in sentence
    assert "secret" not in sentence


async def test_an_agent_that_fails_on_one_thing_does_the_others(world):
    def work(n):
        yield duty(n)
        if n == 1:
            raise KeyError("secret words")
        yield duty(n + 10)

    agent = SimpleNamespace(see=lambda fact: None, due=lambda: (one for n in range(3) for one in contained(work(n))))
    world.agents._agents = (agent,)
    await world.agents._act()
    assert len(world.writer.drafts) == 5
    assert world.agents.waiting == 5
    [sentence] = world.faults
    assert "secret" not in sentence


async def test_the_time_is_the_ledgers_even_where_nothing_came(world):
    world.store.held = []
    await world.agents._follow()
    assert world.view.now_ms == T0 + HOUR


def test_contained_work_gives_what_it_had_and_says_that_it_failed():
    def work():
        yield duty(0)
        raise ValueError

    first, last = contained(work())
    assert first == duty(0)
    assert isinstance(last, Poisoned)


async def test_what_cannot_be_sealed_is_given_up_and_the_rest_is_written(world, monkeypatch):
    start = world.writer.start

    def refuse(draft, type, start_ms):
        if draft.id == world.agents._derive(("test", 1)):
            raise UnknownParty("secret words")
        return start(draft, type, start_ms)

    monkeypatch.setattr(world.writer, "start", refuse)
    agent = SimpleNamespace(see=lambda fact: None, due=lambda: [duty(n) for n in range(3)])
    world.agents._agents = (agent,)
    await world.agents._act()
    await world.agents._act()
    assert len(world.writer.drafts) == 2
    assert world.agents.waiting == 2
    assert not world.agents._broken
    [sentence] = world.faults
    assert "UnknownParty" in sentence
    assert "secret" not in sentence


async def test_after_a_payment_that_cannot_be_sealed_all_is_folded_anew_without_it(world, monkeypatch):
    def refuse(draft, type, start_ms):
        raise UnknownParty("secret words")

    monkeypatch.setattr(world.writer, "start", refuse)
    payment = Duty(("payment", 1), "payment", T0, (DraftSection("x", b"\xa0", (Party("nobody"),)),))
    world.agents._agents = (SimpleNamespace(see=lambda fact: None, due=lambda: [payment]),)
    await world.agents._act()
    assert world.agents._broken
    world.agents._begin()
    assert world.agents._on_ledger(("payment", 1))
