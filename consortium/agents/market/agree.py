"""The grid operator: what PPAs, standing agreements and calls of flexibility moved, by the meters and without a price.

An agreement moves nothing where somebody would not answer for the energy: both sides are supplied, so that a delivery
makes good the difference to the meter, or have a balance contract. It waits for the meters of those that are supplied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from consortium.agents.market.duty import Done, Duty, Given, contained
from consortium.agents.market.readers import named
from consortium.energy.bilateral import QUARTER_S, Agreement, allocate_quarters, flexibility_wh, ppa_at
from consortium.energy.contracts.lifecycle import Contract
from consortium.energy.contracts.terms import GridTerms
from consortium.energy.payloads.contracts import Call, ContractStep
from consortium.energy.payloads.metering import MeterReading
from consortium.energy.payloads.settlement import Agreed
from consortium.energy.view.facts import Fact
from consortium.energy.view.view import View
from consortium.energy.zones import HOUR_MS

Key = tuple[bytes, int]
"""An agreement and the start of one of its intervals."""


class Agreer:
    """Writes `agreed`, where this member runs the customer's grid."""

    def __init__(self, view: View, done: Done) -> None:
        self._view = view
        self._done = done
        self._due: dict[Key, None] = {}
        self._on_way: set[Key] = set()

    def awaits(self, home: str, start_ms: int, length_s: int) -> bool:
        """Whether a word on a home's agreements is due or on its way that the view does not know yet."""
        end_ms = start_ms + length_s * 1000
        for contract in self._view.agreements.moving(home) if self._on_way else ():
            step = (contract.frame.interval_s or QUARTER_S) * 1000
            if any((contract.id, at) in self._on_way for at in range(start_ms - start_ms % step, end_ms, step)):
                return True
        return False

    def see(self, fact: Fact) -> None:
        """A reading, a call, or a step by which an agreement may have come into force."""
        for part in fact.parts:
            match part:
                case MeterReading():
                    self._mark(part.subject, part.start_ms)
                case Agreed() | Call():
                    self._due[part.contract, part.start_ms] = None
                case ContractStep():
                    self._mark_sides(part)
                case _:
                    pass

    def _mark(self, subject: str, start_ms: int) -> None:
        """Every interval of a reading's hour: how a meter's figures are spread over it may have changed."""
        hour_ms = start_ms - start_ms % HOUR_MS
        for contract in self._view.agreements.of(subject):
            step = (contract.frame.interval_s or 0) * 1000
            # A meter stands behind the calls of its own time and of the day after, whose baseline it is.
            starts = range(hour_ms, hour_ms + HOUR_MS, step) if step else ()
            for start in starts or self._view.agreements.calls(contract.id):
                self._due[contract.id, start] = None

    def _mark_sides(self, step: ContractStep) -> None:
        contract = self._view.contract(step.contract)
        for side in contract.sides if contract is not None else ():
            for start in self._view.meter(side).readings if side in self._view.meters else ():
                self._mark(side, start)

    def due(self) -> Iterable[Given]:
        """What was agreed in the intervals that may have changed."""
        due, self._due = self._due, {}
        while due:
            key = next(iter(due))
            del due[key]
            yield from contained(self._one(key, due))

    def _one(self, key: Key, due: dict[Key, None]) -> Iterator[Duty]:
        """What moved in an interval, and in those that were found with it: they are not due any more."""
        for (contract_id, start_ms), wh in self._moved(*key).items():
            due.pop((contract_id, start_ms), None)
            yield from self._say(contract_id, start_ms, wh)

    def _moved(self, contract_id: bytes, start_ms: int) -> dict[Key, int]:
        """What is known of that interval, and of those that depend on it."""
        contract = self._view.contract(contract_id)
        length = None if contract is None else self._view.agreements.interval_of(contract, start_ms)
        if contract is None or length is None or not self._view.agreements.stands(contract, start_ms):
            return {}
        if contract.frame.kind == "p2p":
            return self._allocated(contract, start_ms)
        wh = (self._ppa if contract.frame.kind == "ppa" else self._met)(contract, start_ms, length)
        return {} if wh is None else {(contract_id, start_ms): wh}

    def _answered(self, side: str, start_ms: int) -> bool:
        """Whether somebody answers for what a side gives or takes by an agreement."""
        return self._supplied(side, start_ms) or self._view.in_force("balance", side, start_ms) is not None

    def _supplied(self, side: str, start_ms: int) -> bool:
        return self._view.in_force("supply", side, start_ms) is not None

    # --- PPA and flexibility ---------------------------------------------------------------------------------

    def _ppa(self, contract: Contract, start_ms: int, length_s: int) -> int | None:
        frame, view = contract.frame, self._view
        if frame.profile_wh is None or frame.zone is None:
            return None
        if not all(self._answered(side, start_ms) for side in contract.sides):
            return 0
        homes = [side for side in contract.sides if self._supplied(side, start_ms)]
        if any(view.metered(home, start_ms, length_s) is None for home in homes):
            return None
        return ppa_at(frame.profile_wh, length_s, frame.zone, start_ms)

    def _met(self, contract: Contract, start_ms: int, length_s: int) -> int | None:
        """How much less the provider used than in the same interval of the day before."""
        provider, called = contract.frame.provider, self._view.agreements.calls(contract.id)[start_ms]
        before = self._view.metered(provider, self._view.day_before(provider, start_ms, length_s), length_s)
        now = self._view.metered(provider, start_ms, length_s)
        if before is None or now is None:
            return None
        most = called.wh if contract.frame.max_wh is None else min(called.wh, contract.frame.max_wh)
        return flexibility_wh(before[0] - before[1], now[0] - now[1], most)

    # --- standing agreements ---------------------------------------------------------------------------------

    def _allocated(self, contract: Contract, start_ms: int) -> dict[Key, int]:
        """All agreements that share a home with this one, or with one that does, in a block of whole intervals."""
        length = contract.frame.interval_s or QUARTER_S
        while True:
            block_ms = start_ms - start_ms % (length * 1000)
            found = self._sharing(contract, block_ms, length)
            longest = max((one.frame.interval_s or 0 for one in found), default=length)
            if longest <= length:
                break
            length = longest
        nets = self._nets({side for one in found for side in one.sides}, block_ms, length)
        if nets is None:
            return {}
        ordered = sorted(found, key=lambda one: (one.in_force_index or 0, one.id))
        moved = allocate_quarters([self._agreement(one, block_ms, length) for one in ordered], nets)
        return {(contract_id, block_ms + at): wh for (contract_id, at), wh in moved.items()}

    def _sharing(self, contract: Contract, block_ms: int, length_s: int) -> list[Contract]:
        found, waiting = {contract.id: contract}, list(contract.sides)
        seen: set[str] = set()
        while waiting:
            home = waiting.pop()
            if home in seen:
                continue
            seen.add(home)
            for one in self._view.agreements.moving(home):
                if one.frame.kind == "p2p" and one.id not in found and self._starts(one, block_ms, length_s):
                    found[one.id] = one
                    waiting += one.sides
        return list(found.values())

    def _starts(self, contract: Contract, block_ms: int, length_s: int) -> tuple[int, ...]:
        """The intervals of a block, or the one around it, in which an agreement executes: from the block's start on."""
        step, end_ms = (contract.frame.interval_s or QUARTER_S) * 1000, block_ms + length_s * 1000
        starts = range(block_ms - block_ms % step, end_ms, step)
        return tuple(start - block_ms for start in starts if self._view.agreements.stands(contract, start))

    def _agreement(self, contract: Contract, block_ms: int, length_s: int) -> Agreement:
        frame, starts = contract.frame, self._starts(contract, block_ms, length_s)
        length = frame.interval_s or QUARTER_S
        return Agreement(contract.id, frame.provider, frame.customer, frame.max_wh or 0, length, starts)

    def _nets(self, homes: Iterable[str], block_ms: int, length_s: int) -> dict[str, list[int]] | None:
        """Load less PV by quarter, None while a meter is missing. Who is not supplied has neither surplus nor need."""
        nets = {}
        for home in sorted(homes):
            if not self._supplied(home, block_ms):
                continue
            quarters = [self._view.metered(home, at, QUARTER_S) for at in _quarters(block_ms, length_s)]
            known = [one for one in quarters if one is not None]
            if len(known) != len(quarters):
                return None
            nets[home] = [load - pv for load, pv in known]
        return nets

    # --- the record ------------------------------------------------------------------------------------------

    def _say(self, contract_id: bytes, start_ms: int, wh: int) -> Iterator[Duty]:
        contract = self._view.contract(contract_id)
        length = None if contract is None else self._view.agreements.interval_of(contract, start_ms)
        if contract is None or length is None or self._writer(contract, start_ms) != self._view.member:
            return
        fee, last = self._fee(contract, start_ms, wh), self._view.agreements.last(contract_id, start_ms)
        if last is not None and (last[1].wh, last[1].fee) == (wh, fee):
            self._on_way.discard((contract_id, start_ms))
            return
        self._on_way.add((contract_id, start_ms))
        version = 1 if last is None else last[1].version + 1
        cause = ("agreed", contract_id, start_ms, version)
        if self._done(cause):
            return
        said = Agreed(start_ms=start_ms, interval_s=length, contract=contract_id, version=version, wh=wh, fee=fee)
        readers = (*named(*contract.sides), *self._view.grid_operators)
        yield Duty(cause, said.TYPE, start_ms, (said.section(readers),))

    def _writer(self, contract: Contract, start_ms: int) -> str:
        """The customer's grid operator, who knows its fee; else the provider's, else the first one."""
        for side in (contract.frame.customer, contract.frame.provider):
            grid = self._view.in_force("grid", side, start_ms)
            if grid is not None:
                return grid.frame.provider
        return self._view.grid_operators[0].member

    def _fee(self, contract: Contract, start_ms: int, wh: int) -> int:
        """The customer's local fee, by its grid contract, for energy that comes from another point of the grid."""
        buyer = self._view.in_force("grid", contract.frame.customer, start_ms)
        seller = self._view.in_force("grid", contract.frame.provider, start_ms)
        if contract.frame.kind == "flexibility" or buyer is None or seller is None:
            return 0
        if not isinstance(buyer.terms, GridTerms):
            return 0
        other = seller.frame.area if seller.frame.area != buyer.frame.area else None
        return wh * (buyer.terms.local_fee + (buyer.terms.area_fees.get(other, 0) if other else 0))


def _quarters(block_ms: int, length_s: int) -> range:
    return range(block_ms, block_ms + length_s * 1000, QUARTER_S * 1000)
