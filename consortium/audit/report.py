"""What an audit says: what was refused on the way (that is the ledger at work), and what does not hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MAX_FINDINGS = 200
"""An audit stops here: what follows would repeat what is known."""

Progress = Callable[[int, int], None]
"""Called with the blocks done, and the blocks there are."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not hold.

    `place` is a block ('block 17'), a record ('block 17, record 3'), a file of an export, or a table; records of a
    block count from 0. `height` and `item` say the same as numbers where the place is a block or a record.
    """

    place: str
    sentence: str
    height: int | None = None
    item: int | None = None

    def __str__(self) -> str:
        return f"{self.place}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class Refused:
    """A batch (`item` None) or a record that every node refused. `id` is b'' where none could be read."""

    height: int
    item: int | None
    id: bytes
    member: str
    reason: str


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The outcome. `size`, `root` and `digest` (of the last block) are what the replay came to.

    `witnessed_size` is the largest tree that a quorum cosigned: records beyond it rest on the batches' signatures
    and the chain alone.
    """

    network: str
    height: int
    size: int
    root: bytes
    digest: bytes
    witnessed_size: int
    refused: tuple[Refused, ...]
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """Whether everything holds."""
        return not self.findings


def at_block(height: int, sentence: str) -> Finding:
    """A finding about a block."""
    return Finding(f"block {height}", sentence, height)


def at_record(height: int, item: int, sentence: str) -> Finding:
    """A finding about a record of a block."""
    return Finding(f"block {height}, record {item}", sentence, height, item)
