"""What a node destroys of erased records, and what it keeps to know of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from consortium.ports.party import HeldRecord


@dataclass(frozen=True, slots=True)
class Remains:
    """A record of which this node still has something: its payload (`held`), or the wish to fetch it (None)."""

    index: int
    id: bytes
    header_bytes: bytes
    held: HeldRecord | None


@dataclass(frozen=True, slots=True)
class Destroyed:
    """A record to be destroyed here: `order` is the id of the tombstone, or of the court's order, that it goes by.

    `closed` are blinded tags (16 bytes) of what must not be computed anew without it.
    """

    index: int
    id: bytes
    order: bytes
    closed: tuple[bytes, ...] = ()


class ErasureStore(Protocol):
    """Destroys payloads. Raises `StoreUnavailable` from every method while Postgres is away."""

    async def remains(self, ids: Collection[bytes]) -> Sequence[Remains]:
        """Those of the records of which anything is left here, in the order of the tree."""
        ...

    async def destroy(self, records: Sequence[Destroyed]) -> None:
        """In one transaction: payload, index lines, the wish to fetch it, and every other row that is kept under its
        tree index go; that it was erased, and its tags, are noted. Repeating it changes nothing.

        What is under way meanwhile cannot bring it back: what fills in a payload does so only where one is missing.
        """
        ...

    async def erased(self, ids: Collection[bytes]) -> Collection[bytes]:
        """Those of the records that were destroyed here."""
        ...

    async def closed(self) -> frozenset[bytes]:
        """All tags of `Destroyed.closed`."""
        ...
