"""The record by which one side of a contract says what an interval comes to, and who reads which part of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from consortium.agents.market.duty import Cause, Duty
from consortium.agents.market.readers import named
from consortium.energy.contracts.lifecycle import Contract
from consortium.energy.contracts.terms import BalanceTerms
from consortium.energy.payloads.base import Part
from consortium.energy.payloads.settlement import Line, StatementMoney, StatementPhysical, StatementTerms
from consortium.energy.view.view import View


@dataclass(frozen=True, slots=True)
class Bill:
    """What one interval of a contract comes to: energy in Wh, money in micro-units.

    `clause` is what the amount is owed by, `causes` the records that it follows from.
    """

    contract: Contract
    start_ms: int
    interval_s: int
    version: int
    wh_out: int
    wh_in: int
    lines: tuple[Line, ...]
    amount: int
    clause: str
    causes: tuple[bytes, ...]
    grid_fee: int = 0
    local_fee: int = 0

    def cause(self, by: str) -> Cause:
        """What a side's statement of it follows from."""
        return ("statement", self.contract.id, self.start_ms, self.version, by)


def statement(view: View, bill: Bill, by: str) -> Duty:
    """The statement of the side `by`: energy for the grid as well, prices for the two sides, money for the settlement
    agent.
    """
    contract = bill.contract
    head: Any = {"start_ms": bill.start_ms, "contract": contract.id, "by": by, "version": bill.version}
    fees: Any = {"grid_fee": bill.grid_fee, "local_fee": bill.local_fee}
    currency = contract.currency or ""
    physical = StatementPhysical(**head, interval_s=bill.interval_s, wh_out=bill.wh_out, wh_in=bill.wh_in, **fees)
    terms = StatementTerms(**head, lines=bill.lines, amount=bill.amount, currency=currency, causes=bill.causes)
    money = StatementMoney(
        **head,
        **fees,
        customer=contract.frame.customer,
        provider=contract.terms.account if isinstance(contract.terms, BalanceTerms) else contract.frame.provider,
        grid=_grid(view, bill),
        amount=bill.amount,
        currency=currency,
        clause=bill.clause,
    )
    sides = named(*contract.sides)
    sections = (
        physical.section((*sides, *view.grid_operators)),
        terms.section(sides),
        money.section((*sides, *named(_keeper(view, contract)))),
    )
    return Duty(bill.cause(by), physical.TYPE, bill.start_ms, sections)


def _grid(view: View, bill: Bill) -> str:
    """Who gets the fees."""
    return str(view.grid_operators[0])


def _keeper(view: View, contract: Contract) -> str:
    """The settlement agent that pays: of a side's account that this node knows."""
    for account in (contract.frame.customer, contract.frame.provider):
        keeper = view.keeper(account)
        if keeper is not None:
            return keeper
    return contract.frame.provider


def restatement(view: View, contract: Contract, other: Sequence[Part], by: str, cause: Cause) -> Duty:
    """The other side's statement as one's own: who accepts its figures says the same, and the two are equal then."""
    sides = named(*contract.sides)
    readers = {
        StatementPhysical.PART: (*sides, *view.grid_operators),
        StatementTerms.PART: sides,
        StatementMoney.PART: (*sides, *named(_keeper(view, contract))),
    }
    sections = tuple(part.model_copy(update={"by": by}).section(readers[part.PART]) for part in other)
    return Duty(cause, StatementPhysical.TYPE, other[0].start_ms, sections)
