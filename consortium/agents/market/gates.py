"""The lead operator closes sessions: by the ledger's time when it is due, by a record, so that late is late for all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from consortium.agents.market.duty import Done, Duty, Given, contained
from consortium.agents.market.readers import market_members
from consortium.energy.contracts.lifecycle import Contract
from consortium.energy.contracts.terms import MarketTerms
from consortium.energy.payloads.market import Gate
from consortium.energy.view.facts import Fact
from consortium.energy.view.view import View


class Gatekeeper:
    """Closes the rounds and sessions of the markets that this member leads."""

    def __init__(self, view: View, done: Done) -> None:
        self._view = view
        self._done = done
        self._next: dict[bytes, int] = {}

    def see(self, fact: Fact) -> None:
        """Gates follow from time alone."""

    def due(self) -> Iterable[Given]:
        """A gate for each round whose time has come."""
        for contract in list(self._view.of_kind("market")):
            terms = contract.terms
            if (
                isinstance(terms, MarketTerms)
                and terms.lead == self._view.member
                and contract.in_force_index is not None
            ):
                yield from contained(self._market(contract, terms))

    def _market(self, contract: Contract, terms: MarketTerms) -> Iterator[Duty]:
        """Every session from the market's first on, orders or not: that nothing was traded is an outcome as well."""
        step = terms.session_s * 1000
        start = self._next.get(contract.id) or self._view.first_session(contract, terms)
        while self._opens(terms, start) <= self._view.now_ms and not _over(contract, start):
            yield from self._session(terms, start)
            if self._view.session(terms.name, start).closed and start == self._next.get(contract.id, start):
                self._next[contract.id] = start + step
            start += step

    def _opens(self, terms: MarketTerms, start_ms: int) -> int:
        """When its first round may close."""
        if terms.mechanism != "continuous":
            return start_ms - terms.gate_s * 1000
        return start_ms - terms.opens_s * 1000 + terms.round_s * 1000

    def _session(self, terms: MarketTerms, start_ms: int) -> Iterator[Duty]:
        session = self._view.session(terms.name, start_ms)
        if session.closed:
            return
        last = start_ms - terms.gate_s * 1000 <= self._view.now_ms
        number = session.rounds
        if not last and (self._early(terms, start_ms, number) or not session.fresh_orders):
            return
        cause = ("gate", terms.name, start_ms, number)
        if not self._done(cause):
            gate = Gate(start_ms=start_ms, market=terms.name, round=number, last=last)
            yield Duty(cause, gate.TYPE, start_ms, (gate.section(market_members(terms)),))

    def _early(self, terms: MarketTerms, start_ms: int, number: int) -> bool:
        """Rounds of a continuous market close every `round_s`, and only if something was ordered."""
        return self._view.now_ms < start_ms - (terms.opens_s - (number + 1) * terms.round_s) * 1000


def _over(contract: Contract, start_ms: int) -> bool:
    ends = [end for end in (contract.frame.end_ms, contract.stopped_ms) if end]
    return any(start_ms >= end for end in ends)
