"""Bilateral contracts of one interval: how much a PPA, a standing agreement or a flexibility call moves, and its lines.

Pure. The grid operator computes the energy from the meters (record `agreed`), the two sides the lines. Energy goes
from provider to customer; the customer pays. What moves here is no part of a home's deviation (`settlement.deliver`).

Order of allocation: standing agreements take a home's metered surplus (PV less load, whatever it traded or sold by a
PPA) one after the other, in the order of the ledger's records that brought them into force.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from consortium.energy.payloads.settlement import Line
from consortium.energy.settlement import line, total
from consortium.energy.zones import wall_minute
from consortium.errors import InvalidRequest

PPA_PRICE = "ppa.price"
P2P_PRICE = "p2p.price"
FLEXIBILITY_PRICE = "flexibility.price"
QUARTER_S = 900
Span = tuple[bytes, int]
"""A contract, and the start of one of its intervals."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """A standing agreement: up to `max_wh` from `seller` to `buyer` in each interval of `interval_s` seconds.

    `starts` are those of its intervals for which it is in force, ms from the start of what is allocated.
    """

    contract: bytes
    seller: str
    buyer: str
    max_wh: int
    interval_s: int = QUARTER_S
    starts: tuple[int, ...] = (0,)


def ppa_wh(profile: Sequence[int], interval: int) -> int:
    """What a PPA moves in the interval with this number in its local day (from 0), Wh.

    On the long day of a daylight saving change the numbers run on past the profile's end, which then starts again:
    callers that number by local time of day never meet that. Raises `InvalidRequest` for an empty profile.
    """
    if not profile or interval < 0:
        raise InvalidRequest("a profile has entries, and intervals count from 0")
    return profile[interval % len(profile)]


def ppa_at(profile: Sequence[int], interval_s: int, zone: str, start_ms: int) -> int:
    """What a PPA moves in its interval from `start_ms` (UTC) on, Wh: by the local time of day at which it starts.

    So an hour that the clock skips is not delivered, and one that comes twice is delivered twice. Raises
    `InvalidRequest` for an unknown zone.
    """
    return ppa_wh(profile, wall_minute(zone, start_ms)[1] * 60 // interval_s)


def p2p_wh(max_wh: int, seller_surplus_wh: int, buyer_need_wh: int) -> int:
    """What one standing agreement moves: all of the surplus that is needed, up to its limit; never below 0."""
    return max(0, min(max_wh, seller_surplus_wh, buyer_need_wh))


def allocate(agreements: Iterable[Agreement], net_wh: Mapping[str, int]) -> dict[bytes, int]:
    """What each of several agreements moves, by contract, Wh.

    In the order given (callers give the ledger's order of the contracts): each takes what the ones before it left of
    the seller's surplus and the buyer's need. `net_wh` is load less PV by home; below 0 it is surplus. A home that
    has no reading yet has neither.
    """
    moved = allocate_quarters(agreements, {home: (wh,) for home, wh in net_wh.items()})
    return {contract: wh for (contract, _), wh in moved.items()}


def allocate_quarters(agreements: Iterable[Agreement], net_wh: Mapping[str, Sequence[int]]) -> dict[Span, int]:
    """`allocate` for agreements with intervals of several lengths: `net_wh` is by home and quarter of an hour.

    A longer interval nets its quarters, and what it moves is taken from them in proportion to what they have. No
    agreement moves more than the meters show of its own interval, so that each side can check it by its own meter.
    """
    left = {home: list(quarters) for home, quarters in net_wh.items()}
    moved: dict[Span, int] = {}
    for one in agreements:
        for start in one.starts:
            first, count = start // (QUARTER_S * 1000), one.interval_s // QUARTER_S
            of = slice(first, first + count)
            give = min(-sum(nets.get(one.seller, ())[of]) for nets in (net_wh, left))
            take = min(sum(nets.get(one.buyer, ())[of]) for nets in (net_wh, left))
            wh = p2p_wh(one.max_wh, give, take) if one.seller != one.buyer else 0
            if wh:
                left[one.seller][of] = _less(left[one.seller][of], wh, -1)
                left[one.buyer][of] = _less(left[one.buyer][of], wh, 1)
            moved[one.contract, start] = wh
    return moved


def _less(quarters: Sequence[int], wh: int, sign: int) -> list[int]:
    """Quarters of a net after `wh` of what they have of this sign; `wh` is no more than that."""
    room = [max(0, sign * one) for one in quarters]
    ends = list(accumulate(room, initial=0))
    parts = [(end * wh // ends[-1]) - (start * wh // ends[-1]) for start, end in pairwise(ends)]
    return [one - sign * part for one, part in zip(quarters, parts, strict=True)]


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
    return met(flexibility_wh(baseline_wh, net_wh, called_wh), price)


def met(wh: int, price: int) -> tuple[tuple[Line, ...], int]:
    """The same of what was met of a call, Wh."""
    return _bill(FLEXIBILITY_PRICE, wh, price)


def _bill(clause: str, wh: int, price: int) -> tuple[tuple[Line, ...], int]:
    lines = line(clause, wh, price)
    return lines, total(lines)
