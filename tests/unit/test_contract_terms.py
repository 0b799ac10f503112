"""Terms, their checks, prices and clauses."""

from __future__ import annotations

import re
from typing import Any

import pytest

from consortium.energy.contracts.checks import check_contract
from consortium.energy.contracts.clauses import Clause, clauses
from consortium.energy.contracts.lifecycle import apply_step
from consortium.energy.contracts.plain import energy, money, price
from consortium.energy.contracts.pricing import limit_prices, price_at
from consortium.energy.contracts.terms import MODELS, MandateTerms, MarketTerms, SupplyTerms, dump, parse_terms
from consortium.energy.contracts.wording import TEXTS
from consortium.energy.payloads.base import plain
from consortium.errors import InvalidRequest
from consortium.model.encoding import decode, encode
from tests.contracting import DAY, MARKET, START, TARIFF, TERMS, frame_of, proposed, signed, step_of, terms_of


def supply(tariff: dict[str, Any], **more: Any) -> SupplyTerms:
    terms = terms_of("supply", tariff=tariff, **more)
    assert isinstance(terms, SupplyTerms)
    return terms


@pytest.mark.parametrize("kind", MODELS)
def test_terms_survive_the_ledgers_encoding(kind: str) -> None:
    terms = terms_of(kind)
    assert parse_terms(kind, plain(decode(encode(dump(terms))))) == terms


@pytest.mark.parametrize(
    ("kind", "changes", "field"),
    [
        ("supply", {"feed_in": 1.5}, "terms.feed_in"),
        ("supply", {"feed_in": True}, "terms.feed_in"),
        ("supply", {"surprise": 1}, "terms"),
        ("supply", {"tariff": {"type": "free"}}, "terms.tariff"),
        ("mandate", {"bid_share_percent": 1001}, "terms.bid_share_percent"),
        ("mandate", {"ask_share_percent": -1}, "terms.ask_share_percent"),
        ("market", {"session_s": 600}, "terms.session_s"),
        ("market", {"session_s": 900.0}, "terms.session_s"),
        ("market", {"zone": "Mars/Olympus"}, "terms.zone"),
        ("market", {"currency": "usd"}, "terms.currency"),
        ("ppa", {"profile": [1] * 23}, "terms.profile"),
        ("wallet", {"credit_limit": -1}, "terms.credit_limit"),
        ("grid", {"area_fees": {"Not A Name": 1}}, "terms.area_fees"),
    ],
)
def test_a_wrong_field_is_named(kind: str, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        terms_of(kind, **changes)
    assert caught.value.field == field


def test_an_unknown_kind() -> None:
    with pytest.raises(InvalidRequest):
        parse_terms("barter", {})
    with pytest.raises(InvalidRequest):
        parse_terms("grid", {**TERMS["grid"], "kind": "supply"})


@pytest.mark.parametrize("kind", MODELS)
def test_a_good_contract_passes(kind: str) -> None:
    check_contract(frame_of(kind), terms_of(kind), "USD", grid_operators={"gridco"}, market=terms_of("market"))


def bands(*spans: tuple[str, str, str]) -> dict[str, Any]:
    return {**TARIFF, "bands": [{"days": d, "from": f, "to": t, "price": 1} for d, f, t in spans]}


@pytest.mark.parametrize(
    ("tariff", "words"),
    [
        (bands(("all", "00:00", "23:00")), "a gap on a weekday from 23:00 to 24:00"),
        (bands(("all", "01:00", "24:00")), "a gap on a weekday from 00:00 to 01:00"),
        (bands(("all", "00:00", "10:00"), ("all", "10:01", "24:00")), "a gap on a weekday from 10:00 to 10:01"),
        (bands(("all", "00:00", "10:00"), ("all", "09:59", "24:00")), "an overlap on a weekday from 09:59 to 10:00"),
        (bands(("all", "00:00", "24:00"), ("weekend", "10:00", "11:00")), "an overlap on a weekend"),
        (bands(("weekday", "00:00", "24:00")), "a gap on a weekend from 00:00 to 24:00"),
    ],
)
def test_tariffs_cover_the_day_once(tariff: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        check_contract(frame_of("supply"), supply(tariff), "USD")
    assert caught.value.field == "terms.tariff.bands"


def test_a_band_over_midnight_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="over midnight"):
        supply(bands(("all", "22:00", "06:00")))


@pytest.mark.parametrize(
    ("kind", "frame", "terms", "field"),
    [
        ("supply", {"end_ms": START}, {}, "frame.end_ms"),
        ("supply", {"proposer": "gridco"}, {}, "frame.proposer"),
        ("supply", {"customer": "cityretail"}, {}, "frame.customer"),
        ("supply", {"notice_days": 1}, {}, "frame.notice_days"),
        ("supply", {"provider": "home-02@suncoop", "proposer": "home-02@suncoop"}, {}, "frame.provider"),
        ("grid", {"provider": "suncoop", "proposer": "suncoop"}, {}, "frame.provider"),
        ("grid", {"point": None}, {}, "frame.point"),
        ("mandate", {"provider": "cityretail", "proposer": "cityretail"}, {}, "frame.provider"),
        ("mandate", {}, {"market": "other"}, "terms.market"),
        ("mandate", {}, {"operators": ["gridco"]}, "terms.operators"),
        ("mandate", {}, {"price_min": 2000}, "terms.price_min"),
        ("market", {}, {"agree": 3}, "terms.agree"),
        ("market", {}, {"operators": ["gridco", "gridco"]}, "frame.provider"),
        ("market", {}, {"operators": ["gridco", "suncoop", "suncoop"]}, "terms.operators"),
        ("market", {}, {"currency": "EUR"}, "currency"),
        ("market", {}, {"members": ["gridco"]}, "terms.members"),
        ("market", {}, {"gate_s": 90_000}, "terms.gate_s"),
        ("market", {}, {"mechanism": "continuous"}, "terms.round_s"),
        ("market", {}, {"area_fees": [["aa", "bb", 1], ["aa", "bb", 2]]}, "terms.area_fees"),
        ("ppa", {}, {"profile": [1] * 24, "interval_s": 900}, "terms.profile"),
        ("ppa", {}, {"profile": [0] * 24}, "terms.profile"),
        ("supply", {}, {"tariff": {"type": "indexed", "series": "spot", "spread": 1, "cap": 1, "floor": 2}}, ""),
        ("wallet", {"proposer": "home-01@suncoop"}, {}, "terms.credit_limit"),
    ],
)
def test_checks(kind: str, frame: dict[str, Any], terms: dict[str, Any], field: str) -> None:
    market = terms_of("market") if kind == "mandate" else None
    with pytest.raises(InvalidRequest) as caught:
        check_contract(
            frame_of(kind, **frame), terms_of(kind, **terms), "USD", grid_operators={"gridco"}, market=market
        )
    assert caught.value.field == (field or "terms.tariff.floor")


def test_a_mandate_is_in_the_markets_currency() -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_contract(frame_of("mandate"), terms_of("mandate"), "EUR", market=terms_of("market"))
    assert caught.value.field == "currency"


def test_no_second_contract_for_the_same_time() -> None:
    first = signed()
    terms = terms_of("supply")

    def check(**changes: Any) -> None:
        check_contract(frame_of("supply", **changes), terms, "USD", known=[first])

    with pytest.raises(InvalidRequest, match="already"):
        check(start_ms=START + DAY)
    with pytest.raises(InvalidRequest, match="already"):
        check(start_ms=START - DAY, end_ms=0)
    check(start_ms=START + DAY, amends=first.id)
    check(start_ms=START + 100 * DAY, end_ms=0)
    check(start_ms=START - DAY, end_ms=START)
    check_contract(frame_of("supply"), terms, "USD", known=[proposed()])  # what nobody countersigned binds nobody
    check_contract(frame_of("ppa", provider="gridco", proposer="gridco"), terms_of("ppa"), "USD", known=[signed("ppa")])
    ended = apply_step(first, step_of(first, "ended", "cityretail", START + 40 * DAY), "cityretail", 9)
    assert not isinstance(ended, str)
    check_contract(frame_of("supply", start_ms=START + 40 * DAY), terms, "USD", known=[ended])


def test_amendments_keep_sides_and_currency() -> None:
    first, terms = signed(), terms_of("supply")
    for changes, currency, known in (
        ({"provider": "gridco", "proposer": "gridco"}, "USD", [first]),
        ({}, "EUR", [first]),
        ({}, "USD", [proposed()]),
        ({}, "USD", []),
    ):
        with pytest.raises(InvalidRequest):
            check_contract(frame_of("supply", amends=first.id, **changes), terms, currency, known=known)


def test_prices() -> None:
    assert price_at(supply({"type": "fixed", "price": 7}), START) == (7, Clause.SUPPLY_PRICE)
    by_time = supply(TARIFF)  # START is 2017-06-15 00:00 in Los Angeles, a Thursday
    hours = [price_at(by_time, START + hour * 3_600_000)[0] for hour in range(24)]
    assert hours == [220] * 16 + [540] * 8
    assert price_at(by_time, START + 2 * DAY + 20 * 3_600_000)[0] == 200
    indexed = {"type": "indexed", "series": "spot", "spread": 5, "cap": 100, "floor": 10}
    series = {START: 40, START + 1: 99, START + 2: -50}
    assert [price_at(supply(indexed), START + n, series)[0] for n in range(4)] == [45, 100, 10, None]
    assert price_at(supply(indexed), START)[0] is None


def test_limit_prices() -> None:
    mandate = terms_of("mandate")
    assert isinstance(mandate, MandateTerms)
    assert limit_prices(mandate, 220, 50, 20) == (50 + 150 * 62 // 100, 50 + 150 * 13 // 100)
    assert limit_prices(mandate, 71, 50, 20) == (50, 50)
    narrow = mandate.model_copy(update={"price_min": 100, "price_max": 120})
    assert limit_prices(narrow, 220, 50, 20) == (120, 100)
    assert limit_prices(narrow, 60, 50, 20) == (None, 100)
    assert limit_prices(narrow, 2000, 50, 20) == (120, None)


def test_market_fees() -> None:
    market = terms_of("market")
    assert isinstance(market, MarketTerms)
    assert (market.lead, market.fee("north", "south"), market.fee("south", "north")) == ("gridco", 27, 20)


def test_numbers_in_words() -> None:
    assert (energy(1500), energy(2_000), energy(0)) == ("1.5 kWh", "2 kWh", "0 kWh")
    assert [price(micro, "USD") for micro in (138, 50, -5)] == ["0.138 USD/kWh", "0.05 USD/kWh", "-0.005 USD/kWh"]
    assert (money(12_500_000, "USD"), money(-1, "USD")) == ("12.50 USD", "-0.000001 USD")


def test_every_clause_has_its_sentence() -> None:
    assert {clause.value for clause in Clause} == set(TEXTS)


@pytest.mark.parametrize("kind", MODELS)
def test_clauses_are_complete_in_both_languages(kind: str) -> None:
    found = clauses(signed(kind))
    assert len({one["id"] for one in found}) == len(found) > 3
    for one in found:
        assert not re.search(r"[{}]|None|\('", one["en"] + one["zh"])
        assert one["en"].endswith(".")
        assert one["zh"].endswith("。")
        assert re.search(r"[一-鿿]", one["zh"])
        assert not re.search(r"[一-鿿]", one["en"])


def test_clauses_state_the_numbers() -> None:
    found = {one["id"]: one for one in clauses(signed(grid_fee=80))}
    for language in ("en", "zh"):
        assert "0.54 USD/kWh" in found["supply.price"][language]  # type: ignore[literal-required]
        assert "0.05 USD/kWh" in found["supply.feed-in"][language]  # type: ignore[literal-required]
        assert "0.08 USD/kWh" in found["supply.grid-fee"][language]  # type: ignore[literal-required]
        assert "30" in found["contract.notice"][language]  # type: ignore[literal-required]
    assert found["supply.price"]["side"] == "customer"
    wallet = {one["id"]: one for one in clauses(signed("wallet"))}
    assert "12.50 USD" in wallet["wallet.credit"]["en"]


def test_every_clause_is_used() -> None:
    used = {
        one["id"] for kind in MODELS for one in clauses(signed(kind, **({"grid_fee": 1} if kind == "supply" else {})))
    }
    assert used == {clause.value for clause in Clause}


def test_market_defaults() -> None:
    market = terms_of("market")
    assert isinstance(market, MarketTerms)
    assert (market.mechanism, market.session_s, market.group_k) == ("uniform", 3600, 15)
    assert set(MARKET) < set(MarketTerms.model_fields)
    assert set(TERMS) == set(MODELS)
