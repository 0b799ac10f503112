"""Where things stand in an export: docs/formats.md, "Export"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from consortium.crypto.merkle import HASH_BYTES, TILE_BITS, TILE_WIDTH, TileId, Tree
from consortium.crypto.notes import Checkpoint

GENESIS = "genesis.json"
TRUST = "trust.policy"
MANIFEST = "manifest.json"
CHECKPOINT = "checkpoint"
BLOCKS = "blocks"
CHECKPOINTS = "checkpoints"
TILES = "tile"
LENGTH_BYTES = 4
BLOCKS_PER_FILE = 1000

_PATH = re.compile(r"[a-z0-9]+([./-][a-z0-9]+)*")


def is_path(text: str) -> bool:
    """Whether a manifest may name this file: it stays inside the export."""
    return _PATH.fullmatch(text) is not None


def block_file(number: int) -> str:
    """The path of the `number`th file of blocks, from 1."""
    return f"{BLOCKS}/{number:06d}.cbor"


def checkpoint_file(checkpoint: Checkpoint) -> str:
    """The path of a cosigned checkpoint: tree size and the beginning of its root, so that two roots of one size (a
    divergence, that is evidence) both find room.
    """
    return f"{CHECKPOINTS}/{checkpoint.size:012d}-{checkpoint.root[:4].hex()}.note"


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """The path of a tile as C2SP tlog-tiles has it: 1234067 is x001/x234/067; partial tiles end in .p/width."""
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03d}")
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"{TILES}/{level}/{'/'.join(reversed(groups))}{partial}"


def partial_tiles(final: Tree, cosigned: Tree | None) -> Iterator[tuple[TileId, bytes]]:
    """The partial tiles of a tree, and those of the newest cosigned one that have not become full since."""
    for tree in (final,) if cosigned is None or cosigned.size == final.size else (final, cosigned):
        for level, tail in enumerate(tree.tails):
            index = tree.size >> TILE_BITS * (level + 1)
            same_as_final = tree is not final and level < len(final.tails) and tail == final.tails[level]
            if tail and not same_as_final and index == final.size >> TILE_BITS * (level + 1):
                yield (level, index), b"".join(tail)


def path_of(tile: TileId, hashes: bytes) -> str:
    """The path of a full or partial tile."""
    return tile_path(*tile, len(hashes) // HASH_BYTES)


def tile_difference(tile: TileId, hashes: bytes, stored: bytes | None) -> str | None:
    """What is wrong with a stored tile that should be `hashes`, or None."""
    level, index = tile
    if stored is None:
        return "the tile is missing"
    if stored == hashes:
        return None
    if len(stored) != len(hashes):
        return f"the tile has {len(stored)} bytes where {len(hashes)} must stand"
    at = next(i for i in range(len(stored)) if stored[i] != hashes[i]) // HASH_BYTES
    leaf = f" (leaf {index * TILE_WIDTH + at})" if level == 0 else ""
    return f"hash {at} is not that of the tree{leaf}"
