"""What a node knows of the market, for its agents and its submissions to ask. `view.View` folds the facts into it."""

from __future__ import annotations

from collections.abc import Iterator

from consortium.energy.certificates.holdings import Holdings
from consortium.energy.contracts import lifecycle
from consortium.energy.contracts.lifecycle import Contract
from consortium.energy.contracts.pricing import price_at
from consortium.energy.contracts.tariffs import Indexed
from consortium.energy.contracts.terms import MarketTerms, SupplyTerms
from consortium.energy.delegations import Delegations
from consortium.energy.payloads.contracts import ContractStep
from consortium.energy.view.agreements import Agreements
from consortium.energy.view.facts import Fact
from consortium.energy.view.meters import Meter
from consortium.energy.view.sessions import Session, Trade
from consortium.energy.wallets import Account
from consortium.energy.zones import covering, day_before
from consortium.model.members import Membership
from consortium.model.names import Party

_SHORTEST_MS, _LONGEST_MS = 900_000, 3_600_000
"""Meters' intervals."""
StatementKey = tuple[bytes, int, int]
"""Contract, start of the interval (UTC ms), version."""


class Known:
    """What `member` knows. Nothing here changes it but `forget`."""

    def __init__(self, membership: Membership, member: str) -> None:
        self.member = member
        self.delegations = Delegations()  # not forgotten: what is folded again changes nothing in it
        self._membership = membership
        self.membership_changed()
        self.forget()

    def membership_changed(self) -> None:
        """Who is a member, in which roles."""
        self.grid_operators = tuple(Party(m.name) for m in self._membership.with_role("grid-operator"))
        self.compliance = tuple(Party(m.name) for m in self._membership.with_role("compliance"))
        self._grid = {party.member for party in self.grid_operators}
        self._members = {member.name for member in self._membership.members}

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

    def signed_ids(self, kind: str) -> list[bytes]:
        """The ids of the signed contracts of a kind, in the ledger's order."""
        return self._signed_by_kind.setdefault(kind, [])

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
