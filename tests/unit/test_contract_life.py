"""The life of a contract, step by step."""

from __future__ import annotations

import pytest

from consortium.energy.contracts.contract import Contract, State
from consortium.energy.contracts.lifecycle import (
    advance,
    all_in_force,
    apply_step,
    disputed,
    executes,
    in_force,
    party_suspended,
    propose,
    settled,
    state_at,
)
from tests.contracting import DAY, HOME, START, frame_of, proposed, signed, step_of


def after(contract: Contract, step: str, by: str, start_ms: int = START, **more: object) -> Contract:
    found = apply_step(contract, step_of(contract, step, by, start_ms, **more), by.rpartition("@")[2], 50)
    assert isinstance(found, Contract), found
    return found


def why_not(contract: Contract, step: str, by: str, start_ms: int = START, **more: object) -> str:
    author = str(more.pop("author", by.rpartition("@")[2]))
    at_ms = int(str(more.pop("at_ms", 0)))
    found = apply_step(contract, step_of(contract, step, by, start_ms, **more), author, 50, at_ms)
    assert isinstance(found, str), found
    return found


def test_from_proposal_to_end() -> None:
    contract = proposed()
    assert contract.other_side == HOME
    assert state_at(contract, START) is State.PROPOSED
    contract = after(contract, "countersigned", HOME)
    assert contract.in_force_index == 50
    expected = [(START - 1, State.COUNTERSIGNED), (START, State.IN_FORCE), (START + 100 * DAY, State.ENDED)]
    assert [(ms, state_at(contract, ms)) for ms, _ in expected] == expected
    assert state_at(contract, START + 100 * DAY - 1) is State.IN_FORCE


def test_only_the_other_side_countersigns_through_its_member() -> None:
    contract = proposed()
    assert why_not(contract, "countersigned", "cityretail") == "only the other side countersigns"
    assert why_not(contract, "countersigned", "gridco") == "the step is by none of the sides"
    assert "by the member that signed" in why_not(contract, "countersigned", HOME, author="cityretail")
    assert "already" in why_not(after(contract, "countersigned", HOME), "countersigned", HOME)
    assert why_not(contract, "suspended", HOME) == "it is not countersigned"
    other = step_of(proposed(number=2), "countersigned", HOME)
    assert apply_step(contract, other, "suncoop", 50) == "the step is of another contract"


@pytest.mark.parametrize(("author", "proposer"), [("gridco", "gridco"), ("suncoop", "cityretail")])
def test_who_may_propose(author: str, proposer: str) -> None:
    assert isinstance(propose(bytes(16), 1, author, frame_of("supply", proposer=proposer)), str)


def test_a_declined_proposal_is_over() -> None:
    contract = after(proposed(), "ended", HOME)
    assert state_at(contract, START) is State.ENDED
    assert why_not(contract, "countersigned", HOME) == "the contract has ended"


def test_suspension_is_lifted_by_who_imposed_it() -> None:
    contract = after(signed(), "suspended", HOME, START + DAY)
    assert "already" in why_not(contract, "suspended", HOME, START + 2 * DAY)
    assert "not suspended by that side" in why_not(contract, "resumed", "cityretail", START + 2 * DAY)
    contract = after(contract, "suspended", "cityretail", START + 3 * DAY)
    contract = after(contract, "resumed", HOME, START + 2 * DAY)
    states = [state_at(contract, START + day * DAY) for day in range(5)]
    assert states == [State.IN_FORCE, State.SUSPENDED, State.IN_FORCE, State.SUSPENDED, State.SUSPENDED]
    assert not executes(contract, START + DAY)


def test_ending_takes_the_notice_period() -> None:
    contract = signed()  # 30 days
    late = "the notice period is not kept"
    assert why_not(contract, "ended", HOME, START + 30 * DAY - 1, at_ms=START) == late
    unread = Contract(contract.id, 1, "cityretail", contract.frame, in_force_index=2)
    assert why_not(unread, "ended", HOME, START + 30 * DAY - 1, at_ms=START) == late
    contract = after(contract, "ended", HOME, START + 30 * DAY)
    assert state_at(contract, START + 30 * DAY - 1) is State.IN_FORCE
    assert state_at(contract, START + 30 * DAY) is State.ENDED
    assert why_not(contract, "ended", "cityretail", START + 40 * DAY) == "the contract has ended"


def test_an_amendment_replaces_from_its_start_and_both_stay() -> None:
    old, new = signed(), proposed(number=2, start_ms=START + 10 * DAY, amends=bytes([1]) * 16)
    contracts = {old.id: old, new.id: new}
    assert in_force(contracts, "supply", HOME, START + 10 * DAY) is old  # one signature changes nothing
    changed = advance(contracts, step_of(new, "countersigned", HOME), "suncoop", 60)
    assert not isinstance(changed, str)
    contracts |= {c.id: c for c in changed}
    for ms, expected in ((START + 10 * DAY - 1, old.id), (START + 10 * DAY, new.id)):
        found = all_in_force(contracts, "supply", HOME, ms)
        assert [c.id for c in found] == [expected]
    assert contracts[old.id].replaced_by == new.id
    third = proposed(number=3, start_ms=START + 20 * DAY, amends=old.id)
    contracts[third.id] = third
    assert advance(contracts, step_of(third, "countersigned", HOME), "suncoop", 61) == "it is amended already"


def test_an_amendment_of_what_is_not_there() -> None:
    new = proposed(number=2, amends=bytes([9]) * 16)
    step = step_of(new, "countersigned", HOME)
    assert advance({new.id: new}, step, "suncoop", 60) == "it amends an unknown contract"
    assert advance({}, step, "suncoop", 60) == "unknown contract"
    unsigned = proposed()
    amending = proposed(number=2, amends=unsigned.id)
    both = {unsigned.id: unsigned, amending.id: amending}
    assert advance(both, step_of(amending, "countersigned", HOME), "suncoop", 60) == "both have to be countersigned"


def test_a_dispute_goes_on_executing_until_accepted() -> None:
    contract = disputed(signed(), START + 5)
    assert state_at(contract, START) is State.DISPUTED
    assert executes(contract, START)
    assert in_force((contract,), "supply", HOME, START) is contract
    assert why_not(contract, "accepted", HOME, START + 6) == "that interval is not in dispute"
    assert state_at(after(contract, "accepted", HOME, START + 5), START) is State.IN_FORCE
    assert settled(contract, START + 5).disputes == ()


def test_a_market_suspends_one_party() -> None:
    market = after(signed("market"), "suspended", "suncoop", START + DAY, party="cityretail")
    market = after(market, "suspended", "gridco", START + DAY, party=HOME)
    assert state_at(market, START + DAY) is State.IN_FORCE
    assert party_suspended(market, "home-09@cityretail", START + DAY)
    assert not party_suspended(market, "home-09@cityretail", START + DAY - 1)
    assert party_suspended(market, HOME, START + DAY)
    assert not party_suspended(market, "home-02@suncoop", START + DAY)
    market = after(market, "resumed", "gridco", START + 2 * DAY, party=HOME)
    assert not party_suspended(market, HOME, START + 2 * DAY)
    assert "only a market" in why_not(signed(), "suspended", HOME, party=HOME)
    assert "only a market" in why_not(market, "ended", "suncoop", party=HOME)
    assert "none of the sides" in why_not(market, "suspended", "cityretail", party=HOME)


def test_a_second_contract_does_not_displace_the_first() -> None:
    first, second = signed(number=2), signed(number=3)
    assert in_force((second, first), "supply", HOME, START) is first
    assert in_force((second, first), "supply", "home-02@suncoop", START) is None
    assert in_force((second, first), "grid", HOME, START) is None
