"""Bad input of each submitted type: refused with the field and a hint, and nothing of it is repeated."""

from __future__ import annotations

import pytest

from consortium.energy import catalogue
from consortium.energy.catalogue import TYPES
from consortium.energy.metering import to_ms
from consortium.errors import InvalidRequest

SECRET = "sentinel7f3a"
NOW = 1_900_000_000_000
DROP = object()


def example(type, **changed):
    data = {**TYPES[type].model_config["json_schema_extra"]["examples"][0], **changed}
    return {name: value for name, value in data.items() if value is not DROP}


def refused(type, data):
    with pytest.raises(InvalidRequest) as caught:
        catalogue.parse(type, data).check(NOW)
    assert SECRET not in str(caught.value) + caught.value.hint + caught.value.field
    return caught.value


@pytest.mark.parametrize("type", TYPES)
def test_the_example_is_taken(type):
    content = catalogue.parse(type, example(type))
    content.check(NOW)
    assert content.actor == example(type)[content.ACTOR]
    time = next(
        getattr(content, n) for n in ("start", "from_", "effective", "booked", "interval_start") if hasattr(content, n)
    )
    assert content.start_ms == to_ms(time)


@pytest.mark.parametrize("type", TYPES)
def test_what_is_no_object_and_unknown_fields_are_refused(type):
    for data in (None, SECRET, 7, [SECRET], {}):
        error = refused(type, data)
        assert error.field.startswith("data")
        assert error.hint
    error = refused(type, example(type, **{SECRET: SECRET}))
    assert (error.field, str(error)) == ("data", "unknown field")
    assert TYPES[type].ACTOR in error.hint


@pytest.mark.parametrize("type", sorted(TYPES.keys() - {"reading"}))
def test_every_required_field_is_missed_by_its_name(type):
    for name, info in TYPES[type].model_fields.items():
        if info.is_required():
            error = refused(type, example(type, **{info.alias or name: DROP}))
            assert (error.field, bool(error.hint)) == (f"data.{info.alias or name}", True)


TIMES = ("2017-06-15", "2017-06-15T10:00:00", 1497549600, "1497549600", None, SECRET, "1999-12-31T23:59:59Z")
TIMES += ("2200-01-01T00:00:00Z", "2017-06-15T10:00:00.5Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")
PARTIES = (None, 7, "", "Home@suncoop", f"{SECRET}@", "a@b@cc", "home-01@suncoop\n", SECRET.upper())
IDS = (None, 7, "", "0" * 31, "A" * 32, SECRET, "0" * 32 + "\n")
WHOLE = (None, "5", 5.0, True, 10**30)
NAMES = (None, 7, "", "x", "Local", "a" * 33, "local\n")
CURRENCIES = (None, "usd", "US", "USDX", SECRET)
INTERVALS = (None, 60, 3600.0, "3600", 0)
BAD = {
    ("order", "market"): NAMES,
    ("order", "start"): TIMES,
    ("order", "side"): ("buy", None, SECRET),
    ("order", "wh"): (*WHOLE, 0, -1, 1 << 53),
    ("order", "price_micro_per_wh"): (*WHOLE, 1 << 40),
    ("order", "currency"): CURRENCIES,
    ("order", "owner"): PARTIES,
    ("contract", "kind"): ("lease", None, SECRET),
    ("contract", "from"): TIMES,
    ("contract", "to"): [t for t in TIMES if t is not None],
    ("contract", "provider"): PARTIES,
    ("contract", "customer"): (*PARTIES, "cityretail"),
    ("contract", "proposer"): (*PARTIES, "suncoop"),
    ("contract", "point"): ("", "Point", 7),
    ("contract", "grid_fee_micro_per_wh"): WHOLE,
    ("contract", "amends"): IDS[1:],
    ("contract", "currency"): CURRENCIES,
    ("contract", "terms"): (None, [], SECRET),
    ("contract-step", "contract"): IDS,
    ("contract-step", "by"): PARTIES,
    ("contract-step", "step"): ("signed", None, SECRET),
    ("contract-step", "effective"): TIMES,
    ("contract-step", "party"): (*PARTIES[1:], "home-01@suncoop"),
    ("contract-step", "reason"): (None, SECRET * 50),
    ("prices", "publisher"): PARTIES,
    ("prices", "market"): NAMES,
    ("prices", "series"): NAMES,
    ("prices", "unit"): ("kWh", None),
    ("prices", "start"): (*TIMES, "2017-06-15T10:20:00Z"),
    ("prices", "interval_s"): INTERVALS,
    ("deposit", "agent"): PARTIES,
    ("deposit", "account"): (None, "", "HOME", SECRET.upper()),
    ("deposit", "amount"): (*WHOLE, 0, 1 << 60),
    ("deposit", "currency"): CURRENCIES,
    ("deposit", "booked"): (*TIMES, "2199-01-01T00:00:00Z"),
    ("call", "contract"): IDS,
    ("call", "by"): PARTIES,
    ("call", "start"): (*TIMES, "2017-06-15T10:20:00Z"),
    ("call", "interval_s"): INTERVALS,
    ("call", "wh"): (*WHOLE, 0, -5),
    ("complaint", "order"): IDS,
    ("complaint", "gate"): IDS,
    ("complaint", "order_index"): (*WHOLE, -1, 377, 400),
    ("complaint", "gate_index"): (*WHOLE, -1),
    ("complaint", "why"): (None, SECRET * 50),
}


@pytest.mark.parametrize(("type", "field"), BAD, ids=lambda value: value)
def test_a_bad_value_names_its_field_and_says_what_belongs_there(type, field):
    for value in BAD[type, field]:
        error = refused(type, example(type, **{field: value}))
        assert error.field == f"data.{field}", value
        assert error.hint, value


@pytest.mark.parametrize("values", [[], [1.5], ["3"], [1, None], [1 << 40], [0] * 3001, SECRET])
def test_a_series_is_of_whole_numbers(values):
    assert refused("prices", example("prices", values=values)).field.startswith("data.values")


def test_an_emission_is_not_negative_while_a_price_may_be():
    catalogue.parse("prices", example("prices", values=[-3])).check(NOW)
    assert refused("prices", example("prices", values=[-3], unit="g/kWh")).field == "data.values"


def test_an_outside_account_says_who_owns_it():
    assert refused("deposit", example("deposit", account="wholesale")).field == "data.owner"
    catalogue.parse("deposit", example("deposit", account="wholesale", owner="gridco")).check(NOW)


BAND = {"from": "00:00", "to": "24:00", "price": 3}
TOU = {"type": "time-of-use", "zone": "-08:00", "bands": [BAND]}
TERMS = [
    ({}, "terms.tariff"),
    ({SECRET: 1}, "terms"),
    ({"kind": "grid"}, "terms.kind"),
    ({"tariff": {"type": SECRET}}, "terms.tariff"),
    ({"tariff": {"type": "fixed", "price": 1.5}}, "terms.tariff.price"),
    ({"tariff": {"type": "fixed", "price": 1, SECRET: 2}}, "terms.tariff"),
    ({"tariff": {**TOU, "zone": SECRET}}, "terms.tariff.zone"),
    ({"tariff": {**TOU, "bands": [{**BAND, "from": SECRET}]}}, "terms.tariff.bands.0.from"),
    ({"tariff": {**TOU, "bands": [{**BAND, "from": "01:00"}]}}, "terms.tariff.bands"),
    ({"tariff": {**TOU, "bands": [BAND, BAND]}}, "terms.tariff.bands"),
    ({"feed_in": "50"}, "terms.feed_in"),
    ({"notice_days": -1}, "terms.notice_days"),
]


@pytest.mark.parametrize(("changed", "field"), TERMS)
def test_bad_terms_name_their_field(changed, field):
    terms = {**example("contract")["terms"], **changed} if changed else {"feed_in": 50}
    error = refused("contract", example("contract", terms=terms))
    assert error.field == f"data.{field}"
    assert error.hint


def test_the_key_of_a_fee_is_not_repeated():
    terms = {"local_fee": 20, "grid_fee": 80, "area_fees": {SECRET.upper(): 3}}
    data = example("contract", kind="grid", provider="gridco", proposer="gridco", terms=terms)
    error = refused("contract", data)
    assert error.field == "data.terms.area_fees"
    assert SECRET.upper() not in str(error) + error.hint


def test_the_end_lies_after_the_start():
    error = refused("contract", example("contract", to="2017-06-01T00:00:00-08:00"))
    assert error.field == "data.to"


def test_an_unknown_type_lists_the_known_ones():
    with pytest.raises(InvalidRequest) as caught:
        catalogue.parse(SECRET, {})
    assert (caught.value.field, SECRET in str(caught.value)) == ("type", False)
    assert all(type in caught.value.hint for type in TYPES)
