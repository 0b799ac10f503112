"""Answers other members' users who ask for the erasure of what this member wrote about them."""

from __future__ import annotations

from collections.abc import Callable

from consortium.energy.payloads.erasure import ErasureRefused, ErasureRequest
from consortium.energy.retention import Seen
from consortium.ledger.state import LedgerState
from consortium.model.encoding import encode
from consortium.model.names import Party
from consortium.model.records import SEALED, Draft
from consortium.pipeline.erase import NO_SUCH, Erasing
from consortium.pipeline.opening import Opener
from consortium.pipeline.write import Wait, Writer
from consortium.ports.clock import Clock
from consortium.ports.keys import KeyCustody
from consortium.ports.party import PartyStore

_PAGE = 100
_WRITE_S = 10.0


class Requests:
    """One answer per request, whose id follows from it: so a crash, or a second look, gives no second one."""

    def __init__(
        self,
        member: str,
        erasing: Erasing,
        opener: Opener,
        party: PartyStore,
        writer: Writer,
        custody: KeyCustody,
        clock: Clock,
        state: Callable[[], LedgerState],
    ) -> None:
        self._member = Party(member)
        self._erasing = erasing
        self._opener = opener
        self._party = party
        self._writer = writer
        self._custody = custody
        self._clock = clock
        self._state = state
        self._cursor = -1

    async def answer(self) -> None:
        """Answer all that have come since. Raises the families of `OperatorError`, `CallerError`: then later again."""
        tag = self._opener.tag(self._member)
        while True:
            found = await self._party.find(
                [tag], type=ErasureRequest.TYPE, from_ms=None, to_ms=None, after=self._cursor, limit=_PAGE
            )
            for held in found:
                await self._one(self._erasing.judge.see(held))
                self._cursor = held.index
            if len(found) < _PAGE:
                return

    async def _one(self, seen: Seen) -> None:
        """Only a user's own member speaks for them; what else is there is nobody's request."""
        said = next((part for part in seen.parts if isinstance(part, ErasureRequest)), None)
        if said is None or seen.author == self._member.member:
            return
        subject = Party.parse(said.subject)
        if not subject.user or subject.member != seen.author or await self._writer.knows(self._tombstone_id(seen.id)):
            return
        refused = await self._refused(seen.id)
        if refused is None:
            reasons = {record: await self._reason(record, subject) for record in said.records}
            found = {record: reason for record, reason in reasons.items() if reason}
            refused = frozenset(found)
            there = self._state().governance.member(subject.member) is not None  # one that has left is told nothing
            if found and there:  # before the tombstone: after it, what it names would look as if it had been refused
                await self._refuse(seen.id, said, subject, found)
        granted = [record for record in said.records if record not in refused]
        if granted:
            under_way = self._erasing.order(granted, "user", ("request", seen.id))
            await self._writer.finish(under_way, Wait.APPLIED, _WRITE_S)

    async def _refused(self, request: bytes) -> frozenset[bytes] | None:
        """What was refused of it before, if that was said: judged again it would come out otherwise."""
        if not await self._writer.knows(self._refusal_id(request)):
            return None
        held = await self._party.held(self._refusal_id(request))
        parts = self._erasing.judge.see(held).parts if held is not None else ()
        return frozenset(id for part in parts if isinstance(part, ErasureRefused) for id in part.records)

    def _tombstone_id(self, request: bytes) -> bytes:
        return self._custody.derive_id(encode(["tombstone", "request", request]))

    def _refusal_id(self, request: bytes) -> bytes:
        return self._custody.derive_id(encode(["erasure-refused", request]))

    async def _reason(self, record: bytes, subject: Party) -> str:
        """Why it is not erased, '' if it is. What is not this member's, or not about them, is not there."""
        held = await self._party.held(record)
        seen = self._erasing.judge.see(held) if held is not None else None
        if seen is None or seen.author != self._member.member or subject not in seen.users:
            erased = self._state().governance.erased_by(record, self._member.member)
            return "it is erased already" if erased is not None else NO_SUCH
        return self._erasing.refusal(seen, subject)

    async def _refuse(self, request: bytes, said: ErasureRequest, subject: Party, refused: dict[bytes, str]) -> None:
        part = ErasureRefused(
            start_ms=said.start_ms,
            request=request,
            subject=said.subject,
            records=tuple(refused),
            reasons=tuple(refused.values()),
        )
        readers = (subject, Party(subject.member), self._member)
        draft = Draft(
            self._refusal_id(request),
            SEALED,
            self._member.member,
            self._clock.now_ms(),
            (part.section(readers),),
        )
        await self._writer.finish(self._writer.start(draft, part.TYPE, part.start_ms), Wait.APPLIED, _WRITE_S)
