"""The runner after an erasure: begun anew, it knows its own records, and writes nothing about what is closed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from consortium.agents.market.duty import Duty
from consortium.agents.market.oblivion import Oblivion
from consortium.energy.payloads.metering import MeterReading
from consortium.energy.payloads.settlement import Delivery
from consortium.ledger.governance.settings import LedgerSettings
from consortium.model.names import Party
from tests.builders import T0, noise
from tests.unit.test_market_runner import HOUR, world  # noqa: F401  a fixture

HOME, OTHER = "home@alpha", "other@alpha"
ERASED, COURT, THEIRS = (noise("erased", str(n), size=16) for n in range(3))


def delivery(subject: str = HOME, hour: int = 0, length: int = 3600) -> Duty:
    said = Delivery(
        start_ms=T0 + hour * HOUR, interval_s=length, subject=subject, contract=bytes(16), version=2, bought_wh=1,
        sold_back_wh=0,
    )  # fmt: skip
    return Duty(("delivery", subject, hour), said.TYPE, said.start_ms, (said.section((Party("alpha"),)),))


def reading(hour: int = 0, minutes: int = 0, length: int = 3600) -> MeterReading:
    start = T0 + hour * HOUR + minutes * 60_000
    return MeterReading(start_ms=start, subject=HOME, interval_s=length, load_wh=1, pv_wh=0, quality="measured")


@pytest.fixture
def oblivion():
    orders = [("alpha", ERASED), ("", COURT), ("bravo", THEIRS)]
    erasures = {n: SimpleNamespace(author=author, records=(id,)) for n, (author, id) in enumerate(orders)}
    governance = SimpleNamespace(erasures=erasures, settings=LedgerSettings())
    custody = SimpleNamespace(derive_id=lambda cause: noise("id", cause.hex(), size=16))
    return Oblivion("alpha", custody, lambda: SimpleNamespace(governance=governance, time_ms=T0 + 24 * HOUR))


async def test_a_runner_that_forgets_begins_anew_and_knows_its_own_ids(world, oblivion):  # noqa: F811
    agents = world.agents
    await agents._follow()
    assert world.view.meter(HOME).readings
    agents.remember(oblivion)
    world.store.held = world.store.held[1:]
    agents.forget()
    assert not agents.level
    agents._begin()
    await agents._follow()
    assert sorted(world.view.meter(HOME).readings) == [T0 + HOUR, T0 + 2 * HOUR]
    assert {ERASED, COURT} <= world.view.own_ids
    assert THEIRS not in world.view.own_ids


async def test_a_runner_writes_nothing_about_what_is_closed(world, oblivion):  # noqa: F811
    world.agents.remember(oblivion)
    oblivion.close(oblivion.tags((reading(),), None))
    world.agents._agents = (SimpleNamespace(see=lambda fact: None, due=lambda: [delivery(), delivery(OTHER)]),)
    await world.agents._act()
    [draft] = world.writer.drafts
    assert draft.sections == delivery(OTHER).sections


@pytest.mark.parametrize(
    ("duty", "forbidden"),
    [(delivery(), True), (delivery(length=900), True), (delivery(hour=1), False), (delivery(OTHER), False)],
)
@pytest.mark.parametrize("erased", [reading(), reading(minutes=45, length=900)])
def test_an_hour_is_closed_for_who_is_in_the_record_and_for_nobody_else(oblivion, erased, duty, forbidden):
    assert not oblivion.forbids(duty)
    oblivion.close(oblivion.tags((erased,), None))
    assert oblivion.forbids(duty) is forbidden


def test_payments_follow_from_their_causes_whatever_is_closed(oblivion):
    oblivion.close(oblivion.tags((reading(),), None))
    duty = delivery()
    assert not oblivion.forbids(Duty(duty.cause, "payment", duty.start_ms, duty.sections))


def test_tags_say_nothing_without_the_key(oblivion):
    tags = oblivion.tags((reading(),), None)
    other = SimpleNamespace(derive_id=lambda cause: noise("other", cause.hex(), size=16))
    assert tags
    assert not set(tags) & set(Oblivion("alpha", other, oblivion._state).tags((reading(),), None))
