"""Invoices: lines with their records, sub-totals by state, corrections as reversal and new."""

from __future__ import annotations

import json

import pytest

from consortium.energy.invoices import Subtotal, invoice
from consortium.energy.opened import Period
from consortium.energy.payloads.settlement import Dispute
from tests.energy_day import FEED_IN, GRID_FEE, HOUR_MS, EnergyDay, home, supply_frame

DATE = "2017-06-15"


@pytest.fixture(scope="module")
def whole():
    return EnergyDay(DATE).build()


def period(of):
    return Period(of.starts[0], of.starts[-1] + HOUR_MS)


def billed(*, paid):
    """A home's first interval: 1,000 Wh from the supplier."""
    of = EnergyDay(DATE)
    contract = of.add("contract", "cityretail", supply_frame(1))
    statement = of.settle(of.starts[0], 1, contract, (1000, 0), paid=paid)
    return of, contract, statement


def correct(of, contract, wh, version, *, paid):
    """A new version; the payment takes the old money back first."""
    old = of.records[-2].id if of.records[-1].type == "payment" else None
    statement = of.settle(of.starts[0], 1, contract, (wh, 0), version, paid=False)
    if paid:
        price = of.retail(of.starts[0])
        back = [("reversal", 1000 * price, "supply.price")] if old else []
        of.pay(of.starts[0], home(1), statement, [*back, ("bill", -wh * price, "supply.price")])
    return statement


def kinds(found):
    return [(line.kind, line.state, line.wh, line.amount) for line in found.sections[0].lines]


def test_a_days_invoice_is_what_the_account_paid(whole):
    found = invoice(whole.records, home(1), period(whole))
    assert found.total == Subtotal(paid=3_347_912, open=0, disputed=0)
    contracts = [section.contract for section in found.sections]
    assert contracts[-1] == "market"
    assert len(contracts) == 2
    for section in found.sections:
        assert section.subtotal.total == sum(line.amount for line in section.lines)
        assert all(line.wh * line.price == line.amount for line in section.lines)


def test_all_homes_invoices_come_to_the_days_money(whole):
    assert sum(invoice(whole.records, home(n), period(whole)).total.total for n in range(1, 18)) == 127_433_720


def test_each_line_names_the_records_behind_it(whole):
    found = invoice(whole.records, home(1), period(whole))
    known = {record.id: record for record in whole.records}
    for section in found.sections:
        for line in section.lines:
            parts = [known[id].parts for id in line.ids]
            energy = [next(part for part in group if part.PART == "physical") for group in parts]
            if section.contract == "market":
                assert sum(part.wh for part in energy) == abs(line.wh)
            else:
                moved = sum(part.wh_out if line.wh > 0 else part.wh_in for part in energy)
                assert moved == abs(line.wh)
                assert all(part.by == home(1) for part in energy)


def test_clauses_and_prices_make_lines(whole):
    found = invoice(whole.records, home(1), period(whole))
    other = invoice(whole.records, home(17), period(whole))
    clauses = {line.clause for section in (*found.sections, *other.sections) for line in section.lines}
    assert clauses == {"supply.price", "supply.feed-in", "market.price", "grid.local-fee"}
    feed_in = [line for line in found.sections[0].lines if line.clause == "supply.feed-in"]
    assert [line.price for line in feed_in] == [FEED_IN]
    assert feed_in[0].amount < 0


def test_the_supplier_is_owed_the_same_and_hands_on_the_grid_fee():
    of, _, _ = billed(paid=False)
    amount = 1000 * of.retail(of.starts[0])
    (section,) = invoice(of.records, "cityretail", period(of)).sections
    assert (section.role, section.subtotal.total) == ("provider", -amount + 1000 * GRID_FEE)
    assert [(line.clause, line.amount) for line in section.lines] == [
        ("supply.price", -amount), ("supply.grid-fee", 1000 * GRID_FEE),
    ]  # fmt: skip


def test_what_is_not_paid_is_open():
    of, _, statement = billed(paid=False)
    found = invoice(of.records, home(1), period(of))
    assert found.total == Subtotal(0, 1000 * of.retail(of.starts[0]), 0)
    assert found.sections[0].lines[0].ids == (statement.hex(),)


def test_nothing_to_pay_is_paid_once_both_sides_agree():
    of = EnergyDay(DATE)
    contract = of.add("contract", "cityretail", supply_frame(1))
    of.state(of.starts[0], 1, contract, (0, 0), 1, home(1))
    assert invoice(of.records, home(1), period(of)).total == Subtotal(0, 0, 0)


def test_a_dispute_is_shown_until_a_later_version_settles_it():
    of, contract, statement = billed(paid=False)
    of.add("dispute", "gridco", Dispute(
        start_ms=of.starts[0], contract=contract, version=1, statements=(statement, statement), by="cityretail",
        provider=(), customer=(), where="terms: amount"))  # fmt: skip
    amount = 1000 * of.retail(of.starts[0])
    assert invoice(of.records, home(1), period(of)).total == Subtotal(0, 0, amount)
    correct(of, contract, 900, 2, paid=True)
    found = invoice(of.records, home(1), period(of))
    assert found.total == Subtotal(amount * 9 // 10, 0, 0)


def test_a_correction_is_a_reversal_and_a_new_line():
    of, contract, old = billed(paid=True)
    new = correct(of, contract, 1200, 2, paid=False)
    price = of.retail(of.starts[0])
    found = invoice(of.records, home(1), period(of))
    assert kinds(found) == [
        ("charge", "paid", 1000, 1000 * price),
        ("reversal", "open", -1000, -1000 * price),
        ("correction", "open", 1200, 1200 * price),
    ]
    assert [line.ids for line in found.sections[0].lines] == [(old.hex(),), (old.hex(), new.hex()), (new.hex(),)]
    assert found.total == Subtotal(1000 * price, 200 * price, 0)


def test_a_paid_correction_leaves_nothing_open():
    of, contract, _ = billed(paid=True)
    correct(of, contract, 1200, 2, paid=True)
    found = invoice(of.records, home(1), period(of))
    assert {line.state for line in found.sections[0].lines} == {"paid"}
    assert found.total == Subtotal(1200 * of.retail(of.starts[0]), 0, 0)


def test_what_was_replaced_before_it_was_paid_comes_to_nothing():
    of, contract, _ = billed(paid=True)
    of.settle(of.starts[0], 1, contract, (1100, 0), 2, paid=False)
    correct(of, contract, 1200, 3, paid=True)
    found = invoice(of.records, home(1), period(of))
    assert found.total == Subtotal(1200 * of.retail(of.starts[0]), 0, 0)
    assert [line[0] for line in kinds(found)] == ["charge", "reversal", "correction", "reversal", "correction"]


def test_what_lies_outside_the_period_or_is_not_ones_own_is_left_out(whole):
    early = Period(whole.starts[0] - HOUR_MS, whole.starts[0])
    assert invoice(whole.records, home(1), early).sections == ()
    assert invoice(whole.records, "regulator", period(whole)).sections == ()
    assert invoice(whole.records, home(1), period(whole), "EUR").sections == ()


def test_the_order_in_which_records_are_handed_in_does_not_matter(whole):
    assert invoice(whole.records[::-1], home(3), period(whole)) == invoice(whole.records, home(3), period(whole))


def test_an_invoice_is_json(whole):
    shown = json.loads(json.dumps(invoice(whole.records, home(1), period(whole)).as_json()))
    assert shown["total"] == {"paid": 3_347_912, "open": 0, "disputed": 0, "total": 3_347_912}
    line = shown["sections"][0]["lines"][0]
    assert line["start"].startswith("2017-06-15T")
    assert line["start"].endswith("Z")
    assert all(len(bytes.fromhex(id)) == 16 for id in line["ids"])
