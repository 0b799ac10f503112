"""What a node holds as a party: payloads, and its index of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class HeldRecord:
    """What a party keeps of a record beside its header.

    `index` is the tree index; `slots` are the numbers of the wraps that are addressed to this node. `rewraps` is what
    these opened to, one for each, sealed at rest: kept where the key that they are addressed to was destroyed.
    """

    index: int
    id: bytes
    header_bytes: bytes
    bodies: tuple[bytes, ...]
    wraps: bytes
    slots: tuple[int, ...]
    rewraps: tuple[bytes, ...] = ()


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


@dataclass(frozen=True, slots=True)
class Kind:
    """What the index says of a record: its type, and the start of its period, UTC ms. It is known without opening."""

    type: str
    start_ms: int


@dataclass(frozen=True, slots=True)
class Count:
    """How many records of a type one party of this node, by its blinded tag, holds a key to."""

    party: bytes
    type: str
    records: int


class PartyStore(Protocol):
    """What this node holds as a party: payloads (sealed as ever), and its index of them.

    A method that is given `parties` answers a caller: it sees no row but those parties' own, whatever it asks for
    (row-level security stands behind it), and asks the same of the store whether there is something or not. The others
    are for the node's own work; nothing that they give may go to a caller unchecked.
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

    async def held(self, record_id: bytes, parties: Collection[bytes] | None = None) -> HeldRecord | None:
        """The payload of a record, if any of `parties` may open it; else None, as for a record that is not there.

        Without `parties` for the node itself: of any record that it is a party to. Whoever answers a caller names the
        caller's party.
        """
        ...

    async def held_among(self, record_ids: Collection[bytes]) -> Mapping[bytes, HeldRecord]:
        """By id the payloads of those of the records that this node is a party to: many for one question."""
        ...

    async def is_reader(self, record_id: bytes, parties: Collection[bytes]) -> bool:
        """Whether any of `parties` may open the record of that id, by this node's index."""
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

    async def kinds_of(self, indexes: Collection[int], parties: Collection[bytes]) -> Mapping[int, Kind]:
        """By tree index what the index says of those records that any of `parties` may open; of others nothing."""
        ...

    async def census(self) -> Sequence[Count]:
        """What the whole index comes to, by party and type, sorted."""
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
        """A missing payload has come: store it with its index lines, strike it off the missing. Nothing is stored of
        what is not missing (any more: it was erased).
        """
        ...
