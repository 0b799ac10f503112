"""Which orders are good: each rule refuses its own, by a stable word."""

from __future__ import annotations

import pytest

from consortium.energy.market.screening import Candidate, screen
from consortium.energy.market.settings import MandateLimits, MarketSettings, Mechanism
from consortium.energy.payloads.market import Order
from consortium.errors import InvalidRequest

HOUR = 3_600_000
START = 10 * HOUR
HOME = "home-01@suncoop"
MANDATE = bytes(16)
LIMITS = MandateLimits(HOME, "local", 500, 60, 300)


def market(**changes) -> MarketSettings:
    plain = {
        "name": "local",
        "mechanism": Mechanism.UNIFORM,
        "session_s": 3600,
        "min_wh": 10,
        "price_min": 0,
        "price_max": 900,
        "currency": "USD",
        "members": ("suncoop", "cityretail"),
        "opens_s": 7200,
        "from_ms": HOUR,
        "until_ms": 20 * HOUR,
    }
    return MarketSettings(**(plain | changes))


def candidate(index: int = 5, *, author: str = "suncoop", held=True, mandate=None, ordered_ms=None, **changes):
    plain = {
        "start_ms": START,
        "market": "local",
        "session_s": 3600,
        "side": "bid",
        "owner": HOME,
        "point": "p1",
        "area": "a1",
        "wh": 100,
        "price": 200,
        "currency": "USD",
    }
    order = Order(**(plain | changes))
    number = index.to_bytes(16, "big")
    return Candidate(number, order, author, bytes(32), index, held, mandate, 2 if order.mandate else None, ordered_ms)


def reasons(*candidates: Candidate, terms: MarketSettings | None = None, start_ms: int = START, **more) -> dict:
    screened = screen(terms or market(), start_ms, candidates, **more)
    answers = {one.index: "" for one in screened.book} | {one.index: one.reason for one in screened.refused}
    assert len(answers) == len(candidates)
    return answers


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("", {}),
        ("author", {"author": "cityretail"}),
        ("author", {"owner": "home-09@cityretail"}),
        ("market", {"market": "other"}),
        ("not-a-member", {"author": "stranger", "owner": "home-01@stranger"}),
        ("currency", {"currency": "EUR"}),
        ("session", {"session_s": 900}),
        ("session", {"start_ms": START + HOUR}),
        ("early", {"ordered_ms": START - 7_200_001}),
        ("", {"ordered_ms": START - 7_200_000}),
        ("min-wh", {"wh": 9}),
        ("", {"wh": 10}),
        ("price", {"price": 901}),
        ("price", {"price": -1}),
        ("", {"price": 900}),
        ("mandate", {"mandate_id": MANDATE}),
        ("mandate", {"mandate_id": MANDATE, "mandate": MandateLimits("home-02@suncoop", "local", 500, 60, 300)}),
        ("mandate", {"mandate_id": MANDATE, "mandate": MandateLimits(HOME, "other", 500, 60, 300)}),
        ("mandate-wh", {"mandate_id": MANDATE, "mandate": LIMITS, "wh": 501}),
        ("mandate-price", {"mandate_id": MANDATE, "mandate": LIMITS, "price": 301}),
        ("mandate-price", {"mandate_id": MANDATE, "mandate": LIMITS, "price": 59}),
        ("", {"mandate_id": MANDATE, "mandate": LIMITS, "wh": 500, "price": 300}),
        ("funds", {"held": False}),
        ("funds", {"held": None}),
        ("", {"held": None, "side": "ask"}),
    ],
)
def test_each_rule_refuses_its_own(reason, changes):
    limits, mandate = changes.pop("mandate", None), changes.pop("mandate_id", None)
    one = candidate(**changes) if mandate is None else _under_mandate(mandate, limits, changes)
    assert reasons(one) == {5: reason}


def _under_mandate(mandate: bytes, limits: MandateLimits | None, changes: dict) -> Candidate:
    one = candidate(**changes)
    return Candidate(
        one.id, one.order.model_copy(update={"mandate": mandate}), one.author, one.commitment, one.index, one.held,
        limits, 2,
    )  # fmt: skip


@pytest.mark.parametrize("start_ms", [0, START + 900_000, 20 * HOUR])
def test_a_session_lies_within_the_markets_term_at_a_multiple_of_its_length(start_ms):
    assert reasons(candidate(start_ms=start_ms), start_ms=start_ms) == {5: "session"}


@pytest.mark.parametrize("party", [HOME, "suncoop"])
def test_the_suspended_order_nothing(party):
    assert reasons(candidate(), suspended={party}) == {5: "suspended"}


def test_what_is_ordered_after_the_gate_is_late():
    assert reasons(candidate(4), candidate(5), candidate(6), gate_index=5) == {4: "", 5: "", 6: "late"}


def test_a_mandates_limit_is_for_all_of_its_orders_of_a_session_together():
    def half(index: int) -> Candidate:
        one = candidate(index)
        return _under_mandate(MANDATE, LIMITS, {"index": index, "wh": 251, "price": one.order.price})

    assert reasons(half(5), half(6)) == {5: "", 6: "mandate-wh"}


def test_an_order_that_crosses_an_own_one_is_refused_and_the_earlier_one_stays():
    ask = {"side": "ask", "price": 200}
    assert reasons(candidate(5), candidate(6, **ask)) == {5: "", 6: "self-trade"}
    assert reasons(candidate(5, **ask), candidate(6)) == {5: "", 6: "self-trade"}
    assert reasons(candidate(5), candidate(6, side="ask", price=201)) == {5: "", 6: ""}
    assert reasons(candidate(5), candidate(6, owner="home-02@suncoop", **ask)) == {5: "", 6: ""}
    assert reasons(candidate(5, held=False), candidate(6, **ask)) == {5: "funds", 6: ""}


def test_in_a_continuous_market_a_filled_order_lives_no_more():
    seller = candidate(6, side="ask", owner="home-02@suncoop")
    later = candidate(7, side="ask")
    assert reasons(candidate(5), seller, later) == {5: "", 6: "", 7: "self-trade"}
    assert reasons(candidate(5), seller, later, terms=market(mechanism=Mechanism.CONTINUOUS)) == {5: "", 6: "", 7: ""}


def test_an_order_under_a_mandate_counts_from_its_coming_into_force():
    screened = screen(market(), START, [candidate(5), _under_mandate(MANDATE, LIMITS, {"index": 6})])
    assert [(one.index, one.priority) for one in screened.book] == [(5, 5), (6, 2)]


def test_fees_add_up_by_the_areas_of_seller_and_buyer():
    terms = market(local_fee=20, area_fees=(("a", "b", 3), ("c", "b", 7)))
    assert [terms.fee("b", "a"), terms.fee("a", "b"), terms.fee("b", "b")] == [23, 20, 20]
    assert [terms.highest_fee("b"), terms.highest_fee("a")] == [27, 20]


@pytest.mark.parametrize(
    "changes",
    [
        {"session_s": 600},
        {"min_wh": 0},
        {"price_min": 901},
        {"local_fee": -1},
        {"area_fees": (("a", "b", -1),)},
        {"area_fees": (("a", "b", 1), ("a", "b", 2))},
    ],
)
def test_settings_under_which_nothing_could_be_right_are_refused(changes):
    with pytest.raises(InvalidRequest):
        market(**changes)
