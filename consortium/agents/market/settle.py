"""Both sides of a contract compute what an interval comes to, each on its own node; where they differ, both say so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from consortium.agents.market.duty import Cause, Done, Duty
from consortium.agents.market.readers import named
from consortium.energy.contracts.lifecycle import Contract, executes
from consortium.energy.contracts.terms import BalanceTerms, SupplyTerms
from consortium.energy.payloads.settlement import (
    Delivery,
    Dispute,
    Line,
    StatementMoney,
    StatementPhysical,
    StatementTerms,
)
from consortium.energy.settlement import balance_lines, deliver, same_statements, supply_lines
from consortium.energy.view.facts import Fact
from consortium.energy.view.view import StatementKey, View
from consortium.model.names import Party


class Settler:
    """Writes this member's statements: for its own users as customers, and for itself."""

    def __init__(self, view: View, done: Done) -> None:
        self._view = view
        self._done = done
        self._deliveries: dict[tuple[str, int], None] = {}
        self._balances: dict[tuple[str, int], None] = {}
        self._compare: dict[StatementKey, None] = {}

    def see(self, fact: Fact) -> None:
        """A delivery, and whatever a statement may have waited for."""
        if fact.type == "delivery":
            for delivery in fact.every(Delivery):
                self._deliveries[delivery.subject, fact.start_ms] = None
        elif fact.type in ("prices", "contract-step", "result"):
            self._mark_all()
        elif fact.type == "statement":
            for part in fact.every(StatementPhysical):
                self._compare[part.contract, part.start_ms, part.version] = None

    def _mark_all(self) -> None:
        for subject, meter in self._view.meters.items():
            for start in meter.deliveries:
                self._deliveries[subject, start] = None

    def due(self) -> Iterable[Duty]:
        """Statements of what was delivered, balances, disputes."""
        deliveries, self._deliveries = self._deliveries, {}
        for subject, start_ms in deliveries:
            yield from self._supply(subject, start_ms)
        balances, self._balances = self._balances, {}
        for supplier, start_ms in balances:
            yield from self._balance(supplier, start_ms)
        compare, self._compare = self._compare, {}
        for key in compare:
            yield from self._dispute(key)

    # --- supply ----------------------------------------------------------------------------------------------

    def _supply(self, subject: str, start_ms: int) -> Iterator[Duty]:
        found = self._view.meter(subject).delivery(start_ms)
        contract = self._view.contract(found[1].contract) if found is not None else None
        if found is None or contract is None or not executes(contract, start_ms):
            return
        record_id, delivery = found
        self._balances[contract.frame.provider, start_ms] = None
        if not isinstance(contract.terms, SupplyTerms) or contract.frame.customer != subject:
            return
        price = self._view.retail(contract.terms, start_ms)
        if price is None:
            return
        for by in contract.sides:
            cause = _cause(contract, start_ms, delivery.version, by)
            if Party.parse(by).member != self._view.member or self._done(cause):
                continue
            energy = self._own(subject, start_ms) if by == subject else (delivery.bought_wh, delivery.sold_back_wh)
            if energy is not None:
                lines, amount, fee = supply_lines(*energy, price, contract.terms.feed_in, contract.frame.grid_fee)
                yield self._statement(cause, contract, delivery, by, energy, lines, amount, fee, (record_id,))

    def _own(self, subject: str, start_ms: int) -> tuple[int, int] | None:
        """What a home says that it took and gave, by its own meter and trades, whatever the grid operator says."""
        metered = self._view.metered(subject, start_ms, self._view.interval_s(subject, start_ms))
        if metered is None or not self._view.positions_final(subject, start_ms):
            return None
        return deliver(*metered, self._view.position(subject, start_ms))

    # --- balance ---------------------------------------------------------------------------------------------

    def _balance(self, supplier: str, start_ms: int) -> Iterator[Duty]:
        """A supplier's imbalance, once all homes that it supplies then are delivered."""
        contract = self._view.in_force("balance", supplier, start_ms)
        terms = contract.terms if contract is not None else None
        if contract is None or not isinstance(terms, BalanceTerms):
            return
        price = self._view.series.get(terms.series, {}).get(start_ms)
        homes = self._view.supplied(supplier, start_ms)
        found = [self._view.meter(home).delivery(start_ms) for home in homes]
        known = [one for one in found if one is not None]
        if price is None or not known or len(known) != len(found):
            return
        net = sum(delivery.bought_wh - delivery.sold_back_wh for _, delivery in known)
        version = 1 + sum(delivery.version - 1 for _, delivery in known)
        lines, amount = balance_lines(net, price)
        for by in contract.sides:
            cause = _cause(contract, start_ms, version, by)
            if Party.parse(by).member == self._view.member and not self._done(cause):
                energy = (max(0, net), max(0, -net))
                like = known[0][1].model_copy(update={"version": version})
                yield self._statement(cause, contract, like, by, energy, lines, amount, 0, ())

    # --- the record ------------------------------------------------------------------------------------------

    def _statement(
        self,
        cause: Cause,
        contract: Contract,
        delivery: Delivery,
        by: str,
        energy: tuple[int, int],
        lines: tuple[Line, ...],
        amount: int,
        grid_fee: int,
        causes: tuple[bytes, ...],
    ) -> Duty:
        """Energy for the grid as well, prices for the two sides, money for the settlement agent."""
        head: Any = {"start_ms": delivery.start_ms, "contract": contract.id, "by": by, "version": delivery.version}
        physical = StatementPhysical(
            **head, interval_s=delivery.interval_s, wh_out=energy[0], wh_in=energy[1], grid_fee=grid_fee
        )
        currency = contract.currency or ""
        terms = StatementTerms(**head, lines=lines, amount=amount, currency=currency, causes=causes)
        money = StatementMoney(
            **head,
            customer=contract.frame.customer,
            provider=self._provider_account(contract),
            grid=str(self._view.grid_operators[0]),
            amount=amount,
            grid_fee=grid_fee,
            currency=currency,
        )
        sides = named(*contract.sides)
        keeper = self._keeper(contract)
        sections = (
            physical.section((*sides, *self._view.grid_operators)),
            terms.section(sides),
            money.section((*sides, *named(keeper))),
        )
        return Duty(cause, physical.TYPE, delivery.start_ms, sections)

    def _provider_account(self, contract: Contract) -> str:
        return contract.terms.account if isinstance(contract.terms, BalanceTerms) else contract.frame.provider

    def _keeper(self, contract: Contract) -> str:
        """The settlement agent that pays: of a side's account that this node knows."""
        for account in (contract.frame.customer, contract.frame.provider):
            keeper = self._view.keeper(account)
            if keeper is not None:
                return keeper
        return contract.frame.provider

    def _dispute(self, key: StatementKey) -> Iterator[Duty]:
        contract = self._view.contract(key[0])
        sides = self._view.statements.get(key, {})
        if contract is None or self._view.member not in {Party.parse(side).member for side in contract.sides}:
            return
        provider, customer = (sides.get(side) for side in contract.sides)
        if provider is None or customer is None:
            return
        place = same_statements(provider.parts, customer.parts)
        mine = contract.frame.provider if provider.author == self._view.member else contract.frame.customer
        cause = ("dispute", *key, mine)
        if not place or self._done(cause):
            return
        theirs, ours = provider.find(StatementTerms), customer.find(StatementTerms)
        said = Dispute(
            start_ms=key[1],
            contract=contract.id,
            version=key[2],
            statements=(provider.id, customer.id),
            by=mine,
            provider=theirs.lines if theirs else (),
            customer=ours.lines if ours else (),
            where=place[:500],
        )
        yield Duty(cause, said.TYPE, key[1], (said.section(named(*contract.sides)),))


def _cause(contract: Contract, start_ms: int, version: int, by: str) -> Cause:
    return ("statement", contract.id, start_ms, version, by)
