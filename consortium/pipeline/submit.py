"""Step 1, submit: who asks, may they, is it well-formed; then the record goes its way and the caller gets an answer.

The author's id is the idempotency key. The same id with the same content gives the same answer and one record, while
the first is under way, later, and after a restart; with other content it is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from consortium.crypto.hashing import sha256
from consortium.crypto.notes import SignedNote
from consortium.energy import catalogue
from consortium.errors import DeadlineExceeded, IdConflict, LogUnavailable, NotFound, NotReady, UnknownParty
from consortium.model.encoding import encode
from consortium.model.members import Genesis
from consortium.model.names import ID_BYTES, Party
from consortium.model.records import SEALED, Accepted, Applied, Draft, Ordered, Rejected
from consortium.pipeline.access import Access
from consortium.pipeline.opening import Opener
from consortium.pipeline.order import AlreadyKnown, Orderer, Ticket
from consortium.pipeline.seal import Sealer
from consortium.ports import AccountStore, Caller, Clock, LedgerStore, PartyStore

MAX_BACKLOG = 50_000


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


@dataclass(slots=True)
class _UnderWay:
    fingerprint: bytes
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
        self._under_way: dict[bytes, _UnderWay] = {}

    async def submit(self, caller: Caller, submission: Submission, wait: Wait, timeout_s: float) -> Answer:
        """The record's whole way. Raises the families of `CallerError`, `LogUnavailable`, `NotReady`."""
        under_way = await self.start(caller, submission)
        return await self.finish(under_way, wait, timeout_s)

    async def start(self, caller: Caller, submission: Submission) -> _UnderWay:
        """Check, seal and queue. After this the record is on its way, whatever the caller does."""
        draft = await self._draft(caller, submission)
        reason = self._halted()
        if reason or self._orderer.backlog > MAX_BACKLOG:
            raise NotReady(reason or "too many records wait to be ordered", hint="try again later with the same id")
        fingerprint = _fingerprint(draft)
        known = self._under_way.get(draft.id)
        if known is not None:
            if known.fingerprint != fingerprint:
                raise IdConflict("this id was used for another record", hint="use a new id for another record")
            return known
        under_way = _UnderWay(fingerprint, draft, self._orderer.submit(self._sealer.seal(draft)))
        self._under_way[draft.id] = under_way
        under_way.ticket.applied.add_done_callback(lambda _: self._under_way.pop(draft.id, None))
        under_way.ticket.ordered.add_done_callback(lambda done: self._forget_unordered(draft.id, done))
        return under_way

    async def finish(self, under_way: _UnderWay, wait: Wait, timeout_s: float) -> Answer:
        """Wait for the state that was asked for."""
        ticket = under_way.ticket
        stage = Wait.ORDERED
        try:
            async with asyncio.timeout(timeout_s):
                ordered = await asyncio.shield(ticket.ordered)
                stage = Wait.APPLIED
                if isinstance(ordered, AlreadyKnown):
                    return await self._again(under_way.draft, wait)
                if wait is Wait.ORDERED:
                    return Answer(ordered.id, "ordered", ordered.position)
                verdict = await asyncio.shield(ticket.applied)
                stage = Wait.WITNESSED
                return await self._answer(verdict, wait, ordered)
        except TimeoutError:
            raise self._too_late(stage, timeout_s) from None

    async def _draft(self, caller: Caller, submission: Submission) -> Draft:
        self._access.require_submit(caller, submission.type)
        content = catalogue.parse(submission.type, submission.data)
        now = self._clock.now_ms()
        content.check(now)
        await self._require_user(Party.parse(content.subject))
        record_id = submission.id if submission.id is not None else self._entropy(ID_BYTES)
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

    async def _answer(self, verdict: Applied, wait: Wait, ordered: Ordered | None) -> Answer:
        position = ordered.position if ordered else None
        if isinstance(verdict, Rejected):
            return Answer(verdict.id, "rejected", position, verdict.height, verdict.item, reason=verdict.reason)
        state = "accepted"
        if wait is Wait.WITNESSED:
            await self._witnessed(verdict.index + 1)
            state = "witnessed"
        return Answer(verdict.id, state, position, verdict.height, verdict.item, verdict.index)

    async def _again(self, draft: Draft, wait: Wait) -> Answer:
        """The id stands on the ledger already: the same answer for the same content, a refusal for any other."""
        stored = await self._ledger.record(draft.id)
        held = await self._party.held(draft.id)
        conflict = IdConflict("this id was used for another record", hint="use a new id for another record")
        if stored is None or held is None or not isinstance(stored.verdict, Accepted):
            raise conflict
        if stored.header.author != self._member:
            raise conflict
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
        return await self._answer(stored.verdict, wait, ordered)

    def _forget_unordered(self, record_id: bytes, done: asyncio.Future[Ordered | AlreadyKnown]) -> None:
        if done.cancelled() or done.exception() is not None or isinstance(done.result(), AlreadyKnown):
            self._under_way.pop(record_id, None)

    def _too_late(self, stage: Wait, timeout_s: float) -> Exception:
        limit = f"within {timeout_s:g} s"
        again = "ask again with the same id: it gives the same answer and one record"
        if stage is Wait.ORDERED:
            return LogUnavailable(f"the ordering log did not take the record {limit}", hint=again)
        if stage is Wait.APPLIED and self._halted():
            return NotReady(self._halted(), hint=again)
        return DeadlineExceeded(f"the record is ordered, but was not {stage} {limit}", hint=again)


def _fingerprint(draft: Draft) -> bytes:
    """What must be equal for a repeated id to be the same submission; the time of asking is not part of it."""
    sections = [[s.name, s.plaintext, [str(reader) for reader in s.readers]] for s in draft.sections]
    return sha256(encode([draft.kind, draft.author, sections]))
