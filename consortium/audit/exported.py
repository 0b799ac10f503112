"""Reading the files of an export, which may be damaged in any way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from consortium.audit import layout
from consortium.audit.report import Finding
from consortium.crypto.merkle import HASH_BYTES, TILE_WIDTH
from consortium.errors import Malformed
from consortium.model.blocks import KeptBlock
from consortium.model.kept import decode_kept_block

_MAX_ITEM_BYTES = 1 << 26


class ExportFiles:
    """The directory. What cannot be read becomes a line of `findings`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.findings: list[Finding] = []

    def text(self, name: str) -> str | None:
        """A text file, or None."""
        try:
            # Bytes first: reading as text would turn a carriage return into a newline, and hide the change.
            return (self.directory / name).read_bytes().decode()
        except FileNotFoundError:
            self.findings.append(Finding(name, "the file is missing"))
        except (UnicodeDecodeError, OSError):
            self.findings.append(Finding(name, "the file is not readable as text"))
        return None

    def names(self, folder: str, suffix: str) -> list[str]:
        """Paths within the export of the files of a folder, sorted."""
        found = (self.directory / folder).glob(f"*{suffix}")
        return sorted(path.relative_to(self.directory).as_posix() for path in found)

    def blocks(self) -> Iterator[KeptBlock]:
        """Every block that is readable, in order."""
        for name in self.names(layout.BLOCKS, ".cbor"):
            with (self.directory / name).open("rb") as file:
                number = 0
                while prefix := file.read(layout.LENGTH_BYTES):
                    number += 1
                    length = int.from_bytes(prefix, "big")
                    item = file.read(length) if length <= _MAX_ITEM_BYTES else b""
                    if len(prefix) < layout.LENGTH_BYTES or len(item) != length:
                        sentence = f"item {number} has another length than stands before it; the rest was not read"
                        self.findings.append(Finding(name, sentence))
                        break
                    try:
                        yield decode_kept_block(item)
                    except Malformed as error:
                        self.findings.append(Finding(name, f"item {number} is no block: {error}"))

    def tile(self, name: str) -> bytes | None:
        """A tile's bytes, or None."""
        path = self.directory / name
        return path.read_bytes() if path.is_file() else None

    def leaves(self, start: int, end: int) -> list[bytes] | None:
        """The leaf hashes [start, end) as the tiles hold them, or None where they do not reach."""
        leaves: list[bytes] = []
        first = start // TILE_WIDTH
        for index in range(first, -(-end // TILE_WIDTH)):
            tile = self._widest(index)
            if tile is None:
                return None
            leaves += [tile[i : i + HASH_BYTES] for i in range(0, len(tile), HASH_BYTES)]
        skip = start - first * TILE_WIDTH
        return leaves[skip : skip + end - start] if len(leaves) >= skip + end - start else None

    def _widest(self, index: int) -> bytes | None:
        """The level-0 tile, full or as much of it as there is."""
        name = layout.tile_path(0, index)
        partials = (self.directory / f"{name}.p").glob("*")
        found = [self.tile(name), *(p.read_bytes() for p in partials if p.is_file())]
        return max((data for data in found if data is not None), key=len, default=None)
