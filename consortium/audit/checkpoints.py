"""Checkpoints against the replay: the roots that the members signed are the roots that follow, and those who signed
were members then, with the keys of then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from consortium.audit.outcome import Outcome
from consortium.audit.report import Finding
from consortium.audit.trusting import KeyHistory
from consortium.crypto.merkle import EMPTY_ROOT
from consortium.crypto.notes import Checkpoint, SignedNote, verified_by
from consortium.crypto.trust import TrustPolicy
from consortium.errors import Malformed, ProofInvalid
from consortium.ledger import witnessing
from consortium.ledger.governance.state import Governance
from consortium.model.members import Member


@dataclass(frozen=True, slots=True)
class _Noted:
    """A checkpoint; `governance` is what stood decided when the tree had its size (None: it never had)."""

    place: str
    checkpoint: Checkpoint
    note: SignedNote
    governance: Governance | None = None
    follows: bool = False


class CheckpointCheck:
    """Compares checkpoints with the tree as it grows; `add` before the tree reaches their size.

    `policy` is what the auditor trusts. Without one, or where it does not accept a checkpoint of a time with other
    members than the genesis names, the members of then count, as votes on the ledger made them.
    With `quorum_needed` (an export holds only cosigned ones) a checkpoint without a quorum is a finding; in a live
    store it is a checkpoint that is still collecting.
    """

    def __init__(self, policy: TrustPolicy | None, *, quorum_needed: bool) -> None:
        self._policy = policy
        self._quorum_needed = quorum_needed
        self._waiting: dict[int, list[_Noted]] = {}
        self._reached: list[_Noted] = []
        self._sizes: dict[int, int] = {}
        self._governance: Governance | None = None
        self._then: tuple[tuple[Member, ...], TrustPolicy] | None = None
        self.followed_size = self.witnessed_size = 0

    def add(self, place: str, note: SignedNote) -> list[Finding]:
        """One more checkpoint."""
        try:
            checkpoint = Checkpoint.parse(note.text)
        except Malformed as error:
            return [Finding(place, str(error))]
        if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
            return [Finding(place, "the root of no leaves is another")]
        if checkpoint.size:
            self._waiting.setdefault(checkpoint.size, []).append(_Noted(place, checkpoint, note))
        return []

    def pass_block(self, outcome: Outcome) -> list[Finding]:
        """Compare the checkpoints whose size the block reached."""
        findings = []
        first, last = outcome.before.size, outcome.before.size + len(outcome.leaves)
        if outcome.state.governance is not self._governance:
            self._governance = outcome.state.governance
            self._sizes[outcome.block.height] = last
        for size in [s for s in self._waiting if first < s <= last] if self._waiting else []:
            root = outcome.tree_at(size).root()
            for noted in self._waiting.pop(size):
                follows = outcome.certain and noted.checkpoint.root == root
                if outcome.certain and not follows:
                    sentence = f"the checkpoint's root of {size} leaves is not the one that follows"
                    findings.append(Finding(noted.place, sentence, outcome.block.height))
                if follows:
                    self.followed_size = max(self.followed_size, size)
                self._reached.append(
                    _Noted(noted.place, noted.checkpoint, noted.note, outcome.state.governance, follows)
                )
        return findings

    def judge(self) -> list[Finding]:
        """Whose signatures stand under the checkpoints, now that it is known who had which keys when."""
        rest = (noted for waiting in self._waiting.values() for noted in waiting)
        if self._governance is None:
            return []
        history = KeyHistory(self._governance, self._sizes)
        return [f for noted in (*self._reached, *rest) for f in self._judge(noted, history, self._governance)]

    def _judge(self, noted: _Noted, history: KeyHistory, latest: Governance) -> list[Finding]:
        size = noted.checkpoint.size
        findings = [Finding(noted.place, sentence) for sentence in history.replaced(noted.note, size)]
        policies = self._policies(noted.governance or latest)
        listed = (key for policy in policies for key in (*policy.logs, *policy.witnesses.values()))
        try:
            verified_by(noted.note, [key for own in listed for key in history.stands_for(own, size)])
        except ProofInvalid as error:
            return [*findings, Finding(noted.place, str(error))]
        refusals = [history.refusal(policy, noted.note, size) for policy in policies]
        if all(refusals):
            return [*findings, Finding(noted.place, refusals[0])] if self._quorum_needed else findings
        if noted.follows:
            self.witnessed_size = max(self.witnessed_size, size)
        return findings

    def _policies(self, governance: Governance) -> list[TrustPolicy]:
        if self._policy is not None and governance.members == governance.genesis.members:
            return [self._policy]
        if self._then is None or self._then[0] != governance.members:
            self._then = governance.members, witnessing.trust_policy(governance)
        return [self._policy, self._then[1]] if self._policy is not None else [self._then[1]]

    def close(self, size: int) -> list[Finding]:
        """`judge`, and what is left when an export ends at `size` leaves. (A live store may know of larger trees than
        its own.)
        """
        findings = self.judge()
        findings += [
            Finding(noted.place, f"the checkpoint states {noted.checkpoint.size} leaves, the ledger ends at {size}")
            for waiting in self._waiting.values()
            for noted in waiting
        ]
        if size and not self.witnessed_size:
            findings.append(Finding("checkpoints", "no checkpoint with a quorum of cosignatures vouches for the tree"))
        return findings


def foreign_keys(policy: TrustPolicy, governance: Governance, place: str) -> list[Finding]:
    """Keys of an export's own trust file that no member ever had."""
    ever = [period.keys for standing in governance.standings.values() for period in standing.periods]
    logs, witnesses = {keys.log for keys in ever}, {keys.witness for keys in ever}
    findings = [
        *_foreign((key.name for key in policy.logs if key.public not in logs), place, "log"),
        *_foreign((name for name, key in policy.witnesses.items() if key.public not in witnesses), place, "witness"),
    ]
    if policy.quorum == "none":
        findings.append(Finding(place, "the trust file asks for no cosignature"))
    return findings


def _foreign(names: Iterable[str], place: str, kind: str) -> list[Finding]:
    return [Finding(place, f"the key of the {kind} {name} is no member's") for name in names]
