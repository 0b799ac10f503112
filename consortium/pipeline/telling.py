"""Telling subjects who read their records: noted reads become access records, each the next link of its chain.

In two steps, so that a crash at any instant loses nothing and repeats nothing: a transaction gives the reads their
places in the chains (the reads are gone from the line, the records wait to be written), then the records go the way of
all records, in the order of their places.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

from consortium.energy.accesses import digest
from consortium.energy.payloads.access import Access
from consortium.energy.payloads.base import read_part
from consortium.energy.reads import Read, by_subject, gathered
from consortium.errors import DefectError, NotReady, UnknownParty
from consortium.model.names import Party
from consortium.model.records import SEALED, Draft
from consortium.pipeline.chains import Chains
from consortium.pipeline.opening import Opener
from consortium.pipeline.write import Answer, UnderWay, Wait, Writer
from consortium.ports.accesses import AccessStore, Noted, Step, Tail, Unwritten
from consortium.ports.clock import Clock
from consortium.ports.keys import KeyCustody

MAX_AT_ONCE = 2000
"""Reads that one step gathers, and records that one step writes."""
READ_CONTEXT, RECORD_CONTEXT = b"consortium/v1/read", b"consortium/v1/access"
_TRIES = 3


class Teller:
    """Writes access records of `member`, one chain per subject. `halted` says why the node takes no records, or ''."""

    def __init__(
        self,
        member: str,
        store: AccessStore,
        chains: Chains,
        custody: KeyCustody,
        writer: Writer,
        opener: Opener,
        clock: Clock,
        halted: Callable[[], str],
    ) -> None:
        self._member = Party(member)
        self._store = store
        self._chains = chains
        self._custody = custody
        self._writer = writer
        self._opener = opener
        self._clock = clock
        self._halted = halted
        self._lock = asyncio.Lock()
        self._more = False
        self._behind = True
        """Records may have their places and not be under way: since a crash, or since the node took none."""

    async def note(self, reads: Sequence[Read]) -> None:
        """Keep reads until `flush`. Raises `StoreUnavailable`."""
        await self._store.note([self._noted(read) for read in reads])

    async def tell(self, reads: Sequence[Read], timeout_s: float) -> None:
        """Tell of these reads now: when this returns their records are ordered and applied.

        Raises the families of `OperatorError` and `CallerError`: then they may be told of later all the same.
        """
        self._require_running()
        began = asyncio.get_running_loop().time()
        tags = {self._opener.tag(Party.parse(read.subject)) for read in reads}
        async with self._lock:
            placed = await self._place(tags, reads, strict=True)
            started = self._start(await self._store.unwritten(MAX_AT_ONCE) if self._behind else placed)
        wanted = {record.id for record in placed}
        await self._finish([one for one in started if one.draft.id in wanted], timeout_s, began)

    async def flush(self, timeout_s: float) -> bool:
        """Tell of all that is noted; whether there may be more. Raises as `tell`."""
        self._require_running()
        began = asyncio.get_running_loop().time()
        async with self._lock:
            tags = set(await self._store.subjects(MAX_AT_ONCE))
            if tags:
                await self._place(tags, (), strict=False)
            unwritten = await self._store.unwritten(MAX_AT_ONCE)
            started = self._start(unwritten)
        await self._finish(started, timeout_s, began)
        return self._more or len(tags) == MAX_AT_ONCE or len(unwritten) == MAX_AT_ONCE

    def _require_running(self) -> None:
        if self._halted():
            raise NotReady(self._halted(), hint="try again later")

    # --- places ----------------------------------------------------------------------------------------------

    async def _place(self, tags: Collection[bytes], fresh: Sequence[Read], *, strict: bool) -> list[Unwritten]:
        """Give the fresh reads, and those that wait for the same subjects, their places.

        `strict`: raise if one of the chains cannot go on now; else it is left for later.
        """
        for _ in range(_TRIES):
            waiting = await self._store.waiting(tags, MAX_AT_ONCE)
            self._more = len(waiting) == MAX_AT_ONCE
            numbers = {one.number: self._read(one.noted) for one in waiting}
            told: dict[str, list[int]] = {}
            for number, read in numbers.items():
                told.setdefault(read.subject, []).append(number)
            steps = await self._steps(by_subject((*numbers.values(), *fresh)), told, strict=strict)
            if await self._store.go_on(steps):
                return [record for step in steps for record in step.records]
        raise NotReady("another process writes this node's access records", hint="run one node per member")

    async def _steps(
        self, reads: Mapping[str, Sequence[Read]], told: Mapping[str, Sequence[int]], *, strict: bool
    ) -> list[Step]:
        tags = {subject: self._opener.tag(Party.parse(subject)) for subject in reads}
        stored = await self._chains.stored(tags.values())
        steps = []
        for subject, tag in tags.items():
            try:
                tail = await self._chains.ahead(subject, stored[tag])
            except NotReady:
                if strict:
                    raise
                continue
            steps.append(self._step(subject, tag, stored[tag], tail, reads[subject], told.get(subject, ())))
        return steps

    def _step(
        self, subject: str, tag: bytes, before: Tail, tail: Tail, reads: Sequence[Read], told: Sequence[int]
    ) -> Step:
        records = []
        for read in gathered(reads):
            access = read.access(tail.sequence + 1, tail.digest)
            tail = Tail(access.sequence, digest(access))
            body = self._custody.seal_at_rest(RECORD_CONTEXT, access.plaintext())
            id = self._chains.id(subject, access.sequence)
            records.append(Unwritten(id, tag, access.sequence, access.start_ms, body))
        return Step(tag, before, tail, tuple(records), tuple(told))

    def _noted(self, read: Read) -> Noted:
        tag = self._opener.tag(Party.parse(read.subject))
        return Noted(tag, read.first_ms, self._custody.seal_at_rest(READ_CONTEXT, read.encoded()))

    def _read(self, noted: Noted) -> Read:
        return Read.decoded(self._custody.open_at_rest(READ_CONTEXT, noted.body))

    # --- writing ---------------------------------------------------------------------------------------------

    def _start(self, records: Sequence[Unwritten]) -> list[UnderWay]:
        """Put them on their way in this order. Whoever raises here leaves them for the next `flush`."""
        self._behind = True
        started = [self._under_way(record) for record in records]
        self._behind = len(records) >= MAX_AT_ONCE
        return started

    def _under_way(self, record: Unwritten) -> UnderWay:
        access = read_part(self._custody.open_at_rest(RECORD_CONTEXT, record.body))
        if not isinstance(access, Access):
            raise DefectError("what waits to be written is no access record")
        try:
            return self._writer.start(
                self._draft(record, access, Party.parse(access.subject)), Access.TYPE, record.at_ms
            )
        except UnknownParty:  # the subject's member has left: the record stands all the same, and can be shown
            return self._writer.start(self._draft(record, access, self._member), Access.TYPE, record.at_ms)

    def _draft(self, record: Unwritten, access: Access, reader: Party) -> Draft:
        sections = (access.section((reader, self._member)),)
        return Draft(record.id, SEALED, self._member.member, self._clock.now_ms(), sections)

    async def _finish(self, started: Sequence[UnderWay], timeout_s: float, began: float) -> None:
        waits = (self._writer.finish(one, Wait.APPLIED, timeout_s, began=began) for one in started)
        found = await asyncio.gather(*waits, return_exceptions=True)
        answers = [answer for answer in found if isinstance(answer, Answer)]
        await self._store.written([answer.id for answer in answers if answer.state != "rejected"])
        for failed in found:
            if isinstance(failed, BaseException):
                raise failed
        if any(answer.state == "rejected" for answer in answers):
            raise NotReady("the ledger rejected an access record of this node")
