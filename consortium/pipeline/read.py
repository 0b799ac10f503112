"""Step 6, read: who asks, may they, fetch, open, check the commitment, return only what they may see.

A refusal and an absence are one answer, `NotFound`, and are come by the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from consortium.energy.metering import to_rfc3339
from consortium.energy.sections import in_words
from consortium.errors import CommitmentMismatch, Malformed, NotFound
from consortium.model.names import Party
from consortium.model.records import Accepted
from consortium.pipeline.access import Access, party_of
from consortium.pipeline.opening import OpenedPayload, Opener
from consortium.ports.callers import Caller
from consortium.ports.ledger import LedgerStore, StoredRecord
from consortium.ports.party import HeldRecord, PartyStore

MAX_PAGE = 500


@dataclass(frozen=True, slots=True)
class ReadableRecord:
    """A record as its caller may see it: `data` in the API's words."""

    id: bytes
    type: str
    author: str
    created: str
    index: int
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """What to list: a type, a period (from <= start < to, UTC ms), after a tree index, at most `limit`."""

    type: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    after: int = -1
    limit: int = 100


class Reader:
    """Reads for this member's callers."""

    def __init__(self, access: Access, opener: Opener, ledger: LedgerStore, party: PartyStore) -> None:
        self._access = access
        self._opener = opener
        self._ledger = ledger
        self._party = party

    async def get(self, caller: Caller, record_id: bytes) -> ReadableRecord:
        """One record. Raises `NotFound`; `CommitmentMismatch` if its author sealed something else to this reader."""
        return _readable(*await self.opened(caller, record_id))

    async def opened(self, caller: Caller, record_id: bytes) -> tuple[HeldRecord, OpenedPayload]:
        """One record as it is held, and its sections as the caller's party sees them. Raises as `get`."""
        party = party_of(caller)
        # What is asked of the store is the same for a refusal and an absence: so is the time it takes.
        stored = await self._ledger.record(record_id)
        own = await self._is_reader(party, _index_of(stored))
        author = stored.header.author if stored else ""
        if not self._access.may_read(caller, author, own=own) or not own:
            raise NotFound("no such record")
        held = await self._party.held(record_id)
        if held is None:
            raise NotFound("no such record")
        return held, self._opener.open_for(held, party)

    async def _is_reader(self, party: Party, index: int) -> bool:
        return self._opener.tag(party) in await self._party.readers(index)

    async def list(self, caller: Caller, query: Query) -> tuple[Sequence[ReadableRecord], int | None]:
        """The caller's own records in the order of the ledger, and the cursor of the next page (None: no more).

        A record that its author sealed wrongly is left out here; `get` says what is wrong with it.
        """
        self._access.require_list(caller)
        party, limit = party_of(caller), min(query.limit, MAX_PAGE)
        rows = await self._party.find(
            [self._opener.tag(party)],
            type=query.type,
            from_ms=query.from_ms,
            to_ms=query.to_ms,
            after=query.after,
            limit=limit,
        )
        found = []
        for held in rows:
            try:
                found.append(_readable(held, self._opener.open_for(held, party)))
            except (CommitmentMismatch, NotFound):
                continue
        return found, rows[-1].index if len(rows) == limit else None

    async def header(self, caller: Caller, record_id: bytes) -> StoredRecord:
        """A record's public header and verdict: for any caller of this node. Raises `NotFound`."""
        self._access.require_header(caller)
        stored = await self._ledger.record(record_id)
        if stored is None:
            raise NotFound("no such record")
        return stored

    async def accepted(self, caller: Caller, record_id: bytes) -> tuple[Accepted, bytes]:
        """An accepted record's place and header bytes, for a receipt. Raises `NotFound`."""
        stored = await self._ledger.record(record_id)
        own = await self._is_reader(party_of(caller), _index_of(stored))
        author = stored.header.author if stored else ""
        if not self._access.may_have_receipt(caller, author, own=own):
            raise NotFound("no such record")
        if stored is None or not isinstance(stored.verdict, Accepted):
            raise NotFound("no such record")
        return stored.verdict, stored.header_bytes


def _index_of(stored: StoredRecord | None) -> int:
    return stored.verdict.index if stored and isinstance(stored.verdict, Accepted) else -1


def _readable(held: HeldRecord, opened: OpenedPayload) -> ReadableRecord:
    header = opened.header
    plaintexts = [text for text in opened.sections if text is not None]
    if not plaintexts:
        raise NotFound("no such record")  # a wrap without any key: there is nothing for this party to read
    try:
        type, data = in_words(plaintexts)
    except Malformed as error:
        raise CommitmentMismatch(header.author, header.id.hex(), 0) from error
    return ReadableRecord(held.id, type, header.author, to_rfc3339(header.created_ms), held.index, data)
