"""Where a subject's chain of access records stands, by this node's store and by the ledger.

A record's id follows from its subject and number: at one place of a chain stands one record, ever, and whoever holds
the storage key finds it there. A restored backup is behind the ledger, so before a chain goes on for the first time
since the node started, it is looked up there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from consortium.crypto.hashing import sha256
from consortium.energy.accesses import FIRST
from consortium.errors import NotReady
from consortium.model.encoding import encode
from consortium.model.records import Accepted
from consortium.pipeline.opening import Opener
from consortium.ports.accesses import AccessStore, Tail
from consortium.ports.keys import KeyCustody
from consortium.ports.ledger import LedgerStore
from consortium.ports.party import PartyStore

NOTHING = Tail(0, FIRST)


class Chains:
    """The chains of this member's access records."""

    def __init__(
        self,
        store: AccessStore,
        custody: KeyCustody,
        opener: Opener,
        ledger: LedgerStore,
        party: PartyStore,
    ) -> None:
        self._store = store
        self._custody = custody
        self._opener = opener
        self._ledger = ledger
        self._party = party
        self._looked: set[str] = set()

    def id(self, subject: str, sequence: int) -> bytes:
        """The id of the access record at that place."""
        return self._custody.derive_id(encode(["access", subject, sequence]))

    async def stored(self, tags: Collection[bytes]) -> Mapping[bytes, Tail]:
        """Tails as the store has them, by blinded subject; `NOTHING` for a chain that has not begun."""
        return dict.fromkeys(tags, NOTHING) | dict(await self._store.tails(tags))

    async def ahead(self, subject: str, stored: Tail) -> Tail:
        """The tail by the ledger where that is ahead of the store, else `stored`. Raises `NotReady`."""
        if subject in self._looked:
            return stored
        last = await self._last(subject, stored.sequence)
        found = stored if last == stored.sequence else Tail(last, await self._digest(self.id(subject, last)))
        self._looked.add(subject)
        return found

    async def _last(self, subject: str, known: int) -> int:
        """The number of the last record on the ledger, from `known` on: chains have no holes, so it is found by
        doubling and halving.
        """
        step = 1
        while await self._stands(subject, known + step):
            step *= 2
        there, beyond = known + step // 2, known + step
        while beyond - there > 1:
            middle = (there + beyond) // 2
            there, beyond = (middle, beyond) if await self._stands(subject, middle) else (there, middle)
        return there

    async def _stands(self, subject: str, sequence: int) -> bool:
        stored = await self._ledger.record(self.id(subject, sequence))
        return stored is not None and isinstance(stored.verdict, Accepted)

    async def _digest(self, record_id: bytes) -> bytes:
        held = await self._party.held(record_id)
        if held is None:
            raise NotReady("this node has still to fetch its payload of an access record", hint="try again later")
        plaintext = self._opener.open_all(held).sections[0]
        if plaintext is None:
            raise NotReady("an access record of this node does not open to it")
        return sha256(plaintext)
