"""Step 6, read: who asks, may they, fetch, open what they may see and nothing else, check the commitment, note it.

A refusal and an absence are one answer, `NotFound`, and are come by the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from consortium.crypto.sealing import Wrap
from consortium.energy.field_groups import Permitted, without_names
from consortium.energy.metering import to_rfc3339
from consortium.energy.sections import in_words
from consortium.errors import CommitmentMismatch, Malformed, NotFound
from consortium.model.records import PUBLIC_KINDS, SEALED, Accepted
from consortium.pipeline.access import Access, is_delegate, party_of
from consortium.pipeline.opening import OpenedPayload, Opener
from consortium.pipeline.rights import Rights
from consortium.pipeline.showing import Showing
from consortium.ports.callers import Caller
from consortium.ports.ledger import LedgerStore, StoredRecord
from consortium.ports.party import HeldRecord, Kind, PartyStore

MAX_PAGE = 500
_NOWHERE = -1


@dataclass(frozen=True, slots=True)
class ReadableRecord:
    """A record as its caller may see it: `data` in the API's words. `withheld` are the fields of it that are null
    because they name a user, or may.
    """

    id: bytes
    type: str
    author: str
    created: str
    index: int
    data: dict[str, Any]
    withheld: tuple[str, ...] = ()


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

    def __init__(
        self, access: Access, opener: Opener, ledger: LedgerStore, party: PartyStore, showing: Showing
    ) -> None:
        self._access = access
        self._opener = opener
        self._ledger = ledger
        self._party = party
        self._rights = Rights(access, opener, showing)

    async def get(self, caller: Caller, record_id: bytes) -> ReadableRecord:
        """One record. Raises `NotFound`; `CommitmentMismatch` if its author sealed something else to this reader."""
        held, opened, permitted = await self._open(caller, record_id)
        record = _readable(held, opened, permitted, str(party_of(caller)))
        await self._rights.show(caller, [(held, opened, permitted)])
        return record

    async def sealed(self, caller: Caller, record_id: bytes) -> tuple[HeldRecord, Wrap]:
        """A record as it is held, and the wrap that only the user's own key opens. Raises `NotFound`, also for all
        others, and where there is no such wrap.
        """
        if caller.kind != "user" or caller.behalf is not None:
            raise NotFound("no such record")
        held, opened, _ = await self._open(caller, record_id)
        if opened.sealed is None:
            raise NotFound("no such record")
        return held, opened.sealed

    async def opened(self, caller: Caller, record_id: bytes) -> tuple[HeldRecord, OpenedPayload]:
        """One record as it is held, and of its sections those that the caller may see. Raises as `get`."""
        held, opened, permitted = await self._open(caller, record_id)
        await self._rights.show(caller, [(held, opened, permitted)])
        return held, opened

    async def _open(self, caller: Caller, record_id: bytes) -> tuple[HeldRecord, OpenedPayload, Permitted]:
        party = party_of(caller)
        tag = self._opener.tag(party)
        # What is asked of the store is the same for a refusal and an absence: so is the time it takes.
        stored = await self._ledger.record(record_id)
        held = await self._party.held(record_id, [tag])
        kinds = await self._party.kinds_of([_index_of(stored)], [tag])
        permitted = self._rights.of(caller, kinds.get(_index_of(stored), Kind("", 0)))
        if held is None or not permitted.groups:
            raise NotFound("no such record")
        return held, self._opener.open_for(held, party, permitted), permitted

    async def list(self, caller: Caller, query: Query) -> tuple[Sequence[ReadableRecord], int | None]:
        """The caller's own records in the order of the ledger, and the cursor of the next page (None: no more).

        A record that its author sealed wrongly, or that the caller's role opens nothing of, is left out here: a page
        may be short. `get` says what is wrong with a record. Raises `Forbidden`, also for a `type` of which the
        caller's role opens nothing.
        """
        self._access.require_list(caller)
        if query.type is not None:
            self._access.require_any(caller, query.type)
        party, limit = party_of(caller), min(query.limit, MAX_PAGE)
        tag = self._opener.tag(party)
        rows = await self._party.find(
            [tag], type=query.type, from_ms=query.from_ms, to_ms=query.to_ms, after=query.after, limit=limit
        )
        kinds = await self._party.kinds_of([held.index for held in rows], [tag])
        found = await self._readable_ones(caller, rows, kinds)
        return found, rows[-1].index if len(rows) == limit else None

    async def _readable_ones(
        self, caller: Caller, rows: Sequence[HeldRecord], kinds: Mapping[int, Kind]
    ) -> Sequence[ReadableRecord]:
        found, own = [], str(party_of(caller))
        shown = self._rights.open_all(caller, rows, kinds, sealed=caller.kind == "user" and caller.behalf is None)
        for one in shown:
            try:
                found.append(_readable(*one, own))
            except (CommitmentMismatch, NotFound):
                continue
        await self._rights.show(caller, shown)
        return found

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
        own = await self._is_readers(caller, record_id, _index_of(stored))
        author = stored.header.author if stored else ""
        if stored is not None and stored.header.kind in PUBLIC_KINDS:
            self._access.require_header(caller)  # everybody may read it, and so have the proof of it
        elif not self._access.may_have_receipt(caller, author, own=own):
            raise NotFound("no such record")
        if stored is None or not isinstance(stored.verdict, Accepted):
            raise NotFound("no such record")
        return stored.verdict, stored.header_bytes

    async def _is_readers(self, caller: Caller, record_id: bytes, index: int) -> bool:
        """Whether the caller's party may open the record; of a delegate, whether they may see any of it."""
        tag = self._opener.tag(party_of(caller))
        if not is_delegate(caller):
            return await self._party.is_reader(record_id, [tag])
        kind = (await self._party.kinds_of([index], [tag])).get(index)
        return kind is not None and bool(self._rights.of(caller, kind).groups)


def _index_of(stored: StoredRecord | None) -> int:
    return stored.verdict.index if stored and isinstance(stored.verdict, Accepted) else _NOWHERE


def _readable(held: HeldRecord, opened: OpenedPayload, permitted: Permitted, own: str) -> ReadableRecord:
    header = opened.header
    plaintexts = [text for text in opened.sections if text is not None]
    if not plaintexts and opened.sealed is not None:
        # Only the user's own key opens it: GET .../sealed has what that takes.
        return ReadableRecord(held.id, SEALED, header.author, to_rfc3339(header.created_ms), held.index, {})
    if not plaintexts:
        raise NotFound("no such record")  # a wrap without any key, or none that the caller's role may use
    try:
        type, data = in_words(plaintexts)
    except Malformed as error:
        raise CommitmentMismatch(header.author, header.id.hex(), 0) from error
    words, withheld = (data, ()) if permitted.names else without_names(data, own)
    return ReadableRecord(held.id, type, header.author, to_rfc3339(header.created_ms), held.index, words, withheld)
