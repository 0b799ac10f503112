"""The view: one fold over all facts, in memory. It holds what the node's agents and its submissions ask of the past.

Who may say what is checked here: a gate counts only from the market's lead, a delivery only from a grid operator, an
entry only from the account's settlement agent. What breaks such a rule is left out, as if nobody had written it.
"""

from __future__ import annotations

from dataclasses import replace

from consortium.energy.contracts import lifecycle
from consortium.energy.contracts.lifecycle import Contract
from consortium.energy.contracts.quantities import fits
from consortium.energy.contracts.terms import MarketTerms, Terms, WalletTerms, parse_terms
from consortium.energy.metering import MAX_WH_PER_HOUR
from consortium.energy.payloads.contracts import Call, ContractFrame, ContractStep, ContractTerms
from consortium.energy.payloads.market import Clearing, Order, Prices, Reserve, TradePoints
from consortium.energy.payloads.metering import MeterReading
from consortium.energy.payloads.money import Entry
from consortium.energy.payloads.settlement import (
    Agreed,
    Certificate,
    Delivery,
    Dispute,
    StatementMoney,
    StatementPhysical,
    StatementTerms,
)
from consortium.energy.settlement import same_statements
from consortium.energy.view.facts import Fact
from consortium.energy.view.known import Known, StatementKey
from consortium.energy.view.meters import ReadingSeen
from consortium.energy.wallets import Account, follow
from consortium.errors import InvalidRequest
from consortium.model.members import Membership
from consortium.model.names import Party


class View(Known):
    """What `member` knows, as the facts that are folded say: `add` them in the ledger's order."""

    def __init__(self, membership: Membership, member: str) -> None:
        super().__init__(membership, member)
        self._folds = {
            "contract": self._contract,
            "contract-step": self._step,
            "reading": self._reading,
            "delivery": self._delivery,
            "agreed": self._agreed,
            "call": self._call,
            "certificate": self._certificate,
            "statement": self._statement,
            "dispute": self._dispute,
            "prices": self._prices,
            "payment": self._payment,
            "trade": self._trade,
            "order": self._session,
            "gate": self._from_lead,
            "funded": self._funded,
            "result": self._from_lead,
            "order-result": self._from_lead,
            "clearing": self._clearing,
            "difference": self._session,
            "delegation": self.delegations.give,
            "delegation-end": self.delegations.end,
        }

    def add(self, fact: Fact) -> None:
        """Fold one fact."""
        self.now_ms = max(self.now_ms, fact.time_ms)
        fold = self._folds.get(fact.type)
        if fold is not None:
            fold(fact)

    def _contract(self, fact: Fact) -> None:
        frame, section = fact.find(ContractFrame), fact.find(ContractTerms)
        if frame is None or fact.id in self.contracts or not self._may_provide(frame):
            return
        if frame.provider == frame.customer and frame.kind not in ("market", "wallet"):
            return  # nobody sells to itself: what it got would come from nobody
        terms = None
        if section is not None:
            try:
                terms = parse_terms(frame.kind, section.terms)
            except InvalidRequest:
                return
        found = lifecycle.propose(fact.id, fact.index, fact.author, frame, terms, section.currency if section else None)
        if isinstance(found, str) or (terms is not None and not (fits(frame, terms) and self._may_agree(frame, terms))):
            return
        self.contracts[fact.id] = found
        self.agreements.propose(found)
        self._by_customer.setdefault((frame.kind, frame.customer), []).append(fact.id)
        self._by_kind.setdefault(frame.kind, []).append(fact.id)
        if frame.provider == frame.customer:  # the keeper of an outside account signs for both sides
            self.contracts[fact.id] = signed = replace(found, in_force_index=fact.index)
            self._countersigned(signed, fact)

    def _may_provide(self, frame: ContractFrame) -> bool:
        """Whatever a dishonest node lets through: who runs no grid offers none; a home's own member orders for it."""
        if frame.kind in ("grid", "balance"):
            return Party.parse(frame.provider) in self.grid_operators
        if frame.kind == "mandate":
            return frame.provider == Party.parse(frame.customer).member
        return True

    def _may_agree(self, frame: ContractFrame, terms: Terms) -> bool:
        """A market binds others than its sides: nobody opens one alone, but who runs the grid. An account that bears a
        party's name is that party's.
        """
        if isinstance(terms, MarketTerms):
            sides, named = {frame.provider, frame.customer}, {terms.settlement_agent, terms.grid_operator}
            together = len(sides) > 1 or frame.provider in self._grid
            return together and sides <= set(terms.operators) and {*terms.operators, *named} <= set(terms.members)
        if isinstance(terms, WalletTerms) and ("@" in terms.account or terms.account in self._members):
            return terms.account == frame.customer
        return True

    def _countersigned(self, contract: Contract, fact: Fact) -> None:
        self.signed_ms[contract.id] = fact.time_ms
        self._signed.setdefault((contract.frame.kind, contract.frame.customer), []).append(contract.id)
        self._signed_by_kind.setdefault(contract.frame.kind, []).append(contract.id)
        terms = contract.terms
        if isinstance(terms, WalletTerms):
            account = Account(terms.account, contract.frame.customer, contract.currency or "", terms.credit_limit)
            self.accounts.setdefault(terms.account, account)
            self._keepers.setdefault(terms.account, contract.frame.provider)

    def _step(self, fact: Fact) -> None:
        step = fact.find(ContractStep)
        if step is None or not fact.time_ms:
            return  # before the members' clocks have met nobody can say from when a step holds
        if step.step in ("suspended", "resumed", "ended"):  # none reaches back
            step = step.model_copy(update={"start_ms": max(step.start_ms, fact.time_ms)})
        changed = lifecycle.advance(self.contracts, step, fact.author, fact.index, fact.time_ms)
        if isinstance(changed, str):
            return
        for contract in changed:
            self.contracts[contract.id] = contract
        if step.step == "countersigned":
            self._countersigned(changed[0], fact)

    def _reading(self, fact: Fact) -> None:
        reading = fact.find(MeterReading)
        if reading is not None and fact.speaks_for(reading.subject) and _is_plausible(reading):
            seen = ReadingSeen(fact.id, fact.index, reading)
            self.meter(reading.subject).readings.setdefault(reading.start_ms, []).append(seen)

    def _delivery(self, fact: Fact) -> None:
        delivery = fact.find(Delivery)
        if delivery is None or fact.author not in self._grid:
            return
        versions = self.meter(delivery.subject).deliveries.setdefault(delivery.start_ms, [])
        if delivery.version == len(versions) + 1:
            versions.append((fact.id, delivery))
            self.meter(delivery.subject).places[fact.id] = fact.index

    def _agreed(self, fact: Fact) -> None:
        agreed = fact.find(Agreed)
        if agreed is not None and fact.author in self._grid:
            self.agreements.say(fact.id, agreed)

    def _call(self, fact: Fact) -> None:
        call = fact.find(Call)
        if call is not None:
            self.agreements.call(call, fact.author, fact.time_ms)

    def _certificate(self, fact: Fact) -> None:
        certificate = fact.find(Certificate)
        if certificate is not None and fact.author in self._grid:
            self.holdings.apply(certificate)
            known = self.meter(certificate.producer).certificates.setdefault(certificate.start_ms, [])
            known.append((fact.id, certificate))

    def _statement(self, fact: Fact) -> None:
        part = fact.find(StatementMoney) or fact.find(StatementPhysical) or fact.find(StatementTerms)
        contract = self.contracts.get(part.contract) if part is not None else None
        if contract is not None and part is not None and contract.side_of(part.by) is None:
            return  # whoever knows the contract listens to its sides; the settlement agent knows the accounts' owners
        if part is not None and fact.speaks_for(part.by):
            key = (part.contract, part.start_ms, part.version)
            self._versions.setdefault(key[:2], set()).add(part.version)
            self._state(key, part.by, fact)

    def _state(self, key: StatementKey, by: str, fact: Fact) -> None:
        """A side's word counts once; of two that differ either side may take the other's in its place."""
        sides = self.statements.setdefault(key, {})
        others = [one for side, one in sides.items() if side != by]
        agrees = any(not same_statements(fact.parts, other.parts) for other in others)
        if by not in sides or (agrees and not self._agree(sides)):
            sides[by] = fact
        contract = self.contracts.get(key[0])
        if contract is not None and key[1] in contract.disputes and self._agree(sides):
            self.contracts[contract.id] = lifecycle.settled(contract, key[1])

    def _agree(self, sides: dict[str, Fact]) -> bool:
        """Whether both sides' statements are there and equal, as far as this node reads them."""
        facts = list(sides.values())
        return len(facts) == 2 and not same_statements(facts[0].parts, facts[1].parts)

    def _dispute(self, fact: Fact) -> None:
        said = fact.find(Dispute)
        contract = self.contracts.get(said.contract) if said is not None else None
        if said is None or contract is None or contract.side_of(said.by) is None or not fact.speaks_for(said.by):
            return
        if not self._agree(self.statements.get((said.contract, said.start_ms, said.version), {})):
            self.contracts[contract.id] = lifecycle.disputed(contract, said.start_ms)

    def _prices(self, fact: Fact) -> None:
        prices = fact.find(Prices)
        if prices is not None and fact.author in self._price_sources(prices.start_ms):
            values = self.series.setdefault(prices.series, {})
            for n, value in enumerate(prices.values):
                values[prices.start_ms + n * prices.interval_s * 1000] = value

    def _price_sources(self, at_ms: int) -> set[str]:
        """Who publishes series: the grid operators, and the operators of markets."""
        return self._grid | {name for terms in self.markets(at_ms) for name in terms.operators}

    def _payment(self, fact: Fact) -> None:
        for entry in fact.every(Entry):
            account = self.accounts.get(entry.account)
            if account is None or fact.author != self.keeper(entry.account):
                continue
            after = follow(account, entry)
            if not isinstance(after, str):
                self.accounts[entry.account] = after
        self._funded(fact)

    def _trade(self, fact: Fact) -> None:
        if not self._by_lead(fact):
            return
        self._session(fact)
        points = fact.find(TradePoints)
        if points is None:
            return
        trade = self.session(points.market, points.start_ms).trades[fact.id]
        for point, wh in ((points.buyer_point, points.wh), (points.seller_point, -points.wh)):
            self._by_point.setdefault((point, points.start_ms), []).append((trade, wh))

    def _from_lead(self, fact: Fact) -> None:
        if self._by_lead(fact):
            self._session(fact)

    def _by_lead(self, fact: Fact) -> bool:
        """Whether the market's lead wrote it; who may not read the rules takes the word of who sealed it to them.

        Not of a trade: it moves a home's position, and all its readers are in the market.
        """
        name = getattr(fact.parts[0], "market", None)
        rules = self.market(name, fact.start_ms) if name else None
        return fact.type != "trade" if rules is None else rules.lead == fact.author

    def _funded(self, fact: Fact) -> None:
        name = getattr(fact.parts[0], "market", None)
        rules = self.market(name, fact.start_ms) if name else None
        if rules is not None and rules.settlement_agent == fact.author:
            self._session(fact)

    def _clearing(self, fact: Fact) -> None:
        clearing = fact.find(Clearing)
        if clearing is not None and clearing.by == fact.author:
            self._session(fact)

    def _session(self, fact: Fact) -> None:
        name = next((part.market for part in fact.parts if getattr(part, "market", None)), None)  # type: ignore[attr-defined]
        if name is None:
            return
        owner = next((part.owner for part in fact.parts if isinstance(part, Order | Reserve)), None)
        if owner is None or fact.speaks_for(owner):
            self.session(name, fact.start_ms).add(fact)


def _is_plausible(reading: MeterReading) -> bool:
    """The limits that a node sets to what is submitted to it, for what other nodes let through."""
    limit = MAX_WH_PER_HOUR * reading.interval_s // 3600
    return reading.interval_s in (900, 1800, 3600) and max(reading.load_wh, reading.pv_wh) <= limit
