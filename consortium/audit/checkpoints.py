"""Checkpoints against the replay: the roots that the members signed are the roots that follow."""

from __future__ import annotations

from collections.abc import Iterable

from consortium.audit.outcome import Outcome
from consortium.audit.report import Finding
from consortium.crypto.merkle import EMPTY_ROOT
from consortium.crypto.notes import Checkpoint, SignedNote, verified_by
from consortium.crypto.trust import TrustPolicy
from consortium.errors import Malformed, ProofInvalid
from consortium.model.members import Genesis


class CheckpointCheck:
    """Compares checkpoints with the tree as it grows; `add` before the tree reaches their size.

    With `quorum_needed` (an export holds only cosigned ones) a checkpoint without a quorum is a finding; in a live
    store it is a checkpoint that is still collecting.
    """

    def __init__(self, policy: TrustPolicy, *, quorum_needed: bool) -> None:
        self._policy = policy
        self._quorum_needed = quorum_needed
        self._waiting: dict[int, list[tuple[str, Checkpoint, bool]]] = {}
        self.witnessed_size = 0

    def add(self, place: str, note: SignedNote) -> list[Finding]:
        """Check the signatures now, and the root when the tree is there."""
        cosigned = True
        try:
            checkpoint = Checkpoint.parse(note.text)
            verified_by(note, [*self._policy.logs, *self._policy.witnesses.values()])
        except (Malformed, ProofInvalid) as error:
            return [Finding(place, str(error))]
        try:
            self._policy.verify(note)
        except ProofInvalid as error:
            if self._quorum_needed:
                return [Finding(place, str(error))]
            cosigned = False
        if checkpoint.size == 0:
            return [] if checkpoint.root == EMPTY_ROOT else [Finding(place, "the root of no leaves is another")]
        self._waiting.setdefault(checkpoint.size, []).append((place, checkpoint, cosigned))
        return []

    def pass_block(self, outcome: Outcome) -> list[Finding]:
        """Compare the checkpoints whose size the block reached."""
        findings = []
        first, last = outcome.before.size, outcome.before.size + len(outcome.leaves)
        for size in [s for s in self._waiting if first < s <= last] if self._waiting else []:
            root = outcome.tree_at(size).root()
            for place, checkpoint, cosigned in self._waiting.pop(size):
                if not outcome.certain:
                    continue
                if checkpoint.root != root:
                    sentence = f"the checkpoint's root of {size} leaves is not the one that follows"
                    findings.append(Finding(place, sentence, outcome.block.height))
                elif cosigned:
                    self.witnessed_size = max(self.witnessed_size, size)
        return findings

    def close(self, size: int) -> list[Finding]:
        """What is left when an export ends at `size` leaves. (A live store may know of larger trees than its own.)"""
        findings = [
            Finding(place, f"the checkpoint states {checkpoint.size} leaves, the ledger ends at {size}")
            for waiting in self._waiting.values()
            for place, checkpoint, _ in waiting
        ]
        if size and not self.witnessed_size:
            findings.append(Finding("checkpoints", "no checkpoint with a quorum of cosignatures vouches for the tree"))
        return findings


def foreign_keys(policy: TrustPolicy, genesis: Genesis, place: str) -> list[Finding]:
    """Keys of an export's own trust file that no member of the genesis has."""
    logs = {member.keys.log for member in genesis.members}
    witnesses = {member.keys.witness for member in genesis.members}
    findings = [
        *_foreign((key.name for key in policy.logs if key.public not in logs), place, "log"),
        *_foreign((name for name, key in policy.witnesses.items() if key.public not in witnesses), place, "witness"),
    ]
    if policy.quorum == "none":
        findings.append(Finding(place, "the trust file asks for no cosignature"))
    return findings


def _foreign(names: Iterable[str], place: str, kind: str) -> list[Finding]:
    return [Finding(place, f"the key of the {kind} {name} is no member's") for name in names]
