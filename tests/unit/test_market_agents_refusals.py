"""Disagreement, missing money and wrong orders: a reason is told, what was reserved comes back, nothing moves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consortium.agents.market.clear import Clearer
from consortium.agents.market.duty import Duty
from consortium.energy.metering import to_rfc3339
from consortium.energy.orders import order_sections
from consortium.energy.payloads.base import read_part
from consortium.energy.payloads.market import Difference, Gate, Order, OrderResult, Result, TradePoints, Verdict
from consortium.energy.payloads.money import Refusal
from consortium.energy.payloads.settlement import Dispute
from consortium.errors import InvalidRequest
from consortium.model.names import Party
from tests.market_days import (
    HOUR_MS,
    Small,
    balances,
    check_limits,
    check_money,
    deposit,
    earned,
    entries,
    open_small,
    read,
    step,
)
from tests.market_world import MarketWorld

SMALL = Small(homes=4, days=1)
BARE = replace(SMALL, mandates=False)
START = SMALL.start_ms
ONE, TWO, THREE, FOUR = SMALL.parties
GATE_MS = START - 900_000


def order(side, owner, wh=1000, price=120, **changes):
    """An order for the first hour as its owner's member writes it."""
    number = owner.split("@")[0].rpartition("-")[2]
    fields = {"market": "local", "session_s": 3600, "point": f"pt-{number}", "area": "north", "currency": "USD"}
    return Order(**{"start_ms": START, "side": side, "owner": owner, "wh": wh, "price": price, **fields, **changes})


def place(world, *orders, author=None):
    """Put them on the ledger past every check of a node: any member may write anything."""
    rules = world.desk("gridco").market("local", START)
    ids = []
    for one in orders:
        world._submitted += 1
        ids.append(world._submitted.to_bytes(16, "big"))
        world.append(author or one.owner.partition("@")[2], order_sections(one, rules), ids[-1])
    world.settle()
    return ids


def close(world):
    """The hour's gate, and all that follows from it."""
    world.now_ms = GATE_MS
    world.settle()


def outcome(world, order_id):
    found = [one for one in world.every(OrderResult) if one.order == order_id and one.start_ms == START]
    assert len(found) == 1
    return found[0].state, found[0].reason


def reserved(world, account):
    return entries(world)[account][-1].reserved


@pytest.fixture
def world():
    made = MarketWorld()
    made.contracts = open_small(made, BARE)
    return made


# --- disagreement --------------------------------------------------------------------------------------------------


class Favouring(Clearer):
    """An operator that leaves the best bid out."""

    def _compute(self, settings, session, suspended):
        best = max(session.orders.values(), key=lambda fact: fact.find(Order).price, default=None)
        if best is not None:
            session = replace(session, orders={key: one for key, one in session.orders.items() if one is not best})
        return super()._compute(settings, session, suspended)


@pytest.mark.parametrize("liar", ["suncoop", "gridco"])
def test_operators_that_differ_stop_the_hour_and_both_say_where(liar):
    world = MarketWorld({liar: {Clearer: Favouring}})
    open_small(world, BARE)
    place(world, order("ask", ONE, price=60), order("bid", TWO, price=140), order("bid", FOUR, price=150))
    close(world)
    assert world.every(TradePoints) == []
    assert [one for one in world.every(Result) if one.start_ms == START] == []
    said = world.found(Difference)
    assert {record.author for record, _ in said} == {"gridco", "suncoop"}
    assert all(one.where.startswith("book: orders 0 to ") for _, one in said)
    assert set(earned(world).values()) == {0}


def overcharge(member, duty):
    """The supplier states one micro-unit more than the contract says."""
    if member != "cityretail" or duty.type != "statement":
        return duty
    sections = [replace(section, plaintext=_dearer(section.plaintext)) for section in duty.sections]
    return Duty(duty.cause, duty.type, duty.start_ms, tuple(sections))


def _dearer(plaintext):
    part = read_part(plaintext)
    if part.by != "cityretail" or "home-" not in str(getattr(part, "customer", "home-")):
        return plaintext
    return part.model_copy(update={"amount": part.amount + 1}).plaintext() if hasattr(part, "amount") else plaintext


def test_statements_that_differ_are_disputed_by_both_and_nothing_is_paid(world):
    world.forge = overcharge
    close(world)
    world.now_ms = START + HOUR_MS
    read(world, ONE, START, 1000, 0)
    world.settle()
    disputes = world.found(Dispute)
    assert {one.by for _, one in disputes} == {"cityretail", ONE}
    assert all("amount" in one.where for _, one in disputes)
    assert earned(world)[ONE] == 0
    assert executes_disputed(world)


def executes_disputed(world):
    contract = world.contracts["supply", ONE]
    return all(START in world.node(member).view.contracts[contract].disputes for member in ("suncoop", "cityretail"))


@pytest.mark.parametrize(("yields", "amount"), [("cityretail", 220_000), (ONE, 220_001)])
def test_who_accepts_the_others_figures_ends_the_dispute_and_it_is_paid_once(world, yields, amount):
    world.forge = overcharge
    close(world)
    world.now_ms = START + HOUR_MS
    read(world, ONE, START, 1000, 0)
    world.settle()
    world.forge = lambda member, duty: duty
    step(world, world.contracts["supply", ONE], yields, "accepted", START)
    world.settle()
    assert earned(world)[ONE] == -amount
    assert not executes_disputed(world)
    for node in world.nodes:
        node.crash()
    world.settle()
    assert earned(world)[ONE] == -amount
    check_money(world)


def test_a_correction_on_which_both_agree_ends_the_dispute(world):
    world.forge = overcharge
    close(world)
    world.now_ms = START + HOUR_MS
    read(world, ONE, START, 1000, 0)
    world.settle()
    world.forge = lambda member, duty: duty
    read(world, ONE, START, 900, 0, "corrected")
    world.settle()
    assert earned(world)[ONE] == -900 * 220
    assert not executes_disputed(world)
    check_money(world)


# --- funds ---------------------------------------------------------------------------------------------------------


def test_a_bid_beyond_the_account_is_not_counted(world):
    bid, ask = place(world, order("bid", TWO, wh=100_000), order("ask", ONE))
    verdict = next(one for one in world.every(Verdict) if one.order == bid)
    assert (verdict.held, verdict.amount, verdict.reason) == (False, 0, "funds")
    close(world)
    assert outcome(world, bid) == ("refused", "funds")
    assert outcome(world, ask) == ("counted", "")
    assert world.every(TradePoints) == []
    assert set(earned(world).values()) == {0}


def test_what_a_bid_reserved_and_did_not_spend_comes_back(world):
    place(world, order("bid", TWO, wh=1000, price=200), order("ask", ONE, wh=400, price=60))
    assert reserved(world, TWO) == 1000 * 220
    close(world)
    assert reserved(world, TWO) == 0
    assert earned(world) == {ONE: 400 * 130, TWO: -400 * 150, "gridco": 400 * 20, THREE: 0, FOUR: 0}
    check_money(world)
    check_limits(world)


def test_two_bids_that_the_account_holds_one_of(world):
    first, second = place(world, *(order("bid", TWO, wh=40_000, price=150 - n) for n in range(2)))
    close(world)
    assert outcome(world, first)[0] == "counted"
    assert outcome(world, second) == ("refused", "funds")
    assert reserved(world, TWO) == 0


@pytest.fixture
def poor():
    """Homes without any money, and home 1 with a bill that it cannot pay."""
    world = MarketWorld()
    open_small(world, replace(BARE, funds=0))
    world.now_ms = START + HOUR_MS
    read(world, ONE, START, 1000, 0)
    world.settle()
    return world


def bills(world, account=ONE):
    return [line.kind for entry in entries(world).get(account, []) for line in entry.lines if line.kind != "deposit"]


def test_a_bill_beyond_the_account_is_refused_and_paid_once_there_is_money(poor):
    refused = poor.every(Refusal)
    assert [one.account for one in refused] == [ONE]
    assert bills(poor) == []
    deposit(poor, ONE, 219_999)
    poor.settle()
    assert bills(poor) == []
    deposit(poor, ONE, 1)
    poor.settle()
    deposit(poor, ONE, 500_000)
    poor.settle()
    assert bills(poor) == ["bill"]
    assert balances(poor)[ONE] == 500_000
    assert poor.every(Refusal) == refused
    check_money(poor)
    check_limits(poor)


def test_a_bill_is_paid_by_an_agent_that_starts_again_in_between(poor):
    poor.node("gridco").crash()
    poor.settle()
    deposit(poor, ONE, 220_000)
    poor.node("gridco").crash()
    poor.settle()
    assert bills(poor) == ["bill"]
    assert balances(poor)[ONE] == 0


def test_the_corrected_bill_is_paid_instead_of_the_refused_one(poor):
    read(poor, ONE, START, 400, 0, "corrected")
    poor.settle()
    deposit(poor, ONE, 1_000_000)
    poor.settle()
    assert bills(poor) == ["bill"]
    assert balances(poor)[ONE] == 1_000_000 - 400 * 220
    check_money(poor)


# --- wrong orders --------------------------------------------------------------------------------------------------


def refuse(world, wrong, reason, *, author=None):
    """A wrong bid beside good ones: it is refused for that reason, and the others trade."""
    good = place(world, order("ask", ONE, price=60), order("bid", FOUR, price=140))
    bad = place(world, wrong, author=author)[0]
    close(world)
    assert outcome(world, bad) == ("refused", reason)
    assert [outcome(world, one)[0] for one in good] == ["counted", "counted"]
    assert [(one.buyer_point, one.wh) for one in world.every(TradePoints)] == [("pt-4", 1000)]
    assert all(chain[-1].reserved == 0 for chain in entries(world).values())
    check_money(world)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"currency": "EUR"}, "currency"),
        ({"price": 2001}, "price"),
        ({"session_s": 900}, "session"),
        ({"mandate": bytes(16)}, "mandate"),
    ],
)
def test_a_wrong_bid_is_refused(world, changes, reason):
    refuse(world, order("bid", TWO, **{"price": 150, **changes}), reason)


def test_an_order_by_another_member_is_none(world):
    """Nobody folds it: it is not the owner's, so that it has no result and takes no money."""
    bad = place(world, order("bid", TWO, price=150), author="suncoop")[0]
    close(world)
    assert bad not in world.node("gridco").view.session("local", START).orders
    assert entries(world)[TWO][-1].reserved == 0
    assert world.every(TradePoints) == []


def test_an_order_with_itself_is_refused(world):
    ask, bid = place(world, order("ask", ONE, price=60), order("bid", ONE, price=140))
    close(world)
    assert outcome(world, ask) == ("counted", "")
    assert outcome(world, bid) == ("refused", "self-trade")
    assert reserved(world, ONE) == 0


def test_a_suspended_party_trades_no_more(world):
    market = world.contracts["market", "suncoop"]
    step(world, market, "gridco", "suspended", START, party=TWO, reason="unpaid bills")
    world.settle()
    with pytest.raises(InvalidRequest):
        bid(world, TWO)
    refuse(world, order("bid", TWO, price=150), "suspended")


def bid(world, owner):
    data = {"market": "local", "start": to_rfc3339(START), "side": "bid", "wh": 1000, "price_micro_per_wh": 120}
    return world.submit("order", {**data, "currency": "USD", "owner": owner})


def test_an_order_after_the_gate_is_late(world):
    good = place(world, order("ask", ONE, price=60), order("bid", FOUR, price=140))
    world.now_ms = GATE_MS
    while not any(gate.start_ms == START for gate in world.every(Gate)):
        for node in world.nodes:
            node.turn()
    late = place(world, order("bid", TWO, price=150))[0]
    assert outcome(world, late) == ("refused", "late")
    assert [outcome(world, one)[0] for one in good] == ["counted", "counted"]
    assert reserved(world, TWO) == 0
    with pytest.raises(InvalidRequest):
        bid(world, TWO)


def test_an_order_long_after_everything_has_its_result_and_its_money_back(world):
    close(world)
    late = place(world, order("bid", TWO, price=150))[0]
    assert outcome(world, late) == ("refused", "late")
    assert reserved(world, TWO) == 0


@pytest.mark.parametrize(("wh", "price", "reason"), [(1001, 150, "mandate-wh"), (900, 1001, "mandate-price")])
def test_an_order_over_its_mandate_is_refused(wh, price, reason):
    world = MarketWorld()
    contracts = open_small(world, replace(SMALL, max_wh=1000))
    wrong = order("bid", TWO, wh=wh, price=price, mandate=contracts["mandate", TWO])
    refuse(world, wrong, reason)


def test_the_owner_sees_why(world):
    bad = place(world, order("bid", TWO, price=2001))[0]
    close(world)
    record = next(r for r, one in world.found(OrderResult) if one.order == bad)
    seen = record.fact("cityretail")
    assert seen is not None
    assert seen.find(OrderResult).reason == "price"
    assert record.fact("suncoop") is None


@pytest.mark.parametrize("point", ["pt-2", "pt-9"])
def test_energy_is_sold_at_ones_own_point_only(point):
    """A dishonest member's node writes an order at another's point, or where there is none: nobody is paid for it."""
    world = MarketWorld()
    small = Small(mandates=False)
    open_small(world, small)
    seller = small.parties[0]
    asked = Order(
        start_ms=small.start_ms, market="local", session_s=3600, side="ask", owner=seller, point=point, area="north",
        wh=500, price=60, currency="USD",
    )  # fmt: skip
    id = world.write(Party.parse(seller).member, (asked, f"{seller} suncoop gridco"))
    world.now_ms = small.start_ms
    world.settle()
    [result] = [one for one in world.every(OrderResult) if one.order == id]
    assert (result.state, result.reason) == ("refused", "point")
