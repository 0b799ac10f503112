"""Step 6, read: who asks, may they, fetch, open, check the commitment, return only what they may see.

A refusal and an absence are one answer, `NotFound`, and are come by the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from consortium.energy.metering import describe, read_payload, to_rfc3339
from consortium.errors import CommitmentMismatch, Malformed, NotFound
from consortium.model.names import Party
from consortium.model.records import Accepted, Header
from consortium.pipeline.access import Access, party_of
from consortium.pipeline.opening import Opener
from consortium.ports import Caller, HeldRecord, LedgerStore, PartyStore, StoredRecord

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
        return self._open(held, party)

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
                found.append(self._open(held, party))
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

    def _open(self, held: HeldRecord, party: Party) -> ReadableRecord:
        opened = self._opener.open_for(held, party)
        payload: dict[str, Any] = {}
        for plaintext in opened.sections:
            if plaintext is not None:
                payload.update(_payload(opened.header, plaintext))
        if not payload:
            raise NotFound("no such record")  # a wrap without any key: there is nothing for this party to read
        return ReadableRecord(
            held.id,
            payload["type"],
            opened.header.author,
            to_rfc3339(opened.header.created_ms),
            held.index,
            describe(payload),
        )


def _index_of(stored: StoredRecord | None) -> int:
    return stored.verdict.index if stored and isinstance(stored.verdict, Accepted) else -1


def _payload(header: Header, plaintext: bytes) -> dict[str, Any]:
    try:
        return read_payload(plaintext)
    except Malformed as error:
        raise CommitmentMismatch(header.author, header.id.hex(), 0) from error
