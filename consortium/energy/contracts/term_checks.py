"""What terms must keep by themselves: tariffs without gaps or overlaps, profiles that fit a day, a market's rules."""

from __future__ import annotations

from collections.abc import Collection
from typing import NoReturn

from consortium.energy.contracts.tariffs import Indexed, TimeOfUse
from consortium.energy.contracts.terms import MandateTerms, MarketTerms, PpaTerms, SupplyTerms, Terms
from consortium.energy.groups import Rule
from consortium.energy.zones import MINUTES
from consortium.errors import InvalidRequest


def refuse(message: str, field: str, hint: str = "") -> NoReturn:
    """Raise `InvalidRequest`."""
    raise InvalidRequest(message, field=field, hint=hint)


def check_terms(terms: Terms) -> None:
    """The rules within the terms alone. Raises `InvalidRequest`."""
    if isinstance(terms, SupplyTerms):
        _tariff(terms)
    elif isinstance(terms, MandateTerms):
        _bounds(terms.price_min, terms.price_max)
        _distinct(terms.operators, "terms.operators")
    elif isinstance(terms, MarketTerms):
        _market(terms)
    elif isinstance(terms, PpaTerms):
        _profile(terms)


def _tariff(terms: SupplyTerms) -> None:
    tariff = terms.tariff
    if (
        isinstance(tariff, Indexed)
        and tariff.cap is not None
        and tariff.floor is not None
        and tariff.floor > tariff.cap
    ):
        refuse("the floor is not above the cap", "terms.tariff.floor")
    if isinstance(tariff, TimeOfUse):
        for days in ("weekday", "weekend"):
            _cover(tariff, days)


def _cover(tariff: TimeOfUse, days: str) -> None:
    """Every minute of that kind of day stands in one band, not in none and not in two."""
    at = 0
    for start, end in sorted(band.minutes for band in tariff.bands if band.days in ("all", days)):
        if start != at:
            _gap("a gap" if start > at else "an overlap", days, *sorted((at, start)))
        at = end
    if at != MINUTES:
        _gap("a gap", days, at, MINUTES)


def _gap(what: str, days: str, start: int, end: int) -> None:
    clock = f"{start // 60:02d}:{start % 60:02d} to {end // 60:02d}:{end % 60:02d}"
    hint = "the bands cover every day exactly once; one over midnight is two"
    refuse(f"the tariff has {what} on a {days} from {clock}", "terms.tariff.bands", hint)


def _profile(terms: PpaTerms) -> None:
    count = MINUTES * 60 // terms.interval_s
    if len(terms.profile) != count:
        hint = f"one for each {terms.interval_s // 60} minutes of a day of 24 hours"
        refuse(f"the profile has {count} values", "terms.profile", hint)
    if not any(terms.profile):
        refuse("the profile has no energy", "terms.profile")


def _market(terms: MarketTerms) -> None:
    _bounds(terms.price_min, terms.price_max)
    _distinct(terms.operators, "terms.operators")
    _distinct(terms.members, "terms.members")
    _distinct(tuple(fee[:2] for fee in terms.area_fees), "terms.area_fees")
    if terms.agree > len(terms.operators):
        refuse("more results must agree than there are operators", "terms.agree")
    if terms.gate_s >= terms.opens_s:
        refuse("the gate closes after the session opens for orders", "terms.gate_s", "gate_s is less than opens_s")
    needed = {*terms.operators, terms.settlement_agent, terms.grid_operator}
    if not needed <= set(terms.members):
        refuse("operators, settlement agent and grid operator are in the market", "terms.members")
    if (terms.mechanism == "continuous") != (terms.round_s > 0):
        refuse("a continuous market, and no other, has rounds", "terms.round_s")
    try:
        Rule(terms.group_k, terms.group_share_percent)
    except InvalidRequest as error:
        refuse(str(error), "terms.group_k", error.hint)


def _bounds(low: int, high: int) -> None:
    if low > high:
        refuse("the lowest price is not above the highest", "terms.price_min")


def _distinct(values: Collection[object], field: str) -> None:
    if len(set(values)) != len(values):
        refuse("one stands there twice", field)
