"""A party's position by interval: ordered, traded, agreed, metered, and what its supplier made good.

A home has rows of its own meter; a supplier has the deliveries to its homes, of several versions the last one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from consortium.energy.intervals import Interval
from consortium.energy.metering import to_rfc3339
from consortium.energy.opened import Opened
from consortium.energy.payloads.settlement import Delivery
from consortium.energy.shown import shown

_ENERGY = ("ordered_wh", "traded_wh", "agreed_wh", "metered_wh", "error_wh")


def position_rows(intervals: Sequence[Interval], opened: Iterable[Opened]) -> list[tuple[int, dict[str, Any]]]:
    """(start of the interval, row), rising. Signed energies are towards the party; `deviation_wh` is metered less
    traded and agreed.
    """
    delivered = last_deliveries(opened)
    own = {row.start_ms: row for row in intervals}
    return [(start, _row(start, own.get(start), delivered.get(start, ()))) for start in sorted({*own, *delivered})]


def last_deliveries(opened: Iterable[Opened]) -> Mapping[int, Sequence[tuple[str, Delivery]]]:
    """By interval the last version of each contract's delivery, with its record's id."""
    found: dict[int, dict[bytes, tuple[str, Delivery]]] = {}
    for record in opened:
        delivery = record.part(Delivery)
        if delivery is not None:
            known = found.setdefault(delivery.start_ms, {}).get(delivery.contract)
            if known is None or known[1].version < delivery.version:
                found[delivery.start_ms][delivery.contract] = (record.id, delivery)
    return {start: tuple(by_contract.values()) for start, by_contract in found.items()}


def _row(start_ms: int, own: Interval | None, delivered: Sequence[tuple[str, Delivery]]) -> dict[str, Any]:
    figures = None if own is None else {name: getattr(own, name) for name in _ENERGY}
    if own is not None and figures is not None:
        figures["deviation_wh"] = own.metered_wh - own.traded_wh - own.agreed_wh
    return {
        "start": to_rfc3339(start_ms),
        "interval_s": own.interval_s if own else delivered[0][1].interval_s,
        **(figures or dict.fromkeys((*_ENERGY, "deviation_wh"))),
        "bought_wh": sum(delivery.bought_wh for _, delivery in delivered),
        "sold_back_wh": sum(delivery.sold_back_wh for _, delivery in delivered),
        "deliveries": [_delivery(id, delivery) for id, delivery in delivered],
    }


def _delivery(id: str, delivery: Delivery) -> dict[str, Any]:
    words = shown(delivery.model_dump(exclude={"start_ms", "interval_s"}))
    return {"id": id, **words}
