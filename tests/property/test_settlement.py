"""Settlement conserves energy and money to the unit: random days, contracts, corrections."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consortium.energy.bilateral import Agreement, allocate, flexibility, flexibility_wh, p2p, ppa, ppa_wh
from consortium.energy.payloads.settlement import Line, StatementMoney, StatementPhysical, StatementTerms
from consortium.energy.settlement import balance_lines, deliver, same, same_statements, settle_columns, supply_lines
from consortium.errors import InvalidRequest

wh = st.integers(0, 20_000)
signed = st.integers(-20_000, 20_000)
price = st.integers(-500, 2_000)
rows = st.lists(st.tuples(wh, wh, signed, price, signed), max_size=30)


@given(wh, wh, signed, signed)
def test_what_is_delivered_is_the_rest_of_the_meter(load, pv, position, bilateral):
    bought, back = deliver(load, pv, position, bilateral)
    assert bought - back == load - pv - position - bilateral
    assert min(bought, back) == 0 <= max(bought, back)


@pytest.mark.parametrize(
    ("meter", "delivered"), [((9, 0, 8), (1, 0)), ((9, 0, 9), (0, 0)), ((9, 0, 10), (0, 1)), ((0, 5, -4, -2), (1, 0))]
)
def test_a_single_watt_hour_goes_the_right_way(meter, delivered):
    assert deliver(*meter) == delivered


@given(wh, wh, price, price, price)
def test_a_bill_is_the_sum_of_its_lines(bought, back, retail, feed_in, grid_fee):
    lines, amount, fee = supply_lines(bought, back, retail, feed_in, grid_fee)
    assert amount == bought * retail - back * feed_in == sum(line.amount for line in lines)
    assert all(line.amount == line.wh * line.price and line.wh for line in lines)
    assert [line.clause for line in lines] == ["supply.price"] * bool(bought) + ["supply.feed-in"] * bool(back)
    assert fee == bought * grid_fee


@settings(max_examples=60)
@given(rows, price, price)
def test_columns_give_the_numbers_of_the_single_functions(table, feed_in, grid_fee):
    load, pv, position, retail, agreed = ([row[n] for row in table] for n in range(5))
    columns = settle_columns(load, pv, position, retail, feed_in=feed_in, grid_fee=grid_fee, bilateral_wh=agreed)
    for n, row in enumerate(table):
        bought, back = deliver(row[0], row[1], row[2], row[4])
        _, amount, fee = supply_lines(bought, back, row[3], feed_in, grid_fee)
        settled = (columns.bought_wh[n], columns.sold_back_wh[n], columns.amount[n], columns.grid_fee[n])
        assert settled == (bought, back, amount, fee)
    assert len(columns.amount) == len(table)


@pytest.mark.parametrize("short", range(4))
def test_columns_of_unequal_length_are_refused(short):
    columns = [[1, 2] for _ in range(4)]
    columns[short].pop()
    with pytest.raises(InvalidRequest):
        settle_columns(*columns, feed_in=50, grid_fee=80)


def test_an_amount_that_no_bill_can_carry_is_refused():
    with pytest.raises(InvalidRequest):
        balance_lines(1 << 40, 1 << 30)


homes = st.integers(0, 4)
trades = st.lists(st.tuples(homes, homes, st.integers(1, 5_000)), max_size=6)
standing = st.lists(st.tuples(homes, homes, st.integers(0, 3_000)), max_size=5)


@settings(max_examples=80)
@given(st.lists(st.tuples(wh, wh), min_size=5, max_size=5), trades, standing, price, price)
def test_an_interval_conserves_energy_and_money(meters, traded, standing, retail, wholesale):
    """Whatever the homes traded and agreed among themselves, the supplier balances the feeder, and money sums to 0."""
    names = [f"home-{n}" for n in range(5)]
    agreed = [Agreement(bytes([n]) * 16, names[s], names[b], most) for n, (s, b, most) in enumerate(standing)]
    moved = allocate(agreed, {name: load - pv for name, (load, pv) in zip(names, meters, strict=True)})
    money = dict.fromkeys([*names, "retail", "grid", "wholesale"], 0)

    def move(payer, payee, amount):
        money[payer] -= amount
        money[payee] += amount

    net = 0
    for n, (load, pv) in enumerate(meters):
        position = sum(e * ((b == n) - (s == n)) for b, s, e in traded)
        bilateral = sum(moved[a.contract] * ((a.buyer == names[n]) - (a.seller == names[n])) for a in agreed)
        bought, back = deliver(load, pv, position, bilateral)
        _, amount, fee = supply_lines(bought, back, retail, 50, 80)
        move(names[n], "retail", amount)
        move("retail", "grid", fee)
        net += bought - back
    for one in agreed:
        move(one.buyer, one.seller, p2p(moved[one.contract], 90)[1])
    move("retail", "wholesale", balance_lines(net, wholesale)[1])
    assert net == sum(load - pv for load, pv in meters)
    assert sum(money.values()) == 0
    assert money["wholesale"] == net * wholesale


@given(st.lists(signed, min_size=5, max_size=5), standing)
def test_standing_agreements_never_move_more_than_there_is(nets, standing):
    names = [f"home-{n}" for n in range(5)]
    agreed = [Agreement(bytes([n]) * 16, names[s], names[b], most) for n, (s, b, most) in enumerate(standing)]
    moved = allocate(agreed, dict(zip(names, nets, strict=True)))
    for name, net in zip(names, nets, strict=True):
        given_away = sum(moved[a.contract] for a in agreed if a.seller == name)
        taken = sum(moved[a.contract] for a in agreed if a.buyer == name)
        assert given_away <= max(0, -net)
        assert taken <= max(0, net)
    assert all(0 <= moved[a.contract] <= a.max_wh for a in agreed)


def test_the_first_agreement_comes_first_and_an_unread_home_has_nothing():
    first, second = Agreement(b"1" * 16, "s", "a", 60), Agreement(b"2" * 16, "s", "b", 60)
    nets = {"s": -100, "a": 80, "b": 80}
    assert allocate([first, second], nets) == {first.contract: 60, second.contract: 40}
    assert allocate([second, first], nets) == {second.contract: 60, first.contract: 40}
    assert allocate([first, second], {"s": -100, "b": 80}) == {first.contract: 0, second.contract: 60}
    third = Agreement(b"3" * 16, "t", "a", 60)
    assert allocate([first, third], {"s": -100, "t": -100, "a": 80}) == {first.contract: 60, third.contract: 20}


@given(signed, signed, st.integers(1, 5_000))
def test_a_call_is_paid_as_far_as_it_was_met(baseline, net, called):
    met = flexibility_wh(baseline, net, called)
    lines, amount = flexibility(baseline, net, called, 300)
    assert 0 <= met <= called
    assert met == max(0, min(called, baseline - net))
    assert amount == met * 300 == sum(line.amount for line in lines)
    assert [line.clause for line in lines] == ["flexibility.price"] * bool(met)


def test_a_profile_gives_the_volume_of_its_interval():
    assert [ppa_wh((5, 0, 7), n) for n in range(4)] == [5, 0, 7, 5]
    assert ppa(0, 90) == ((), 0)
    lines, amount = ppa(7, 90)
    assert (lines[0].clause, lines[0].wh, amount) == ("ppa.price", 7, 630)
    with pytest.raises(InvalidRequest):
        ppa_wh((), 0)


def statement(by, lines=None, **changed):
    lines = supply_lines(40, 0, 220, 50, 80)[0] if lines is None else lines
    own = {"start_ms": 0, "contract": b"c" * 16, "by": by, "version": 1}
    physical = {**own, "interval_s": 3600, "wh_out": 40, "wh_in": 0, "grid_fee": 3_200}
    terms = {**own, "lines": lines, "amount": 8_800, "currency": "USD", "causes": (by.encode().ljust(16),)}
    money = {**own, "customer": "home-01@suncoop", "provider": "cityretail", "grid": "gridco", "amount": 8_800}
    money |= {"grid_fee": 3_200, "currency": "USD"}
    parts = []
    for kind, fields in ((StatementPhysical, physical), (StatementTerms, terms), (StatementMoney, money)):
        fields |= {name: value for name, value in changed.items() if name in fields}
        parts.append(kind(**fields))
    return parts


def test_two_sides_that_computed_the_same_agree():
    assert same_statements(statement("suncoop"), statement("cityretail")) == ""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("start_ms", 1), ("contract", b"d" * 16), ("version", 2), ("interval_s", 900), ("wh_out", 41), ("wh_in", 1),
        ("grid_fee", 0), ("amount", 8_801), ("currency", "EUR"), ("customer", "x1"), ("provider", "x1"), ("grid", "x1"),
    ],
)  # fmt: skip
def test_any_other_field_is_named_where_they_differ(field, value):
    assert f": {field} " in same_statements(statement("suncoop"), statement("cityretail", **{field: value}))


@pytest.mark.parametrize(
    ("lines", "where"),
    [
        ([("supply.price", 40, 219)], "terms: line 1 (supply.price): price 220 against 219"),
        ([("supply.price", 39, 220)], "terms: line 1 (supply.price): wh 40 against 39"),
        ([("other.clause", 40, 220)], "terms: line 1 (supply.price): clause supply.price against other.clause"),
        ([], "terms: 1 lines against 0"),
    ],
)
def test_a_line_that_differs_is_named(lines, where):
    made = tuple(Line(clause=clause, wh=e, price=p, amount=e * p) for clause, e, p in lines)
    assert same_statements(statement("suncoop"), statement("cityretail", lines=made)) == where


def test_a_part_that_one_side_lacks_is_named():
    ours, theirs = statement("suncoop"), statement("cityretail")
    assert same_statements(ours, theirs[:2]) == "money stands in one statement only"
    assert same_statements(ours[1:], theirs) == "physical stands in one statement only"
    assert "against" in same(ours[0], theirs[1])
