"""A party's list of who read their records: computed from the access records that their own keys open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

from consortium.energy import accesses
from consortium.energy.accesses import Told, Verified
from consortium.energy.metering import to_rfc3339
from consortium.energy.opened import Opened
from consortium.energy.payloads.access import Access as AccessPart
from consortium.energy.reports.pages import page
from consortium.energy.sections import part_in_words
from consortium.model.names import Party
from consortium.model.records import Accepted
from consortium.pipeline.access import Access
from consortium.pipeline.portfolio import Portfolio, Wanted
from consortium.policy.requests import Action
from consortium.ports.callers import Caller
from consortium.ports.ledger import LedgerStore


class Accesses:
    """Answers about the accesses to the caller's own records."""

    def __init__(self, access: Access, portfolio: Portfolio, ledger: LedgerStore) -> None:
        self._access = access
        self._portfolio = portfolio
        self._ledger = ledger

    async def page(self, caller: Caller, after: int, limit: int, *, plaintexts: bool = False) -> dict[str, Any]:
        """Who read, in the ledger's order, with the state of every chain. Raises `Forbidden`.

        `plaintexts` adds each record's section as it was sealed, from which a reader computes the chains themself.
        """
        me = str(Party(caller.member, caller.name))
        self._access.require_action(caller, Action.READ_ACCESSES, about=me, kind="read")
        own = replace(caller, behalf=None)
        told = [_told(record) for record in await self._portfolio.own(own, Wanted((AccessPart.TYPE,)))]
        verified = accesses.verify((one for one in told if one is not None), me)
        befores = _befores(verified)
        rows, last = page(((row.told.index, row.told) for row in verified.rows), after, limit)
        return {
            "rows": [await self._row(one, befores.get(one.id), plaintexts) for one in rows],
            "next": last,
            "whole": verified.whole,
            "chains": [
                {"author": chain.author, "count": chain.count, "wrong": chain.wrong} for chain in verified.chains
            ],
        }

    async def _row(self, told: Told, before: AccessPart | None, plaintexts: bool) -> dict[str, Any]:
        time_ms = await self._time_ms(bytes.fromhex(told.id))
        timed = replace(told, time_ms=time_ms)
        words = {"id": told.id, "index": told.index, "author": told.author, "ledger_time": to_rfc3339(time_ms)}
        row = {**words, "timing": accesses.timing(timed, before), **part_in_words(told.access)}
        return row | ({"plaintext": told.access.plaintext().hex()} if plaintexts else {})

    async def _time_ms(self, record_id: bytes) -> int:
        """The ledger's time at the record's block."""
        stored = await self._ledger.record(record_id)
        if stored is None or not isinstance(stored.verdict, Accepted):
            return 0
        block = await self._ledger.block(stored.verdict.height)
        return block.time_ms if block is not None else 0


def _told(record: Opened) -> Told | None:
    part = record.part(AccessPart)
    return None if part is None else Told(record.id, record.index, record.author, 0, part)


def _befores(verified: Verified) -> Mapping[str, AccessPart]:
    """By record the one before it in its author's chain."""
    found: dict[str, AccessPart] = {}
    by_author: dict[str, list[Told]] = {}
    for row in verified.rows:
        by_author.setdefault(row.told.author, []).append(row.told)
    for chain in by_author.values():
        ordered = sorted(chain, key=lambda told: (told.access.sequence, told.index))
        found |= {after.id: before.access for before, after in pairwise(ordered)}
    return found
