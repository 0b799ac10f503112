"""A node's ledger in its store: blocks, records, tiles."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from consortium.crypto.merkle import TileId
from consortium.ledger.state import LedgerState
from consortium.ledger.transition import Transition
from consortium.model.blocks import AcceptedRecord, Block, KeptBlock, RejectedRecord
from consortium.model.members import Genesis
from consortium.model.records import Accepted, Header, Rejected
from consortium.ports.party import HeldRecord, MissingRecord


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record's verdict and header as the ledger holds them."""

    verdict: Accepted | Rejected
    header: Header
    header_bytes: bytes


@dataclass(frozen=True, slots=True)
class BlockRow:
    """A block's own columns exactly as they stand, whatever they say.

    `block.rejections` come from the rows of rejected records, `digest` from its own column; `raw` is the refused batch
    that is kept for this height, or None.
    """

    block: Block
    digest: bytes
    head: bytes
    signature: bytes
    raw: bytes | None


class LedgerStore(Protocol):
    """A node's ledger: blocks, records, tiles. Only `commit` writes it.

    Raises `StoreUnavailable` from every method while Postgres is away; the same call succeeds once it is back.
    """

    async def load(self, genesis: Genesis) -> LedgerState:
        """The state after the last committed block; the initial one of `genesis` for an empty store."""
        ...

    async def taken(self, ids: Sequence[bytes]) -> Collection[bytes]:
        """Those of `ids` that accepted records have."""
        ...

    async def commit(
        self, step: Transition, held: Sequence[HeldRecord], missing: Sequence[MissingRecord] = ()
    ) -> Collection[bytes]:
        """Store one block and all that follows from it, in one transaction.

        Gives those ids of `step.accepted` that accepted records of earlier blocks have: then nothing was stored, and
        the block is to be judged again with them as `taken`. None of them: it is stored.

        Idempotent by height: a block that is already stored unchanged is left alone. Raises `Tampering` if another
        block stands at that height.
        """
        ...

    async def blocks(self, start: int, limit: int) -> Sequence[KeptBlock]:
        """Blocks from height `start` (the first is 1) in order, with what is kept of their batches."""
        ...

    async def block_rows(self, start: int, limit: int) -> Sequence[BlockRow]:
        """Blocks from height `start` by height as their rows stand, nothing believed and nothing checked: for the
        audit, which must see a changed row to name it. Missing heights are left out.
        """
        ...

    async def rows(self, first: int, last: int) -> Sequence[AcceptedRecord | RejectedRecord]:
        """The record rows, accepted and rejected, that name a height from `first` to `last`, by height and item.

        As `block_rows`, for the audit: every column as it stands (an `AcceptedRecord.leaf` that is not stored is
        computed from the header).
        """
        ...

    async def block(self, height: int) -> Block | None:
        """One block without its batch."""
        ...

    async def block_of_size(self, size: int) -> Block | None:
        """The first block after which the tree has at least `size` leaves."""
        ...

    async def block_of_batch(self, member: str, sequence: int) -> Block | None:
        """The block that a member's batch became."""
        ...

    async def record(self, record_id: bytes) -> StoredRecord | None:
        """The accepted record of that id, else the first rejected one, else None."""
        ...

    async def headers(self, start: int, end: int) -> Sequence[bytes]:
        """Header bytes of the leaves [start, end)."""
        ...

    async def tiles(self, ids: Collection[TileId]) -> Mapping[TileId, bytes]:
        """Those of the full tiles that are stored."""
        ...
