"""Settlement of one interval: from a meter and its traded position to energy, lines of a bill and money.

Pure and exact: energy is integer Wh, prices integer micro-units per Wh, so an amount is their product and nothing is
ever rounded. What a home pays is positive for the customer of its contract; a negative amount goes the other way.
Both sides of a contract call the same functions on their own nodes, and `same` says where their statements differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from consortium.energy.payloads.base import MAX_AMOUNT, Part
from consortium.energy.payloads.settlement import Line, StatementTerms
from consortium.errors import InvalidRequest

SUPPLY_PRICE = "supply.price"
SUPPLY_FEED_IN = "supply.feed-in"
SUPPLY_GRID_FEE = "supply.grid-fee"
BALANCE = "balance.imbalance"
_OWN_FIELDS = frozenset({"by", "causes"})
"""What may differ between two sides' statements: who computed, and which records it had at hand."""


def deliver(load_wh: int, pv_wh: int, position_wh: int, bilateral_wh: int = 0) -> tuple[int, int]:
    """What the supplier delivers to a home and takes back from it, in Wh: (bought, sold back), one of them 0.

    `position_wh` is what the home bought less what it sold on the market, `bilateral_wh` the same by its bilateral
    contracts. Always bought - sold back = load - pv - position - bilateral.
    """
    deviation = load_wh - pv_wh - position_wh - bilateral_wh
    return (deviation, 0) if deviation > 0 else (0, -deviation)


def line(clause: str, wh: int, price: int) -> tuple[Line, ...]:
    """One line of `wh` at `price`, or none for no energy. A negative `wh` goes from customer to provider.

    Raises `InvalidRequest` for an amount that no bill can carry: the energy or the price is absurd.
    """
    if abs(wh * price) >= MAX_AMOUNT:
        raise InvalidRequest("energy times price is more than a bill can carry")
    return (Line(clause=clause, wh=wh, price=price, amount=wh * price),) if wh else ()


def total(lines: Sequence[Line]) -> int:
    """What the customer pays the provider for these lines."""
    return sum(one.amount for one in lines)


def supply_lines(
    bought_wh: int, sold_back_wh: int, price: int, feed_in: int, grid_fee: int
) -> tuple[tuple[Line, ...], int, int]:
    """A supply contract's bill: its lines, what the customer pays, and what the supplier hands on to the grid.

    The grid fee stands inside the price (clause "supply.grid-fee"), so it is no line that the customer pays.
    """
    lines = line(SUPPLY_PRICE, bought_wh, price) + line(SUPPLY_FEED_IN, -sold_back_wh, feed_in)
    return lines, total(lines), bought_wh * grid_fee


def balance_lines(net_wh: int, price: int) -> tuple[tuple[Line, ...], int]:
    """A supplier's imbalance bill at the wholesale price: its line, and what the supplier pays.

    `net_wh` is what its homes bought less what they sold back; negative: the supplier is paid.
    """
    lines = line(BALANCE, net_wh, price)
    return lines, total(lines)


@dataclass(frozen=True, slots=True)
class Columns:
    """Many home-intervals settled: row n of each column is of home-interval n."""

    bought_wh: list[int]
    sold_back_wh: list[int]
    amount: list[int]
    grid_fee: list[int]


def settle_columns(
    load_wh: Sequence[int],
    pv_wh: Sequence[int],
    position_wh: Sequence[int],
    price: Sequence[int],
    *,
    feed_in: int,
    grid_fee: int,
    bilateral_wh: Sequence[int] | None = None,
) -> Columns:
    """`deliver` and `supply_lines` over columns of equal length: for a supplier's month at once.

    Raises `InvalidRequest` if the columns are not equally long.
    """
    agreed = [0] * len(load_wh) if bilateral_wh is None else bilateral_wh
    if len({len(load_wh), len(pv_wh), len(position_wh), len(price), len(agreed)}) != 1:
        raise InvalidRequest("the columns of a settlement are equally long")
    nets = [
        load - pv - position - other
        for load, pv, position, other in zip(load_wh, pv_wh, position_wh, agreed, strict=True)
    ]
    bought = [net if net > 0 else 0 for net in nets]  # half the time of max()
    back = [-net if net < 0 else 0 for net in nets]
    amount = [net * (one if net > 0 else feed_in) for net, one in zip(nets, price, strict=True)]
    return Columns(bought, back, amount, [wh * grid_fee for wh in bought])


def same(one: Part, other: Part) -> str:
    """Where two sides' sections of one kind differ, in a few words that may stand in a dispute; '' if they agree."""
    if type(one) is not type(other):
        return f"{one.TYPE} {one.PART} against {other.TYPE} {other.PART}"
    if isinstance(one, StatementTerms) and isinstance(other, StatementTerms):
        place = _same_lines(one.lines, other.lines)
        if place:
            return f"{one.PART}: {place}"
    for name in type(one).model_fields:
        ours, theirs = getattr(one, name), getattr(other, name)
        if name not in _OWN_FIELDS and ours != theirs:
            return f"{one.PART}: {name} {_shown(ours)} against {_shown(theirs)}"
    return ""


def same_statements(ones: Sequence[Part], others: Sequence[Part]) -> str:
    """`same` over all sections of two statements: the first difference, or ''."""
    mine, theirs = ({part.PART: part for part in parts} for parts in (ones, others))
    for name in dict.fromkeys((*mine, *theirs)):
        if name not in mine or name not in theirs:
            return f"{name} stands in one statement only"
        place = same(mine[name], theirs[name])
        if place:
            return place
    return ""


def _same_lines(ones: Sequence[Line], others: Sequence[Line]) -> str:
    for number, (one, other) in enumerate(zip(ones, others, strict=False), start=1):
        for name in Line.model_fields:
            ours, theirs = getattr(one, name), getattr(other, name)
            if ours != theirs:
                return f"line {number} ({_shown(one.clause)}): {name} {_shown(ours)} against {_shown(theirs)}"
    return "" if len(ones) == len(others) else f"{len(ones)} lines against {len(others)}"


def _shown(value: object) -> str:
    """Short enough for a dispute's `where`, whatever the other side wrote."""
    return (value.hex() if isinstance(value, bytes) else str(value))[:100]
