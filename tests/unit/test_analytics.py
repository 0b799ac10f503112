"""Totals: what is shown, what is suppressed, and that differencing finds no home."""

from __future__ import annotations

import pytest

from consortium.energy.analytics import prices, publish
from consortium.energy.groups import Contribution, Rule, day
from consortium.energy.payloads.market import Result
from consortium.errors import InvalidRequest

STARTS = (0, 3_600_000)
RULE = Rule(homes=3, share_percent=50)


def row(home, start=0, load=100, pv=0, *, area="north", index=1, bid=0, ask=0):
    return Contribution(home, area, start, index, load, pv, bid, ask)


def whole_day(loads, area="north", pv=0, **more):
    return [row(f"home-{n}", s, load, pv, area=area, **more) for n, load in enumerate(loads) for s in STARTS]


def table(rows, rule=RULE, cutoff=1000, echoes=()):
    return publish(day(STARTS, rows, cutoff), rule, echoes)


def test_the_totals_of_a_group_are_shown():
    shown = table(whole_day([100, 200, 300, 50]))
    assert shown.total("demand", ["north"], [0]) == 650
    assert shown.total("demand", ["north"], STARTS) == 1300
    assert shown.total("generation", ["north"], [0]) is None  # nobody makes anything: nothing is said


def test_too_few_homes_are_suppressed():
    assert table(whole_day([100, 200])).total("demand", ["north"], [0]) is None
    assert table(whole_day([100, 200, 0])).total("demand", ["north"], [0]) is None


def test_the_default_rule_is_15_homes_and_15_percent():
    assert table(whole_day([100] * 15), Rule()).total("demand", ["north"], [0]) == 1500
    assert table(whole_day([100] * 14), Rule()).total("demand", ["north"], [0]) is None
    # 300 of 1,999 is 15.007 %, of 2,000 exactly 15 %.
    assert table(whole_day([300, *[100] * 16, 99]), Rule()).total("demand", ["north"], [0]) is None
    assert table(whole_day([300, *[100] * 17]), Rule()).total("demand", ["north"], [0]) == 2000


def test_a_dominant_home_suppresses_its_cell_and_every_sum_over_it():
    rows = [*whole_day([100, 100, 100]), row("big", 0, 301), row("big", STARTS[1], 100)]
    shown = table(rows)
    assert shown.total("demand", ["north"], [0]) is None
    assert shown.total("demand", ["north"], [STARTS[1]]) == 400
    assert shown.total("demand", ["north"], STARTS) is None


def test_two_overlapping_queries_differ_by_whole_cells_only():
    rows = whole_day([100, 200, 300]) + [row(f"south-{n}", s, 50 + n, area="south") for n in range(3) for s in STARTS]
    shown = table(rows)
    both, north = shown.total("demand", ["north", "south"], [0]), shown.total("demand", ["north"], [0])
    assert both - north == shown.total("demand", ["south"], [0]) == 153
    for query in (["north", "home-1"], ["home-1"], ["north", "east"]):
        with pytest.raises(InvalidRequest, match="whole areas"):
            shown.total("demand", query, [0])
    with pytest.raises(InvalidRequest, match="whole areas"):
        shown.total("demand", ["north"], [900_000])


def test_an_area_too_small_takes_another_with_it():
    rows = whole_day([100, 200, 300])
    rows += [row(f"west-{n}", s, 10 + n, area="west") for n in range(3) for s in STARTS]
    rows += [row("alone", s, 77, area="east") for s in STARTS]
    shown = table(rows)
    # The sum over all areas less north and west would be the lone home; with west suppressed it is four homes'.
    assert shown.total("demand", ["east"], [0]) is None
    assert shown.total("demand", ["north"], [0]) is None
    assert shown.total("demand", ["west"], [0]) is None
    rows += [row(f"more-{n}", s, 40, area="east") for n in range(2) for s in STARTS]
    assert table(rows).total("demand", ["west"], [0]) == 33


def test_the_smallest_area_is_suppressed_to_hide_a_small_one():
    rows = whole_day([100, 200, 300])
    rows += [row(f"west-{n}", s, 60 + n, area="west") for n in range(3) for s in STARTS]
    rows += [row("alone", s, 77, area="east") for s in STARTS]
    shown = table(rows)
    assert shown.total("demand", ["north"], [0]) == 600
    assert shown.total("demand", ["west"], [0]) is None
    assert shown.total("demand", ["east"], [0]) is None


def test_who_joins_or_leaves_during_the_day_stands_in_no_total():
    stayed = whole_day([100, 200, 300])
    joined = [*stayed, row("joiner", STARTS[1], 250)]
    left = [*stayed, row("leaver", STARTS[0], 250)]
    moved = [*stayed, row("mover", STARTS[0], 250), row("mover", STARTS[1], 250, area="south")]
    for rows in (joined, left, moved):
        shown = table(rows)
        assert [shown.total("demand", ["north"], [start]) for start in STARTS] == [600, 600]


def test_a_late_correction_changes_no_total():
    rows = whole_day([100, 200, 300])
    early = [*rows, row("home-0", 0, 120, index=5)]
    late = [*rows, row("home-0", 0, 120, index=50), row("late", 0, 90, index=51), row("late", STARTS[1], 90, index=52)]
    assert table(early, cutoff=10).total("demand", ["north"], [0]) == 620
    assert table(late, cutoff=10) == table(rows, cutoff=10)


def test_import_is_suppressed_where_demand_would_give_away_the_only_panels():
    rows = [*whole_day([100, 200, 300]), row("solar", 0, 150, 50), row("solar", STARTS[1], 150)]
    shown = table(rows)
    assert shown.total("demand", ["north"], [0]) == 750
    assert shown.total("import", ["north"], [0]) is None  # 700: the difference is what the panels made
    assert shown.total("import", ["north"], [STARTS[1]]) is None  # equal here, but own use of nobody is no group's


def orders(loads, bids):
    return [
        row(f"home-{n}", s, load, bid=bid)
        for n, (load, bid) in enumerate(zip(loads, bids, strict=True))
        for s in STARTS
    ]


def published(rows):
    made = day(STARTS, rows, 1000)
    return made, publish(made, RULE)


def importing(loads):
    """A day whose import is published: all have panels, so that own use is a group's too."""
    return published(whole_day([load + 10 for load in loads], pv=10))


def test_bids_are_shown_where_they_repeat_a_published_import():
    before = importing([100, 200, 300])
    assert before[1].total("import", ["north"], [0]) == 600
    assert table(orders([1, 1, 1], [100, 200, 300]), echoes=[before]).total("bids", ["north"], [0]) == 600
    assert table(orders([1, 1, 1], [100, 200, 300])).total("bids", ["north"], [0]) is None


def test_bids_are_suppressed_where_they_differ_from_a_published_import_by_one_home():
    before = importing([100, 200, 300])
    joined = orders([1, 1, 1, 1], [100, 200, 300, 150])
    silent = orders([1, 1, 1, 1], [100, 200, 300, 0])
    assert table(joined, echoes=[before]).total("bids", ["north"], [0]) is None
    assert table(silent, echoes=[before]).total("bids", ["north"], [0]) == 600
    longer = day((*STARTS, 7_200_000), [], 1000)
    assert table(silent, echoes=[(longer, before[1])]).total("bids", ["north"], [0]) is None


def test_asks_are_suppressed_where_the_market_volume_would_give_away_an_outsider():
    solar = published(whole_day([10, 10, 10], pv=110))
    assert solar[1].total("export", ["north"], [0]) == 300
    rows = [row(f"home-{n}", s, 1, ask=100) for n in range(3) for s in STARTS]
    assert table(rows, echoes=[solar]).total("asks", ["north"], [0]) == 300
    rows.append(row("outsider", 0, 1, ask=70))
    assert table(rows, echoes=[solar]).total("asks", ["north"], [0]) is None


def test_what_a_market_does_not_want_is_left_out():
    made = day(STARTS, whole_day([10, 10, 10], pv=110), 1000)
    shown = publish(made, RULE, quantities=("demand",))
    assert shown.total("demand", ["north"], [0]) == 30
    assert shown.total("export", ["north"], [0]) is None


def test_an_unread_home_suppresses_what_the_volume_repeats():
    rows = whole_day([10, 10, 10], pv=110)
    assert table(rows).total("export", ["north"], [0]) == 300
    unread = table([*rows, row("unread", 0, None), row("unread", STARTS[1], None)])
    assert unread.total("export", ["north"], [0]) is None
    assert unread.total("demand", ["north"], [0]) == 30


def test_a_rule_that_protects_nobody_is_refused():
    for bad in ((2, 15), (15, 0), (15, 51)):
        with pytest.raises(InvalidRequest, match="at least 3 homes"):
            Rule(*bad)
    with pytest.raises(InvalidRequest, match="each of its intervals once"):
        day((0, 0), [], 1)


def test_prices_are_public_and_rounds_add_up():
    def result(start, round, price, wh):
        return Result(
            start_ms=start, market="feeder", session_s=3600, gate=bytes(16), round=round, last=False, price=price,
            wh=wh, trades=1, book_root=bytes(32), book_size=1,
        )  # fmt: skip

    found = prices([result(0, 1, 140, 5), result(0, 0, 130, 7), result(3_600_000, 0, None, 0)])
    assert [(item.start_ms, item.price, item.wh) for item in found] == [(0, 140, 12), (3_600_000, None, 0)]
