"""What a home sees of its day, on the demo's day and on small cases."""

from __future__ import annotations

import json

import pytest

from consortium.energy.gathering import Money
from consortium.energy.intervals import Cell, explain, metered
from consortium.energy.opened import Period
from consortium.energy.origins import Certificates
from consortium.energy.payloads.contracts import ContractFrame
from consortium.energy.payloads.money import Entry, EntryLine
from consortium.energy.payloads.settlement import Agreed, Certificate
from consortium.energy.summary import as_json, summarize
from tests.energy_day import FEED_IN, HOUR_MS, EnergyDay, home

DATE = "2017-06-15"


@pytest.fixture(scope="module")
def whole():
    return EnergyDay(DATE).build()


@pytest.fixture(scope="module")
def summaries(whole):
    return {n: summarize(whole.records, home(n), period(whole), tariff(whole)) for n in range(1, 18)}


def period(of):
    return Period(of.starts[0], of.starts[-1] + HOUR_MS)


def tariff(of):
    return lambda start, _: (of.retail(start), FEED_IN)


def total(summaries, *path):
    found = 0
    for item in summaries.values():
        for name in path:
            item = getattr(item, name)
        found += item
    return found


def test_the_homes_together_come_to_the_days_figures(summaries):
    energy = [total(summaries, name) for name in ("used_wh", "made_wh", "import_wh", "export_wh")]
    assert energy == [580_104, 206_606, 458_968, 85_470]
    assert total(summaries, "trade", "bought_wh") == total(summaries, "trade", "sold_wh") == 100_963
    assert total(summaries, "trade", "bought_value") == total(summaries, "trade", "sold_value") == 16_558_147
    assert total(summaries, "trade", "supplied_wh") == 400_036
    assert total(summaries, "trade", "sold_back_wh") == 26_538
    assert total(summaries, "money", "fees") == 2_019_260
    assert total(summaries, "money", "net") == -127_433_720
    assert summaries[1].money.net == -3_347_912
    assert summaries[17].money.net == -24_317_347


def test_what_was_saved_is_explained_by_trading_and_forecast_error(summaries):
    assert total(summaries, "saved_against_retail") == 9_451_340
    assert {n for n, item in summaries.items() if item.saved_against_retail < 0} == {2, 4, 8, 14}
    for item in summaries.values():
        assert item.unsettled == 0
        assert item.saved_against_retail == item.trading_gain - item.forecast_cost
        assert all(row.trading_gain >= 0 and row.forecast_cost >= 0 for row in item.intervals)
        assert all(bool(row.forecast_cost) == bool(row.excess_wh) for row in item.intervals)
        assert sum(row.cost for row in item.intervals) == -item.money.net


def test_sources_add_up_to_what_was_used(summaries):
    for item in summaries.values():
        sources = item.sources
        assert sources.own_wh + sources.local_wh + sources.agreement_wh + sources.supplier_wh == item.used_wh
        assert sources.own_wh == item.used_wh - item.import_wh
    assert sum(item.sources.local_wh for item in summaries.values()) > 50_000


def test_carbon_of_the_homes_is_the_feeders(whole, summaries):
    expected = 0
    for start in whole.starts:
        net = sum(load - pv for load, pv in (whole.meters[start, n] for n in range(1, 18)))
        expected += net * int(whole.prices[start]["carbon_g_per_kwh"])
    assert total(summaries, "carbon_mg") == expected
    assert total(summaries, "no_carbon") == 0


def test_without_a_tariff_only_intervals_whose_bills_name_the_price_are_compared(whole):
    found = summarize(whole.records, home(1), period(whole))
    told = summarize(whole.records, home(1), period(whole), tariff(whole))
    assert 0 < found.unsettled < 24
    for bare, full in zip(found.intervals, told.intervals, strict=True):
        assert bare.saved_against_retail in (None, full.saved_against_retail)


def test_the_summary_is_json_in_the_apis_words(summaries):
    shown = json.loads(json.dumps(as_json(summaries[1])))
    for name in ("used_wh", "made_wh", "import_wh", "export_wh", "bought_wh", "sold_wh", "paid", "earned", "fees"):
        assert isinstance(shown[name], int)
    assert shown["net"] == -3_347_912
    assert shown["period"] == {"start": "2017-06-15T08:00:00Z", "end": "2017-06-16T08:00:00Z"}
    assert shown["intervals"][0]["start"] == "2017-06-15T08:00:00Z"


def test_a_correction_counts_last_and_lists_both():
    of = EnergyDay(DATE)
    start = of.starts[12]
    supply = bytes(16)
    first = of.read(start, 1, 1000, 0, "estimated")
    second = of.read(start, 1, 1200, 0)
    duplicate = of.read(start, 1, 9999, 0)
    old = of.settle(start, 1, supply, (1000, 0))
    new = of.settle(start, 1, supply, (1200, 0), version=2, paid=False)
    found = summarize(of.records, home(1), period(of))
    assert (found.used_wh, found.trade.supplied_wh) == (1200, 1200)
    assert found.intervals[0].cost == found.intervals[0].retail_cost == 1200 * of.retail(start)
    assert [(item.what, item.ids, item.counts) for item in found.corrections] == [
        ("reading", (first.hex(), second.hex(), duplicate.hex()), second.hex()),
        ("statement", (old.hex(), new.hex()), new.hex()),
    ]
    corrected = of.read(start, 1, 1300, 0, "corrected")
    of.read(start, 1, 1, 0)
    found = summarize(of.records, home(1), period(of))
    assert (found.used_wh, found.corrections[0].counts) == (1300, corrected.hex())


def test_what_another_member_says_of_a_home_does_not_count():
    of = EnergyDay(DATE)
    of.read(of.starts[0], 1, 1000, 0)
    forged = of.records.pop()
    of.records.append(type(forged)(forged.id, forged.index, forged.type, "cityretail", forged.parts))
    assert summarize(of.records, home(1), period(of)).intervals == ()


def test_deposits_are_no_income_and_reversals_lessen_what_they_reverse():
    of = EnergyDay(DATE)
    kinds = [
        ("deposit", 5000, ""), ("trade", -300, "market.price"), ("fee", -20, "grid.local-fee"),
        ("bill", -1000, "supply.price"), ("reversal", 1000, "supply.price"), ("bill", -900, "supply.price"),
        ("trade", 70, "market.price"), ("reversal", -70, "market.price"), ("reversal", 20, "grid.local-fee"),
        ("withdrawal", -1, ""), ("release", 0, ""),
    ]  # fmt: skip
    of.pay(of.starts[0], home(1), bytes(16), kinds)
    assert summarize(of.records, home(1), period(of)).money == Money(paid=1200, earned=0, fees=0)
    of.pay(of.starts[0], home(2), bytes(16), [("trade", 9, "")])
    of.pay(of.starts[-1] + HOUR_MS, home(1), bytes(16), [("trade", 9, "")])
    assert summarize(of.records, home(1), period(of)).money.net == -1200


def cell(**fields):
    return Cell(0, 3600, settled=True, prices={"supply.price": 220, "supply.feed-in": 50}, **fields)


@pytest.mark.parametrize(
    ("fields", "saved", "gain", "loss", "excess", "missed"),
    [
        # bought 100 at 140 and 20 fee, used all of it
        ({"load_wh": 300, "bid_wh": 100, "traded_wh": 100, "traded_cost": 16_000, "billed": 44_000},
         6000, 6000, 0, 0, 200),
        # bought 100, used 40: 60 went back at 50
        ({"load_wh": 40, "bid_wh": 100, "traded_wh": 100, "traded_cost": 16_000, "billed": -3000},
         -4200, 2400, 6600, 60, 0),
        # bought 100 and had a surplus of 10
        ({"load_wh": 0, "pv_wh": 10, "bid_wh": 100, "traded_wh": 100, "traded_cost": 16_000, "billed": -5500},
         -11_000, 0, 11_000, 100, 10),
        # sold 100 at 140, made 30: 70 bought at 220
        ({"load_wh": 0, "pv_wh": 30, "ask_wh": 100, "traded_wh": -100, "traded_cost": -14_000, "billed": 15_400},
         -2900, 2700, 5600, 70, 0),
        # did nothing
        ({"load_wh": 50, "billed": 11_000}, 0, 0, 0, 0, 50),
    ],
)  # fmt: skip
def test_an_interval_is_explained_without_a_remainder(fields, saved, gain, loss, excess, missed):
    row = explain(cell(**fields), None)
    assert (row.saved_against_retail, row.trading_gain, row.forecast_cost) == (saved, gain, loss)
    assert (row.excess_wh, row.missed_wh) == (excess, missed)


def test_an_unsettled_interval_says_nothing_of_money():
    row = explain(Cell(0, 3600, load_wh=5), lambda *_: (220, 50))
    assert (row.cost, row.saved_against_retail, row.import_wh) == (None, None, 5)


def test_finer_readings_count_if_they_are_complete():
    quarters = {(n * 900_000, 900): (10, n) for n in range(4)}
    whole_hour = {(0, 3600): (99, 9)}
    assert metered(0, 3600, quarters) == (40, 6)
    assert metered(0, 3600, {**quarters, **whole_hour}) == (40, 6)
    del quarters[900_000, 900]
    assert metered(0, 3600, quarters) is None
    assert metered(0, 3600, {**quarters, **whole_hour}) == (99, 9)


def test_an_agreement_is_a_source_of_its_own():
    of = EnergyDay(DATE)
    start = of.starts[0]
    frame = ContractFrame(start_ms=0, kind="p2p", end_ms=0, provider=home(2), customer=home(1), proposer=home(1))
    contract = of.add("contract", "suncoop", frame)
    of.read(start, 1, 1000, 200)
    for version, wh in ((2, 300), (1, 999)):
        of.add("agreed", "gridco", Agreed(
            start_ms=start, interval_s=3600, contract=contract, version=version, wh=wh, fee=0))  # fmt: skip
    found = summarize(of.records, home(1), period(of)).sources
    assert (found.own_wh, found.agreement_wh, found.local_wh, found.supplier_wh) == (200, 300, 0, 500)


def test_a_certificates_last_word_counts():
    of = EnergyDay(DATE)

    def certify(event, use, first, count, holder, version=1):
        of.add("certificate", "gridco", Certificate(
            start_ms=of.starts[0], interval_s=3600, producer=home(1), event=event, use=use, first=first, count=count,
            cancelled=0, holder=holder, version=version))  # fmt: skip

    certify("issued", "self", 0, 100, home(1))
    certify("issued", "local", 100, 50, home(1))
    certify("issued", "retail", 150, 30, home(1))
    certify("transferred", "local", 100, 50, home(9))
    certify("transferred", "retail", 150, 30, "cityretail")
    certify("withdrawn", "retail", 170, 10, "cityretail", 2)
    seen = {n: summarize(of.records, home(n), period(of)).certificates for n in (1, 9)}
    assert seen == {1: Certificates(100, 50, 20, 0), 9: Certificates(received_wh=50)}


def test_an_entry_that_is_opened_twice_counts_once():
    of = EnergyDay(DATE)
    line = EntryLine(kind="trade", amount=5, cause=bytes(16))
    entry = Entry(start_ms=of.starts[0], account=home(1), owner=home(1), sequence=1, previous=bytes(32),
                  lines=(line,), balance=5, reserved=0, currency="USD")  # fmt: skip
    of.add("payment", "gridco", entry)
    of.add("payment", "gridco", entry)
    assert summarize(of.records, home(1), period(of)).money.earned == 5
