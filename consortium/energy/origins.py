"""What became of the energy that a party made, and what it holds from others, by its certificates of origin.

Ranges are painted over each other in the ledger's order: the last word on a watt-hour counts, so that no watt-hour
counts twice, however many versions there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from consortium.energy.opened import Opened, Period
from consortium.energy.payloads.settlement import Certificate

_WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Certificates:
    """Certificates in Wh: of what the party made by use, and what it received from others."""

    self_wh: int = 0
    local_wh: int = 0
    retail_wh: int = 0
    received_wh: int = 0


Piece = tuple[int, int, Certificate]
"""From, up to and without, and the last certificate that speaks of it."""


def paint(pieces: list[Piece], certificate: Certificate) -> list[Piece]:
    """The pieces with this certificate on top."""
    first, end = certificate.first, certificate.first + certificate.count
    kept: list[Piece] = []
    for start, stop, under in pieces:
        kept += [(start, min(stop, first), under)] if start < first else []
        kept += [(max(start, end), stop, under)] if stop > end else []
    return [*kept, (first, end, certificate)] if certificate.count else kept


def certificates(records: Sequence[Opened], party: str, period: Period) -> Certificates:
    """The party's certificates of a period, from records in the ledger's order."""
    painted: dict[tuple[str, int], list[Piece]] = {}
    for record in records:
        certificate = record.part(Certificate)
        if certificate is not None and period.holds(certificate.start_ms):
            key = (certificate.producer, certificate.start_ms)
            painted[key] = paint(painted.get(key, []), certificate)
    totals = dict.fromkeys(("self", "local", "retail", "received"), 0)
    for (producer, _), pieces in painted.items():
        for start, stop, last in pieces:
            if last.event != _WITHDRAWN and producer == party:
                totals[last.use] += stop - start
            elif last.event != _WITHDRAWN and last.holder == party:
                totals["received"] += stop - start
    return Certificates(totals["self"], totals["local"], totals["retail"], totals["received"])
