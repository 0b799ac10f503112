"""Both sides of a contract compute what an interval comes to, each on its own node; where they differ, both say so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from consortium.agents.market.bilaterals import bilateral_statements
from consortium.agents.market.duty import Done, Duty, Given, contained
from consortium.agents.market.readers import named
from consortium.agents.market.statement import Bill, restatement, statement
from consortium.energy.contracts.lifecycle import Contract, executes
from consortium.energy.contracts.terms import BalanceTerms, SupplyTerms
from consortium.energy.payloads.contracts import ContractStep
from consortium.energy.payloads.market import Prices, Result
from consortium.energy.payloads.settlement import Agreed, Delivery, Dispute, StatementPhysical, StatementTerms
from consortium.energy.settlement import BALANCE, SUPPLY_PRICE, balance_lines, deliver, same_statements, supply_lines
from consortium.energy.view.facts import Fact
from consortium.energy.view.known import StatementKey
from consortium.energy.view.view import View
from consortium.model.names import Party


class Settler:
    """Writes this member's statements: for its own users as customers, and for itself."""

    def __init__(self, view: View, done: Done) -> None:
        self._view = view
        self._done = done
        self._deliveries: dict[tuple[str, int], None] = {}
        self._agreed: dict[tuple[bytes, int], None] = {}
        self._balances: dict[tuple[str, int], None] = {}
        self._unpriced: dict[tuple[str, int], None] = {}
        self._compare: dict[StatementKey, None] = {}
        self._accepted: dict[tuple[bytes, int, str], None] = {}

    def see(self, fact: Fact) -> None:
        """A delivery, and whatever a statement may have waited for."""
        for part in fact.parts:
            match part:
                case Delivery():
                    self._deliveries[part.subject, fact.start_ms] = None
                case Agreed():
                    self._agreed[part.contract, fact.start_ms] = None
                    self._mark_sides(part)
                case Result():
                    self._mark(fact.start_ms)
                case Prices():
                    self._published(part)
                case ContractStep():
                    self._step(fact, part)
                case StatementPhysical():
                    self._compare[part.contract, part.start_ms, part.version] = None
                case _:
                    pass

    def _published(self, prices: Prices) -> None:
        """What was delivered in the intervals that have a price now, and the balances that waited for one."""
        step = prices.interval_s * 1000
        starts = set(range(prices.start_ms, prices.start_ms + len(prices.values) * step, step))
        for subject, meter in self._view.meters.items():
            for start in starts & meter.deliveries.keys():
                self._deliveries[subject, start] = None
        self._balances.update(self._unpriced)
        self._unpriced.clear()

    def _step(self, fact: Fact, step: ContractStep) -> None:
        contract = self._view.changed_by(fact)
        for subject in self._view.touched_by(contract) if contract is not None else ():
            for start in self._view.meter(subject).deliveries:
                self._deliveries[subject, start] = None
        if step.step == "accepted" and fact.speaks_for(step.by):
            self._accepted[step.contract, step.start_ms, step.by] = None

    def _mark(self, start_ms: int) -> None:
        """The deliveries of an interval."""
        for subject in self._view.meters:
            self._deliveries[subject, start_ms] = None

    def _mark_sides(self, said: Agreed) -> None:
        """A home's own statement, and the balance of a side that answers for itself, wait for what was agreed."""
        contract = self._view.contract(said.contract)
        for side in contract.sides if contract is not None else ():
            step = self._view.interval_s(side, said.start_ms) * 1000
            for start in range(said.start_ms - said.start_ms % step, said.start_ms + said.interval_s * 1000, step):
                self._balances[side, start] = None
                if side in self._view.meters:
                    self._deliveries[side, start] = None

    def due(self) -> Iterable[Given]:
        """Statements of what was agreed and delivered, balances, disputes."""
        agreed, self._agreed = self._agreed, {}
        for contract_id, start_ms in agreed:
            yield from contained(bilateral_statements(self._view, contract_id, start_ms, self._done))
        deliveries, self._deliveries = self._deliveries, {}
        for subject, start_ms in deliveries:
            yield from contained(self._supply(subject, start_ms))
        balances, self._balances = self._balances, {}
        for supplier, start_ms in balances:
            yield from contained(self._balance(supplier, start_ms))
        accepted, self._accepted = self._accepted, {}
        for contract_id, start_ms, by in accepted:
            yield from contained(self._accept(contract_id, start_ms, by))
        compare, self._compare = self._compare, {}
        for key in compare:
            yield from contained(self._dispute(key))

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
            if Party.parse(by).member != self._view.member:
                continue
            energy = self._own(subject, start_ms) if by == subject else (delivery.bought_wh, delivery.sold_back_wh)
            if energy is None or (by == subject and self._outdated(delivery, record_id, energy)):
                continue
            bill = self._supply_bill(contract, contract.terms, delivery, record_id, energy, price)
            if not self._done(bill.cause(by)):
                yield statement(self._view, bill, by)

    def _supply_bill(
        self,
        contract: Contract,
        terms: SupplyTerms,
        delivery: Delivery,
        record_id: bytes,
        energy: tuple[int, int],
        price: int,
    ) -> Bill:
        lines, amount, fee = supply_lines(*energy, price, terms.feed_in, contract.frame.grid_fee)
        return Bill(
            contract,
            delivery.start_ms,
            delivery.interval_s,
            delivery.version,
            *energy,
            lines=lines,
            amount=amount,
            clause=SUPPLY_PRICE,
            causes=(record_id,),
            grid_fee=fee,
        )

    def _outdated(self, delivery: Delivery, record_id: bytes, own: tuple[int, int]) -> bool:
        """Whether a reading has come since that the grid operator did not know: its next delivery is waited for."""
        meter, step = self._view.meter(delivery.subject), delivery.interval_s * 1000
        newest = meter.newest(delivery.start_ms, delivery.start_ms + step)
        return own != (delivery.bought_wh, delivery.sold_back_wh) and newest > meter.places[record_id]

    def _own(self, subject: str, start_ms: int) -> tuple[int, int] | None:
        """What a home says that it took and gave, by its own meter, trades and agreements, whatever was delivered."""
        length = self._view.interval_s(subject, start_ms)
        metered, agreed = (
            self._view.metered(subject, start_ms, length),
            self._view.agreements.position(subject, start_ms, length),
        )
        if metered is None or agreed is None or not self._view.positions_final(subject, start_ms):
            return None
        return deliver(*metered, self._view.position(subject, start_ms), agreed)

    # --- balance ---------------------------------------------------------------------------------------------

    def _balance(self, party: str, start_ms: int) -> Iterator[Duty]:
        """The imbalance of a supplier, or of who sells and buys by agreements of its own, once all of it is known.

        That is what the homes that it supplies were delivered, and what it sold by agreements less what it bought.
        """
        view, contract = self._view, self._view.in_force("balance", party, start_ms)
        terms = contract.terms if contract is not None else None
        if contract is None or not isinstance(terms, BalanceTerms):
            return
        length = view.interval_s(party, start_ms)
        price, agreed = view.series.get(terms.series, {}).get(start_ms), self._agreed_by(party, start_ms, length)
        if price is None:
            self._unpriced[party, start_ms] = None
        found = [view.meter(home).delivery(start_ms) for home in view.supplied(party, start_ms)]
        known = [delivery for one in found if one is not None for delivery in one[1:]]
        if price is None or agreed is None or len(known) != len(found) or not (known or self._moves(party)):
            return
        net = sum(delivery.bought_wh - delivery.sold_back_wh for delivery in known) - agreed
        version = (
            1 + sum(delivery.version - 1 for delivery in known) + view.agreements.corrections(party, start_ms, length)
        )
        lines, amount = balance_lines(net, price)
        length = known[0].interval_s if known else length
        energy = (max(0, net), max(0, -net))
        bill = Bill(contract, start_ms, length, version, *energy, lines=lines, amount=amount, clause=BALANCE, causes=())
        for by in contract.sides:
            if Party.parse(by).member == view.member and not self._done(bill.cause(by)):
                yield statement(view, bill, by)

    def _agreed_by(self, party: str, start_ms: int, length_s: int) -> int | None:
        """What a party got by its own agreements, Wh: of one that has a supplier this stands in its delivery."""
        if self._view.in_force("supply", party, start_ms) is not None:
            return 0
        return self._view.agreements.position(party, start_ms, length_s)

    def _moves(self, party: str) -> bool:
        return any(True for _ in self._view.agreements.moving(party))

    # --- disputes --------------------------------------------------------------------------------------------

    def _accept(self, contract_id: bytes, start_ms: int, by: str) -> Iterator[Duty]:
        """Who accepted the other side's figures says the same as it: so both are equal, and it is paid."""
        contract = self._view.contract(contract_id)
        versions = self._view.statement_versions(contract_id, start_ms)
        if contract is None or by not in contract.sides or Party.parse(by).member != self._view.member or not versions:
            return
        sides = self._view.statements.get((contract_id, start_ms, versions[-1]), {})
        other = next((fact for side, fact in sides.items() if side != by), None)
        cause = ("accepted", contract_id, start_ms, versions[-1], by)
        if by in sides and other is not None and not self._done(cause):
            yield restatement(self._view, contract, other.parts, by, cause)

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
