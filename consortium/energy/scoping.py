"""What a record is about, by the sections that its reader can open, and which of its sections a scope covers. Pure.

A holder judges a record by all that it can open; the officer's node judges again by what it was given, and where that
does not name the parties or the area it has the holder's word for it (`Judged.by_word`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from consortium.energy.metering import to_ms
from consortium.energy.payloads.base import Part
from consortium.energy.payloads.contracts import ContractFrame
from consortium.energy.payloads.market import Order, TradePoints
from consortium.errors import InvalidRequest
from consortium.model.names import Party
from consortium.model.scope import Scope

_NAMES_ALL = frozenset(
    {
        ("reading", ""), ("order", "order"), ("order", "reserve"), ("trade", "terms"), ("trade", "money"),
        ("contract", "physical"), ("payment", "entry"), ("deposit", "deposit"), ("payment-refused", "refusal"),
    }
)  # fmt: skip
"""Sections that name every party that their record is about: who is not in them is not meant."""
_HOLDERS = {
    ("reading", ""): ("subject",),
    ("order", "order"): ("owner",),
    ("order", "reserve"): ("owner",),
    ("trade", "terms"): ("buyer", "seller"),
    ("trade", "money"): ("buyer", "seller"),
    ("contract", "physical"): ("provider", "customer"),
    ("delivery", "physical"): ("subject",),
    ("payment", "entry"): ("owner",),
    ("deposit", "deposit"): ("owner",),
    ("payment-refused", "refusal"): ("owner",),
    ("certificate", "certificate"): ("holder",),
    ("complaint", "complaint"): ("owner",),
}
"""Fields that name parties who hold a key to the very section that names them."""
_REFERS = {
    "bid": "order", "ask": "order", "order": "order", "gate": "gate", "contract": "contract", "mandate": "contract",
    "amends": "contract", "statements": "statement",
}  # fmt: skip
"""Fields that name another record, and its type."""
NEVER = frozenset({"disclosure", "escrow", "escrow-share"})
"""Types that no scope covers: they hold keys."""
_SAME_START = frozenset({"bid", "ask", "gate"})


class Places(Protocol):
    """What a holder knows of the grid and of contracts."""

    def area_of_point(self, point: str, at_ms: int) -> str | None:
        """The area of a grid point."""
        ...

    def area_of(self, party: str, at_ms: int) -> str | None:
        """The area that a party's own grid point lies in."""
        ...

    def subject_at(self, point: str, at_ms: int) -> str | None:
        """Whose grid point it is."""
        ...

    def sides(self, contract: bytes) -> tuple[str, ...]:
        """The sides of a contract; none if it is not known."""
        ...


class NoPlaces:
    """Knows nothing: for who judges by the sections alone."""

    def area_of_point(self, point: str, at_ms: int) -> str | None:
        """None."""

    def area_of(self, party: str, at_ms: int) -> str | None:
        """None."""

    def subject_at(self, point: str, at_ms: int) -> str | None:
        """None."""

    def sides(self, contract: bytes) -> tuple[str, ...]:
        """None."""
        return ()


@dataclass(frozen=True, slots=True)
class About:
    """Whom and where a record is about: parties as text, areas by name."""

    parties: frozenset[str]
    areas: frozenset[str]

    def words(self, scope: Scope) -> tuple[str, ...]:
        """Those of the scope's own words that hold for the record, sorted: what a holder states beside a key."""
        parties = {word for word in scope.parties if any(_is_of(party, word) for party in self.parties)}
        return tuple(sorted(parties | (self.areas & set(scope.areas))))


@dataclass(frozen=True, slots=True)
class Judged:
    """What a scope says to a record: `fault` is '' if it covers it; `by_word` if that rests on its holder's word."""

    fault: str
    by_word: bool = False


def parties_in(part: Part) -> frozenset[str]:
    """The parties that a section's fields name; free words are not searched."""
    found = (getattr(part, name) for name in type(part).IDENTITY - type(part).FREE_WORDS)
    return frozenset(text for text in found if isinstance(text, str) and _is_party(text))


def holders_in(part: Part) -> frozenset[str]:
    """The members whose parties hold a key to this very section, by what it says."""
    fields = _HOLDERS.get((part.TYPE, part.PART), ())
    return frozenset(Party.parse(getattr(part, field)).member for field in fields)


def references_in(part: Part) -> Iterator[tuple[str, bytes, bool]]:
    """Type and id of each record that a section refers to, and whether that one is of the same start."""
    for field, type in _REFERS.items():
        value = getattr(part, field, None)
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, bytes):
                yield type, one, field in _SAME_START


def about(parts: Collection[Part], places: Places) -> About:
    """Whom and where a record is about, by the sections that can be opened and what is known beside them."""
    parties: set[str] = set()
    areas: set[str] = set()
    for part in parts:
        parties |= parties_in(part)
        areas |= _areas_named(part)
        if isinstance(part, TradePoints):
            for point in (part.buyer_point, part.seller_point):
                parties |= _known(places.subject_at(point, part.start_ms))
                areas |= _known(places.area_of_point(point, part.start_ms))
        contract = getattr(part, "contract", None)
        if isinstance(contract, bytes):
            parties.update(places.sides(contract))
    if not areas:
        for part in parts:
            areas |= {area for party in parties if (area := places.area_of(party, part.start_ms))}
    return About(frozenset(parties), frozenset(areas))


def covered(scope: Scope, parts: Mapping[int, Part], places: Places) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The numbers of the sections that a scope covers, and the words that hold for the record; none of them: ()."""
    if not any(part.TYPE in scope.types and scope.from_ms <= part.start_ms < scope.to_ms for part in parts.values()):
        return (), ()  # most records: what they are about need not be worked out
    found = about(parts.values(), places)
    numbers = tuple(
        number
        for number, part in sorted(parts.items())
        if not _outside(scope, part) and scope.covers(part.TYPE, part.start_ms, found.parties, found.areas)
    )
    return numbers, found.words(scope) if numbers else ()


def judge(scope: Scope, parts: Collection[Part], words: Collection[str]) -> Judged:
    """Whether sections that a holder disclosed lie inside the scope, as far as they tell; `words` are the holder's."""
    for part in parts:
        if fault := _outside(scope, part):
            return Judged(fault)
    named = {party for part in parts for party in parties_in(part)}
    areas = {area for part in parts for area in _areas_named(part)}
    of_parties = any(_is_of(party, word) for party in named for word in scope.parties)
    if scope.parties and not of_parties and any((part.TYPE, part.PART) in _NAMES_ALL for part in parts):
        return Judged("it is about other parties")
    if scope.areas and areas and not areas & set(scope.areas):
        return Judged("it is of another area")
    by_word = (bool(scope.parties) and not of_parties) or (bool(scope.areas) and not areas)
    if by_word and not (_stated(scope.parties, words) and _stated(scope.areas, words)):
        return Judged("nothing says that it is about the scope's parties or areas")
    return Judged("", by_word)


def _outside(scope: Scope, part: Part) -> str:
    if part.TYPE not in scope.types or part.TYPE in NEVER:
        return "it is of another type"
    if not scope.from_ms <= part.start_ms < scope.to_ms:
        return "it is about another period"
    return "" if part.GROUP in scope.groups else f"the field group {part.GROUP} is not granted"


def escrow_place(parts: Collection[Part], places: Places) -> tuple[str, str] | None:
    """The area and month whose escrow keys a record goes to: of a trade the buyer's area. None if it is unknown."""
    for part in parts:
        area = places.area_of_point(part.buyer_point, part.start_ms) if isinstance(part, TradePoints) else None
        for known in (area, *sorted(_areas_named(part))):
            if known is not None:
                return known, month_of(part.start_ms)
    for part in parts:
        areas = {area for party in parties_in(part) if (area := places.area_of(party, part.start_ms))}
        if areas:
            return min(areas), month_of(part.start_ms)
    return None


def month_start(period: str) -> int:
    """The first moment of a month, UTC ms."""
    year, month = map(int, period.split("-"))
    return to_ms(datetime(year, month, 1, tzinfo=UTC))


def next_month(period: str) -> str:
    """The month after."""
    year, month = map(int, period.split("-"))
    return f"{year + month // 12:04d}-{month % 12 + 1:02d}"


def month_of(start_ms: int) -> str:
    """The month of a time, UTC: 2017-06."""
    return datetime.fromtimestamp(start_ms // 1000, UTC).strftime("%Y-%m")


def _areas_named(part: Part) -> frozenset[str]:
    return _known(part.area) if isinstance(part, Order | ContractFrame) else frozenset()


def _known(value: str | None) -> frozenset[str]:
    return frozenset() if value is None else frozenset({value})


def _stated(wanted: Collection[str], words: Collection[str]) -> bool:
    return not wanted or any(word in wanted for word in words)


def _is_of(party: str, word: str) -> bool:
    """A member that is named stands for its users as well."""
    return word in (party, party.rpartition("@")[2])


def _is_party(text: str) -> bool:
    try:
        Party.parse(text)
    except InvalidRequest:
        return False
    return True
