"""Bilateral contracts of one interval: how much a PPA, a standing agreement or a flexibility call moves, and its lines.

Pure. The grid operator computes the energy from the meters (record `agreed`), the two sides the lines. Energy goes
from provider to customer; the customer pays. What moves here is no part of a home's deviation (`settlement.deliver`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from consortium.energy.payloads.settlement import Line
from consortium.energy.settlement import line, total
from consortium.errors import InvalidRequest

PPA_PRICE = "ppa.price"
P2P_PRICE = "p2p.price"
FLEXIBILITY_PRICE = "flexibility.price"


@dataclass(frozen=True, slots=True)
class Agreement:
    """A standing agreement in force: up to `max_wh` an interval from `seller` to `buyer`."""

    contract: bytes
    seller: str
    buyer: str
    max_wh: int


def ppa_wh(profile: Sequence[int], interval: int) -> int:
    """What a PPA moves in the interval with this number in its local day (from 0), Wh.

    On the long day of a daylight saving change the numbers run on past the profile's end, which then starts again:
    callers that number by local time of day never meet that. Raises `InvalidRequest` for an empty profile.
    """
    if not profile or interval < 0:
        raise InvalidRequest("a profile has entries, and intervals count from 0")
    return profile[interval % len(profile)]


def p2p_wh(max_wh: int, seller_surplus_wh: int, buyer_need_wh: int) -> int:
    """What one standing agreement moves: all of the surplus that is needed, up to its limit; never below 0."""
    return max(0, min(max_wh, seller_surplus_wh, buyer_need_wh))


def allocate(agreements: Iterable[Agreement], net_wh: Mapping[str, int]) -> dict[bytes, int]:
    """What each of several agreements moves, by contract, Wh.

    In the order given (callers give the ledger's order of the contracts): each takes what the ones before it left of
    the seller's surplus and the buyer's need. `net_wh` is load less PV by home; below 0 it is surplus. A home that
    has no reading yet has neither.
    """
    left = dict(net_wh)
    moved: dict[bytes, int] = {}
    for one in agreements:
        wh = 0
        if one.seller != one.buyer:
            wh = p2p_wh(one.max_wh, -left.get(one.seller, 0), left.get(one.buyer, 0))
        if wh:
            left[one.seller] += wh
            left[one.buyer] -= wh
        moved[one.contract] = wh
    return moved


def flexibility_wh(baseline_wh: int, net_wh: int, called_wh: int) -> int:
    """How much of a call was met: what the home used less than its baseline, between 0 and what was called."""
    return max(0, min(called_wh, baseline_wh - net_wh))


def ppa(wh: int, price: int) -> tuple[tuple[Line, ...], int]:
    """A PPA's bill of one interval: its line, and what the customer pays."""
    return _bill(PPA_PRICE, wh, price)


def p2p(wh: int, price: int) -> tuple[tuple[Line, ...], int]:
    """A standing agreement's bill of one interval: its line, and what the customer pays."""
    return _bill(P2P_PRICE, wh, price)


def flexibility(baseline_wh: int, net_wh: int, called_wh: int, price: int) -> tuple[tuple[Line, ...], int]:
    """A call's bill: a line over what of it was met, and what the customer (who called) pays for it."""
    return _bill(FLEXIBILITY_PRICE, flexibility_wh(baseline_wh, net_wh, called_wh), price)


def _bill(clause: str, wh: int, price: int) -> tuple[tuple[Line, ...], int]:
    lines = line(clause, wh, price)
    return lines, total(lines)
