"""Step 5, prove: tiles, proofs, and receipts under a checkpoint that a quorum cosigned."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from consortium.crypto.merkle import (
    HASH_BYTES,
    TILE_BITS,
    TILE_WIDTH,
    Node,
    TileId,
    consistency_plan,
    fold,
    inclusion_plan,
    root_plan,
    tile_of,
)
from consortium.crypto.notes import Checkpoint
from consortium.crypto.receipts import Receipt, make_receipt
from consortium.crypto.trust import TrustPolicy
from consortium.errors import NotFound, ProofInvalid
from consortium.ledger.state import LedgerState
from consortium.ports.ledger import LedgerStore
from consortium.ports.witness import WitnessStore

_SCAN = 64


class Prover:
    """Proofs over this node's tree; `trust` and `state` give what holds at the moment."""

    def __init__(
        self,
        store: LedgerStore,
        witness: WitnessStore,
        trust: Callable[[], TrustPolicy],
        state: Callable[[], LedgerState],
    ) -> None:
        self._store = store
        self._witness = witness
        self._trust = trust
        self._state = state

    async def tile(self, level: int, index: int, width: int) -> bytes:
        """The first `width` hashes (1 to 256) of a tile. Raises `NotFound` beyond the tree."""
        hashes = (await self._tiles({(level, index)})).get((level, index), b"")
        if not 1 <= width <= TILE_WIDTH or len(hashes) < width * HASH_BYTES:
            raise NotFound("the tree has no such tile")
        return hashes[: width * HASH_BYTES]

    async def entries(self, index: int, width: int) -> bytes:
        """An entry bundle of tlog-tiles: `width` headers from leaf index * 256 on, each with a 16-bit length."""
        start = index * TILE_WIDTH
        if not 1 <= width <= TILE_WIDTH or start + width > self._state().tree.size:
            raise NotFound("the tree has no such entries")
        headers = await self._store.headers(start, start + width)
        return b"".join(len(header).to_bytes(2, "big") + header for header in headers)

    async def root(self, size: int) -> bytes:
        """The root of the tree when it had `size` leaves. Raises `ProofInvalid` beyond the tree."""
        state = self._state()
        if size == state.tree.size:
            return state.tree.root()
        if size > state.tree.size:
            raise ProofInvalid(f"the tree has fewer than {size} leaves")
        return (await self._fold_all([root_plan(size)]))[0]

    async def inclusion(self, index: int, size: int) -> list[bytes]:
        """The inclusion proof of a leaf in the tree of `size` leaves."""
        return await self._fold_all(inclusion_plan(index, size))

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """The consistency proof between two sizes."""
        if new > self._state().tree.size:
            raise ProofInvalid(f"the tree has fewer than {new} leaves")
        return await self._fold_all(consistency_plan(old, new))

    async def receipt(self, index: int, header_bytes: bytes) -> Receipt | None:
        """A receipt under the smallest stored checkpoint that covers the leaf and has a quorum; None if none has."""
        start = index + 1
        while True:
            notes = await self._witness.notes(start, _SCAN)
            for note in notes:
                try:
                    checkpoint = self._trust().verify(note)
                except ProofInvalid:
                    continue
                if checkpoint.size > self._state().tree.size:
                    return None  # the others are ahead of this node
                return make_receipt(header_bytes, index, await self.inclusion(index, checkpoint.size), note)
            if len(notes) < _SCAN:
                return None
            start = Checkpoint.parse(notes[-1].text).size + 1

    async def _fold_all(self, plans: Sequence[list[Node]]) -> list[bytes]:
        tiles = await self._tiles({tile_of(node) for plan in plans for node in plan})
        return [fold(plan, lambda tile_id: tiles.get(tile_id, b"")) for plan in plans]

    async def _tiles(self, ids: set[TileId]) -> dict[TileId, bytes]:
        """Full tiles from the store, partial ones from the state in memory."""
        tree = self._state().tree
        found: dict[TileId, bytes] = {}
        for level, index in ids:
            if level < len(tree.tails) and index == tree.size >> TILE_BITS * (level + 1):
                found[level, index] = b"".join(tree.tails[level])
        stored = await self._store.tiles(ids - found.keys())
        return found | dict(stored)
