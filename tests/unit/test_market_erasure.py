"""The market after an erasure: folded anew without it, nothing is written a second time, the books balance."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import pytest

from consortium.agents.market.oblivion import Oblivion
from consortium.energy.payloads.market import Order, TradePoints
from consortium.energy.payloads.metering import MeterReading
from consortium.energy.payloads.settlement import Delivery
from consortium.energy.retention import Seen, needed_for
from consortium.ledger.governance.settings import LedgerSettings, Retention
from tests.market_days import HOUR_MS, Small, balances, check_money, open_small, read
from tests.market_world import Entry, MarketWorld, Node

HOURS = 6


class Gone(dict):
    """What everybody sees of an erased record: nothing."""

    def __contains__(self, key: object) -> bool:
        return True

    def __getitem__(self, key: object) -> None:
        return None


class ErasingNode(Node):
    """A process that knows what was erased, as the runner does."""

    def begin(self) -> None:
        custody = SimpleNamespace(derive_id=lambda cause: hashlib.sha256(self.member.encode() + cause).digest()[:16])
        self.oblivion = getattr(self, "oblivion", None) or Oblivion(self.member, custody, self.state)
        super().begin()
        self.view.own_ids |= self.oblivion.own_ids()

    def state(self) -> SimpleNamespace:
        world = self.world
        order = SimpleNamespace(author="", records=tuple(getattr(world, "gone", ())))
        governance = SimpleNamespace(erasures={b"": order}, settings=getattr(world, "settings", LedgerSettings()))
        return SimpleNamespace(governance=governance, time_ms=world.now_ms)

    def act(self) -> None:
        """As the runner: what is forbidden is not written."""
        super().act()
        for duty in [duty for duty in self.outbox if self.oblivion.forbids(duty)]:
            self.outbox.remove(duty)


def erase(world: MarketWorld, gone: list[Entry], *, closing: bool = True) -> None:
    """Every node destroys the records, and begins anew without them."""
    for node in world.nodes:
        if closing:
            for entry in gone:
                fact = entry.fact(node.member)
                node.oblivion.close(node.oblivion.tags(fact.parts, node.view) if fact is not None else ())
    world.gone = {*getattr(world, "gone", ()), *(entry.id for entry in gone)}
    for entry in gone:
        object.__setattr__(entry, "facts", Gone())
    for node in world.nodes:
        node.crash()


def day() -> tuple[MarketWorld, Small]:
    """Some hours of a small market, settled and paid; of one interval an estimate came before the measured reading."""
    world = MarketWorld()
    world.nodes = [ErasingNode(world, node.member) for node in world.nodes]
    small = Small(homes=4)
    open_small(world, small)
    start = small.start_ms
    for hour in range(-24, HOURS):
        world.now_ms = max(world.now_ms, start + (hour + 1) * HOUR_MS + 1000)
        for number, home in enumerate(small.parties, start=1):
            load, pv = (2000 + 100 * number, 0) if number % 2 else (300, 4000 + 10 * number)
            if hour == 2 and number == 1:
                read(world, home, start + hour * HOUR_MS, 9000, 0, "estimated")
                world.settle()
                load = 2500
            read(
                world, home, start + hour * HOUR_MS, load, pv, "corrected" if hour == 2 and number == 1 else "measured"
            )
        world.settle()
    return world, small


@pytest.fixture
def world():
    found = day()[0]
    assert len([one for one in found.every(Delivery) if one.start_ms >= Small().start_ms]) > 4 * HOURS
    assert found.every(TradePoints), "nothing was traded: the day shows nothing"
    return found


def about(world, kind, hour=None, subject=None):
    start = Small().start_ms
    return [
        record
        for record, part in world.found(kind)
        if (hour is None or part.start_ms == start + hour * HOUR_MS)
        and (subject is None or getattr(part, "subject", getattr(part, "owner", None)) == subject)
    ]


def nothing_follows(world, gone, **how):
    books, count = balances(world), len(world.records)
    erase(world, gone, **how)
    world.settle()
    assert [record.parts for record in world.records[count:]] == []
    return books


@pytest.mark.parametrize("kind", [MeterReading, Order])
def test_after_all_of_a_kind_is_erased_nothing_is_written_and_the_books_balance(world, kind):
    books = nothing_follows(world, about(world, kind))
    check_money(world)
    assert balances(world) == books


def test_after_one_home_erased_its_readings_its_neighbours_go_on(world):
    home = Small().parties[0]
    nothing_follows(world, about(world, MeterReading, subject=home))
    count = len(world.records)
    other = Small().parties[2]
    read(world, other, Small().start_ms + 3 * HOUR_MS, 5, 5, "corrected")
    world.settle()
    written = [part for record in world.records[count:] for part in record.parts]
    assert any(isinstance(part, Delivery) and part.subject == other for part in written)
    check_money(world)


def test_what_counted_is_erased_and_what_it_replaced_is_not(world):
    last = about(world, MeterReading, hour=2, subject=Small().parties[0])[-1:]
    nothing_follows(world, last)


@pytest.mark.parametrize("kind", [MeterReading, Order])
def test_the_same_without_closing_writes_anew(world, kind):
    """So that the tests above can fail: the older reading would count again, the book of a session would be another."""
    count = len(world.records)
    gone = about(world, MeterReading, hour=2, subject=Small().parties[0])[-1:] if kind is MeterReading else []
    erase(world, gone or about(world, Order)[::2], closing=False)
    world.settle()
    assert len(world.records) > count


def test_a_trade_erased_by_a_court_changes_no_delivery(world):
    nothing_follows(world, [record for record, _ in world.found(TradePoints)][:3])


def test_what_retention_took_is_closed_by_time_alone(world):
    days = Retention(keep_days=0, erase_days=1)
    world.settings = LedgerSettings(retention={"reading": days, "order": days})
    world.now_ms += 3 * 24 * HOUR_MS
    world.settle()
    gone = about(world, MeterReading, hour=2, subject=Small().parties[0])[-1:]
    gone += about(world, Order)[::2]
    assert all(node.oblivion.tags(gone[0].parts, node.view) == () for node in world.nodes)
    nothing_follows(world, gone)


def test_the_view_knows_its_own_records_after_they_are_gone(world):
    gone = about(world, Order)
    erase(world, gone)
    for node in world.nodes:
        node.cursor = len(world.records)  # nothing of it arrives any more
        node.begin()
        assert {entry.id for entry in gone} <= node.view.own_ids


def seen(record: Entry) -> Seen:
    return Seen(record.id, record.index, record.author, record.time_ms, record.parts)


def test_readings_are_needed_until_they_are_settled(world):
    node = world.node("suncoop")
    home = Small().parties[0]
    settled = about(world, MeterReading, hour=1, subject=home)[0]
    assert needed_for(seen(settled), node.view) == ""
    world.now_ms += HOUR_MS
    read(world, home, Small().start_ms + HOURS * HOUR_MS, 1, 1)
    node.fold()
    assert needed_for(seen(world.records[-1]), node.view) == "the interval is not settled yet"


def test_orders_are_needed_until_their_session_is_over(world):
    node = world.node("suncoop")
    found = {needed_for(seen(record), node.view) for record in about(world, Order, hour=1)}
    assert found == {""}
    later = [record for record, part in world.found(Order) if not node.view.session(part.market, part.start_ms).final]
    assert later
    assert {needed_for(seen(record), node.view) for record in later} == {"the order's session is not over"}
