"""PPAs, standing agreements and calls of flexibility run by themselves: what they move, what is paid, what corrects it.

The agents of three members in one process (`tests.market_world`); the expected figures are worked out here by hand.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import pytest

from consortium.agents.market.deliver import Deliverer
from consortium.energy.bilateral import Agreement, allocate_quarters, ppa_at
from consortium.energy.metering import to_rfc3339
from consortium.energy.payloads.base import read_part
from consortium.energy.payloads.contracts import Call
from consortium.energy.payloads.market import TradePoints
from consortium.energy.payloads.money import Entry
from consortium.energy.payloads.settlement import (
    Agreed,
    Certificate,
    Delivery,
    Dispute,
    StatementPhysical,
    StatementTerms,
)
from consortium.errors import InvalidRequest
from consortium.model.names import Party
from tests.market_days import (
    HOUR_MS,
    Small,
    check_limits,
    check_money,
    deposit,
    earned,
    open_small,
    propose,
    read,
    step,
)
from tests.market_world import Chaos, MarketWorld, derived

SMALL = Small(homes=4, mandates=False)
START, END = SMALL.start_ms, SMALL.start_ms + 7 * 24 * HOUR_MS
ONE, TWO, THREE, FOUR = SMALL.parties
SIGNED = START - 2 * HOUR_MS


def p2p(world, seller, buyer, max_wh, price=130, start=START, end=END, interval_s=3600):
    return propose(
        world, "p2p", seller, buyer, {"price": price, "max_wh": max_wh, "interval_s": interval_s}, start, end
    )


def ppa(world, seller, buyer, wh, price, start=START, end=END, **more):
    terms = {"price": price, "profile": [wh] * 24, "zone": "America/Los_Angeles"}
    return propose(world, "ppa", seller, buyer, terms, start, end, **more)


def opened(small: Small = SMALL) -> MarketWorld:
    world = MarketWorld()
    open_small(world, small)
    return world


def meter(world, hour: int, figures: dict[str, tuple[int, int]], quality: str = "measured") -> None:
    """All readings of an hour after the day's start, and everybody acts on them."""
    at = START + hour * HOUR_MS
    world.now_ms = max(world.now_ms, at + HOUR_MS + 1000)
    for home, (load, pv) in figures.items():
        read(world, home, at, load, pv, quality)
    world.settle()


def last(world, kind: type, key: str = "contract") -> dict[tuple[Any, int], Any]:
    """The last version of each contract's (or home's) records of that class, by it and start."""
    found = {(getattr(part, key), part.start_ms): part for part in world.every(kind)}
    assert all(part.version >= 1 for part in found.values())
    return found


def moved(world, contract: bytes) -> dict[int, int]:
    """What a contract moved, by the hour of the day."""
    return {(start - START) // HOUR_MS: one.wh for (of, start), one in last(world, Agreed).items() if of == contract}


# --- an hour by hand -------------------------------------------------------------------------------------------------

HOUR = {ONE: (100, 900), TWO: (500, 0), THREE: (600, 0), FOUR: (300, 0)}
EARNED = {ONE: 101_000, TWO: -92_000, THREE: -97_000, FOUR: -50_000}
OTHERS = {"cityretail": 54_400, "gridco": 65_000, "wholesale": 18_600}


@dataclass
class Mix:
    """Two standing agreements from one home, one PPA from the retailer, one between homes."""

    world: MarketWorld = field(default_factory=opened)
    small: Small = SMALL

    def __post_init__(self) -> None:
        self.first = p2p(self.world, ONE, THREE, 500)
        self.second = p2p(self.world, ONE, TWO, 1000, price=120)
        self.outside = ppa(self.world, "cityretail", FOUR, 100, 110, grid_fee_micro_per_wh=80)
        self.inside = ppa(self.world, TWO, FOUR, 50, 100)
        self.world.settle()


@pytest.fixture
def mix() -> Mix:
    return Mix()


def test_an_hour_of_everything_comes_to_what_its_terms_say(mix):
    meter(mix.world, 0, HOUR)
    assert [moved(mix.world, one)[0] for one in (mix.first, mix.second, mix.outside, mix.inside)] == [500, 300, 100, 50]
    delivered = {
        home: (one.bought_wh, one.sold_back_wh) for (home, _), one in last(mix.world, Delivery, "subject").items()
    }
    assert delivered == {ONE: (0, 0), TWO: (250, 0), THREE: (100, 0), FOUR: (150, 0)}
    assert earned(mix.world) == {**EARNED, **OTHERS}
    check_money(mix.world)
    assert not mix.world.every(Dispute)


def test_both_sides_state_each_agreement_and_every_line_names_its_clause(mix):
    meter(mix.world, 0, HOUR)
    for contract, clause in ((mix.first, "p2p.price"), (mix.outside, "ppa.price")):
        said = [one for one in mix.world.every(StatementTerms) if one.contract == contract]
        assert {one.by for one in said} == set(mix.world.desk("gridco").contract(contract).sides)
        assert [line.clause for one in said for line in one.lines] == [clause, clause]
    paid = {line.clause for entry in mix.world.every(Entry) for line in entry.lines}
    assert {"p2p.price", "ppa.price", "grid.local-fee", "supply.grid-fee", "supply.price", "balance.imbalance"} <= paid
    assert all(line.clause for entry in mix.world.every(Entry) for line in entry.lines)


def test_the_neighbours_energy_goes_with_its_certificates(mix):
    meter(mix.world, 0, HOUR)
    given = [one for one in mix.world.every(Certificate) if one.event == "transferred"]
    assert {(one.holder, one.use, one.count) for one in given} == {(THREE, "local", 500), (TWO, "local", 300)}
    assert sum(one.count for one in mix.world.every(Certificate) if one.event == "issued") == 900


def test_nothing_waits_for_ever_nor_moves_before_every_meter_is_read(mix):
    meter(mix.world, 0, {home: HOUR[home] for home in (TWO, THREE, FOUR)})
    assert mix.first not in {one.contract for one in mix.world.every(Agreed)}
    assert {one.subject for one in mix.world.every(Delivery)} == {FOUR}
    meter(mix.world, 0, {ONE: HOUR[ONE]})
    assert earned(mix.world) == {**EARNED, **OTHERS}


# --- corrections -----------------------------------------------------------------------------------------------------


def test_a_corrected_reading_moves_energy_and_money_anew_and_shows_both(mix):
    meter(mix.world, 0, HOUR)
    meter(mix.world, 0, {ONE: (100, 500)}, "corrected")
    fresh = Mix()
    meter(fresh.world, 0, {**HOUR, ONE: (100, 500)})
    assert moved(mix.world, mix.first)[0] == 400
    assert moved(mix.world, mix.second)[0] == 0
    assert earned(mix.world) == earned(fresh.world) != {**EARNED, **OTHERS}
    assert earned(mix.world)[ONE] == 400 * 130
    versions = [one.version for one in mix.world.every(Agreed) if one.contract == mix.first]
    assert versions == [1, 2]
    lines = [line for entry in mix.world.every(Entry) if entry.account == ONE for line in entry.lines]
    money = [(line.kind, line.amount) for line in lines if line.clause == "p2p.price"]
    assert sorted(money) == sorted(
        [("bill", 65_000), ("bill", 36_000), ("reversal", -65_000), ("reversal", -36_000), ("bill", 52_000)]
    )
    check_money(mix.world)


def test_a_reading_that_changes_no_energy_writes_no_new_version(mix):
    meter(mix.world, 0, HOUR)
    meter(mix.world, 0, {ONE: (200, 1000)}, "corrected")
    assert {one.version for one in mix.world.every(Agreed)} == {1}


# --- when it executes ------------------------------------------------------------------------------------------------


def test_an_agreement_executes_in_whole_intervals_of_its_term_alone():
    world, half = opened(), HOUR_MS // 2
    contract = p2p(world, ONE, THREE, 500, start=START + half, end=START + 3 * HOUR_MS + half)
    sold = ppa(world, "cityretail", FOUR, 100, 110, start=START + HOUR_MS, end=START + 2 * HOUR_MS)
    for hour in range(5):
        meter(world, hour, HOUR)
    assert moved(world, contract) == {1: 500, 2: 500}
    assert moved(world, sold) == {1: 100}
    assert len(world.every(Delivery)) == 20  # and outside of it nobody waits
    assert {one.start_ms for one in world.every(StatementPhysical) if one.contract == sold} == {START + HOUR_MS}
    check_money(world)


def test_a_suspended_agreement_does_not_execute_until_it_is_resumed():
    world = opened()
    contract = p2p(world, ONE, THREE, 500)
    world.settle()
    step(world, contract, THREE, "suspended", START + HOUR_MS + 900_000)
    step(world, contract, THREE, "resumed", START + 3 * HOUR_MS)
    for hour in range(5):
        meter(world, hour, HOUR)
    assert moved(world, contract) == {0: 500, 3: 500, 4: 500}
    assert last(world, Delivery, "subject")[THREE, START + HOUR_MS].bought_wh == 600
    check_money(world)


def test_what_was_settled_stands_whoever_suspends_it_afterwards():
    world = opened()
    contract = p2p(world, ONE, THREE, 500)
    for hour in range(2):
        meter(world, hour, HOUR)
    before = earned(world)
    step(world, contract, ONE, "suspended", START)
    world.settle()
    assert earned(world) == before
    meter(world, 0, {THREE: (400, 0)}, "corrected")
    meter(world, 2, HOUR)
    assert moved(world, contract) == {0: 400, 1: 500}


def test_what_one_side_signed_only_moves_nothing():
    world = opened()
    terms = {"price": 130, "max_wh": 500}
    contract = propose(world, "p2p", ONE, THREE, terms, START, END, signed=False)
    meter(world, 0, HOUR)
    assert not world.every(Agreed)
    step(world, contract, THREE, "countersigned", START)
    meter(world, 1, HOUR)
    meter(world, 2, HOUR)
    assert moved(world, contract) == {2: 500}  # not what began before both had signed
    check_money(world)


def test_nobody_sells_what_nobody_answers_for():
    world = opened()
    deposit_account(world, "suncoop")
    contract = ppa(world, "suncoop", FOUR, 100, 110)
    meter(world, 0, HOUR)
    assert moved(world, contract) == {0: 0}
    assert last(world, Delivery, "subject")[FOUR, START].bought_wh == 300


def deposit_account(world, owner):
    propose(world, "wallet", "gridco", owner, {"account": owner, "credit_limit": 0}, START - 24 * HOUR_MS, END)
    deposit(world, owner, 10_000_000, owner)
    world.settle()


def test_a_member_with_a_balance_of_its_own_sells_and_is_balanced():
    world = opened()
    deposit_account(world, "suncoop")
    propose(world, "balance", "gridco", "suncoop", {"series": "wholesale", "account": "wholesale"}, START, END)
    contract = ppa(world, "suncoop", FOUR, 100, 110)
    meter(world, 0, HOUR)
    assert moved(world, contract) == {0: 100}
    assert earned(world)["suncoop"] == 100 * 110 - 100 * 31
    assert earned(world)["wholesale"] == 600 * 31  # all that the homes took and did not make
    check_money(world)


# --- flexibility -----------------------------------------------------------------------------------------------------


def flexible(world, **terms):
    words = {"price": 300, "max_wh": 400, "max_calls": 1, **terms}
    contract = propose(world, "flexibility", TWO, ONE, words, START, END)
    world.settle()
    return contract


def call(world, contract, hour, wh):
    from_ms = START + hour * HOUR_MS
    data = {"contract": contract.hex(), "by": ONE, "start": to_rfc3339(from_ms), "interval_s": 3600, "wh": wh}
    return world.submit("call", data)


@pytest.mark.parametrize(("load", "met"), [(700, 300), (100, 400), (1200, 0)])
def test_a_call_is_paid_by_what_was_used_less_than_the_day_before(load, met):
    """The customer cannot read the provider's meter: the grid operator's word is what both compute from."""
    world = opened()
    contract = flexible(world)
    call(world, contract, 25, 400)
    meter(world, 1, {**HOUR, TWO: (1000, 0)})
    meter(world, 25, {**HOUR, TWO: (load, 0)})
    assert moved(world, contract) == {25: met}
    assert earned(world)[ONE] == 2 * 800 * 50 - met * 300
    assert earned(world)[TWO] == met * 300 - (1000 + load) * 220  # it moves no energy
    check_money(world)


def test_calls_over_what_was_promised_have_no_effect():
    world = opened()
    contract = flexible(world)
    call(world, contract, 25, 200)
    call(world, contract, 26, 200)
    world.settle()
    assert set(world.desk("gridco").agreements.calls(contract)) == {START + 25 * HOUR_MS}
    late = Call(start_ms=START, contract=contract, interval_s=3600, wh=5)
    world.now_ms = START + 1
    world.write("suncoop", (late, f"{ONE} {TWO} gridco"))
    assert START not in world.desk("gridco").agreements.calls(contract)


# --- who knows what --------------------------------------------------------------------------------------------------


def test_the_grid_knows_the_energy_and_its_fee_an_operator_nothing():
    world = opened()
    contract = p2p(world, FOUR, TWO, 300, price=137)
    meter(world, 0, {**HOUR, FOUR: (0, 700)})
    assert moved(world, contract) == {0: 300}
    grid, operator = world.desk("gridco"), world.desk("suncoop")
    assert grid.contract(contract).frame.max_wh == 300
    assert (grid.contract(contract).terms, operator.contract(contract)) == (None, None)
    about = [
        record
        for record in world.records
        if contract in {getattr(part, "contract", record.id) for part in record.parts}
    ]
    for record in about:
        readable = {reader.member for section in record.sections for reader in section.readers}
        assert "suncoop" not in readable
        for section in record.sections:
            part = read_part(section.plaintext)
            priced = isinstance(part, StatementTerms) or section.name == "terms"
            assert not (priced and Party("gridco") in section.readers)


def test_a_frame_that_tells_the_grid_other_energy_than_the_terms_is_no_contract():
    world = opened()
    contract = p2p(world, FOUR, TWO, 300)
    record = next(one for one in world.records if one.id == contract)
    frame, terms = record.parts
    forged = derived("forged")
    sections = [
        frame.model_copy(update={"max_wh": 9000}).section(record.sections[0].readers),
        terms.section(record.sections[1].readers),
    ]
    world.append("cityretail", sections, forged)
    assert world.desk("cityretail").contract(forged) is None
    with pytest.raises(InvalidRequest, match="home"):
        ppa(world, "cityretail", "gridco", 100, 110)


class Exaggerating(Deliverer):
    """A grid operator that says 600 Wh too much of every agreement with home 2."""

    def __init__(self, view, done):
        super().__init__(view, done)
        right = self._agreer._moved

        def wrong(contract_id, start_ms):
            found = right(contract_id, start_ms).items()
            return {key: wh + (600 if TWO in view.contract(key[0]).sides else 0) for key, wh in found}

        self._agreer._moved = wrong


def test_a_side_states_no_more_than_its_own_meter_shows():
    """The grid operator says too much: the home that sold it disagrees, and nothing is paid."""
    world = MarketWorld({"gridco": {Deliverer: Exaggerating}})
    open_small(world, SMALL)
    contract, buyer = p2p(world, ONE, THREE, 500), p2p(world, ONE, TWO, 1000)
    world.settle()
    meter(world, 0, HOUR)
    assert {one.contract for one in world.every(Dispute)} >= {buyer}
    clauses = [
        line
        for entry in world.every(Entry)
        if entry.account == TWO
        for line in entry.lines
        if line.clause == "p2p.price"
    ]
    assert not clauses
    assert moved(world, contract) == {0: 500}


# --- any mix ---------------------------------------------------------------------------------------------------------


def random_market(seed: int) -> tuple[MarketWorld, list[bytes], list[dict[str, tuple[int, int]]]]:
    """A market with trades and agreements of random intervals and limits, and some hours of random meters."""
    pick = Random(seed)
    small = replace(SMALL, mandates=True, market={"session_s": pick.choice((900, 3600))})
    world = opened(small)
    for home in small.parties:
        read(world, home, START - 24 * HOUR_MS, pick.randrange(900), pick.choice((0, 1500)))
        read(world, home, START - 23 * HOUR_MS, pick.randrange(900), pick.choice((0, 1500)))
    made = [ppa(world, "cityretail", pick.choice(small.parties), pick.randrange(1, 400), 110)]
    for seller in small.parties:
        for buyer in pick.sample([home for home in small.parties if home != seller], 2):
            length = pick.choice((900, 1800, 3600))
            made.append(p2p(world, seller, buyer, pick.randrange(1, 700), interval_s=length))
    made.append(ppa(world, ONE, FOUR, pick.randrange(1, 300), 140))
    world.settle()
    hours = [{home: (pick.randrange(900), pick.choice((0, 1800))) for home in small.parties} for _ in range(2)]
    return world, made, hours


def corrected(seed: int, hours: list[dict[str, tuple[int, int]]]) -> list[tuple[int, str, tuple[int, int]]]:
    pick = Random(seed)
    return [
        (pick.randrange(2), pick.choice(SMALL.parties), (pick.randrange(900), pick.randrange(900))) for _ in range(3)
    ]


@pytest.mark.parametrize("seed", [0, 2, 16])
def test_any_mix_conserves_energy_and_money_and_corrections_come_to_the_same(seed):
    world, _, hours = random_market(seed)
    for hour, figures in enumerate(hours):
        meter(world, hour, figures)
    conserved(world, hours)
    # Two at once, so that a balance passes over a version, then a third one.
    changes = corrected(seed, hours)
    for number, (hour, home, figures) in enumerate(changes):
        read(world, home, START + hour * HOUR_MS, *figures, "corrected")
        hours[hour][home] = figures
        if number:
            world.settle()
    conserved(world, hours)
    fresh, _, _ = random_market(seed)
    for hour, figures in enumerate(hours):
        meter(fresh, hour, figures)
    assert earned(world) == earned(fresh)
    assert not world.every(Dispute)


@pytest.mark.parametrize("seed", [5, 9])
def test_whoever_is_slow_killed_or_doubled_it_comes_to_the_same(seed):
    calm, world = (random_market(seed) for _ in range(2))
    for hour, figures in enumerate(calm[2]):
        meter(calm[0], hour, figures)
    world[0].replica("gridco")
    chaos = Chaos(seed, crashes=4)
    for hour, figures in enumerate(world[2]):
        world[0].now_ms = START + (hour + 1) * HOUR_MS + 1000
        for home, (load, pv) in figures.items():
            read(world[0], home, START + hour * HOUR_MS, load, pv)
            chaos(world[0], 30)
    chaos(world[0], 200)
    world[0].settle()
    assert earned(world[0]) == earned(calm[0])
    assert Counter(map(said, world[0].every(Agreed))) == Counter(map(said, calm[0].every(Agreed)))
    conserved(world[0], world[2])


def said(one: Agreed) -> tuple[Any, ...]:
    return one.contract, one.start_ms, one.version, one.wh, one.fee


def conserved(world: MarketWorld, hours: list[dict[str, tuple[int, int]]]) -> None:
    """What the homes took and did not make is what was bought outside, and every delivery is what was left over."""
    physical = sum(load - pv for figures in hours for load, pv in figures.values())
    balance = {c.id for c in world.desk("gridco").of_kind("balance")}
    outside = [one for key, one in last(world, StatementPhysical).items() if key[0] in balance]
    assert sum(one.wh_out - one.wh_in for one in outside) == physical
    view = world.desk("gridco")
    got = dict.fromkeys(SMALL.parties, 0)
    for (contract, _), one in last(world, Agreed).items():
        provider, customer = view.contract(contract).sides
        for side, sign in ((provider, -1), (customer, 1)):
            got[side] = got.get(side, 0) + sign * one.wh
    for trade in (one for one in world.every(TradePoints) if one.start_ms >= START):
        for point, sign in ((trade.buyer_point, 1), (trade.seller_point, -1)):
            got[SMALL.parties[int(point.removeprefix("pt-")) - 1]] += (
                sign * trade.wh if inside(trade, len(hours)) else 0
            )
    for home in SMALL.parties:
        left = sum(
            one.bought_wh - one.sold_back_wh for (of, _), one in last(world, Delivery, "subject").items() if of == home
        )
        assert left == sum(figures[home][0] - figures[home][1] for figures in hours) - got[home]
    check_money(world)
    check_limits(world)


def inside(trade: TradePoints, hours: int) -> bool:
    return trade.start_ms < START + hours * HOUR_MS


# --- pure ------------------------------------------------------------------------------------------------------------


def test_agreements_of_several_lengths_share_what_there_is():
    nets = {"a": (-100, -100, -100, -100), "b": (0, 0, 300, 0), "c": (50, 50, 50, 50)}
    hourly = Agreement(b"h", "a", "b", 200, 3600, (0,))
    quarterly = Agreement(b"q", "a", "c", 40, 900, (0, 900_000, 1_800_000, 2_700_000))
    first = allocate_quarters([hourly, quarterly], nets)
    assert first == {(b"h", 0): 200, **{(b"q", n * 900_000): 40 for n in range(4)}}
    other = allocate_quarters([quarterly, hourly], nets)
    assert other[b"h", 0] == 200
    short = allocate_quarters([replace(hourly, max_wh=1000), quarterly], nets)
    assert (short[b"h", 0], sum(short[b"q", n * 900_000] for n in range(4))) == (300, 100)


def test_a_profile_follows_the_local_clock_over_its_changes():
    profile = list(range(24))
    spring, autumn = 1_489_312_800_000, 1_509_872_400_000  # 2017-03-12T10:00Z and 2017-11-05T09:00Z
    zone = "America/Los_Angeles"
    assert [ppa_at(profile, 3600, zone, spring + n * HOUR_MS) for n in (-1, 0, 1)] == [1, 3, 4]
    assert [ppa_at(profile, 3600, zone, autumn + n * HOUR_MS) for n in (-1, 0, 1)] == [1, 1, 2]
