"""The ledger's state between two blocks: small enough to hold in memory whatever the ledger's length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from consortium.crypto.merkle import Tree
from consortium.ledger.governance.constitution import founded
from consortium.ledger.governance.state import Governance
from consortium.model.members import Genesis


@dataclass(frozen=True, slots=True)
class MemberState:
    """What the ledger knows of a member's batches: the next sequence, and the time of the latest good one."""

    next_sequence: int = 0
    latest_ms: int | None = None


@dataclass(frozen=True, slots=True)
class LedgerState:
    """After `height` blocks. `digest` is the last block's hash (the genesis digest at height 0).

    `members` are all that ever were, those removed too: their numbers go on where they stopped if they come back.
    """

    genesis: Genesis
    governance: Governance
    height: int
    digest: bytes
    position: int
    time_ms: int
    tree: Tree
    members: Mapping[str, MemberState] = field(default_factory=dict)

    def next_sequence(self, member: str) -> int:
        """The sequence that the member's next batch must carry."""
        known = self.members.get(member)
        return known.next_sequence if known else 0


def initial(genesis: Genesis) -> LedgerState:
    """The state that every node starts from."""
    members = {m.name: MemberState() for m in genesis.members}
    return LedgerState(genesis, founded(genesis), 0, genesis.digest(), 0, 0, Tree(), members)


def ledger_time(state: LedgerState, members: Mapping[str, MemberState]) -> int:
    """The median (the lower of two) of the latest batch times of the members of now, never backwards.

    So no single member can move the ledger's time, neither by a wrong clock nor by silence.
    """
    # Who has not spoken yet counts as time 0: else the first to speak would set the time for everybody.
    times = sorted(members[m.name].latest_ms or 0 for m in state.governance.members)
    return max(state.time_ms, times[(len(times) - 1) // 2])
