"""What an officer's node keeps under grants: keys of grants, what holders disclosed, what of it was opened."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol


class State(IntEnum):
    """What became of a disclosed record: its ciphertext is still to be fetched, it was opened, or it was refused."""

    WAITING = 0
    OPEN = 1
    REFUSED = 2


@dataclass(frozen=True, slots=True)
class Claim:
    """What one holder disclosed of one record under one grant.

    `grant` is the grant's id, `sections` a bit per section, `sealed` the keys (waiting) or keys and ciphertexts
    (open) sealed at rest; it is b"" where another holder's row has the same already. `at_ms` is the ledger's time of
    the disclosure, `reason` why it was refused. `type` and `start_ms` are known once it is open.
    """

    grant: bytes
    record: bytes
    holder: str
    index: int
    sections: int
    at_ms: int
    sealed: bytes
    state: State = State.WAITING
    type: str = ""
    start_ms: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """An accepted record as the ledger has it: its place and block, the ledger's time there, its header."""

    index: int
    height: int
    time_ms: int
    header_bytes: bytes


class DisclosureStore(Protocol):
    """Raises `StoreUnavailable` from every method while Postgres is away."""

    async def save_key(self, grant: bytes, sealed: bytes) -> bytes:
        """Keep the private half of a grant's key, sealed at rest. One that is kept already stays, and is given."""
        ...

    async def key(self, grant: bytes) -> bytes | None:
        """The sealed private half, or None: never made here, or destroyed."""
        ...

    async def keys(self) -> Sequence[bytes]:
        """The grants for which a key is kept, or anything was disclosed."""
        ...

    async def mark(self) -> int:
        """The tree index up to and without which this node has looked for disclosures."""
        ...

    async def add(self, claims: Sequence[Claim], mark: int) -> None:
        """Keep what was disclosed and move the mark, in one transaction. Of one grant, record and holder the first
        claim stands: one that is kept is not changed.
        """
        ...

    async def waiting(self, grant: bytes, limit: int, without: Collection[str] = ()) -> Sequence[Claim]:
        """At most `limit` claims that wait for their ciphertext, in the order of the tree, leaving out those of the
        holders `without`.
        """
        ...

    async def settle(self, claims: Sequence[Claim]) -> None:
        """Claims that were waiting are open or refused now. One that was dropped meanwhile stays dropped."""
        ...

    async def of_records(self, grant: bytes, records: Collection[bytes]) -> Sequence[Claim]:
        """All claims for these records under a grant, in the order of the tree, then by holder."""
        ...

    async def page(
        self, grant: bytes, *, type: str | None, from_ms: int | None, to_ms: int | None, after: int, limit: int
    ) -> Sequence[bytes]:
        """Ids of at most `limit` opened records with tree index > `after`, in the order of the tree, each once."""
        ...

    async def all(self, grant: bytes, after: tuple[int, str] = (-1, ""), limit: int = 1000) -> Sequence[Claim]:
        """Claims by (tree index, holder) after a place, in that order; `sealed` is left out (b"") of refused ones."""
        ...

    async def drop(self, grant: bytes) -> None:
        """Destroy a grant's key and all that was disclosed under it."""
        ...

    async def public(self, kinds: Collection[str]) -> Sequence[Standing]:
        """The ledger's public records of these kinds, in the order of the tree."""
        ...

    async def standing(self, records: Collection[bytes]) -> Mapping[bytes, Standing]:
        """Those of the records that were accepted, by id."""
        ...


class Holders(Protocol):
    """The nodes of members that disclosed something. What they answer is checked. Raises `PeerUnavailable`."""

    async def disclosed(
        self, member: str, grant: bytes, records: Sequence[bytes]
    ) -> Mapping[bytes, Mapping[int, bytes]]:
        """Ciphertexts by record and section of what the member disclosed under a grant; of some records none, if the
        answer would be too large or the member gives none.
        """
        ...
