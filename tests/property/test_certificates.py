"""Certificates of origin: never more than was metered once debts are counted, and no number used twice."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consortium.energy.certificates.holdings import Holdings
from consortium.energy.certificates.issuing import Metering, Sold, certificate, consumed, issue, uses
from consortium.energy.certificates.ranges import Change, Interval
from consortium.energy.payloads.base import read_part

HOME, A, B, SHOP = "home-01@suncoop", "home-02@suncoop", "home-09@cityretail", "cityretail"
T1, T2 = b"1" * 16, b"2" * 16


def metering(load, pv, *sold):
    return Metering(HOME, SHOP, load, pv, sold)


def run(holdings, reading, start=0, version=1):
    """Write what the rules say for a reading, through the record's section and back, as the ledger would."""
    written = issue(reading, holdings.interval(reading.producer, start), holdings.owed(reading.producer))
    for change in written:
        section = certificate(change, reading.producer, start, 3600, version)
        assert read_part(section.plaintext()) == section
        assert holdings.apply(section) == ""
    return written


def test_an_interval_goes_to_self_then_buyers_then_retailer():
    sold = (Sold(T1, A, 30), Sold(T2, B, 40, 10))
    assert run(Holdings(), metering(20, 100, *sold)) == (
        Change("issued", "self", 0, 100, 20, HOME),
        Change("transferred", "local", 20, 30, 30, A, HOME, T1),
        Change("transferred", "local", 50, 40, 10, B, HOME, T2),
        Change("transferred", "retail", 90, 10, 10, SHOP, HOME),
    )


def test_what_was_sold_and_not_made_gets_none():
    written = run(Holdings(), metering(20, 60, Sold(T1, A, 30), Sold(T2, B, 40)))
    assert [(c.holder, c.count) for c in written[1:]] == [(A, 30), (B, 10)]
    assert run(Holdings(), metering(20, 0, Sold(T1, A, 30))) == ()


def test_a_buyer_uses_its_import_on_its_purchases_in_order():
    assert consumed(50, [30, 30, 30]) == [30, 20, 0]
    assert consumed(-5, [30]) == [0]


def test_a_second_run_writes_nothing():
    holdings, reading = Holdings(), metering(20, 100, Sold(T1, A, 30))
    assert run(holdings, reading)
    assert run(holdings, reading) == ()


def test_more_pv_issues_further_numbers_to_the_uses_that_have_none():
    holdings = Holdings()
    run(holdings, metering(20, 40, Sold(T1, A, 30), Sold(T2, B, 40)))
    assert run(holdings, metering(30, 100, Sold(T1, A, 30), Sold(T2, B, 40)), version=2) == (
        Change("issued", "self", 40, 60, 10, HOME),
        Change("transferred", "local", 50, 10, 10, A, HOME, T1),
        Change("transferred", "local", 60, 40, 40, B, HOME, T2),
    )
    assert uses([holdings.interval(HOME, 0)]) == {"self": 30, "local": 70, "retail": 0, "held": 0}


def test_less_pv_withdraws_the_tail_and_what_was_used_is_owed_and_made_good():
    holdings = Holdings()
    run(holdings, metering(20, 100, Sold(T1, A, 30)))
    assert run(holdings, metering(20, 45, Sold(T1, A, 30)), version=2) == (
        Change("withdrawn", "retail", 50, 50, 50, SHOP),
        Change("withdrawn", "local", 45, 5, 5, A),
    )
    assert holdings.owed(HOME) == 55
    assert run(holdings, metering(10, 40), start=1) == (
        Change("issued", "self", 0, 40, 0, HOME),
        Change("withdrawn", "self", 0, 40, 0, HOME, HOME),
    )
    assert holdings.owed(HOME) == 15
    assert run(holdings, metering(10, 40), start=2)[1:] == (
        Change("withdrawn", "self", 25, 15, 0, HOME, HOME),
        Change("transferred", "retail", 10, 15, 15, SHOP, HOME),
    )
    assert holdings.owed(HOME) == 0


def test_what_a_buyer_only_holds_is_withdrawn_without_a_debt():
    holdings = Holdings()
    run(holdings, metering(0, 50, Sold(T1, A, 50, 20)))
    assert run(holdings, metering(0, 10, Sold(T1, A, 50, 20))) == (
        Change("withdrawn", "local", 20, 30, 0, A),
        Change("withdrawn", "local", 10, 10, 10, A),
    )
    assert holdings.owed(HOME) == 10


def test_a_debt_that_was_made_good_with_energy_that_never_was_comes_back():
    holdings = Holdings()
    run(holdings, metering(0, 50))
    run(holdings, metering(0, 0))
    run(holdings, metering(0, 50), start=1)
    assert holdings.owed(HOME) == 0
    assert run(holdings, metering(0, 20), start=1) == (Change("withdrawn", "self", 20, 30, 30, HOME),)
    assert holdings.owed(HOME) == 30


def test_a_correction_of_the_load_alone_changes_nothing():
    holdings = Holdings()
    run(holdings, metering(20, 100, Sold(T1, A, 30)))
    assert run(holdings, metering(90, 100, Sold(T1, A, 30)), version=2) == ()


small = st.integers(0, 60)
buyers = st.sampled_from([A, B])
sales = st.lists(st.builds(Sold, st.just(T1), buyers, small, st.one_of(st.none(), small)), max_size=3).map(tuple)
events = st.lists(st.tuples(st.sampled_from([HOME, A]), st.integers(0, 2), small, small, sales), max_size=14)


@settings(max_examples=150, deadline=None)
@given(events)
def test_certificates_never_exceed_metering_once_debts_are_counted(readings):
    """First readings and corrections of two producers in any order: at every moment, by producer, what is used or held
    is the metered energy plus the debt; and a withdrawn number never comes back.
    """
    holdings, metered, gone = Holdings(), {}, {}
    for producer, start, load, pv, sold in readings:
        run(holdings, Metering(producer, SHOP, load, pv, sold), start)
        metered[producer, start] = pv
        assert holdings.owed(producer) >= 0
        in_being = sum(interval.count("live", "used") for _, interval in holdings.of(producer))
        used_before = in_being + sum(owing(gone, producer, holdings))
        assert used_before == sum(pv for (name, _), pv in metered.items() if name == producer) + holdings.owed(producer)
        for where, interval in holdings.of(producer):
            assert interval.backed == metered[producer, where]
            assert [span.first for span in interval.spans[1:]] == [span.end for span in interval.spans[:-1]]


def owing(gone, producer, holdings):
    """Of each interval the numbers that were used before their energy was withdrawn: they are in use for good."""
    for start, interval in holdings.of(producer):
        kept = gone.setdefault((producer, start), {})
        for span in interval.spans:
            for number in range(span.first, span.end):
                state, last = span.state, kept.get(number)
                assert last not in ("void", "lost") or state == "void", "a withdrawn number came back"
                kept[number] = ("lost" if last in ("used", "lost") else "void") if state == "void" else state
        yield sum(state == "lost" for state in kept.values())


@settings(max_examples=60, deadline=None)
@given(small, small, sales)
def test_the_split_is_by_the_meter(load, pv, sold):
    holdings, reading = Holdings(), metering(load, pv, *sold)
    written = run(holdings, reading)
    own, local, retail = reading.split()
    assert (own, own + local + retail) == (min(load, pv), pv)
    assert local == min(sum(one.wh for one in sold), pv - own)
    assert sum(c.cancelled for c in written if c.event == "issued") == own
    assert sum(c.count for c in written if c.use == "local") == local
    assert sum(c.count for c in written if c.use == "retail") == retail


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(small, small, sales), min_size=1, max_size=3), st.integers(0, 30))
def test_whoever_is_stopped_between_two_events_goes_on_where_it_was(readings, debt):
    """After every single event the rules, asked again, give exactly the events that are still to be written."""
    holdings = Holdings()
    run(holdings, metering(0, debt), start=9)
    run(holdings, metering(0, 0), start=9)
    for load, pv, sold in readings:
        reading = metering(load, pv, *sold)
        left = issue(reading, holdings.interval(HOME, 0), holdings.owed(HOME))
        while left:
            assert holdings.change(HOME, 0, left[0]) == ""
            again = issue(reading, holdings.interval(HOME, 0), holdings.owed(HOME))
            assert again == left[1:]
            left = again


def test_a_correction_that_comes_between_two_events_finds_the_rest():
    holdings = Holdings()
    first = issue(metering(20, 100, Sold(T1, A, 30)))
    assert holdings.change(HOME, 0, first[0]) == ""
    assert run(holdings, metering(20, 70, Sold(T1, A, 30)), version=2) == (
        Change("withdrawn", "self", 70, 30, 0, HOME),
        Change("transferred", "local", 20, 30, 30, A, HOME, T1),
        Change("transferred", "retail", 50, 20, 20, SHOP, HOME),
    )
    assert holdings.owed(HOME) == 0


def test_a_debt_that_comes_back_between_two_events_is_paid_by_the_rest():
    holdings = Holdings()
    run(holdings, metering(0, 10), start=9)
    run(holdings, metering(0, 0), start=9)
    for change in issue(metering(20, 100), owed=10)[:2]:
        assert holdings.change(HOME, 0, change) == ""
    assert run(holdings, metering(20, 85), version=2) == (
        Change("withdrawn", "self", 90, 10, 10, HOME),
        Change("withdrawn", "self", 85, 5, 0, HOME),
        Change("withdrawn", "self", 75, 10, 0, HOME, HOME),
        Change("transferred", "retail", 20, 55, 55, SHOP, HOME),
    )
    assert holdings.owed(HOME) == 0


START = (
    Change("issued", "self", 0, 100, 20, HOME),
    Change("transferred", "local", 20, 30, 10, A, HOME),
    Change("transferred", "retail", 60, 10, 10, SHOP, HOME),
    Change("withdrawn", "self", 90, 10, 0, HOME),
)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (Change("issued", "self", 0, 10, 0, HOME), "issued already"),
        (Change("issued", "self", 99, 10, 0, HOME), "issued already"),
        (Change("issued", "self", 101, 10, 0, HOME), "numbers are left out"),
        (Change("issued", "self", 100, 10, 0, A), "certificates are issued to their producer"),
        (Change("issued", "self", 100, 0, 0, HOME), "an event is about at least one Wh"),
        (Change("issued", "self", 100, 5, 6, HOME), "an event is about at least one Wh"),
        (Change("transferred", "local", 19, 2, 0, A, HOME), "used already"),
        (Change("transferred", "local", 0, 1, 0, A, HOME), "used already"),
        (Change("transferred", "local", 45, 10, 0, B, HOME), "held by another"),
        (Change("transferred", "local", 40, 5, 0, B, A), "only the producer transfers"),
        (Change("transferred", "local", 89, 2, 0, A, HOME), "void already"),
        (Change("transferred", "local", 99, 2, 0, A, HOME), "not issued"),
        (Change("cancelled", "retail", 60, 10, 10, SHOP), "used already"),
        (Change("cancelled", "self", 40, 5, 5, HOME), "held by another"),
        (Change("cancelled", "local", 30, 5, 4, A), "a cancellation cancels all that it is about"),
        (Change("withdrawn", "self", 85, 10, 0, HOME), "withdrawn already"),
        (Change("withdrawn", "self", 15, 10, 0, HOME), "wrong count of those that were used before"),
        (Change("withdrawn", "self", 55, 5, 0, HOME, HOME), "more is given up than is owed"),
    ],
)
def test_a_number_is_issued_transferred_and_cancelled_once(change, why):
    holdings = Holdings()
    for one in START:
        assert holdings.change(HOME, 0, one) == ""
    before = (holdings.interval(HOME, 0), holdings.owed(HOME))
    assert holdings.change(HOME, 0, change).startswith(why)
    assert (holdings.interval(HOME, 0), holdings.owed(HOME)) == before


def test_a_holder_may_cancel_what_it_kept():
    holdings = Holdings()
    for one in START:
        holdings.change(HOME, 0, one)
    assert holdings.change(HOME, 0, Change("cancelled", "local", 35, 15, 15, A)) == ""
    assert holdings.change(HOME, 0, Change("cancelled", "local", 49, 1, 1, A)) == "used already"


def test_the_producer_gives_up_only_what_is_its_own_and_unused():
    holdings = Holdings()
    for one in START:
        holdings.change(HOME, 0, one)
    assert holdings.change(HOME, 0, Change("withdrawn", "retail", 60, 10, 10, SHOP)) == ""
    assert holdings.owed(HOME) == 10
    assert holdings.change(HOME, 0, Change("withdrawn", "self", 45, 10, 0, HOME, HOME)).startswith("not the producer's")
    assert holdings.change(HOME, 0, Change("withdrawn", "self", 50, 5, 0, HOME, A)).startswith("only the producer")
    assert holdings.change(HOME, 0, Change("withdrawn", "self", 50, 5, 0, HOME, HOME)) == ""
    assert holdings.owed(HOME) == 5


def test_an_interval_that_was_never_issued_is_empty():
    assert Holdings().interval(HOME, 0) == Interval()
    assert Holdings().owed(HOME) == 0
