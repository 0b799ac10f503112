"""Checkpoints against the replay: the roots that the members signed are the roots that follow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from consortium.audit.outcome import Outcome
from consortium.audit.report import Finding
from consortium.crypto.merkle import EMPTY_ROOT
from consortium.crypto.notes import Checkpoint, SignedNote, verified_by
from consortium.crypto.trust import TrustPolicy
from consortium.errors import Malformed, ProofInvalid
from consortium.ledger import witnessing
from consortium.ledger.governance.state import Governance
from consortium.model.members import Member


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A checkpoint that the tree has not reached. `refusal` is why the policy does not accept it, or ''."""

    place: str
    note: SignedNote
    checkpoint: Checkpoint
    refusal: str


class CheckpointCheck:
    """Compares checkpoints with the tree as it grows; `add` before the tree reaches their size.

    The policy that is believed in counts. Where it does not accept a checkpoint of a time with other members than the
    genesis names, those members count, as votes on the ledger made them: with them a quorum of then is one.
    With `quorum_needed` (an export holds only cosigned ones) a checkpoint without a quorum is a finding; in a live
    store it is a checkpoint that is still collecting.
    """

    def __init__(self, policy: TrustPolicy, *, quorum_needed: bool) -> None:
        self._policy = policy
        self._quorum_needed = quorum_needed
        self._waiting: dict[int, list[_Waiting]] = {}
        self._then: tuple[tuple[Member, ...], TrustPolicy] | None = None
        self.witnessed_size = 0

    def add(self, place: str, note: SignedNote) -> list[Finding]:
        """Check the signatures now, and the root when the tree is there."""
        try:
            checkpoint = Checkpoint.parse(note.text)
            verified_by(note, [*self._policy.logs, *self._policy.witnesses.values()])
        except (Malformed, ProofInvalid) as error:
            return [Finding(place, str(error))]
        refusal = _refusal(self._policy, note)
        if checkpoint.size == 0:
            return [] if checkpoint.root == EMPTY_ROOT else [Finding(place, "the root of no leaves is another")]
        self._waiting.setdefault(checkpoint.size, []).append(_Waiting(place, note, checkpoint, refusal))
        return []

    def pass_block(self, outcome: Outcome) -> list[Finding]:
        """Compare the checkpoints whose size the block reached."""
        findings = []
        first, last = outcome.before.size, outcome.before.size + len(outcome.leaves)
        for size in [s for s in self._waiting if first < s <= last] if self._waiting else []:
            root = outcome.tree_at(size).root()
            for each in self._waiting.pop(size):
                refusal = self._judge(each, outcome.state.governance)
                if refusal and self._quorum_needed:
                    findings.append(Finding(each.place, refusal))
                    continue
                if not outcome.certain:
                    continue
                if each.checkpoint.root != root:
                    sentence = f"the checkpoint's root of {size} leaves is not the one that follows"
                    findings.append(Finding(each.place, sentence, outcome.block.height))
                elif not refusal:
                    self.witnessed_size = max(self.witnessed_size, size)
        return findings

    def _judge(self, waiting: _Waiting, governance: Governance) -> str:
        """Why nothing vouches for it; '' if something does."""
        if not waiting.refusal or governance.members == governance.genesis.members:
            return waiting.refusal
        if self._then is None or self._then[0] != governance.members:
            self._then = governance.members, witnessing.trust_policy(governance)
        return waiting.refusal and _refusal(self._then[1], waiting.note)

    def close(self, size: int) -> list[Finding]:
        """What is left when an export ends at `size` leaves. (A live store may know of larger trees than its own.)"""
        findings = [
            Finding(each.place, f"the checkpoint states {each.checkpoint.size} leaves, the ledger ends at {size}")
            for waiting in self._waiting.values()
            for each in waiting
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


def _refusal(policy: TrustPolicy, note: SignedNote) -> str:
    try:
        policy.verify(note)
    except ProofInvalid as error:
        return str(error)
    return ""


def _foreign(names: Iterable[str], place: str, kind: str) -> list[Finding]:
    return [Finding(place, f"the key of the {kind} {name} is no member's") for name in names]
