"""The tree over a book: its root stands in the hour's result, its proofs show that an order was counted.

RFC 6962 over the orders' commitments in the ledger's order, so that whoever knows an order and its content key can
check it, and nobody learns anything from a root.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from consortium.crypto.merkle import EMPTY_ROOT, leaf_hash, node_hash, verify_inclusion
from consortium.energy.market.book import BookOrder
from consortium.errors import ProofInvalid


@dataclass(frozen=True, slots=True)
class BookTree:
    """All levels of a book's tree, from its leaf hashes up: a proof is a look into each."""

    levels: tuple[tuple[bytes, ...], ...]

    @property
    def size(self) -> int:
        """How many orders the book has."""
        return len(self.levels[0])

    @property
    def root(self) -> bytes:
        """The RFC 6962 root."""
        return self.levels[-1][0] if self.size else EMPTY_ROOT

    def proof(self, leaf: int) -> tuple[bytes, ...]:
        """The inclusion proof of leaf number `leaf` (from 0), from the bottom. Raises `ProofInvalid`."""
        if not 0 <= leaf < self.size:
            raise ProofInvalid(f"there is no leaf {leaf} in a tree of {self.size}")
        path = []
        for level in self.levels:
            sibling = leaf ^ 1
            if sibling < len(level):
                path.append(level[sibling])
            leaf >>= 1
        return tuple(path)


def book_tree(orders: Iterable[BookOrder]) -> BookTree:
    """The tree over the book's orders, in the ledger's order whatever order they are given in."""
    return tree_of([one.commitment for one in sorted(orders, key=lambda one: one.index)])


def tree_of(commitments: Sequence[bytes]) -> BookTree:
    """The tree over commitments, 32 bytes each, in their order."""
    level = tuple(map(leaf_hash, commitments))
    levels = [level]
    while len(level) > 1:
        pairs = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        # A last one without a neighbour goes up as it is: the same tree as the RFC's recursion.
        level = (*pairs, level[-1]) if len(level) % 2 else tuple(pairs)
        levels.append(level)
    return BookTree(tuple(levels))


def verify_counted(commitment: bytes, leaf: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that an order of this commitment is leaf `leaf` of the book. Raises `ProofInvalid`."""
    verify_inclusion(leaf_hash(commitment), leaf, size, proof, root)
