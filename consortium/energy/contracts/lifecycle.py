"""The life of a contract, a pure fold over its records in the ledger's order.

    proposed -> countersigned -> in force -> ended
                                 |      ^
                     suspended, disputed

- One side proposes, the other one countersigns, each through its own member's node. Until then nothing executes.
- Either side suspends, and only who suspended resumes. An operator may suspend one party in its market.
- Before the countersignature either side may end it at once; after it with the notice period. An earlier end by
  agreement is an amendment with another `end_ms`.
- An amendment replaces what it amends from its own start on, once countersigned.
- A dispute is closed by who accepts the other's figures, or by later statements that are equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from consortium.energy.contracts.contract import (
    Contract,
    State,
    StepSeen,
    Suspension,
    all_in_force,
    executes,
    in_force,
    party_suspended,
    state_at,
)
from consortium.energy.contracts.terms import MarketTerms, Terms
from consortium.energy.payloads.contracts import ContractFrame, ContractStep
from consortium.model.names import Party

__all__ = [
    "Contract",
    "State",
    "advance",
    "all_in_force",
    "amend",
    "apply_step",
    "disputed",
    "executes",
    "in_force",
    "party_suspended",
    "propose",
    "settled",
    "state_at",
]


def propose(
    id: bytes,
    index: int,
    author: str,
    frame: ContractFrame,
    terms: Terms | None = None,
    currency: str | None = None,
) -> Contract | str:
    """The contract that a record proposes, or why it proposes none. `author` is the member that signed the record."""
    if frame.proposer not in (frame.provider, frame.customer):
        return "the proposer is none of the sides"
    if Party.parse(frame.proposer).member != author:
        return "the proposer is not of the member that signed"
    if frame.end_ms and frame.end_ms <= frame.start_ms:
        return "it ends before it starts"
    if terms is not None and terms.kind != frame.kind:
        return "the terms are of another kind"
    return Contract(id, index, author, frame, terms, currency)


def apply_step(contract: Contract, step: ContractStep, author: str, index: int, at_ms: int = 0) -> Contract | str:
    """The contract after a step, or why the step has no effect.

    `author` is the member that signed the step's record, `at_ms` the ledger's time then, from which notice counts. A
    step takes effect at its own `start_ms`; what stands on the ledger before it stays as it is.
    """
    if step.contract != contract.id:
        return "the step is of another contract"
    if Party.parse(step.by).member != author:
        return "the step is not by the member that signed"
    if step.party is not None and (contract.frame.kind != "market" or step.step not in ("suspended", "resumed")):
        return "only a market suspends or resumes one party"
    if contract.side_of(step.by) is None and not _operates(contract, step):
        return "the step is by none of the sides"
    if step.step != "accepted" and state_at(contract, step.start_ms) is State.ENDED:
        return "the contract has ended"
    after = _STEPS[step.step](contract, step, index, at_ms)
    if isinstance(after, str):
        return after
    return replace(after, steps=(*contract.steps, StepSeen(step, author, index)))


def _operates(contract: Contract, step: ContractStep) -> bool:
    """Any operator of a market, side or not, may suspend a party in it."""
    operators = contract.terms.operators if isinstance(contract.terms, MarketTerms) else ()
    return step.party is not None and step.by in operators


def _countersign(contract: Contract, step: ContractStep, index: int, _: int) -> Contract | str:
    if contract.in_force_index is not None:
        return "it is countersigned already"
    if step.by != contract.other_side:
        return "only the other side countersigns"
    return replace(contract, in_force_index=index)


def _suspend(contract: Contract, step: ContractStep, _: int, __: int) -> Contract | str:
    if contract.in_force_index is None:
        return "it is not countersigned"
    if any(_same(s, step) and s.until_ms is None for s in contract.suspensions):
        return "it is suspended already"
    suspension = Suspension(step.by, step.party, step.start_ms)
    return replace(contract, suspensions=(*contract.suspensions, suspension))


def _resume(contract: Contract, step: ContractStep, _: int, __: int) -> Contract | str:
    open_ones = [s for s in contract.suspensions if _same(s, step) and s.until_ms is None]
    if not open_ones:
        return "it is not suspended by that side"
    until = max(step.start_ms, open_ones[0].from_ms)
    closed = replace(open_ones[0], until_ms=until)
    return replace(contract, suspensions=tuple(closed if s is open_ones[0] else s for s in contract.suspensions))


def _same(suspension: Suspension, step: ContractStep) -> bool:
    return (suspension.by, suspension.party) == (step.by, step.party)


def _end(contract: Contract, step: ContractStep, _: int, at_ms: int) -> Contract | str:
    if contract.in_force_index is None:
        return replace(contract, stopped_ms=0)
    if contract.notice_ms and step.start_ms < at_ms + contract.notice_ms:
        return "the notice period is not kept"
    if contract.stopped_ms is not None and contract.stopped_ms <= step.start_ms:
        return "it ends earlier already"
    return replace(contract, stopped_ms=step.start_ms)


def _accept(contract: Contract, step: ContractStep, _: int, __: int) -> Contract | str:
    if step.start_ms not in contract.disputes:
        return "that interval is not in dispute"
    return settled(contract, step.start_ms)


_STEPS = {"countersigned": _countersign, "suspended": _suspend, "resumed": _resume, "ended": _end, "accepted": _accept}


def advance(
    contracts: Mapping[bytes, Contract], step: ContractStep, author: str, index: int, at_ms: int = 0
) -> tuple[Contract, ...] | str:
    """Every contract that a step changes (two where an amendment is countersigned), or why it has no effect."""
    contract = contracts.get(step.contract)
    if contract is None:
        return "unknown contract"
    after = apply_step(contract, step, author, index, at_ms)
    if isinstance(after, str) or step.step != "countersigned" or contract.frame.amends is None:
        return after if isinstance(after, str) else (after,)
    old = contracts.get(contract.frame.amends)
    replaced = "it amends an unknown contract" if old is None else amend(old, after)
    return replaced if isinstance(replaced, str) else (after, replaced)


def amend(old: Contract, new: Contract) -> Contract | str:
    """The amended contract: it ends where the new one starts, and both stay visible."""
    if (old.frame.kind, old.sides) != (new.frame.kind, new.sides):
        return "an amendment is of the same kind and between the same sides"
    if old.in_force_index is None or new.in_force_index is None:
        return "both have to be countersigned"
    if old.replaced_by is not None:
        return "it is amended already"
    stops = new.frame.start_ms if old.stopped_ms is None else min(old.stopped_ms, new.frame.start_ms)
    return replace(old, stopped_ms=stops, replaced_by=new.id)


def disputed(contract: Contract, start_ms: int) -> Contract:
    """With the interval in dispute."""
    return replace(contract, disputes=tuple(sorted({*contract.disputes, start_ms})))


def settled(contract: Contract, start_ms: int) -> Contract:
    """With the interval's dispute closed: accepted, or both sides' later statements are equal."""
    return replace(contract, disputes=tuple(ms for ms in contract.disputes if ms != start_ms))
