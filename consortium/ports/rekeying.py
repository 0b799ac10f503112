"""What a node rewrites in its own database when its keys change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from consortium.ports.party import HeldRecord


@dataclass(frozen=True, slots=True)
class SealedRow:
    """Something that is sealed at rest: where it stands (`kind` is a place that the store knows, `key` its row), and
    the parts that its context is made of.
    """

    kind: str
    key: tuple[object, ...]
    sealed: bytes


class RekeyStore(Protocol):
    """Held records and what is sealed at rest, in slices. Raises `StoreUnavailable`."""

    async def held_after(self, after: int, limit: int) -> Sequence[HeldRecord]:
        """Held records of tree indexes > `after`, in the order of the tree."""
        ...

    async def missing_count(self) -> int:
        """Payloads that this node still has to fetch."""
        ...

    async def add_rewraps(self, held: HeldRecord, sealed: Sequence[bytes]) -> None:
        """What the wraps of a held record opened to, one for each of its slots. Repeating it changes nothing; of a
        record that is not held any more nothing is kept.
        """
        ...

    @property
    def kinds(self) -> Sequence[str]:
        """The places where something is sealed at rest."""
        ...

    async def sealed_after(self, kind: str, after: tuple[object, ...] | None, limit: int) -> Sequence[SealedRow]:
        """Rows of a place in the order of their keys, after that key (None: from the first)."""
        ...

    async def replace_sealed(self, row: SealedRow, sealed: bytes) -> bool:
        """Put another box where `row` has its; False if it changed meanwhile, or is gone."""
        ...
