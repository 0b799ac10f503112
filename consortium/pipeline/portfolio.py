"""What one party holds of the market, opened by that party's keys alone: the ground of all that the API tells it.

Staff read for their member, a user for itself. What their node knows of others through its other parties is never
looked at here.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from consortium.energy.opened import Opened
from consortium.energy.payloads.money import Entry
from consortium.energy.sections import opened_of
from consortium.energy.wallets import Account, follow
from consortium.errors import InvalidRequest
from consortium.model.names import Party
from consortium.pipeline.access import Access, party_of
from consortium.pipeline.opening import Opener
from consortium.pipeline.read import MAX_PAGE
from consortium.pipeline.rights import Rights, Shown
from consortium.pipeline.showing import Showing
from consortium.ports.callers import Caller
from consortium.ports.party import HeldRecord, PartyStore

MAX_OPENED = 100_000
"""Records that one answer is computed from: beyond that the period is too long."""
MAX_REMEMBERED = 4096
_FEW = 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to fetch: types (all if empty), a period from <= start < to (UTC ms), after a tree index."""

    types: Collection[str] = ()
    from_ms: int | None = None
    to_ms: int | None = None
    after: int = -1


@dataclass(frozen=True, slots=True)
class Chain:
    """An account after its entries as the owner holds them. `wrong` says where the chain breaks, '' if it is whole.

    `seen` is the tree index of the last entry that was followed, `last` its record's id (b"": none yet).
    """

    account: Account | None
    wrong: str
    seen: int
    last: bytes = b""


class Portfolio:
    """Fetches and opens for this member's callers."""

    def __init__(self, access: Access, opener: Opener, party: PartyStore, showing: Showing) -> None:
        self._access = access
        self._opener = opener
        self._party = party
        self._rights = Rights(access, opener, showing)
        self._chains: OrderedDict[tuple[Caller, str], Chain] = OrderedDict()

    def forget(self) -> None:
        """Something was erased: chains are followed anew."""
        self._chains.clear()

    async def own(self, caller: Caller, wanted: Wanted) -> list[Opened]:
        """All records of the caller's party that are wanted, in the ledger's order, with the sections that the caller
        may see.

        A record that its author sealed wrongly is left out, as in lists. Raises `Forbidden`; `InvalidRequest` if there
        are too many.
        """
        self._access.require_list(caller)
        found: list[Shown] = []
        # Of few types one after the other; of many all records of the period are listed once, and sorted out unopened.
        for type in wanted.types if 0 < len(wanted.types) <= _FEW else (None,):
            found += await self._all(caller, type, wanted)
        await self._rights.show(caller, found)
        return sorted(_records(found), key=lambda record: record.index)

    async def page(self, caller: Caller, type: str, wanted: Wanted, limit: int) -> tuple[list[Opened], int | None]:
        """A page of one type, and the cursor of the next one (None: no more). Raises `Forbidden`, also for a type of
        which the caller's role opens nothing.
        """
        self._access.require_list(caller)
        self._access.require_any(caller, type)
        rows = await self._rows(party_of(caller), type, wanted, wanted.after, limit)
        found = await self._opened(rows, caller, (type,))
        await self._rights.show(caller, found)
        return _records(found), rows[-1].index if len(rows) == limit else None

    async def chain(self, caller: Caller, account: str) -> Chain:
        """The account as the entries lead to it that the caller can open, followed from the first one on.

        What was followed before is remembered; the rest is followed now. What is shown by it is its last entry: that
        holds all that an answer tells. Raises `Forbidden`.
        """
        self._access.require_list(caller)
        self._access.require_any(caller, "payment")
        key = (caller, account)
        known = self._chains.get(key, Chain(None, "", -1))
        found = await self._all(caller, "payment", Wanted(("payment",), after=known.seen))
        chain = _followed(known, _records(found), account)
        if not await self._show_last(caller, chain):
            # What was followed may be shown no more, a delegation's end say: it is not told from memory either.
            self._chains.pop(key, None)
            return Chain(None, "", -1)
        self._chains[key] = chain  # where it broke it is tried again: an entry may have come late
        self._chains.move_to_end(key)
        if len(self._chains) > MAX_REMEMBERED:
            self._chains.popitem(last=False)
        return chain

    async def _show_last(self, caller: Caller, chain: Chain) -> bool:
        """Whether the caller may still see the last entry; of none there is nothing to see."""
        if not chain.last:
            return True
        held = await self._party.held(chain.last, [self._opener.tag(party_of(caller))])
        found = await self._opened([held], caller, ()) if held is not None else []
        await self._rights.show(caller, found)
        return bool(found)

    async def _all(self, caller: Caller, type: str | None, wanted: Wanted) -> list[Shown]:
        found: list[Shown] = []
        after = wanted.after
        while True:
            rows = await self._rows(party_of(caller), type, wanted, after, MAX_PAGE)
            found += await self._opened(rows, caller, wanted.types)
            if len(rows) < MAX_PAGE:
                return found
            if len(found) > MAX_OPENED:
                raise InvalidRequest("the period holds too many records", field="to", hint="ask for a shorter period")
            after = rows[-1].index
            await asyncio.sleep(0)  # opening a page takes a while: others come in between

    async def _rows(
        self, party: Party, type: str | None, wanted: Wanted, after: int, limit: int
    ) -> Sequence[HeldRecord]:
        return await self._party.find(
            [self._opener.tag(party)],
            type=type,
            from_ms=wanted.from_ms,
            to_ms=wanted.to_ms,
            after=after,
            limit=min(limit, MAX_PAGE),
        )

    async def _opened(self, rows: Sequence[HeldRecord], caller: Caller, types: Collection[str]) -> list[Shown]:
        if not rows:
            return []
        tag = self._opener.tag(party_of(caller))
        kinds = await self._party.kinds_of([held.index for held in rows], [tag])
        wanted = {index: kind for index, kind in kinds.items() if not types or kind.type in types}
        return self._rights.open_all(caller, rows, wanted)


def _records(shown: Sequence[Shown]) -> list[Opened]:
    """As those compute with them who answer; names of users are taken out of the answer, see `without_names`."""
    found = []
    for held, payload, _ in shown:
        header = payload.header
        record = opened_of(held.id, held.index, header.author, payload.sections, header.created_ms)
        if record is not None:
            found.append(record)
    return found


def _followed(known: Chain, records: Sequence[Opened], account: str) -> Chain:
    """`known` and the entries of the account that came since."""
    state, seen, last = known.account, known.seen, known.last
    for record in records:
        for entry in record.parts:
            if not isinstance(entry, Entry) or entry.account != account:
                continue
            after = follow(state or Account(entry.account, entry.owner, entry.currency), entry)
            if isinstance(after, str):
                return Chain(state, f"record {record.id}: {after}", seen, last)
            state, seen, last = after, record.index, bytes.fromhex(record.id)
    return Chain(state, "", seen, last)
