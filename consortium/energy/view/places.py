"""The grid and the contracts of a view as scopes ask of them (`energy.scoping.Places`)."""

from __future__ import annotations

from collections.abc import Iterator

from consortium.energy.contracts import lifecycle
from consortium.energy.contracts.lifecycle import Contract
from consortium.energy.view.known import Known


class ViewPlaces:
    """Answers from a node's view. Points are looked up by an index of the grid contracts: there are many questions."""

    def __init__(self, view: Known) -> None:
        self._view = view
        self._points: dict[str, list[bytes]] = {}
        self._seen: list[bytes] = []

    def area_of_point(self, point: str, at_ms: int) -> str | None:
        """The area of a grid point, by the grid contract in force."""
        return next((contract.frame.area for contract in self._at(point, at_ms)), None)

    def area_of(self, party: str, at_ms: int) -> str | None:
        """The area of a party's own grid point."""
        grid = self._view.in_force("grid", party, at_ms)
        return grid.frame.area if grid else None

    def subject_at(self, point: str, at_ms: int) -> str | None:
        """Whose grid point it is."""
        return next((contract.frame.customer for contract in self._at(point, at_ms)), None)

    def sides(self, contract: bytes) -> tuple[str, ...]:
        """The sides of a contract."""
        known = self._view.contract(contract)
        return known.sides if known else ()

    def _at(self, point: str, at_ms: int) -> Iterator[Contract]:
        self._refresh()
        known = (self._view.contracts.get(id) for id in self._points.get(point, ()))
        return (contract for contract in known if contract is not None and lifecycle.executes(contract, at_ms))

    def _refresh(self) -> None:
        """Contracts only come in addition, but when the view is folded anew."""
        signed = self._view.signed_ids("grid")
        if signed is self._seen and len(signed) == sum(map(len, self._points.values())):
            return
        self._seen, self._points = signed, {}
        for id in signed:
            point = self._view.contracts[id].frame.point
            self._points.setdefault(point or "", []).append(id)
