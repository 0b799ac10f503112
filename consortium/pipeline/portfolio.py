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
from consortium.errors import CommitmentMismatch, InvalidRequest, NotFound
from consortium.model.names import Party
from consortium.pipeline.access import Access, party_of
from consortium.pipeline.opening import Opener
from consortium.pipeline.read import MAX_PAGE
from consortium.ports.callers import Caller
from consortium.ports.party import HeldRecord, PartyStore

MAX_OPENED = 100_000
"""Records that one answer is computed from: beyond that the period is too long."""
MAX_REMEMBERED = 4096


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

    `seen` is the tree index of the last entry that was followed.
    """

    account: Account | None
    wrong: str
    seen: int


class Portfolio:
    """Fetches and opens for this member's callers."""

    def __init__(self, access: Access, opener: Opener, party: PartyStore) -> None:
        self._access = access
        self._opener = opener
        self._party = party
        self._chains: OrderedDict[tuple[Party, str], Chain] = OrderedDict()

    async def own(self, caller: Caller, wanted: Wanted) -> list[Opened]:
        """All records of the caller's party that are wanted, in the ledger's order.

        A record that its author sealed wrongly is left out, as in lists. Raises `Forbidden`; `InvalidRequest` if there
        are too many.
        """
        self._access.require_list(caller)
        found: list[Opened] = []
        for type in wanted.types or (None,):
            found += await self._all(party_of(caller), type, wanted)
        return sorted(found, key=lambda record: record.index)

    async def page(self, caller: Caller, type: str, wanted: Wanted, limit: int) -> tuple[list[Opened], int | None]:
        """A page of one type, and the cursor of the next one (None: no more). Raises `Forbidden`."""
        self._access.require_list(caller)
        party = party_of(caller)
        rows = await self._rows(party, type, wanted, wanted.after, limit)
        return self._opened(rows, party), rows[-1].index if len(rows) == limit else None

    async def chain(self, caller: Caller, account: str) -> Chain:
        """The account as the entries lead to it that the caller's party can open, followed from the first one on.

        What was followed before is remembered; the rest is followed now.
        """
        self._access.require_list(caller)
        key = (party_of(caller), account)
        known = self._chains.get(key, Chain(None, "", -1))
        chain = _followed(known, await self.own(caller, Wanted(("payment",), after=known.seen)), account)
        self._chains[key] = chain  # where it broke it is tried again: an entry may have come late
        self._chains.move_to_end(key)
        if len(self._chains) > MAX_REMEMBERED:
            self._chains.popitem(last=False)
        return chain

    async def _all(self, party: Party, type: str | None, wanted: Wanted) -> list[Opened]:
        found: list[Opened] = []
        after = wanted.after
        while True:
            rows = await self._rows(party, type, wanted, after, MAX_PAGE)
            found += self._opened(rows, party)
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

    def _opened(self, rows: Sequence[HeldRecord], party: Party) -> list[Opened]:
        found = []
        for held in rows:
            try:
                payload = self._opener.open_for(held, party)
            except (CommitmentMismatch, NotFound):
                continue
            header = payload.header
            record = opened_of(held.id, held.index, header.author, payload.sections, header.created_ms)
            if record is not None:
                found.append(record)
        return found


def _followed(known: Chain, records: Sequence[Opened], account: str) -> Chain:
    """`known` and the entries of the account that came since."""
    state, seen = known.account, known.seen
    for record in records:
        for entry in record.parts:
            if not isinstance(entry, Entry) or entry.account != account:
                continue
            after = follow(state or Account(entry.account, entry.owner, entry.currency), entry)
            if isinstance(after, str):
                return Chain(state, f"record {record.id}: {after}", seen)
            state, seen = after, record.index
    return Chain(state, "", seen)
