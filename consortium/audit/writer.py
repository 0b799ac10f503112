"""Writes the files of an export and remembers their digests. Plain file calls: an export is a command, not a server."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from consortium.audit import layout
from consortium.audit.manifest import Manifest
from consortium.crypto.merkle import Tile, TileId, Tree, leaf_hash
from consortium.crypto.notes import Checkpoint, SignedNote
from consortium.errors import InvalidRequest
from consortium.model.blocks import KeptBlock
from consortium.model.kept import encode_kept_block
from consortium.model.members import Genesis


class ExportWriter:
    """One export. `cosigned_size` is the size of the newest cosigned checkpoint, 0 if there is none."""

    def __init__(self, directory: Path, genesis: Genesis, trust: str, blocks_per_file: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise InvalidRequest("the directory for the export is not empty", hint="name a new one")
        self._directory, self._genesis, self._per_file = directory, genesis, blocks_per_file
        self._files: dict[str, str] = {}
        self.tree, self._cosigned_tree, self._cosigned_size = Tree(), Tree(), 0
        self.height, self._digest = 0, genesis.digest()
        self._blocks: tuple[str, IO[bytes]] | None = None
        self._sha256 = hashlib.sha256()
        self._write(layout.GENESIS, genesis.to_json().encode())
        self._write(layout.TRUST, trust.encode())

    def write_notes(self, notes: Sequence[tuple[Checkpoint, SignedNote]]) -> None:
        """Cosigned checkpoints, by size; the newest also where tlog-tiles has it."""
        for checkpoint, note in notes:
            self._write(layout.checkpoint_file(checkpoint), str(note).encode())
        if notes:
            self._cosigned_size = notes[-1][0].size
            self._write(layout.CHECKPOINT, str(notes[-1][1]).encode())

    def write_block(self, kept: KeptBlock) -> tuple[Tile, ...]:
        """The next block; the tiles that became full by it."""
        if self.height % self._per_file == 0:
            self._close_blocks()
            name = layout.block_file(self.height // self._per_file + 1)
            self._blocks = name, self._open(name)
        self._append(encode_kept_block(kept))
        leaves = told_leaves(kept)
        before = self.tree
        self.tree, tiles = before.extend(leaves)
        if before.size < self._cosigned_size <= self.tree.size:
            self._cosigned_tree = before.extend(leaves[: self._cosigned_size - before.size])[0]
        self.height, self._digest = self.height + 1, kept.block.digest()
        return tiles

    def write_tiles(self, tiles: Mapping[TileId, bytes]) -> None:
        """Full tiles, as the store has them."""
        for tile, hashes in tiles.items():
            self._write(layout.tile_path(*tile), hashes)

    def finish(self) -> int:
        """The partial tiles and the manifest; the number of files."""
        self._close_blocks()
        for tile, hashes in layout.partial_tiles(self.tree, self._cosigned_tree):
            self._write(layout.path_of(tile, hashes), hashes)
        root, digest = self.tree.root().hex(), self._digest.hex()
        manifest = Manifest(self._genesis.network, self.height, self.tree.size, root, digest, self._files)
        (self._directory / layout.MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        return len(self._files) + 1

    def _write(self, name: str, data: bytes) -> None:
        with self._open(name) as file:
            file.write(data)
        self._files[name] = hashlib.sha256(data).hexdigest()

    def _open(self, name: str) -> IO[bytes]:
        path = self._directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb")

    def _append(self, item: bytes) -> None:
        framed = len(item).to_bytes(layout.LENGTH_BYTES, "big") + item
        if self._blocks is not None:
            self._blocks[1].write(framed)
            self._sha256.update(framed)

    def _close_blocks(self) -> None:
        if self._blocks is not None:
            name, file = self._blocks
            file.close()
            self._files[name] = self._sha256.hexdigest()
        self._blocks, self._sha256 = None, hashlib.sha256()


def told_leaves(kept: KeptBlock) -> list[bytes]:
    """The leaf hashes that a block adds by its own verdicts."""
    refused = dict(kept.block.rejections)
    return [leaf_hash(header) for item, header in enumerate(kept.batch.headers) if item not in refused]
