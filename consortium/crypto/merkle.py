"""The tree of RFC 6962 section 2.1, kept in tiles of 256 hashes (C2SP tlog-tiles).

Nothing here reads a store. A proof is made in two steps: a plan says which perfect subtrees it needs (`Node`), the
caller fetches the tiles that hold them (`tile_of`), and `fold` computes the hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from consortium.errors import ProofInvalid

HASH_BYTES = 32
TILE_BITS = 8
TILE_WIDTH = 1 << TILE_BITS
EMPTY_ROOT = hashlib.sha256(b"").digest()

_sha256 = hashlib.sha256

Node = tuple[int, int]
"""A perfect subtree (level, index): the leaves from index * 2**level up to, not with, (index + 1) * 2**level."""
TileId = tuple[int, int]
"""A tile (level, index) as in tlog-tiles: its hashes are the perfect subtrees of 256**level leaves."""


def leaf_hash(entry: bytes) -> bytes:
    """MTH of one entry: SHA-256(0x00 || entry)."""
    return _sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """MTH of two subtrees: SHA-256(0x01 || left || right)."""
    return _sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Tile:
    """A full tile: 256 hashes, 8,192 bytes."""

    level: int
    index: int
    hashes: bytes


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree that can grow: `stack` holds its perfect subtrees from the largest to the smallest (one per set bit of
    `size`), `tails` the hashes of the one partial tile per level.
    """

    size: int = 0
    stack: tuple[bytes, ...] = ()
    tails: tuple[tuple[bytes, ...], ...] = ((),)

    def root(self) -> bytes:
        """The Merkle tree hash of all leaves."""
        return fold_stack(self.stack)

    def extend(self, leaves: Iterable[bytes]) -> tuple[Tree, tuple[Tile, ...]]:
        """The tree with more leaf hashes, and the tiles that became full by them, in the order they did."""
        stack, size = list(self.stack), self.size
        tails = [list(tail) for tail in self.tails]
        full: list[Tile] = []
        for leaf in leaves:
            _push(tails, full, 0, leaf, size)
            node, rest, level = leaf, size, 0
            while rest & 1:
                node = _sha256(b"\x01" + stack.pop() + node).digest()
                rest >>= 1
                level += 1
                if level % TILE_BITS == 0:
                    _push(tails, full, level // TILE_BITS, node, size)
            stack.append(node)
            size += 1
        return Tree(size, tuple(stack), tuple(tuple(tail) for tail in tails)), tuple(full)

    @classmethod
    def from_tails(cls, size: int, tails: Sequence[Sequence[bytes]]) -> Tree:
        """The tree of `size` leaves from its partial tiles. Raises `ProofInvalid` if they do not fit the size."""
        stack: list[bytes] = []
        for level in range(len(tails) - 1, -1, -1):
            if len(tails[level]) != (size >> TILE_BITS * level) % TILE_WIDTH:
                raise ProofInvalid("the partial tiles do not fit the tree's size")
            part: list[bytes] = []
            for count, node in enumerate(tails[level]):
                while count & 1:
                    node = node_hash(part.pop(), node)
                    count >>= 1
                part.append(node)
            stack += part
        if size >> TILE_BITS * len(tails):
            raise ProofInvalid("a partial tile is missing")
        return cls(size, tuple(stack), tuple(tuple(tail) for tail in tails) or ((),))


def _push(tails: list[list[bytes]], full: list[Tile], level: int, node: bytes, size: int) -> None:
    if level == len(tails):
        tails.append([])
    tail = tails[level]
    tail.append(node)
    if len(tail) == TILE_WIDTH:
        full.append(Tile(level, size >> TILE_BITS * (level + 1), b"".join(tail)))
        tail.clear()


def fold_stack(stack: Sequence[bytes]) -> bytes:
    """The root over perfect subtrees of falling size."""
    if not stack:
        return EMPTY_ROOT
    node = stack[-1]
    for left in reversed(stack[:-1]):
        node = node_hash(left, node)
    return node


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes: as `Tree.extend`, without what a tree needs to grow on."""
    stack: list[bytes] = []
    for size, node in enumerate(leaves):
        rest = size
        while rest & 1:
            node = _sha256(b"\x01" + stack.pop() + node).digest()
            rest >>= 1
        stack.append(node)
    return fold_stack(stack)


def cover(start: int, end: int) -> list[Node]:
    """The perfect subtrees, from the largest, whose fold is the RFC 6962 hash of the leaves [start, end).

    `start` must be a multiple of the largest power of two that is at most end - start, as it is for every range
    that the RFC's recursion visits.
    """
    nodes = []
    while start < end:
        level = (end - start).bit_length() - 1
        nodes.append((level, start >> level))
        start += 1 << level
    return nodes


def inclusion_plan(index: int, size: int) -> list[list[Node]]:
    """PATH(index, D[size]) of RFC 6962 section 2.1.1 as covers, from the leaf's sibling up."""
    if not 0 <= index < size:
        raise ProofInvalid(f"there is no leaf {index} in a tree of {size}")
    path: list[list[Node]] = []
    start, end = 0, size
    while end - start > 1:
        split = start + _largest_power_below(end - start)
        if index < split:
            path.append(cover(split, end))
            end = split
        else:
            path.append(cover(start, split))
            start = split
    return path[::-1]


def consistency_plan(old: int, new: int) -> list[list[Node]]:
    """PROOF(old, D[new]) of RFC 6962 section 2.1.2 as covers."""
    if not 0 <= old <= new:
        raise ProofInvalid(f"a tree of {new} cannot follow a tree of {old}")
    if old in (0, new):
        return []
    proof: list[list[Node]] = []
    start, end, whole = 0, new, True
    while True:
        if old == end:
            return (proof if whole else [*proof, cover(start, end)])[::-1]
        split = start + _largest_power_below(end - start)
        if old <= split:
            proof.append(cover(split, end))
            end = split
        else:
            proof.append(cover(start, split))
            start, whole = split, False


def tile_of(node: Node) -> TileId:
    """The tile whose hashes give the subtree."""
    level, index = node
    return level // TILE_BITS, (index << level % TILE_BITS) // TILE_WIDTH


def root_plan(size: int) -> list[Node]:
    """The cover of a whole tree."""
    return cover(0, size)


def fold(nodes: Sequence[Node], tile: Callable[[TileId], bytes]) -> bytes:
    """The hash of a cover, given the tiles (full or partial, as runs of 32 bytes)."""
    return fold_stack([_subtree(node, tile) for node in nodes])


def _subtree(node: Node, tile: Callable[[TileId], bytes]) -> bytes:
    level, index = node
    within = level % TILE_BITS
    first = (index << within) % TILE_WIDTH
    hashes = tile(tile_of(node))
    part = [hashes[i * HASH_BYTES : (i + 1) * HASH_BYTES] for i in range(first, first + (1 << within))]
    if len(part[-1]) != HASH_BYTES:
        raise ProofInvalid("a tile is shorter than the tree's size says")
    while len(part) > 1:
        part = [node_hash(part[i], part[i + 1]) for i in range(0, len(part), 2)]
    return part[0]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """RFC 9162 section 2.1.3.2. Raises `ProofInvalid`."""
    if not 0 <= index < size:
        raise ProofInvalid(f"there is no leaf {index} in a tree of {size}")
    inner = (index ^ (size - 1)).bit_length()
    border = (index >> inner).bit_count()
    if len(proof) != inner + border:
        raise ProofInvalid("the inclusion proof has a wrong length")
    node = leaf
    for i, sibling in enumerate(proof[:inner]):
        node = node_hash(sibling, node) if index >> i & 1 else node_hash(node, sibling)
    for sibling in proof[inner:]:
        node = node_hash(sibling, node)
    if node != root:
        raise ProofInvalid("the inclusion proof does not lead to the root")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """RFC 9162 section 2.1.4.2. Raises `ProofInvalid`."""
    if not 0 <= old <= new:
        raise ProofInvalid(f"a tree of {new} cannot follow a tree of {old}")
    if old in (0, new):
        if proof or (old == new and old_root != new_root) or (old == 0 and old_root != EMPTY_ROOT):
            raise ProofInvalid("the trees are not consistent")
        return
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        raise ProofInvalid("the consistency proof has a wrong length")
    if _roots_of_path(old, new, path) != (old_root, new_root):
        raise ProofInvalid("the trees are not consistent")


def _roots_of_path(old: int, new: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The roots of the old and the new tree that a consistency path leads to (RFC 9162 section 2.1.4.2, 3 to 7)."""
    first, second = old - 1, new - 1
    while first & 1:
        first, second = first >> 1, second >> 1
    left = right = path[0]
    for sibling in path[1:]:
        if second == 0:
            raise ProofInvalid("the consistency proof has a wrong length")
        if first & 1 or first == second:
            left, right = node_hash(sibling, left), node_hash(sibling, right)
            while first and not first & 1:
                first, second = first >> 1, second >> 1
        else:
            right = node_hash(right, sibling)
        first, second = first >> 1, second >> 1
    if second:
        raise ProofInvalid("the consistency proof has a wrong length")
    return left, right


def _largest_power_below(count: int) -> int:
    """k of RFC 6962: the largest power of two smaller than `count` (at least 2)."""
    return 1 << (count - 1).bit_length() - 1
