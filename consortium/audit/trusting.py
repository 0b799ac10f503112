"""Trust through time: whose signatures count under a checkpoint, once members have rotated their keys.

A key counts under trees that were complete before it was replaced, and under no larger one: so what a stolen key signs
after its revocation is named. A newer key counts under older trees as well, since a member may cosign late. A trust
file follows a member through its rotations: they are on the ledger, and the replay has checked them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from consortium.crypto.notes import COSIGNATURE_V1, ED25519, SignedNote, VerifierKey, verified_by
from consortium.crypto.trust import TrustPolicy
from consortium.errors import ProofInvalid
from consortium.ledger.governance.state import Governance
from consortium.ledger.witnessing import cosigner_name

_ENDLESS = 1 << 63


@dataclass(frozen=True, slots=True)
class _Held:
    """A member's key, and the size of the largest tree that it counts under; `since` is the block that replaced it."""

    member: str
    key: VerifierKey
    last_size: int
    since: int | None


class KeyHistory:
    """All keys for checkpoints that members ever had. `size_after` are tree sizes by height, of blocks at least that
    changed who is a member, or a member's keys.
    """

    def __init__(self, governance: Governance, size_after: Mapping[int, int]) -> None:
        self._held = tuple(_history(governance, size_after))

    def stands_for(self, key: VerifierKey, size: int) -> tuple[VerifierKey, ...]:
        """The keys of the same member and purpose that count under a tree of `size` leaves; a stranger's key itself."""
        owner = next((h for h in self._held if h.key.public == key.public and h.key.kind == key.kind), None)
        if owner is None:
            return (key,)
        mine = (h for h in self._held if h.member == owner.member and h.key.kind == key.kind)
        return tuple(dict.fromkeys(h.key for h in mine if size <= h.last_size))

    def refusal(self, policy: TrustPolicy, note: SignedNote, size: int) -> str:
        """Why the policy does not accept the note of a tree of `size` leaves; '' if it does."""
        try:
            policy.verify(note, lambda key: self.stands_for(key, size))
        except ProofInvalid as error:
            return str(error)
        return ""

    def replaced(self, note: SignedNote, size: int) -> list[str]:
        """A sentence for each signature under the note by a key that had been replaced when the tree was that large."""
        counting = {h.key for h in self._held if size <= h.last_size}
        ended = {h.key: h for h in self._held if h.key not in counting}
        try:
            found = verified_by(note, list(ended))
        except ProofInvalid as error:
            return [str(error)]
        return [
            f"a key of {ended[key].member} signed it that block {(ended[key].since or 1) - 1} had taken from it"
            for key in found
        ]


def _history(governance: Governance, size_after: Mapping[int, int]) -> Iterator[_Held]:
    for standing in governance.standings.values():
        ends = [*(period.since for period in standing.periods[1:]), standing.removed]
        for period, end in zip(standing.periods, ends, strict=True):
            last = _ENDLESS if end is None else size_after.get(end - 1, _ENDLESS)
            name = cosigner_name(governance, standing.name)
            witness = VerifierKey(name, COSIGNATURE_V1, period.keys.witness)
            for key in (VerifierKey(governance.origin, ED25519, period.keys.log), witness):
                yield _Held(standing.name, key, last, end)
