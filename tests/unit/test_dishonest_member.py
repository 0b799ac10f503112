"""What a dishonest member writes past every check of a node: it moves nobody's money and stops nobody's market."""

from __future__ import annotations

import pytest

from consortium.agents.market.gates import Gatekeeper
from consortium.energy.orders import order_sections
from consortium.energy.payloads.base import read_part
from consortium.energy.payloads.contracts import ContractFrame, ContractStep, ContractTerms
from consortium.energy.payloads.market import Gate, Order, OrderDone, Reserve, TradeMoney, TradePoints, Verdict
from consortium.energy.payloads.settlement import Agreed, Delivery, Line, StatementMoney, StatementTerms
from consortium.energy.view.view import View
from consortium.errors import Malformed
from consortium.model.encoding import encode
from tests.market_days import HOUR_MS, RULES, Small, balances, check_money, open_small, propose, publish, read
from tests.market_world import GENESIS, MarketWorld

SMALL = Small(homes=4, days=1)
START = SMALL.start_ms
ALL = "cityretail gridco suncoop"
END = START + 24 * HOUR_MS
EVIL, VICTIM, OWN, FUNDS = "cityretail", "home-1@suncoop", "home-2@cityretail", SMALL.funds


@pytest.fixture
def world():
    world = MarketWorld()
    open_small(world, SMALL)
    return world


def sign_alone(world, kind, party, terms, by=EVIL, **frame):
    """A contract of `by` or its user with itself, sealed to everybody; its id."""
    head = ContractFrame(start_ms=START, end_ms=0, kind=kind, provider=party, customer=party, proposer=party, **frame)
    said = ContractTerms(start_ms=START, currency="USD", terms=terms)
    return world.write(by, (head, ALL), (said, ALL))


def market(world, by=EVIL, **rules):
    return sign_alone(world, "market", by, {**RULES, "name": "own", "operators": [by], "agree": 1, **rules}, by)


def trade_money(name, value, fee=0, bid=bytes(16), buyer=VICTIM, seller=EVIL):
    head = {"market": name, "bid": bid, "buyer": buyer, "seller": seller, "grid": "gridco", "currency": "USD"}
    return TradeMoney(start_ms=START, value=value, fee=fee, **head)


def deliveries(world):
    """What each home was delivered, of 1,000 Wh used in the day's first hour."""
    world.now_ms = START + HOUR_MS + 1000
    for home in SMALL.parties:
        read(world, home, START - 24 * HOUR_MS, 1000, 0)
        read(world, home, START, 1000, 0)
    world.settle()
    return {one.subject: one.bought_wh - one.sold_back_wh for one in world.every(Delivery)}


@pytest.mark.parametrize("value", [9_000_000, -9_000_000])
def test_who_opens_a_market_alone_leads_nothing(world, value):
    market(world)
    sides = (VICTIM, EVIL) if value > 0 else (EVIL, VICTIM)
    world.write(EVIL, (trade_money("own", value, buyer=sides[0], seller=sides[1]), "gridco"))
    world.settle()
    assert balances(world)[VICTIM] == FUNDS
    check_money(world)


def test_a_market_that_somebody_opens_alone_holds_up_no_delivery(world):
    market(world)
    silent = world.node(EVIL)
    silent.agents = tuple(agent for agent in silent.agents if not isinstance(agent, Gatekeeper))
    assert deliveries(world) == dict.fromkeys(SMALL.parties, 1000)


def test_nobody_is_made_lead_of_a_market_that_it_did_not_sign(world):
    market(world, operators=["gridco"])
    world.now_ms = START + HOUR_MS
    world.settle()
    assert {gate.market for gate in world.every(Gate)} == {"local"}


def test_who_runs_the_grid_may_open_a_market_alone(world):
    market(world, "gridco")
    assert world.desk("suncoop").market("own", START) is not None


def test_the_lead_itself_spends_no_more_than_a_bid_reserved(world):
    fields = {"point": "pt-1", "area": "north", "currency": "USD", "market": "local", "session_s": 3600}
    order = Order(start_ms=START, side="bid", owner=VICTIM, wh=1000, price=100, **fields)
    world.now_ms = START - HOUR_MS
    world.append("suncoop", order_sections(order, world.desk("suncoop").market("local", START)), b"b" * 16)
    world.settle()
    [held] = [verdict for verdict in world.every(Verdict) if verdict.order == b"b" * 16]
    assert held.amount == 120_000
    world.write("gridco", (trade_money("local", 120_001, bid=b"b" * 16), "gridco"))
    world.write("gridco", (trade_money("local", 1, bid=b"c" * 16), "gridco"))
    world.settle()
    assert balances(world)[VICTIM] == FUNDS
    world.write("gridco", (trade_money("local", 120_000, bid=b"b" * 16), "gridco"))
    world.settle()
    assert balances(world)[VICTIM] == FUNDS - 120_000


def test_a_lead_gives_back_no_reservation_of_another_session(world):
    fields = {"point": "pt-1", "area": "north", "currency": "USD", "market": "local", "session_s": 3600}
    order = Order(start_ms=START, side="bid", owner=VICTIM, wh=1000, price=100, **fields)
    world.now_ms = START - HOUR_MS
    world.append("suncoop", order_sections(order, world.desk("suncoop").market("local", START)), b"b" * 16)
    world.settle()
    done = OrderDone(start_ms=START + HOUR_MS, market="local", order=b"b" * 16, owner=VICTIM)
    world.write("gridco", (done, "gridco"))
    world.settle()
    assert world.node("gridco").view.accounts[VICTIM].reserved == {b"b" * 16: 120_000}


@pytest.mark.parametrize("fees", [{"grid_fee": -9_000_000}, {"grid_fee": 0, "local_fee": -9_000_000}])
def test_two_sides_do_not_take_a_fee_from_whom_they_name_as_the_grid(world, fees):
    bill = {"contract": bytes(16), "version": 1, "customer": OWN, "provider": EVIL, "grid": VICTIM}
    for by in (OWN, EVIL):
        said = StatementMoney(start_ms=START, by=by, amount=0, currency="USD", **bill, **fees)
        world.write(EVIL, (said, "gridco"))
    world.settle()
    assert balances(world)[VICTIM] == FUNDS


def test_a_trade_of_a_market_that_nobody_knows_moves_no_position(world):
    points = {"market": "ghost", "session_s": 3600, "buyer_point": "pt-2", "seller_point": "pt-1"}
    world.write(EVIL, (TradePoints(start_ms=START, wh=5000, fee=0, **points), "gridco"))
    assert deliveries(world) == dict.fromkeys(SMALL.parties, 1000)


def test_who_sells_to_itself_gets_nothing(world):
    terms = {"price": 1, "profile": [1000] * 24, "zone": "+00:00"}
    energy = {"interval_s": 3600, "zone": "+00:00", "profile_wh": (1000,) * 24}
    sign_alone(world, "ppa", OWN, terms, **energy)
    world.settle()
    assert deliveries(world) == dict.fromkeys(SMALL.parties, 1000)
    assert world.every(Agreed) == []


@pytest.mark.parametrize("account", [VICTIM, "suncoop"])
def test_an_account_that_bears_a_partys_name_is_that_partys(account):
    world = MarketWorld()
    sign_alone(world, "wallet", EVIL, {"account": account, "credit_limit": 10**12})
    open_small(world, SMALL)
    assert world.desk("gridco").keeper(account) in ("gridco", None)
    assert balances(world)[VICTIM] == FUNDS


def test_no_agent_answers_a_reserve_for_anothers_user(world):
    asked = Reserve(start_ms=START, market="local", owner="ghost@nobody", amount=5, currency="USD")
    world.write(EVIL, (asked, "gridco"))
    world.settle()
    assert world.every(Verdict) == []


def test_only_the_sides_of_a_contract_state_what_it_comes_to(world):
    contract = world.desk("gridco").in_force("supply", VICTIM, START)
    bill = {"version": 7, "customer": OWN, "provider": EVIL, "grid": "gridco", "amount": 0, "grid_fee": 0}
    said = StatementMoney(start_ms=START, contract=contract.id, by=OWN, currency="USD", **bill)
    world.write(EVIL, (said, ALL))
    world.settle()
    assert world.node("suncoop").view.statement_versions(contract.id, START) == []


def test_a_statement_has_no_more_lines_than_a_dispute_can_repeat():
    line = Line(clause="supply.price", wh=1, price=1, amount=1)
    head = {"start_ms": START, "contract": bytes(16), "by": OWN, "version": 1, "amount": 1, "currency": "USD"}
    good = StatementTerms(**head, lines=(line,) * 100)
    assert read_part(good.plaintext()) == good
    fields = {**good.model_dump(), "lines": [line.model_dump()] * 101}
    text = encode({"v": 1, "type": good.TYPE, "part": good.PART, **fields})
    with pytest.raises(Malformed):
        read_part(text)


def test_steps_without_effect_and_proposals_that_nobody_signed_cost_nobody_anything(world):
    deliveries(world)
    node, supply = world.node("gridco"), world.desk("gridco").in_force("supply", VICTIM, START)
    looked = []
    deliverer = next(agent for agent in node.agents if hasattr(agent, "_homes"))
    deliverer._delivery = lambda *key: iter(looked.append(key) or ())
    junk = ContractStep(start_ms=START, contract=supply.id, by=EVIL, step="resumed")
    world.write(EVIL, (junk, ALL))
    frame = supply.frame.model_copy(update={"proposer": EVIL})
    for _ in range(5):
        world.write(EVIL, (frame, ALL))
    world.settle()
    assert looked == []
    assert len(node.view._signed["supply", VICTIM]) == 1


def test_a_view_takes_a_market_only_by_rules_that_are_in_themselves_right():
    for wrong in ({"operators": ["suncoop"]}, {"settlement_agent": "stranger"}, {"members": ["suncoop"]}):
        world = MarketWorld()
        market(world, "gridco", **wrong)
        view = View(GENESIS, "gridco")
        view.add(world.records[0].fact("gridco"))
        assert list(view.of_kind("market")) == []


def test_a_balance_that_waited_for_its_price_is_stated_once_there_is_one():
    """Of who has no homes and only sells by an agreement nothing else ever asks again."""
    world = MarketWorld()
    open_small(world, SMALL)
    propose(world, "wallet", "gridco", "suncoop", {"account": "suncoop", "credit_limit": 10**12}, START, END)
    propose(world, "balance", "gridco", "suncoop", {"series": "other", "account": "wholesale"}, START, END)
    sold = {"price": 70, "profile": [100] * 24, "zone": "+00:00"}
    place = {"point": "pt-1", "area": "north"}
    ppa = propose(world, "ppa", "suncoop", "home-1@suncoop", sold, START, END, **place)
    world.now_ms = START + HOUR_MS + 1000
    for home in SMALL.parties:
        read(world, home, START - 24 * HOUR_MS, 1000, 0)
        read(world, home, START, 1000, 0)
    world.settle()
    assert [one.wh for one in world.every(Agreed) if one.contract == ppa] == [100]
    assert [one for one in world.every(StatementTerms) if one.by == "suncoop" and one.currency and not one.causes] == []
    publish(world, "other", START, [31])
    world.settle()
    found = [one for one in world.every(StatementTerms) if one.by == "suncoop" and not one.causes]
    assert [one.amount for one in found] == [3100]


def test_a_bill_is_paid_although_others_wrote_statements_with_its_contract():
    """As a settlement agent sees it that does not know the contract: two parties of one member name it first."""
    world = MarketWorld()
    open_small(world, SMALL)

    def state(customer, provider, amount):
        bill = {"contract": b"x" * 16, "version": 1, "customer": customer, "provider": provider, "grid": "gridco"}
        for by in (customer, provider):
            said = StatementMoney(start_ms=START, by=by, amount=amount, grid_fee=0, currency="USD", **bill)
            world.write(by.rpartition("@")[2], (said, "gridco"))

    state(OWN, EVIL, 1)
    world.settle()
    state("home-4@cityretail", EVIL, 2000)
    state(VICTIM, "gridco", 3000)
    world.settle()
    assert (balances(world)[VICTIM], balances(world)[OWN]) == (FUNDS - 3000, FUNDS - 1)
    check_money(world)
