"""Checkpoints and cosignatures as a node keeps them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from consortium.crypto.notes import SignedNote


class WitnessStore(Protocol):
    """Checkpoints and cosignatures; not part of the ledger, and different on every node."""

    async def save(self, note: SignedNote) -> SignedNote:
        """Merge the note's signatures into the stored one of the same text; the merged note."""
        ...

    async def latest(self) -> SignedNote | None:
        """The stored note of the largest tree."""
        ...

    async def notes(self, min_size: int, limit: int) -> Sequence[SignedNote]:
        """Stored notes of trees with at least `min_size` leaves, by size."""
        ...

    async def prune(self, keep_below: Collection[int], newest: int) -> None:
        """Forget notes of trees smaller than the `newest` largest ones, except the sizes named."""
        ...

    async def cosigned_size(self) -> int:
        """The tree size that this node cosigned last; 0 if never."""
        ...

    async def advance_cosigned(self, old: int, new: int) -> bool:
        """Set the cosigned size to `new` if it is `old`, durably and atomically; whether it was."""
        ...

    async def member_sizes(self) -> Mapping[str, int]:
        """The largest tree size per cosigner name that was seen under a stored note."""
        ...

    async def saw(self, cosigner: str, size: int) -> None:
        """Remember that `cosigner` cosigned a tree of `size`; never goes back."""
        ...
