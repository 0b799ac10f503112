"""From a draft to its answer: steps 2 to 4 for one record, whoever it comes from.

`submit` writes for callers, agents write what follows from the ledger by itself. The id is the idempotency key: the
same id with the same content gives the same answer and one record, while the first is under way, later, and after a
restart; with other content it is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

from consortium.crypto.notes import SignedNote
from consortium.errors import DeadlineExceeded, IdConflict, LogUnavailable, NotReady, PayloadTooLarge
from consortium.model.names import Party
from consortium.model.public import Body
from consortium.model.records import MAX_BODY_BYTES, Accepted, Applied, Draft, Ordered, Rejected
from consortium.pipeline.opening import Opener
from consortium.pipeline.order import AlreadyKnown, Indexed, Orderer, Ticket
from consortium.pipeline.seal import Sealer, public_record
from consortium.ports.ledger import LedgerStore
from consortium.ports.party import PartyStore

MAX_BACKLOG = 50_000
_REMEMBERED = 16_384


class Wait(StrEnum):
    """The state that an answer waits for."""

    ORDERED = "ordered"
    APPLIED = "applied"
    WITNESSED = "witnessed"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a submission: `state` is ordered, accepted, rejected or witnessed.

    `position` is known of ordered records, `height` and `item` of applied ones, `index` of accepted ones.
    """

    id: bytes
    state: str
    position: int | None = None
    height: int | None = None
    item: int | None = None
    index: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PublicDraft:
    """A record that everybody may read: nothing of it is sealed."""

    id: bytes
    author: str
    created_ms: int
    body: Body


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A draft that was taken."""

    draft: Draft | PublicDraft
    ticket: Ticket


class Writer:
    """Writes this member's records."""

    def __init__(
        self,
        member: str,
        sealer: Sealer,
        orderer: Orderer,
        opener: Opener,
        ledger: LedgerStore,
        party: PartyStore,
        witnessed: Callable[[int], Awaitable[SignedNote]],
        halted: Callable[[], str],
    ) -> None:
        self._member = member
        self._sealer = sealer
        self._orderer = orderer
        self._opener = opener
        self._ledger = ledger
        self._party = party
        self._witnessed = witnessed
        self._halted = halted
        self.erased: Callable[[bytes], bool] = lambda record_id: False
        """Whether a record of this member is to be erased: nobody can tell any more if another is the same."""
        self._under_way: dict[bytes, UnderWay] = {}
        self._own_tags = lru_cache(_REMEMBERED)(self._find_own_tags)

    def start(self, draft: Draft, type: str, start_ms: int) -> UnderWay:
        """Seal and queue. After this the record is on its way, whatever the caller does.

        `type` and `start_ms` are what this node's index will say. Raises `NotReady`, `IdConflict`, `UnknownParty`.
        """
        if (known := self._known(draft)) is not None:
            return known
        readers = tuple([section.readers for section in draft.sections])
        ticket = self._orderer.submit(self._sealer.seal(draft, type), Indexed(type, start_ms, self._own_tags(readers)))
        return self._sent(draft, ticket)

    def publish(self, draft: PublicDraft) -> UnderWay:
        """Queue a record that everybody may read, as `start` does with one that is sealed."""
        if (known := self._known(draft)) is not None:
            return known
        record = public_record(draft.id, draft.author, draft.created_ms, draft.body)
        if len(record.header.body or b"") > MAX_BODY_BYTES:
            raise PayloadTooLarge(f"a public record is at most {MAX_BODY_BYTES:,} bytes")
        return self._sent(draft, self._orderer.submit(record))

    def _known(self, draft: Draft | PublicDraft) -> UnderWay | None:
        """The same draft, if it is under way already. Raises `NotReady`, `IdConflict`."""
        reason = self._halted()
        if reason or self._orderer.backlog > MAX_BACKLOG:
            raise NotReady(reason or "too many records wait to be ordered", hint="try again later with the same id")
        known = self._under_way.get(draft.id)
        if known is not None and not _same(known.draft, draft):
            raise IdConflict("this id was used for another record", hint="use a new id for another record")
        return known

    def _sent(self, draft: Draft | PublicDraft, ticket: Ticket) -> UnderWay:
        under_way = self._under_way[draft.id] = UnderWay(draft, ticket)
        ticket.applied.add_done_callback(lambda _: self._under_way.pop(draft.id, None))
        return under_way

    async def knows(self, record_id: bytes) -> bool:
        """Whether this member wrote a record with that id: under way or accepted. `start` says if it is the same."""
        if record_id in self._under_way:
            return True
        stored = await self._ledger.record(record_id)
        return stored is not None and isinstance(stored.verdict, Accepted) and stored.header.author == self._member

    def _find_own_tags(self, sections: tuple[tuple[Party, ...], ...]) -> tuple[bytes, ...]:
        """The parties of this node that may read, and the member itself."""
        parties = dict.fromkeys(p for readers in sections for p in readers if p.member == self._member)
        parties.setdefault(Party(self._member))
        return tuple(self._opener.tag(party) for party in parties)

    async def finish(self, under_way: UnderWay, wait: Wait, timeout_s: float, *, began: float | None = None) -> Answer:
        """Wait for the state that was asked for, `timeout_s` from the loop's time `began` (now if None)."""
        ticket = under_way.ticket
        now = asyncio.get_running_loop().time()
        end = (now if began is None else began) + timeout_s
        awaited: asyncio.Future[Any] = ticket.ordered if wait is Wait.ORDERED else ticket.applied
        if not awaited.done():
            # Unlike a plain await it leaves the record's future alone when this caller goes away.
            await asyncio.wait((awaited,), timeout=max(0.0, end - now))
            if not awaited.done():
                raise self._too_late(Wait.APPLIED if ticket.ordered.done() else Wait.ORDERED, timeout_s)
        ordered, reached = ticket.ordered.result(), awaited.result()
        if isinstance(ordered, Ordered):
            if wait is Wait.ORDERED:
                return Answer(ordered.id, "ordered", ordered.position)
            if wait is Wait.APPLIED:
                return _answer(reached, ordered)
        try:
            async with asyncio.timeout_at(end):
                if isinstance(ordered, AlreadyKnown):
                    return await self._again(under_way.draft, wait)
                return await self._witnessed_answer(reached, ordered)
        except TimeoutError:
            raise self._too_late(Wait.WITNESSED, timeout_s) from None

    async def _witnessed_answer(self, verdict: Applied, ordered: Ordered | None) -> Answer:
        answer = _answer(verdict, ordered)
        if answer.index is None:
            return answer
        await self._witnessed(answer.index + 1)
        return replace(answer, state="witnessed")

    async def _again(self, draft: Draft | PublicDraft, wait: Wait) -> Answer:
        """The id stands on the ledger already: the same answer for the same content, a refusal for any other."""
        stored = await self._ledger.record(draft.id)
        conflict = IdConflict("this id was used for another record", hint="use a new id for another record")
        if stored is None or not isinstance(stored.verdict, Accepted) or stored.header.author != self._member:
            raise conflict
        if self.erased(draft.id):
            raise conflict
        if isinstance(draft, PublicDraft):
            same = (stored.header.kind, stored.header.body) == (draft.body.KIND, draft.body.encoded())
        else:
            same = await self._holds(draft)
        if not same:
            raise conflict
        block = await self._ledger.block(stored.verdict.height)
        ordered = Ordered(draft.id, block.position) if block else None
        if wait is Wait.ORDERED and ordered:
            return Answer(draft.id, "ordered", ordered.position)
        if wait is Wait.WITNESSED:
            return await self._witnessed_answer(stored.verdict, ordered)
        return _answer(stored.verdict, ordered)

    async def _holds(self, draft: Draft) -> bool:
        """Whether the sealed record of that id is the one that the draft makes. Raises `NotReady`."""
        held = await self._party.held(draft.id)
        if held is None:
            raise NotReady("this node has still to fetch its payload of this record", hint="try again later")
        return self._opener.holds(held, draft.sections)

    def _too_late(self, stage: Wait, timeout_s: float) -> Exception:
        limit = f"within {timeout_s:g} s"
        again = "ask again with the same id: it gives the same answer and one record"
        if stage is not Wait.WITNESSED and self._halted():
            return NotReady(self._halted(), hint=again)
        if stage is Wait.ORDERED:
            return LogUnavailable(f"the ordering log did not take the record {limit}", hint=again)
        return DeadlineExceeded(f"the record is ordered, but was not {stage} {limit}", hint=again)


def _answer(verdict: Applied, ordered: Ordered | None) -> Answer:
    position = ordered.position if ordered else None
    if isinstance(verdict, Rejected):
        return Answer(verdict.id, "rejected", position, verdict.height, verdict.item, reason=verdict.reason)
    return Answer(verdict.id, "accepted", position, verdict.height, verdict.item, verdict.index)


def _same(one: Draft | PublicDraft, other: Draft | PublicDraft) -> bool:
    """Whether two drafts of one id are the same submission; the time of asking is not part of it."""
    if isinstance(one, PublicDraft) or isinstance(other, PublicDraft):
        return isinstance(one, PublicDraft) and isinstance(other, PublicDraft) and one.body == other.body
    return (one.kind, one.author, one.sections) == (other.kind, other.author, other.sections)
