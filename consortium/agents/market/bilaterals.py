"""Both sides of a PPA, a standing agreement or a flexibility contract say what an interval comes to.

The energy is the grid operator's word (`agreed`), but a side states no more than its contract and its own meter show.
"""

from __future__ import annotations

from collections.abc import Iterator

from consortium.agents.market.duty import Done, Duty
from consortium.agents.market.statement import Bill, statement
from consortium.energy import bilateral
from consortium.energy.contracts.lifecycle import Contract
from consortium.energy.contracts.terms import FlexibilityTerms, P2pTerms, PpaTerms
from consortium.energy.payloads.settlement import Agreed, Line
from consortium.energy.view.view import View
from consortium.model.names import Party

Moving = PpaTerms | P2pTerms | FlexibilityTerms


def bilateral_statements(view: View, contract_id: bytes, start_ms: int, done: Done) -> Iterator[Duty]:
    """The statements of this member's sides about the last word on an interval."""
    contract, found = view.contract(contract_id), view.agreements.last(contract_id, start_ms)
    if contract is None or found is None or not isinstance(contract.terms, PpaTerms | P2pTerms | FlexibilityTerms):
        return
    record_id, said = found
    for by in dict.fromkeys(contract.sides):
        if Party.parse(by).member != view.member:
            continue
        wh = min(said.wh, _most(view, contract, contract.terms, said, by))
        bill = _bill(contract, contract.terms, said, wh, record_id)
        if not done(bill.cause(by)):
            yield statement(view, bill, by)


def _bill(contract: Contract, terms: Moving, said: Agreed, wh: int, record_id: bytes) -> Bill:
    clause, lines, amount = _lines(terms, wh)
    # Energy from outside bears the fee that the provider hands on, energy of a neighbour the customer's own.
    handed_on = 0 if said.fee or isinstance(terms, FlexibilityTerms) else wh * contract.frame.grid_fee
    return Bill(
        contract,
        said.start_ms,
        said.interval_s,
        said.version,
        wh_out=wh,
        wh_in=0,
        lines=lines,
        amount=amount,
        clause=clause,
        causes=(record_id,),
        grid_fee=handed_on,
        local_fee=said.fee,
    )


def _lines(terms: Moving, wh: int) -> tuple[str, tuple[Line, ...], int]:
    if isinstance(terms, PpaTerms):
        return (bilateral.PPA_PRICE, *bilateral.ppa(wh, terms.price))
    if isinstance(terms, P2pTerms):
        return (bilateral.P2P_PRICE, *bilateral.p2p(wh, terms.price))
    return (bilateral.FLEXIBILITY_PRICE, *bilateral.met(wh, terms.price))


def _most(view: View, contract: Contract, terms: Moving, said: Agreed, by: str) -> int:
    """What a side takes for possible, Wh: by the terms, and by its own meter where it has one."""
    if isinstance(terms, PpaTerms):
        return bilateral.ppa_at(terms.profile, terms.interval_s, terms.zone, said.start_ms)
    metered = view.metered(by, said.start_ms, said.interval_s)
    net = None if metered is None else metered[0] - metered[1]
    if isinstance(terms, P2pTerms):
        own = terms.max_wh if net is None else -net if by == contract.frame.provider else net
        return max(0, min(terms.max_wh, own))
    called = view.agreements.calls(contract.id).get(said.start_ms)
    most = 0 if called is None else min(called.wh, terms.max_wh)
    before_ms = view.day_before(by, said.start_ms, said.interval_s)
    before = view.metered(by, before_ms, said.interval_s)
    if by != contract.frame.provider or net is None or before is None:
        return most
    return bilateral.flexibility_wh(before[0] - before[1], net, most)
