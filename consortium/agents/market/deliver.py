"""The grid operator: what each home took from its supplier in each interval, and the certificates of what it made.

What agreements moved comes first (`agree`): a delivery waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from consortium.agents.market.agree import Agreer
from consortium.agents.market.duty import Done, Duty, Given, contained
from consortium.agents.market.readers import named
from consortium.energy.certificates.issuing import Metering, Sold, consumed, issue
from consortium.energy.certificates.ranges import Change
from consortium.energy.contracts.lifecycle import Contract
from consortium.energy.payloads.metering import MeterReading
from consortium.energy.payloads.settlement import Agreed, Certificate, Delivery
from consortium.energy.settlement import deliver
from consortium.energy.view.facts import Fact
from consortium.energy.view.view import View
from consortium.energy.zones import HOUR_MS

_SHORTEST_MS = 900_000
Key = tuple[str, int]
"""A home and the start of an interval."""


class Deliverer:
    """Writes deliveries and certificates, where this member runs the grid."""

    def __init__(self, view: View, done: Done) -> None:
        self._view = view
        self._done = done
        self._homes: dict[Key, None] = {}
        self._producers: dict[Key, None] = {}
        self._agreer = Agreer(view, done)
        self._mine = view.member in {party.member for party in view.grid_operators}

    def see(self, fact: Fact) -> None:
        """A reading, a session's end, a contract: each may be the last thing that a delivery waited for."""
        if not self._mine:
            return
        self._agreer.see(fact)
        if fact.type == "reading":
            for reading in fact.every(MeterReading):
                self._producers.update(self._mark_hour(reading.subject, fact.start_ms))
        elif fact.type == "result":
            for subject in list(self._view.meters):
                self._mark(subject, fact.start_ms)
        elif fact.type == "contract-step":
            self._mark_touched(fact)
        elif fact.type == "agreed":
            self._mark_sides(fact)
        elif fact.type in ("delivery", "certificate"):
            self._mark_producers(fact)

    def _mark_touched(self, fact: Fact) -> None:
        contract = self._view.changed_by(fact)
        for subject in self._view.touched_by(contract) if contract is not None else ():
            for start in self._view.meter(subject).readings:
                self._mark_hour(subject, start)

    def _mark_hour(self, subject: str, start_ms: int) -> dict[Key, None]:
        """Every interval of a reading's hour: how a meter's figures are spread over it may have changed."""
        hour_ms = start_ms - start_ms % HOUR_MS
        return {self._mark(subject, start): None for start in range(hour_ms, hour_ms + HOUR_MS, _SHORTEST_MS)}

    def _mark(self, subject: str, start_ms: int) -> Key:
        length = self._view.interval_s(subject, start_ms) * 1000
        key = subject, start_ms - start_ms % length
        self._homes[key] = None
        return key

    def _mark_sides(self, fact: Fact) -> None:
        """The deliveries of both sides of an agreement, and their certificates."""
        for said in fact.every(Agreed):
            contract = self._view.contract(said.contract)
            for side in contract.sides if contract is not None else ():
                if side in self._view.meters:
                    for start in range(said.start_ms, said.start_ms + said.interval_s * 1000, _SHORTEST_MS):
                        self._producers[self._mark(side, start)] = None

    def _mark_producers(self, fact: Fact) -> None:
        """A producer's certificates wait for its buyers' meters; a debt for the certificates before."""
        for delivery in fact.every(Delivery):
            self._mark(delivery.subject, fact.start_ms)
            for subject in (delivery.subject, *self._sellers_to(delivery.subject, fact.start_ms)):
                self._producers[subject, fact.start_ms] = None

    def _sellers_to(self, subject: str, start_ms: int) -> list[str]:
        trades = self._view.trades_at(subject, start_ms)
        points = [trade.points.seller_point for trade, wh in trades if wh > 0 and trade.points is not None]
        sellers = [seller for point in points if (seller := self._view.subject_at(point, start_ms)) is not None]
        return sellers + [contract.frame.provider for contract in self._view.agreements.moving(subject)]

    def due(self) -> Iterable[Given]:
        """Agreements, deliveries, then certificates."""
        yield from self._agreer.due()
        homes, self._homes = self._homes, {}
        for key in homes:
            yield from contained(self._delivery(*key))
        producers, self._producers = self._producers, {}
        for key in producers:
            yield from contained(self._certificates(*key))

    def _delivery(self, subject: str, start_ms: int) -> Iterator[Duty]:
        view = self._view
        length = view.interval_s(subject, start_ms)
        supply = view.in_force("supply", subject, start_ms)
        metered = view.metered(subject, start_ms, length)
        agreed = view.agreements.position(subject, start_ms, length)
        if supply is None or metered is None or agreed is None or not view.positions_final(subject, start_ms):
            return
        if self._agreer.awaits(subject, start_ms, length):
            return
        bought, sold_back = deliver(*metered, view.position(subject, start_ms), agreed)
        last = view.meter(subject).delivery(start_ms)
        version = 1 if last is None else last[1].version + 1
        if last is not None and (last[1].bought_wh, last[1].sold_back_wh) == (bought, sold_back):
            return
        cause = ("delivery", subject, start_ms, version)
        if self._done(cause):
            return
        said = Delivery(
            start_ms=start_ms,
            interval_s=length,
            subject=subject,
            contract=supply.id,
            version=version,
            bought_wh=bought,
            sold_back_wh=sold_back,
        )
        readers = (*named(subject, supply.frame.provider), *view.grid_operators)
        yield Duty(cause, said.TYPE, start_ms, (said.section(readers),))

    # --- certificates ----------------------------------------------------------------------------------------

    def _certificates(self, producer: str, start_ms: int) -> Iterator[Duty]:
        """Once the producer and all its buyers are delivered: what they used of it is known then."""
        view, length = self._view, self._view.interval_s(producer, start_ms)
        supply, metered = view.in_force("supply", producer, start_ms), view.metered(producer, start_ms, length)
        sold = self._sold(producer, start_ms)
        if supply is None or metered is None or sold is None or view.meter(producer).delivery(start_ms) is None:
            return
        metering = Metering(producer, supply.frame.provider, *metered, sold=sold)
        before = view.holdings.interval(producer, start_ms)
        events = view.meter(producer).certificates.get(start_ms, [])
        for number, change in enumerate(issue(metering, before, view.holdings.owed(producer)), start=len(events)):
            cause = ("certificate", producer, start_ms, number)
            if not self._done(cause):
                yield self._event(cause, producer, start_ms, length, change)

    def _sold(self, producer: str, start_ms: int) -> tuple[Sold, ...] | None:
        """Its sales with what their buyers used, or None while a buyer's meter is not known."""
        found = []
        for contract, wh in self._agreements(producer, start_ms):
            if wh < 0:
                buyer = contract.frame.customer
                used = self._used(buyer, start_ms).get(contract.id)
                if used is None:
                    return None
                found.append(Sold(contract.id, buyer, -wh, used))
        for trade, wh in self._view.trades_at(producer, start_ms):
            if wh >= 0 or trade.points is None:
                continue
            home = self._view.subject_at(trade.points.buyer_point, start_ms)
            used = self._used(home, start_ms).get(trade.id) if home is not None else None
            if home is None or used is None:
                return None
            found.append(Sold(trade.id, home, -wh, used))
        return tuple(found)

    def _used(self, buyer: str, start_ms: int) -> dict[bytes, int]:
        """How much of each of its purchases a buyer used; nothing while its meter is not known."""
        metered = self._view.metered(buyer, start_ms, self._view.interval_s(buyer, start_ms))
        if metered is None:
            return {}
        bought = [(contract.id, wh) for contract, wh in self._agreements(buyer, start_ms) if wh > 0]
        bought += [(trade.id, wh) for trade, wh in self._view.trades_at(buyer, start_ms) if wh > 0]
        used = consumed(metered[0] - metered[1], [wh for _, wh in bought])
        return {trade: wh for (trade, _), wh in zip(bought, used, strict=True)}

    def _agreements(self, home: str, start_ms: int) -> list[tuple[Contract, int]]:
        """Its agreements with other homes, and what it got by each (negative: gave). Their energy comes first."""
        view, length, found = self._view, self._view.interval_s(home, start_ms), []
        for contract in view.agreements.moving(home):
            wh = view.agreements.moved(contract, start_ms, length)
            if wh and all(view.in_force("supply", side, start_ms) is not None for side in contract.sides):
                found.append((contract, wh if contract.frame.customer == home else -wh))
        return found

    def _event(
        self, cause: tuple[str, str, int, int], producer: str, start_ms: int, length: int, change: Change
    ) -> Duty:
        said = Certificate(
            start_ms=start_ms,
            interval_s=length,
            producer=producer,
            event=change.event,
            use=change.use,
            first=change.first,
            count=change.count,
            cancelled=change.cancelled,
            holder=change.holder,
            giver=change.giver,
            version=cause[3] + 1,
        )
        readers = (*named(change.holder, *([change.giver] if change.giver else [producer])), *self._view.grid_operators)
        return Duty(cause, said.TYPE, start_ms, (said.section(readers),))
