"""Step 1, submit: who asks, may they, is it well-formed; then the record goes its way and the caller gets an answer.

The author's id is the idempotency key. The same id with the same content gives the same answer and one record, while
the first is under way, later, and after a restart; with other content it is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

from consortium.crypto.notes import SignedNote
from consortium.energy import catalogue
from consortium.energy.metering import READING, Reading
from consortium.errors import DeadlineExceeded, IdConflict, LogUnavailable, NotFound, NotReady, UnknownParty
from consortium.model.members import Genesis
from consortium.model.names import ID_BYTES, Party
from consortium.model.records import SEALED, Accepted, Applied, Draft, Ordered, Rejected
from consortium.pipeline.access import Access
from consortium.pipeline.opening import Opener
from consortium.pipeline.order import AlreadyKnown, Indexed, Orderer, Ticket
from consortium.pipeline.seal import Sealer
from consortium.ports import AccountStore, Caller, Clock, LedgerStore, PartyStore

MAX_BACKLOG = 50_000
_REMEMBERED = 16_384


class Wait(StrEnum):
    """The state that an answer waits for."""

    ORDERED = "ordered"
    APPLIED = "applied"
    WITNESSED = "witnessed"


@dataclass(frozen=True, slots=True)
class Submission:
    """What a caller sends: `data` is untrusted JSON; `id` is 16 bytes, made here if None."""

    id: bytes | None
    type: str
    data: Any


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
class UnderWay:
    """A submission that was taken."""

    draft: Draft
    ticket: Ticket


class Submitter:
    """Takes submissions of this member's callers."""

    def __init__(
        self,
        genesis: Genesis,
        member: str,
        access: Access,
        accounts: AccountStore,
        sealer: Sealer,
        orderer: Orderer,
        opener: Opener,
        ledger: LedgerStore,
        party: PartyStore,
        clock: Clock,
        entropy: Callable[[int], bytes],
        witnessed: Callable[[int], Awaitable[SignedNote]],
        halted: Callable[[], str],
    ) -> None:
        self._member = member
        self._access = access
        self._accounts = accounts
        self._sealer = sealer
        self._orderer = orderer
        self._opener = opener
        self._ledger = ledger
        self._party = party
        self._clock = clock
        self._entropy = entropy
        self._witnessed = witnessed
        self._halted = halted
        self._grid = tuple(Party(m.name) for m in genesis.with_role("grid-operator"))
        self._users: set[str] = set()
        self._under_way: dict[bytes, UnderWay] = {}
        self._own_tags = lru_cache(_REMEMBERED)(self._find_own_tags)

    async def submit(self, caller: Caller, submission: Submission, wait: Wait, timeout_s: float) -> Answer:
        """The record's whole way. Raises the families of `CallerError`, `LogUnavailable`, `NotReady`."""
        under_way = await self.start(caller, submission)
        return await self.finish(under_way, wait, timeout_s)

    async def start(self, caller: Caller, submission: Submission) -> UnderWay:
        """Check, seal and queue. After this the record is on its way, whatever the caller does."""
        self._access.require_submit(caller, submission.type)
        content = catalogue.parse(submission.type, submission.data)
        draft = await self._draft(submission.id, content)
        reason = self._halted()
        if reason or self._orderer.backlog > MAX_BACKLOG:
            raise NotReady(reason or "too many records wait to be ordered", hint="try again later with the same id")
        known = self._under_way.get(draft.id)
        if known is not None:
            if not _same(known.draft, draft):
                raise IdConflict("this id was used for another record", hint="use a new id for another record")
            return known
        ticket = self._orderer.submit(self._sealer.seal(draft), self._indexed(content, draft))
        under_way = self._under_way[draft.id] = UnderWay(draft, ticket)
        ticket.applied.add_done_callback(lambda _: self._under_way.pop(draft.id, None))
        return under_way

    def _indexed(self, content: Reading, draft: Draft) -> Indexed:
        """What the index will say: the parties of this node that may read, and the member itself."""
        readers = tuple([section.readers for section in draft.sections])
        return Indexed(READING, content.start_ms, self._own_tags(readers))

    def _find_own_tags(self, sections: tuple[tuple[Party, ...], ...]) -> tuple[bytes, ...]:
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

    async def _draft(self, record_id: bytes | None, content: Reading) -> Draft:
        now = self._clock.now_ms()
        content.check(now)
        await self._require_user(Party.parse(content.subject))
        record_id = record_id if record_id is not None else self._entropy(ID_BYTES)
        return Draft(record_id, SEALED, self._member, now, content.sections(self._grid))

    async def _require_user(self, subject: Party) -> None:
        """A member submits readings of its own users; of others' users it cannot even know who there is."""
        if subject.member == self._member:
            if subject.user in self._users:
                return
            account = await self._accounts.account(subject.user)
            if account is not None and account.kind == "user":
                self._users.add(subject.user)
                return
        raise UnknownParty("the subject is no user of this member", field="data.subject")

    async def _witnessed_answer(self, verdict: Applied, ordered: Ordered | None) -> Answer:
        answer = _answer(verdict, ordered)
        if answer.index is None:
            return answer
        await self._witnessed(answer.index + 1)
        return replace(answer, state="witnessed")

    async def _again(self, draft: Draft, wait: Wait) -> Answer:
        """The id stands on the ledger already: the same answer for the same content, a refusal for any other."""
        stored = await self._ledger.record(draft.id)
        held = await self._party.held(draft.id)
        conflict = IdConflict("this id was used for another record", hint="use a new id for another record")
        if stored is None or not isinstance(stored.verdict, Accepted) or stored.header.author != self._member:
            raise conflict
        if held is None:
            raise NotReady("this node has still to fetch its payload of this record", hint="try again later")
        try:
            opened = self._opener.open_for(held, Party(self._member))
        except NotFound:
            raise conflict from None
        if list(opened.sections) != [section.plaintext for section in draft.sections]:
            raise conflict
        block = await self._ledger.block(stored.verdict.height)
        ordered = Ordered(draft.id, block.position) if block else None
        if wait is Wait.ORDERED and ordered:
            return Answer(draft.id, "ordered", ordered.position)
        if wait is Wait.WITNESSED:
            return await self._witnessed_answer(stored.verdict, ordered)
        return _answer(stored.verdict, ordered)

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


def _same(one: Draft, other: Draft) -> bool:
    """Whether two drafts of one id are the same submission; the time of asking is not part of it."""
    return (one.kind, one.author, one.sections) == (other.kind, other.author, other.sections)
