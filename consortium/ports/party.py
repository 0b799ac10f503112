"""What a node holds as a party: payloads, and its index of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class HeldRecord:
    """What a party keeps of a record beside its header.

    `index` is the tree index; `slots` are the numbers of the wraps that are addressed to this node.
    """

    index: int
    id: bytes
    header_bytes: bytes
    bodies: tuple[bytes, ...]
    wraps: bytes
    slots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Arrived:
    """A held record and the ledger's time at its block, UTC ms."""

    held: HeldRecord
    time_ms: int


@dataclass(frozen=True, slots=True)
class MissingRecord:
    """A record that is addressed to this node, and whose payload it still has to fetch."""

    index: int
    id: bytes
    author: str


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A line in the node's own index of what it may open.

    `party` is the party's tag blinded under the node's storage key (16 bytes): the database shows that two records
    have the same reader, never who that is. `start_ms` is the start of the record's period (or when it was created).
    """

    index: int
    party: bytes
    type: str
    start_ms: int


class PartyStore(Protocol):
    """What this node holds as a party: payloads (sealed as ever), and its index of them.

    `reader` methods see only rows of the parties that they name: row-level security stands behind them.
    """

    async def unindexed(self, limit: int) -> Sequence[HeldRecord]:
        """Held records that were not indexed yet, in the order of the tree."""
        ...

    async def indexed_up_to(self) -> int:
        """Every held record of a smaller tree index is indexed."""
        ...

    async def add_index(self, entries: Sequence[IndexEntry], up_to: int) -> None:
        """Add index lines and move the mark, in one transaction; repeating it changes nothing."""
        ...

    async def held(self, record_id: bytes) -> HeldRecord | None:
        """The payload of a record that this node is a party to, or None."""
        ...

    async def readers(self, index: int) -> frozenset[bytes]:
        """The blinded tags of the parties of this node that may open the record."""
        ...

    async def find(
        self,
        parties: Collection[bytes],
        *,
        type: str | None,
        from_ms: int | None,
        to_ms: int | None,
        after: int,
        limit: int,
    ) -> Sequence[HeldRecord]:
        """Held records that any of `parties` may open, of a type, with from_ms <= start < to_ms, and tree index >
        `after` (-1 for all), in the order of the tree, each once.
        """
        ...

    async def arrived(self, after: int, limit: int) -> Sequence[Arrived]:
        """Held records of tree indexes > `after` in the order of the tree, up to the first one that is missing: what is
        fetched later is given in its turn.
        """
        ...

    async def missing(self, limit: int, after: int = -1) -> Sequence[MissingRecord]:
        """Payloads that this node still has to fetch, of tree indexes > `after`, in the order of the tree."""
        ...

    async def fill(self, held: HeldRecord, entries: Sequence[IndexEntry]) -> None:
        """A missing payload has come: store it with its index lines, strike it off the missing."""
        ...
