"""A home's member orders for it, by its mandate: the forecast says how much, the mandate's shares at which price."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from consortium.agents.market.duty import Done, Duty, Given, contained
from consortium.energy.contracts.lifecycle import Contract, executes
from consortium.energy.contracts.pricing import limit_prices
from consortium.energy.contracts.terms import GridTerms, MandateTerms, MarketTerms, SupplyTerms
from consortium.energy.orders import order_sections
from consortium.energy.payloads.market import Order, Side
from consortium.energy.view.facts import Fact
from consortium.energy.view.view import View
from consortium.energy.zones import day_before
from consortium.model.names import Party

_MINUTE_MS = 60_000
_WATCHED = frozenset({"contract-step", "contract", "prices", "gate"})


class Mandates:
    """Orders under the mandates that this member acts for."""

    def __init__(self, view: View, done: Done) -> None:
        self._view = view
        self._done = done
        self._all = True
        self._minute = -1
        self._homes: set[str] = set()

    def see(self, fact: Fact) -> None:
        """A reading makes the next day's order possible, a contract all of them."""
        if fact.type == "reading":
            subject = getattr(fact.parts[0], "subject", None)
            if subject is not None:
                self._homes.add(subject)
        elif fact.type in _WATCHED:
            self._all = True

    def due(self) -> Iterable[Given]:
        """Orders for the sessions that are open and have none yet."""
        minute = self._view.now_ms // _MINUTE_MS
        everything, self._all, self._minute = self._all or minute != self._minute, False, minute
        homes, self._homes = self._homes, set()
        for mandate in list(self._view.of_kind("mandate")):
            terms, home = mandate.terms, mandate.frame.customer
            mine = mandate.frame.provider == self._view.member and Party.parse(home).member == self._view.member
            if mine and isinstance(terms, MandateTerms) and (everything or home in homes):
                yield from contained(self._orders(mandate, terms))

    def _orders(self, mandate: Contract, terms: MandateTerms) -> Iterator[Duty]:
        rules = self._view.market(terms.market, max(self._view.now_ms, mandate.frame.start_ms))
        if rules is None:
            return
        step = rules.session_s * 1000
        first = self._view.now_ms + rules.gate_s * 1000
        for start in range(-(-first // step) * step, self._view.now_ms + rules.opens_s * 1000 + 1, step):
            cause = ("order", mandate.id, start)
            if not executes(mandate, start) or self._view.gate_closed(terms.market, start) or self._done(cause):
                continue
            order = self._order(mandate, terms, rules, start)
            if order is not None:
                yield Duty(cause, order.TYPE, start, order_sections(order, rules))

    def _order(self, mandate: Contract, terms: MandateTerms, rules: MarketTerms, start: int) -> Order | None:
        home = mandate.frame.customer
        foreseen = self._net(home, day_before(rules.zone, start, rules.session_s), rules.session_s)
        supply, grid = self._view.in_force("supply", home, start), self._view.in_force("grid", home, start)
        if not foreseen or supply is None or grid is None:
            return None
        if not isinstance(grid.terms, GridTerms) or not set(rules.operators) <= set(grid.terms.operators):
            return None  # the operators could not tell whose point it is
        limits = self._limits(terms, supply, grid, start)
        side: Side = "bid" if foreseen > 0 else "ask"
        price = limits[0] if foreseen > 0 else limits[1]
        wh = min(abs(foreseen), terms.max_wh)
        if price is None or wh < rules.min_wh or grid.frame.point is None or grid.frame.area is None:
            return None
        return Order(
            start_ms=start,
            market=rules.name,
            session_s=rules.session_s,
            side=side,
            owner=home,
            point=grid.frame.point,
            area=grid.frame.area,
            wh=wh,
            price=price,
            currency=rules.currency,
            mandate=mandate.id,
        )

    def _limits(
        self, terms: MandateTerms, supply: Contract, grid: Contract, start: int
    ) -> tuple[int | None, int | None]:
        if not isinstance(supply.terms, SupplyTerms) or not isinstance(grid.terms, GridTerms):
            return None, None
        retail = self._view.retail(supply.terms, start)
        if retail is None:
            return None, None
        return limit_prices(terms, retail, supply.terms.feed_in, grid.terms.local_fee)

    def _net(self, home: str, start_ms: int, length_s: int) -> int | None:
        metered = self._view.metered(home, start_ms, length_s)
        return None if metered is None else metered[0] - metered[1]
