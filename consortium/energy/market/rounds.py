"""A session from its orders and gates to its outcomes, round by round: what each operator computes by itself."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from consortium.energy.market.book import BookOrder
from consortium.energy.market.clearing import Outcome, clear
from consortium.energy.market.continuous import Resting
from consortium.energy.market.proofs import BookTree, book_tree
from consortium.energy.market.screening import Candidate, Refused, screen
from consortium.energy.market.settings import MarketSettings


@dataclass(frozen=True, slots=True)
class GateSeen:
    """A gate: its record's id and tree index, and whether the session ends with it."""

    id: bytes
    index: int
    last: bool


@dataclass(frozen=True)
class Round:
    """What one gate came to. `refused` are orders of this round alone."""

    gate: GateSeen
    outcome: Outcome
    refused: tuple[Refused, ...]

    @cached_property
    def tree(self) -> BookTree:
        """The tree over the round's book."""
        return book_tree(self.outcome.book)


def clear_rounds(
    settings: MarketSettings,
    start_ms: int,
    candidates: Sequence[Candidate],
    gates: Sequence[GateSeen],
    suspended: Container[str] = (),
) -> Iterator[Round]:
    """The rounds of a session in their order; `gates` by rising index. Orders after the last gate are in none."""
    resting: Sequence[Resting] = ()
    after = -1
    for gate in gates:
        before = [one for one in candidates if one.index < gate.index]
        screened = screen(settings, start_ms, before, gate_index=gate.index, suspended=suspended)
        book = [order for order in screened.book if order.index > after]
        refused = tuple(one for one in screened.refused if one.index > after)
        outcome = clear(settings, book, resting=resting, last=gate.last)
        yield Round(gate, outcome, refused)
        resting, after = outcome.resting, gate.index


def filled(rounds: Sequence[Round], order: BookOrder) -> tuple[int, int]:
    """What an order traded over all rounds: Wh and value."""
    wh = sum(one.outcome.wh_of.get(order.id, 0) for one in rounds)
    return wh, sum(one.outcome.value_of.get(order.id, 0) for one in rounds)
