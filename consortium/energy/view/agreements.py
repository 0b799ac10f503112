"""PPAs, standing agreements and calls of flexibility as this node sees them, and what they moved by the grid's word.

An agreement executes by whole intervals of its own that begin after both have signed: one in which it begins, ends or
is suspended it does not touch, and what was settled before the second signature stays as it is.
What the grid operator said of an interval while the agreement was in force stands, whatever step is taken later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from consortium.energy.contracts.contract import Contract, executes
from consortium.energy.payloads.contracts import Call
from consortium.energy.payloads.settlement import Agreed
from consortium.energy.zones import split

MOVING = ("ppa", "p2p")
"""Kinds that move energy; a call of flexibility only lessens what is used."""
Said = tuple[bytes, Agreed]


def throughout(contract: Contract, start_ms: int, interval_s: int) -> bool:
    """Whether a contract is in force in all of an interval."""
    end_ms = start_ms + interval_s * 1000
    inside = (s.from_ms for s in contract.suspensions if start_ms < s.from_ms < end_ms)
    return all(executes(contract, ms) for ms in (start_ms, *inside, end_ms - 1))


class Agreements:
    """The fold. `contracts` are the view's own by id, `signed_ms` the ledger's time when each was signed by both."""

    def __init__(self, contracts: Mapping[bytes, Contract], signed_ms: Mapping[bytes, int]) -> None:
        self._contracts = contracts
        self._signed_ms = signed_ms
        self._of_party: dict[str, list[bytes]] = {}
        self._said: dict[tuple[bytes, int], list[Said]] = {}
        self._calls: dict[bytes, dict[int, Call]] = {}

    def propose(self, contract: Contract) -> None:
        """Note a contract that was proposed."""
        frame = contract.frame
        if frame.kind == "flexibility" or (frame.kind in MOVING and frame.interval_s is not None):
            for side in dict.fromkeys(contract.sides):
                self._of_party.setdefault(side, []).append(contract.id)

    def say(self, record_id: bytes, said: Agreed) -> None:
        """What a grid operator wrote; a first word on an interval counts only if the contract was in force in it."""
        contract = self._contracts.get(said.contract)
        if contract is None or said.interval_s != self.interval_of(contract, said.start_ms):
            return
        versions = self._said.get((said.contract, said.start_ms), [])
        first = not versions and self.stands(contract, said.start_ms)
        if said.version == len(versions) + 1 and (versions or first):
            self._said.setdefault((said.contract, said.start_ms), []).append((record_id, said))

    def call(self, called: Call, member: str, time_ms: int) -> None:
        """A call by its customer's `member`. One after its interval began, or over what was promised, counts not."""
        contract = self._contracts.get(called.contract)
        if contract is None or contract.frame.kind != "flexibility" or time_ms > called.start_ms:
            return
        known = self._calls.setdefault(contract.id, {})
        right = contract.frame.customer.rpartition("@")[2] == member and not called.start_ms % (
            called.interval_s * 1000
        )
        many = contract.frame.max_calls is not None and len(known) >= contract.frame.max_calls
        clash = any(_overlap(called, other) for other in known.values())
        if right and not many and not clash and throughout(contract, called.start_ms, called.interval_s):
            known[called.start_ms] = called

    # --- reading ---------------------------------------------------------------------------------------------

    def of(self, party: str) -> Iterator[Contract]:
        """The agreements that a party is a side of, in the order of their proposals."""
        return (self._contracts[key] for key in self._of_party.get(party, ()))

    def moving(self, party: str) -> Iterator[Contract]:
        """Those of them that move energy."""
        return (contract for contract in self.of(party) if contract.frame.kind in MOVING)

    def calls(self, contract_id: bytes) -> Mapping[int, Call]:
        """The calls that count, by the start of their interval."""
        return self._calls.get(contract_id, {})

    def interval_of(self, contract: Contract, start_ms: int) -> int | None:
        """The length in seconds of the contract's interval that starts then; None if none does."""
        if contract.frame.kind == "flexibility":
            called = self.calls(contract.id).get(start_ms)
            return None if called is None else called.interval_s
        length = contract.frame.interval_s
        return None if length is None or start_ms % (length * 1000) else length

    def last(self, contract_id: bytes, start_ms: int) -> Said | None:
        """The last word on an interval, with its record."""
        versions = self._said.get((contract_id, start_ms))
        return versions[-1] if versions else None

    def stands(self, contract: Contract, start_ms: int) -> bool:
        """Whether the agreement executes in its interval that starts then."""
        length = self.interval_of(contract, start_ms)
        if length is None:
            return False
        if (contract.id, start_ms) in self._said:
            return True
        signed = self._signed_ms.get(contract.id, start_ms + 1)
        return signed <= start_ms and throughout(contract, start_ms, length)

    def said_in(self, contract: Contract, start_ms: int, length_s: int) -> Iterator[tuple[Said | None, int]]:
        """What is said of a span, by the agreement's intervals, and what each moved in the span, Wh."""
        own, end_ms = contract.frame.interval_s or length_s, start_ms + length_s * 1000
        for start in range(start_ms - start_ms % (own * 1000), end_ms, own * 1000):
            if not self.stands(contract, start):
                continue
            said = self.last(contract.id, start)
            wh = 0 if said is None else said[1].wh
            if own > length_s:
                wh = split(wh, own // length_s)[(start_ms - start) // (length_s * 1000)]
            yield said, wh

    def moved(self, contract: Contract, start_ms: int, length_s: int) -> int | None:
        """What an agreement moved in a span from provider to customer, Wh; None while the grid has not said all."""
        found = list(self.said_in(contract, start_ms, length_s))
        return None if any(said is None for said, _ in found) else sum(wh for _, wh in found)

    def position(self, party: str, start_ms: int, length_s: int) -> int | None:
        """What a party got by all its agreements in a span, less what it gave, Wh; None while that is not known."""
        total = 0
        for contract in self.moving(party):
            wh = self.moved(contract, start_ms, length_s)
            if wh is None:
                return None
            total += wh if contract.frame.customer == party else -wh
        return total

    def corrections(self, party: str, start_ms: int, length_s: int) -> int:
        """How often the grid corrected its word on a party's agreements in a span."""
        spans = (self.said_in(contract, start_ms, length_s) for contract in self.moving(party))
        return sum(said[1].version - 1 for span in spans for said, _ in span if said is not None)


def _overlap(one: Call, other: Call) -> bool:
    return (
        one.start_ms < other.start_ms + other.interval_s * 1000
        and other.start_ms < one.start_ms + one.interval_s * 1000
    )
