"""What a payload's way out of the node leaves behind: the promise that nothing leaves unless it can be told.

Every path by which an opened payload goes to a caller awaits `Releases.release` first. The work itself (who is told,
and when) is `pipeline.accesses`; here stand only the words that both sides use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from consortium.model.names import Party
from consortium.ports.callers import Caller


@dataclass(frozen=True, slots=True)
class Released:
    """One record that is about to leave, and what of it.

    `groups` are the field groups of the sections that were opened for the caller. `subjects` are the users whom the
    record is about: the parties named in it that are users. `members` are its parties that are members; an officer's
    read of a record without users is told to them. `under` is the id of the grant or delegation that permits the
    read, b"" where the caller's duties do (of a delegate it is found here, by type and `start_ms`: the start of the
    record's period, UTC ms).
    """

    id: bytes
    type: str
    groups: frozenset[str]
    subjects: tuple[Party, ...]
    members: tuple[Party, ...] = ()
    under: bytes = b""
    start_ms: int = 0


class Releases(Protocol):
    """Notes who is shown what, before it is shown."""

    async def release(self, caller: Caller, released: Sequence[Released]) -> None:
        """Returns only when what must stand on the ledger (an officer's read) does, or what must not be lost (staff,
        delegates) is kept durably. Raises `NotReady` otherwise: then nothing may leave.

        A user's reading of what they are a party to is never noted. Nothing released is nothing to note.
        """
        ...


class Unlogged:
    """Notes nothing: for tests of what stands before and behind it."""

    async def release(self, caller: Caller, released: Sequence[Released]) -> None:
        """Nothing."""
