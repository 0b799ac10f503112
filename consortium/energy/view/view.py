"""The view: one fold over all facts, in memory. It holds what the node's agents and its submissions ask of the past.

Who may say what is checked here: a gate counts only from the market's lead, a delivery only from a grid operator, an
entry only from the account's settlement agent. What breaks such a rule is left out, as if nobody had written it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from consortium.energy.certificates.holdings import Holdings
from consortium.energy.contracts import lifecycle
from consortium.energy.contracts.lifecycle import Contract
from consortium.energy.contracts.pricing import price_at
from consortium.energy.contracts.quantities import fits
from consortium.energy.contracts.tariffs import Indexed
from consortium.energy.contracts.terms import MarketTerms, SupplyTerms, Terms, WalletTerms, parse_terms
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
from consortium.energy.view.agreements import Agreements
from consortium.energy.view.facts import Fact
from consortium.energy.view.meters import Meter, ReadingSeen
from consortium.energy.view.sessions import Session, Trade
from consortium.energy.wallets import Account, follow
from consortium.energy.zones import covering, day_before
from consortium.errors import InvalidRequest
from consortium.model.members import Genesis
from consortium.model.names import Party

_SHORTEST_MS, _LONGEST_MS = 900_000, 3_600_000
"""Meters' intervals."""
StatementKey = tuple[bytes, int, int]
"""Contract, start of the interval (UTC ms), version."""


class View:
    """What `member` knows. `add` folds facts in the ledger's order; everything else reads."""

    def __init__(self, genesis: Genesis, member: str) -> None:
        self.member = member
        self.grid_operators = tuple(Party(m.name) for m in genesis.with_role("grid-operator"))
        self.compliance = tuple(Party(m.name) for m in genesis.with_role("compliance"))
        self._grid = {party.member for party in self.grid_operators}
        self._members = {member.name for member in genesis.members}
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
        }
        self.forget()

    def forget(self) -> None:
        """Know nothing: what is folded next is the ledger from its start."""
        self.now_ms = 0
        self.contracts: dict[bytes, Contract] = {}
        self.signed_ms: dict[bytes, int] = {}
        self.sessions: dict[tuple[str, int], Session] = {}
        self.meters: dict[str, Meter] = {}
        self.statements: dict[StatementKey, dict[str, Fact]] = {}
        self.accounts: dict[str, Account] = {}
        self.series: dict[str, dict[int, int]] = {}
        self.own_ids: set[bytes] = set()
        """Ids of all records that this member wrote."""
        self.holdings = Holdings()
        self.agreements = Agreements(self.contracts, self.signed_ms)
        self._by_customer: dict[tuple[str, str], list[bytes]] = {}
        self._by_kind: dict[str, list[bytes]] = {}
        self._signed: dict[tuple[str, str], list[bytes]] = {}
        self._signed_by_kind: dict[str, list[bytes]] = {}
        """The same without what is only proposed: anybody may propose anything to anybody, and any number of it."""
        self._keepers: dict[str, str] = {}
        self._by_point: dict[tuple[str, int], list[tuple[Trade, int]]] = {}
        self._versions: dict[tuple[bytes, int], set[int]] = {}

    # --- folding ---------------------------------------------------------------------------------------------

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

    # --- reading ---------------------------------------------------------------------------------------------

    def meter(self, subject: str) -> Meter:
        """A home's meter, empty at first."""
        return self.meters.setdefault(subject, Meter())

    def session(self, market: str, start_ms: int) -> Session:
        """A market's session, empty at first."""
        return self.sessions.setdefault((market, start_ms), Session(market, start_ms))

    def keeper(self, account: str) -> str | None:
        """The settlement agent that keeps an account."""
        return self._keepers.get(account)

    def market_contracts(self, at_ms: int) -> Iterator[Contract]:
        """The contracts of all markets in force at a time."""
        for contract in self._signed_of_kind("market"):
            if isinstance(contract.terms, MarketTerms) and lifecycle.executes(contract, at_ms):
                yield contract

    def markets(self, at_ms: int) -> Iterator[MarketTerms]:
        """The rules of all markets in force at a time."""
        return (c.terms for c in self.market_contracts(at_ms) if isinstance(c.terms, MarketTerms))

    def market(self, name: str, at_ms: int) -> MarketTerms | None:
        """The rules of a market that are in force at a time."""
        return next((terms for terms in self.markets(at_ms) if terms.name == name), None)

    def market_contract(self, name: str, at_ms: int) -> Contract | None:
        """The contract that they stand in."""
        found = self.market_contracts(at_ms)
        return next((c for c in found if isinstance(c.terms, MarketTerms) and c.terms.name == name), None)

    def contract(self, contract_id: bytes) -> Contract | None:
        """A contract that this node may know."""
        return self.contracts.get(contract_id)

    def contracts_of(self, kind: str, customer: str) -> tuple[Contract, ...]:
        """All contracts of that kind and customer, ended ones too."""
        return tuple(self.contracts[key] for key in self._by_customer.get((kind, customer), ()))

    def in_force(self, kind: str, customer: str, at_ms: int) -> Contract | None:
        """The customer's contract of that kind in force at a time, as far as this node may know."""
        signed = tuple(self.contracts[key] for key in self._signed.get((kind, customer), ()))
        return lifecycle.in_force(signed, kind, customer, at_ms)

    def _signed_of_kind(self, kind: str) -> Iterator[Contract]:
        return (self.contracts[key] for key in self._signed_by_kind.get(kind, ()))

    def of_kind(self, kind: str) -> Iterator[Contract]:
        """All contracts of a kind."""
        return (self.contracts[key] for key in self._by_kind.get(kind, ()))

    def available(self, account: str) -> int | None:
        """What an account can still spend, micro-units; None if this node does not know the account."""
        known = self.accounts.get(account)
        return None if known is None else known.available

    def gate_closed(self, market: str, start_ms: int) -> bool:
        """Whether a session takes no more orders."""
        known = self.sessions.get((market, start_ms))
        return known is not None and known.closed

    def point_of(self, subject: str, at_ms: int) -> str | None:
        """A home's grid point by its grid contract."""
        grid = self.in_force("grid", subject, at_ms)
        return grid.frame.point if grid else None

    def trades_at(self, subject: str, start_ms: int) -> tuple[tuple[Trade, int], ...]:
        """A home's trades in a session, with the Wh that it bought (negative: sold)."""
        point = self.point_of(subject, start_ms)
        return tuple(self._by_point.get((point, start_ms), ())) if point else ()

    def position(self, subject: str, start_ms: int) -> int:
        """What a home bought less what it sold in a session, Wh."""
        return sum(wh for _, wh in self.trades_at(subject, start_ms))

    def subject_at(self, point: str, at_ms: int) -> str | None:
        """Whose grid point it is."""
        found = (c for c in self._signed_of_kind("grid") if c.frame.point == point and lifecycle.executes(c, at_ms))
        return next((contract.frame.customer for contract in found), None)

    def changed_by(self, fact: Fact) -> Contract | None:
        """The contract on which a step had an effect, or None: any member may write steps that have none."""
        step = fact.find(ContractStep)
        contract = self.contracts.get(step.contract) if step is not None else None
        if contract is None or not contract.steps or contract.steps[-1].index != fact.index:
            return None
        return contract

    def touched_by(self, contract: Contract) -> list[str]:
        """The homes whose deliveries a contract may change: its sides', what a side supplies; of a market all."""
        if contract.frame.kind == "market":
            return list(self.meters)
        supplied = (c.frame.customer for c in self._signed_of_kind("supply") if c.frame.provider in contract.sides)
        homes = dict.fromkeys(supplied) if contract.frame.kind == "balance" else {}
        return [home for home in dict.fromkeys((*contract.sides, *homes)) if home in self.meters]

    def statement_versions(self, contract_id: bytes, start_ms: int) -> list[int]:
        """The versions, rising, of a contract's statements of an interval; a balance may leave some out."""
        return sorted(self._versions.get((contract_id, start_ms), ()))

    def day_before(self, subject: str, start_ms: int, length_s: int) -> int:
        """The same interval of the day before, by the zone of the home's market, UTC without one. UTC ms."""
        member = Party.parse(subject).member
        zone = next((terms.zone for terms in self.markets(start_ms) if member in terms.members), "+00:00")
        return day_before(zone, start_ms, length_s)

    def supplied(self, supplier: str, at_ms: int) -> tuple[str, ...]:
        """The homes that a supplier serves at a time."""
        return tuple(
            contract.frame.customer
            for contract in self._signed_of_kind("supply")
            if contract.frame.provider == supplier and lifecycle.executes(contract, at_ms)
        )

    def retail(self, terms: SupplyTerms, start_ms: int) -> int | None:
        """The retail price of an interval, micro/Wh; None while its series lacks it."""
        series = self.series.get(terms.tariff.series) if isinstance(terms.tariff, Indexed) else None
        return price_at(terms, start_ms, series)[0]

    def interval_s(self, subject: str, at_ms: int) -> int:
        """The length of a home's settlement intervals: its market's sessions, an hour without one."""
        member = Party.parse(subject).member
        return max((terms.session_s for terms in self.markets(at_ms) if member in terms.members), default=3600)

    def metered(self, subject: str, start_ms: int, length_s: int) -> tuple[int, int] | None:
        """What a home used and made in an interval, Wh, by the readings that count; None if a piece is missing."""
        meter = self.meters.get(subject)
        if meter is None:
            return None
        counting = []
        for start in range(start_ms - _LONGEST_MS + _SHORTEST_MS, start_ms + length_s * 1000, _SHORTEST_MS):
            for length, reading in meter.counting(start):
                counting.append((start, length, reading))
        load = covering(start_ms, length_s, [(start, length, one.load_wh) for start, length, one in counting])
        pv = covering(start_ms, length_s, [(start, length, one.pv_wh) for start, length, one in counting])
        return None if load is None or pv is None else (load, pv)

    def first_session(self, contract: Contract, terms: MarketTerms) -> int:
        """The first session that a market has: none is over before its second signature. UTC ms."""
        step = terms.session_s * 1000
        signed = self.signed_ms.get(contract.id, 0) + terms.gate_s * 1000
        return -(-max(contract.frame.start_ms, signed) // step) * step

    def positions_final(self, subject: str, start_ms: int) -> bool:
        """Whether all trades are known that a home can have made for an interval."""
        member = Party.parse(subject).member
        for contract in self.market_contracts(start_ms):
            terms = contract.terms
            if not isinstance(terms, MarketTerms) or member not in terms.members:
                continue
            if start_ms >= self.first_session(contract, terms):
                known = self.sessions.get((terms.name, start_ms))
                if known is None or not known.final:
                    return False
        return True


def _is_plausible(reading: MeterReading) -> bool:
    """The limits that a node sets to what is submitted to it, for what other nodes let through."""
    limit = MAX_WH_PER_HOUR * reading.interval_s // 3600
    return reading.interval_s in (900, 1800, 3600) and max(reading.load_wh, reading.pv_wh) <= limit
