"""An operator clears: every one computes by itself, and what they agree on the lead writes.

Nobody's word counts for more than another's: a session whose clearings differ stands still, and says where.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from consortium.agents.market.duty import Done, Duty, Given, contained
from consortium.agents.market.readers import market_members, operators
from consortium.agents.market.results import order_results, result, trades
from consortium.energy.contracts.terms import MarketTerms
from consortium.energy.market.digests import Sizes, chunks, digest_of, where
from consortium.energy.market.rounds import Round, clear_rounds
from consortium.energy.market.settings import MarketSettings
from consortium.energy.payloads.market import Clearing, Difference
from consortium.energy.view.books import Suspended, candidates, gates, settings_of
from consortium.energy.view.facts import Fact
from consortium.energy.view.sessions import Session
from consortium.energy.view.view import View

_WATCHED = frozenset({"order", "gate", "funded", "clearing", "trade", "result"})


@dataclass(frozen=True, slots=True)
class _Computed:
    """A session's rounds so far, and this operator's clearing of each."""

    rounds: tuple[Round, ...]
    clearings: tuple[Clearing, ...]


class Clearer:
    """Clears the markets that this member operates."""

    def __init__(self, view: View, done: Done) -> None:
        self._view = view
        self._done = done
        self._dirty: dict[tuple[str, int], None] = {}
        self._computed: dict[tuple[str, int], _Computed] = {}

    def see(self, fact: Fact) -> None:
        """Note the session that it is of."""
        if fact.type in _WATCHED:
            market = getattr(fact.parts[0], "market", None)
            if market is not None:
                self._dirty[market, fact.start_ms] = None

    def due(self) -> Iterable[Given]:
        """Clearings, then what all agree on."""
        while self._dirty:
            key = next(iter(self._dirty))
            del self._dirty[key]
            yield from contained(self._session(*key))

    def _session(self, market: str, start_ms: int) -> Iterator[Duty]:
        contract = self._view.market_contract(market, start_ms)
        session = self._view.session(market, start_ms)
        if contract is None or not isinstance(contract.terms, MarketTerms) or not session.gates:
            return
        terms = contract.terms
        if self._view.member not in terms.operators:
            return
        settings = settings_of(contract, terms)
        suspended = Suspended(contract, start_ms)
        computed = self._compute(settings, session, suspended)
        for number, (one, clearing) in enumerate(zip(computed.rounds, computed.clearings, strict=True)):
            yield from self._own(terms, one, clearing)
            yield from self._differences(terms, session, one, clearing)
            if not _agreed(terms, session, clearing):
                return
            if terms.lead == self._view.member:
                yield from self._write(terms, settings, session, computed.rounds[: number + 1])
            else:
                yield from self._watch(terms, session, one)

    def _compute(self, settings: MarketSettings, session: Session, suspended: Suspended) -> _Computed:
        """The rounds whose bids all have their verdicts. What was computed stands: a book does not change any more."""
        key = (session.market, session.start_ms)
        known = self._computed.get(key)
        ready = gates(session)
        while ready and ready[-1].id not in session.funded:
            ready.pop()
        if known is not None and len(known.rounds) == len(ready):
            return known
        rounds = tuple(
            clear_rounds(settings, session.start_ms, candidates(self._view, settings, session), ready, suspended)
        )
        clearings = tuple(self._clearing(session, one) for one in rounds)
        self._computed[key] = computed = _Computed(rounds, clearings)
        return computed

    def _clearing(self, session: Session, one: Round) -> Clearing:
        outcome = one.outcome
        parts = chunks(outcome, one.refused)
        return Clearing(
            start_ms=session.start_ms,
            market=session.market,
            gate=one.gate.id,
            by=self._view.member,
            digest=digest_of(outcome, parts),
            chunks=parts,
            book_root=one.tree.root,
            book_size=one.tree.size,
            trades=len(outcome.matches),
            wh=outcome.wh,
            price=outcome.price,
        )

    def _own(self, terms: MarketTerms, one: Round, clearing: Clearing) -> Iterator[Duty]:
        cause = ("clearing", one.gate.id, clearing.digest)  # who erred and was mended says so anew
        if not self._done(cause):
            yield Duty(cause, clearing.TYPE, clearing.start_ms, (clearing.section(operators(terms)),))

    def _differences(self, terms: MarketTerms, session: Session, one: Round, own: Clearing) -> Iterator[Duty]:
        seen = session.clearings.get(one.gate.id, {})
        mine = seen.get(self._view.member)
        for by, (record_id, other) in seen.items():
            if mine is None or by not in terms.operators or other.digest == own.digest:
                continue
            cause = ("difference", one.gate.id, record_id)
            if not self._done(cause):
                place = where(
                    own.chunks, Sizes(own.book_size, own.trades), other.chunks, Sizes(other.book_size, other.trades)
                )
                said = Difference(
                    start_ms=session.start_ms,
                    market=session.market,
                    gate=one.gate.id,
                    clearings=(mine[0], record_id),
                    where=(place or "price or volume")[:500],
                )
                yield Duty(cause, said.TYPE, session.start_ms, (said.section(operators(terms)),))

    def _watch(self, terms: MarketTerms, session: Session, one: Round) -> Iterator[Duty]:
        """The lead writes what was cleared, no trade more, less, or otherwise: else the others say so."""
        published = session.results.get(one.gate.id)
        cause = ("difference", one.gate.id, b"trades")
        if published is None or written(session, one.gate.id) == matched(one) or self._done(cause):
            return
        mine = session.clearings[one.gate.id][self._view.member]
        said = Difference(
            start_ms=session.start_ms,
            market=session.market,
            gate=one.gate.id,
            clearings=(mine[0], published[0]),
            where="the trades that the lead wrote are not those that were cleared",
        )
        yield Duty(cause, said.TYPE, session.start_ms, (said.section(operators(terms)),))

    def _write(
        self, terms: MarketTerms, settings: MarketSettings, session: Session, rounds: Sequence[Round]
    ) -> Iterator[Duty]:
        """Trades first, then the result that says that there are no more of them, then each order's own result.

        The last wait until the result stands on the ledger: trades are what all others wait for, and sealing ten
        thousand results meanwhile would hold them up.
        """
        last = rounds[-1]
        if last.gate.id not in session.results:
            yield from trades(terms, settings, session, last, self._done)
            said = result(terms, session, last, len(rounds) - 1, market_members(terms))
            if not self._done(said.cause):
                yield said
        elif last.gate.last:
            yield from order_results(terms, session, rounds, self._done)


def _agreed(terms: MarketTerms, session: Session, own: Clearing) -> bool:
    """Whether as many operators as the market asks for computed what this one did."""
    seen = session.clearings.get(own.gate, {})
    same = [by for by, (_, one) in seen.items() if by in terms.operators and one.digest == own.digest]
    return len(same) >= terms.agree


def matched(one: Round) -> list[tuple[bytes, bytes, int, int]]:
    """A round's trades as it cleared: bid, ask, Wh, price."""
    return [(match.bid.id, match.ask.id, match.wh, match.price) for match in one.outcome.matches]


def written(session: Session, gate: bytes) -> list[tuple[bytes, bytes, int, int]]:
    """A round's trades as they stand on the ledger, by their numbers."""
    found = [
        (trade.terms, trade.points)
        for trade in session.trades.values()
        if trade.terms is not None and trade.points is not None and trade.terms.gate == gate
    ]
    found.sort(key=lambda trade: trade[0].number)
    return [(terms.bid, terms.ask, points.wh, terms.price) for terms, points in found]
