"""What the submitted types ask of the market: who reads which section, and which requests are refused, and how."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consortium.energy import catalogue
from consortium.energy.catalogue import TYPES
from consortium.energy.contracts.contract import Suspension
from consortium.energy.metering import to_rfc3339
from consortium.energy.payloads.base import read_part
from consortium.energy.payloads.contracts import ContractFrame, ContractTerms
from consortium.energy.payloads.market import Order, Reserve
from consortium.errors import Forbidden, InvalidRequest, NotFound
from tests.fakes.directory import MARKET, FakeDirectory, contract

HOUR = 3_600_000
START = 1_497_549_600_000  # 2017-06-15T18:00:00Z
NOW = START - 6 * HOUR
HOME, OTHER = "home-01@suncoop", "home-09@cityretail"
POINT = {"point": "point-01", "area": "north"}
GRID = {"local_fee": 20, "grid_fee": 80, "operators": ["gridco", "suncoop"]}
SUPPLY = {"tariff": {"type": "fixed", "price": 240}, "feed_in": 50, "notice_days": 14}
FLEX = {"price": 300, "max_wh": 1000, "max_calls": 5}
MARKET_ID, GRID_ID, SUPPLY_ID, FLEX_ID, WALLET_ID, OPEN_ID, NEIGHBOURS_ID = (bytes([n] * 16).hex() for n in range(1, 8))
ABSENT = "0" * 32


def world(**changed):
    made = [
        contract(1, "market", "gridco", "suncoop", MARKET),
        contract(2, "grid", "gridco", HOME, GRID, **POINT),
        contract(3, "supply", "cityretail", HOME, SUPPLY, **POINT),
        contract(4, "flexibility", HOME, "gridco", FLEX),
        contract(5, "wallet", "gridco", HOME, {"account": HOME}),
        contract(6, "p2p", HOME, OTHER, {"price": 100, "max_wh": 900}, signed=False),
        contract(7, "supply", "cityretail", OTHER, SUPPLY, **POINT),
        contract(8, "wallet", "gridco", "gridco", {"account": "wholesale"}),
    ]
    return FakeDirectory(made, NOW, **changed)


def changed_contract(place, number, **changed):
    place.contracts = [replace(c, **changed) if c.id[0] == number else c for c in place.contracts]
    return place


GOOD = {
    "order": {"start": to_rfc3339(START), "owner": HOME},
    "contract": {"from": "2017-07-01T00:00:00Z", "customer": "home-02@suncoop"},
    "contract-step": {"contract": OPEN_ID, "by": OTHER, "effective": to_rfc3339(NOW)},
    "prices": {},
    "deposit": {},
    "call": {"contract": FLEX_ID, "start": to_rfc3339(START)},
    "complaint": {"start": to_rfc3339(START)},
}


def content(type, /, **changed):
    data = {**TYPES[type].model_config["json_schema_extra"]["examples"][0], **GOOD[type], **changed}
    made = catalogue.parse(type, data)
    made.check(NOW)
    return made


def sections(type, place=None, /, **changed):
    """Name to (readers, value) of what is written."""
    place = place or world()
    made = content(type, **changed)
    made.admit(place)
    found = made.sections(place)
    assert all(len(set(section.readers)) == len(section.readers) for section in found)
    parts = {s.name: (" ".join(sorted(map(str, s.readers))), read_part(s.plaintext)) for s in found}
    assert all(part.start_ms == made.start_ms for _, part in parts.values())
    return parts


def refused(family, type, place=None, /, **changed):
    with pytest.raises(family) as caught:
        sections(type, place, **changed)
    return caught.value


# --- who reads what ------------------------------------------------------------------------------------------------


def test_an_order_is_for_the_operators_and_its_money_for_the_agent():
    place = world()
    market = {**MARKET, "settlement_agent": "cityretail"}
    place.contracts[0] = contract(1, "market", "gridco", "suncoop", market)
    found = sections("order", place, wh=500, price_micro_per_wh=140)
    readers, order = found["order"]
    assert readers == f"gridco {HOME} suncoop"
    assert isinstance(order, Order)
    assert (order.point, order.area, order.session_s, order.mandate) == ("point-01", "north", 3600, None)
    assert (order.wh, order.price, order.side, order.owner) == (500, 140, "bid", HOME)
    readers, reserve = found["reserve"]
    assert readers == f"cityretail {HOME} suncoop"
    assert isinstance(reserve, Reserve)
    assert reserve.amount == 500 * (140 + 20 + 7)  # the dearest way into north


def test_an_ask_reserves_nothing():
    assert list(sections("order", side="ask", price_micro_per_wh=60)) == ["order"]


def test_a_reservation_is_never_negative():
    place = world()
    place.contracts[0] = contract(1, "market", "gridco", "suncoop", {**MARKET, "price_min": -500})
    assert sections("order", place, price_micro_per_wh=-400)["reserve"][1].amount == 0


CONTRACTS = [
    ("supply", {"point": "point-02"}, "cityretail gridco home-02@suncoop", "cityretail home-02@suncoop", SUPPLY),
    ("supply", {"point": None}, "cityretail home-02@suncoop", "cityretail home-02@suncoop", SUPPLY),
    (
        "mandate",
        {"point": None, "provider": "suncoop"},
        "gridco home-02@suncoop suncoop",
        "gridco home-02@suncoop suncoop",
        {
            "market": "local",
            "bid_share_percent": 62,
            "ask_share_percent": 13,
            "max_wh": 9000,
            "price_min": 0,
            "price_max": 900,
            "operators": ["gridco", "suncoop"],
        },
    ),
    (
        "market",
        {"point": None, "provider": "gridco", "customer": "suncoop"},
        "cityretail gridco regulator suncoop",
        "cityretail gridco regulator suncoop",
        {**MARKET, "name": "other", "members": ["gridco", "suncoop", "cityretail", "regulator"]},
    ),
    ("wallet", {"point": None, "provider": "gridco", "customer": "gridco"}, "gridco", "gridco", {"account": "outside"}),
]


@pytest.mark.parametrize(("kind", "changed", "frame", "terms", "agreed"), CONTRACTS)
def test_the_grid_reads_a_contracts_frame_and_only_its_sides_the_terms(kind, changed, frame, terms, agreed):
    changed = {"provider": "cityretail", "grid_fee_micro_per_wh": 80, **changed}
    found = sections("contract", kind=kind, proposer=changed["provider"], terms=agreed, **changed)
    assert (found["physical"][0], found["terms"][0]) == (frame, terms)
    written, told = found["physical"][1], found["terms"][1]
    assert isinstance(written, ContractFrame)
    assert isinstance(told, ContractTerms)
    assert (written.kind, written.grid_fee, written.notice_days) == (kind, 80, agreed.get("notice_days", 0))
    assert told.terms.items() >= {k: v for k, v in agreed.items() if isinstance(v, int | str)}.items()


def test_a_step_is_for_whoever_reads_the_frame():
    assert sections("contract-step")["step"][0] == f"gridco {HOME} {OTHER}"
    ended = {"contract": SUPPLY_ID, "by": HOME, "step": "ended", "effective": to_rfc3339(NOW + 15 * 24 * HOUR)}
    assert sections("contract-step", **ended)["step"][0] == f"cityretail gridco {HOME}"
    suspended = {"contract": MARKET_ID, "by": "suncoop", "step": "suspended", "party": OTHER}
    assert sections("contract-step", **suspended)["step"][0] == "cityretail gridco suncoop"


def test_the_other_types_readers():
    assert sections("prices")["prices"][0] == "cityretail gridco suncoop"
    assert sections("prices", publisher="suncoop")["prices"][0] == "cityretail gridco suncoop"
    assert sections("deposit")["deposit"][0] == f"gridco {HOME}"
    assert sections("deposit", account="wholesale", owner="gridco")["deposit"][0] == "gridco"
    assert sections("call")["call"][0] == f"gridco {HOME}"
    assert sections("complaint")["complaint"][0] == f"gridco {HOME} regulator suncoop"


# --- orders that are refused ---------------------------------------------------------------------------------------

ORDERS = {
    "unknown market": ({"market": "elsewhere"}, "data.market"),
    "between two sessions": ({"start": "2017-06-15T18:30:00Z"}, "data.start"),
    "another currency": ({"currency": "EUR"}, "data.currency"),
    "too dear": ({"price_micro_per_wh": 1001}, "data.price_micro_per_wh"),
    "below the bounds": ({"price_micro_per_wh": -1}, "data.price_micro_per_wh"),
    "too little": ({"wh": 9}, "data.wh"),
    "more than money can say": ({"wh": (1 << 53) - 1}, "data.wh"),
    "no grid contract": ({"owner": "home-02@suncoop"}, "data.owner"),
    "a member outside of the market": ({"owner": "regulator"}, "data.market"),
    "long gone": ({"start": to_rfc3339(NOW - HOUR)}, "data.start"),
    "not open yet": ({"start": to_rfc3339(NOW + 25 * HOUR)}, "data.start"),
}


@pytest.mark.parametrize("case", ORDERS)
def test_an_order_against_the_markets_rules_is_refused(case):
    changed, field = ORDERS[case]
    error = refused(InvalidRequest, "order", **changed)
    assert (error.field, bool(error.hint)) == (field, True)


def test_the_gate_closes_by_its_time_and_by_its_record():
    for late, closed in ((600_000, True), (600_001, False)):
        place = world()
        place.now_ms = START - late
        if closed:
            assert "gate is closed" in str(refused(InvalidRequest, "order", place))
        else:
            sections("order", place)
    assert "gate is closed" in str(refused(InvalidRequest, "order", world(closed={("local", START)})))
    sections("order", world(closed={("local", START + HOUR)}))


def test_days_of_the_past_close_by_the_record_alone():
    place = world(closed={("local", START)})
    place.now_ms = 0
    assert refused(InvalidRequest, "order", place).field == "data.start"
    place.closed.clear()
    sections("order", place)


def test_a_bid_needs_its_money_and_an_ask_does_not():
    cost = 500 * (140 + 20 + 7)
    bid = {"wh": 500, "price_micro_per_wh": 140}
    sections("order", world(free={HOME: cost}), **bid)
    assert refused(InvalidRequest, "order", world(free={HOME: cost - 1}), **bid).field == "data.wh"
    sections("order", world(free={HOME: 0}), **bid, side="ask")


@pytest.mark.parametrize(("party", "out"), [(HOME, True), ("suncoop", True), (OTHER, False), ("gridco", False)])
def test_a_suspended_party_orders_nothing(party, out):
    place = changed_contract(world(), 1, suspensions=(Suspension("gridco", party, NOW),))
    if out:
        assert refused(InvalidRequest, "order", place).field == "data.owner"
    else:
        sections("order", place)


def test_a_market_or_grid_contract_that_is_not_in_force_takes_no_order():
    for number, field in ((1, "data.market"), (2, "data.owner")):
        for changed in (
            {"in_force_index": None},
            {"stopped_ms": START},
            {"suspensions": (Suspension("gridco", None, NOW),)},
        ):
            assert refused(InvalidRequest, "order", changed_contract(world(), number, **changed)).field == field


# --- the wrong party, in the words for what is not there --------------------------------------------------------


def words(error):
    return str(error), error.hint


def test_a_step_on_anothers_contract_is_refused_like_one_on_none():
    absent = words(refused(NotFound, "contract-step", contract=ABSENT, by=HOME))
    for by in ("suncoop", "gridco", "home-02@suncoop", "cityretail"):
        assert words(refused(NotFound, "contract-step", contract=OPEN_ID, by=by)) == absent
    market = {"contract": MARKET_ID, "by": "cityretail", "step": "suspended"}
    assert words(refused(NotFound, "contract-step", **market)) == absent
    assert words(refused(NotFound, "contract-step", **market, party=OTHER)) == absent
    assert words(refused(NotFound, "call", contract=ABSENT)) == absent
    assert words(refused(NotFound, "call", by=HOME)) == absent  # the provider does not call itself
    assert words(refused(NotFound, "call", contract=SUPPLY_ID, by=HOME)) == absent
    amends = {"customer": HOME, "proposer": HOME, "terms": SUPPLY}
    assert words(refused(NotFound, "contract", **amends, amends=ABSENT)) == absent
    other = {"customer": OTHER, "provider": "suncoop", "proposer": "suncoop"}
    assert words(refused(NotFound, "contract", **other, amends=NEIGHBOURS_ID)) == absent


def test_an_operator_that_is_no_side_suspends_parties_and_not_the_market():
    place = world()
    place.contracts[0] = contract(1, "market", "gridco", "suncoop", {**MARKET, "operators": [*MARKET["members"]]})
    step = {"contract": MARKET_ID, "by": "cityretail", "step": "suspended"}
    assert sections("contract-step", place, **step, party=HOME)
    refused(NotFound, "contract-step", place, **step)


def test_a_proposal_hears_nothing_of_contracts_of_others():
    overlapping = {"kind": "supply", "customer": HOME, "terms": SUPPLY}
    error = refused(InvalidRequest, "contract", **overlapping, provider="cityretail", proposer="cityretail")
    assert (error.field, bool(error.hint)) == ("data.from", True)
    assert sections("contract", **overlapping, provider="suncoop", proposer="suncoop")


def test_an_amendment_is_between_the_same_sides():
    sections("contract", customer=HOME, terms=SUPPLY, amends=SUPPLY_ID)
    error = refused(InvalidRequest, "contract", customer=HOME, terms=SUPPLY, amends=SUPPLY_ID, currency="EUR")
    assert error.field == "data.currency"
    place = changed_contract(world(), 3, in_force_index=None)
    assert refused(InvalidRequest, "contract", place, customer=HOME, amends=SUPPLY_ID).field == "data.amends"


def test_a_contract_has_two_sides_but_for_an_account_kept_for_oneself():
    alone = {"provider": "suncoop", "customer": "suncoop", "proposer": "suncoop"}
    assert refused(InvalidRequest, "contract", **alone).field == "data.customer"


def test_the_grid_is_offered_by_a_grid_operator():
    grid = {"kind": "grid", "terms": GRID}
    error = refused(InvalidRequest, "contract", **grid, provider="suncoop", proposer="suncoop")
    assert error.field == "data.provider"
    sections("contract", **grid, provider="gridco", proposer="gridco")


STEPS = {
    "by who proposed": {"by": HOME},
    "a second time": {"contract": SUPPLY_ID, "by": HOME},
    "resume what is not suspended": {"contract": SUPPLY_ID, "by": HOME, "step": "resumed"},
    "end without notice": {"contract": SUPPLY_ID, "by": HOME, "step": "ended"},
    "suspend what is not signed": {"step": "suspended"},
    "accept what is not disputed": {"contract": SUPPLY_ID, "by": HOME, "step": "accepted"},
    "one party outside of a market": {"contract": SUPPLY_ID, "by": HOME, "step": "suspended", "party": "cityretail"},
}


@pytest.mark.parametrize("case", STEPS)
def test_a_step_that_cannot_follow_is_refused(case):
    error = refused(InvalidRequest, "contract-step", **STEPS[case])
    assert (error.field, bool(error.hint)) == ("data.step", True)


def test_prices_are_published_by_grid_and_market_operators():
    assert "published by" in str(refused(Forbidden, "prices", publisher="cityretail"))
    unknown = refused(InvalidRequest, "prices", market="elsewhere")
    outside = refused(InvalidRequest, "prices", publisher="regulator")
    assert (words(unknown), unknown.field) == (words(outside), outside.field)


DEPOSITS = {
    "an account that is not there": ({"account": "home-02@suncoop"}, "data.account"),
    "an account that another member keeps": ({"agent": "cityretail"}, "data.account"),
    "another owner's": ({"account": "wholesale", "owner": HOME}, "data.account"),
    "another currency": ({"currency": "EUR"}, "data.currency"),
    "more out than there is": ({"amount": -101}, "data.amount"),
}


@pytest.mark.parametrize("case", DEPOSITS)
def test_money_moves_only_in_accounts_that_the_agent_keeps(case):
    changed, field = DEPOSITS[case]
    error = refused(InvalidRequest, "deposit", world(free={HOME: 100}), **changed)
    assert (error.field, bool(error.hint)) == (field, True)


def test_what_is_free_can_leave_an_account():
    assert sections("deposit", world(free={HOME: 100}), amount=-100)["deposit"][1].amount == -100


CALLS = {
    "too much": ({"wh": 1001}, "data.wh"),
    "gone by": ({"start": to_rfc3339(NOW)}, "data.start"),
}


@pytest.mark.parametrize("case", CALLS)
def test_a_call_keeps_to_the_contract(case):
    changed, field = CALLS[case]
    assert refused(InvalidRequest, "call", **changed).field == field


def test_a_contract_out_of_force_is_not_called():
    place = changed_contract(world(), 4, stopped_ms=START)
    assert refused(InvalidRequest, "call", place).field == "data.start"


def test_a_complaint_is_of_ones_own_market():
    assert refused(InvalidRequest, "complaint", market="elsewhere").field == "data.market"
