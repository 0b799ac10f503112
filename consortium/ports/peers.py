"""The other members' nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from consortium.crypto.notes import SignedNote
from consortium.model.blocks import KeptBlock


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """What a member's node says of itself."""

    member: str
    height: int
    size: int
    root: bytes
    block_digest: bytes


class Peers(Protocol):
    """The other members' nodes. Everything they answer is checked by the caller. Raises `PeerUnavailable`."""

    @property
    def names(self) -> Sequence[str]:
        """The members that have an address, this one left out."""
        ...

    async def status(self, member: str) -> PeerStatus:
        """Their height and tree."""
        ...

    async def blocks(self, member: str, start: int, limit: int) -> Sequence[KeptBlock]:
        """Blocks from a height on."""
        ...

    async def payload(self, member: str, record_id: bytes) -> tuple[tuple[bytes, ...], bytes] | None:
        """A record's ciphertexts and wraps, if they hold it."""
        ...

    async def add_checkpoint(self, member: str, body: str) -> tuple[int, str]:
        """tlog-witness add-checkpoint: HTTP status and body."""
        ...

    async def send_checkpoint(self, member: str, note: SignedNote) -> None:
        """Tell them a checkpoint with the cosignatures that stand under it."""
        ...

    async def checkpoint(self, member: str) -> SignedNote | None:
        """Their latest checkpoint."""
        ...

    async def consistency(self, member: str, old: int, new: int) -> Sequence[bytes]:
        """Their consistency proof between two tree sizes."""
        ...
