"""Whom a record is about, where its opened sections do not name them: by what the node knows of contracts, grid points
and orders. Pure; for telling who read, never for showing anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from consortium.energy.payloads.base import Part
from consortium.energy.payloads.market import Order
from consortium.energy.view.known import Known
from consortium.model.names import Party

_POINTS = ("point", "buyer_point", "seller_point")
_ORDERS = ("order", "bid", "ask")


class Concerned:
    """Looks users up in a view."""

    def __init__(self, view: Known) -> None:
        self._view = view
        self._at_point: dict[str, set[str]] = {}
        self._counted = 0

    def users(self, parts: Sequence[Any]) -> frozenset[Party]:
        """The users whom these sections of one record are about, as far as the node knows; a reading names its own."""
        texts = {text for part in parts if isinstance(part, Part) for text in self._texts(part)}
        return frozenset(party for party in map(Party.parse, texts) if party.user)

    def _texts(self, part: Part) -> Iterator[str]:
        contract = self._view.contract(getattr(part, "contract", b""))
        if contract is not None:
            yield from contract.sides
        for name in _POINTS:
            yield from self._customers(getattr(part, name, None), part.start_ms)
        market = getattr(part, "market", None)
        if isinstance(market, str):
            yield from self._owners(market, part)

    def _owners(self, market: str, part: Part) -> Iterator[str]:
        """Of the orders that a section speaks of."""
        session = self._view.sessions.get((market, part.start_ms))
        for name in _ORDERS:
            fact = session.orders.get(getattr(part, name, b"")) if session is not None else None
            order = fact.find(Order) if fact is not None else None
            if order is not None:
                yield order.owner

    def _customers(self, point: object, at_ms: int) -> Iterable[str]:
        """Who has that grid point then."""
        if not isinstance(point, str):
            return ()
        found = self._grid_customers().get(point, ())
        return [customer for customer in found if self._view.point_of(customer, at_ms) == point]

    def _grid_customers(self) -> dict[str, set[str]]:
        """By point all who ever had a contract for it; read anew when there are more contracts."""
        signed = self._view.signed_ids("grid")
        if len(signed) != self._counted:
            self._at_point = {}
            for key in signed:
                frame = self._view.contracts[key].frame
                if frame.point is not None:
                    self._at_point.setdefault(frame.point, set()).add(frame.customer)
            self._counted = len(signed)
        return self._at_point
