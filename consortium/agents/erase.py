"""A node carries out what was ordered: destroys what it holds of erased records, says so, and orders what is due.

Destroying comes first and the word after it, so that a crash between the two repeats both and harms neither. Every
member says its word, holder or not, so that words tell nobody who the parties were. Where the author of a record holds
it back, all say so after it; only then could a party's own "held back" not be told from anybody else's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol

import structlog

from consortium.agents.market.oblivion import Oblivion
from consortium.energy.retention import due_before, is_due
from consortium.errors import CallerError, OperatorError
from consortium.ledger.governance.state import Erasure, Governance
from consortium.ledger.state import LedgerState
from consortium.ledger.transition import Transition
from consortium.model.encoding import encode
from consortium.model.names import Party
from consortium.model.public import MAX_ERASED, Acknowledgement
from consortium.model.records import parse_header
from consortium.pipeline.erase import Erasing, awaited, overdue
from consortium.pipeline.opening import Opener
from consortium.pipeline.write import PublicDraft, Wait, Writer
from consortium.ports.clock import Clock
from consortium.ports.erasure import Destroyed, ErasureStore, Remains
from consortium.ports.keys import KeyCustody
from consortium.ports.ledger import LedgerStore
from consortium.ports.party import HeldRecord, PartyStore

_log = structlog.get_logger(__name__)
_TICK_S = 1.0
_PAUSE_S = 0.2
_PAGE = 500
_WRITE_S = 10.0
_AGAIN_MS = 10_000


class Answering(Protocol):
    """Answers the requests of other members' users (`agents.erasure_requests`)."""

    async def answer(self) -> None:
        """All that have come."""
        ...


class Eraser:
    """The node's part in every erasure.

    `level` says whether the node's view of the market is level with the ledger (or that it has none): before that it
    cannot judge what is still needed. `forget` is called with the ids of what was destroyed; `observe` is given how
    many words of other members, and of this one, are overdue.
    """

    def __init__(
        self,
        member: str,
        erasing: Erasing,
        oblivion: Oblivion,
        store: ErasureStore,
        party: PartyStore,
        ledger: LedgerStore,
        opener: Opener,
        writer: Writer,
        custody: KeyCustody,
        clock: Clock,
        state: Callable[[], LedgerState],
        requests: Answering,
        *,
        halted: Callable[[], str],
        level: Callable[[], bool],
        forget: Callable[[Collection[bytes]], None],
        observe: Callable[[int], None],
        interval_s: float,
    ) -> None:
        self._member = member
        self._erasing = erasing
        self._oblivion = oblivion
        self._store = store
        self._party = party
        self._ledger = ledger
        self._opener = opener
        self._writer = writer
        self._custody = custody
        self._clock = clock
        self._state = state
        self._requests = requests
        self._halted = halted
        self._level = level
        self._forget = forget
        self._observe = observe
        self._interval_ms = int(interval_s * 1000)
        self._carried: dict[bytes, str] = {}
        """By erasure: '' where nothing of it is left here, else why something is."""
        self._over: set[bytes] = set()
        """Erasures of which every member has said that it is done."""
        self._moment = (0, 0)
        self._retained_ms: int | None = None
        self._waits = ""
        self._wake = asyncio.Event()

    # --- running ---------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Before anything of the store is read: know what is closed, destroy what this member has said is destroyed.

        So a database that was restored from a backup loses again what it had lost.
        """
        self._oblivion.close(await self._store.closed())
        await self._destroy_acknowledged()

    async def caught_up(self) -> None:
        """The same once the log's head is applied: what was acknowledged after the backup was taken."""
        while not await self._again():  # noqa: ASYNC110  the index is awaited: its store tells nobody
            await asyncio.sleep(_PAUSE_S)

    async def _again(self) -> bool:
        try:
            return await self._destroy_acknowledged()
        except OperatorError:
            return False

    def block_applied(self, step: Transition, held: Sequence[HeldRecord]) -> None:
        """Listener of the applier."""
        self._wake.set()

    async def run(self) -> None:
        """Carry out for ever. What cannot be done now is done later: nothing is dropped."""
        while True:
            await self.round()
            await asyncio.sleep(_PAUSE_S)
            try:
                async with asyncio.timeout(_TICK_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    async def round(self) -> None:
        """Destroy what was ordered, say so, answer requests, order what is due: each as far as it can be done now."""
        for work in (self._carry_out_all, self._acknowledge_all, self._answer, self._retain):
            await self._patiently(work)
        self._observe(self._overdue())

    async def _patiently(self, work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
        except (OperatorError, CallerError) as error:
            sentence = f"{type(error).__name__}: {error}"
            if sentence != self._waits:  # once, and not every second
                _log.warning("an erasure waits", error=sentence)
            self._waits = sentence

    def _erasures(self) -> list[Erasure]:
        """Those that are not over."""
        return [one for one in self._governance.erasures.values() if one.id not in self._over]

    def _overdue(self) -> int:
        """How many words are overdue. What is over is not looked at again."""
        state, count = self._state(), 0
        for erasure in self._erasures():
            count += len(overdue(erasure, state))
            if not erasure.held_back and not awaited(erasure, state.governance) and erasure.id in self._carried:
                self._over.add(erasure.id)
        return count

    @property
    def _governance(self) -> Governance:
        return self._state().governance

    # --- destroying ------------------------------------------------------------------------------------------

    async def _destroy_acknowledged(self) -> bool:
        """Whether nothing is left of what this member has acknowledged. It was judged when it was: not again."""
        whole = True
        for erasure in self._erasures():
            if self._member in erasure.acknowledged and erasure.id not in self._carried:
                if await self._destroy(erasure, await self._bound(erasure)):
                    self._carried[erasure.id] = ""
                else:
                    whole = False
        return whole

    async def _carry_out_all(self) -> None:
        """What is new; and what was held back, once something was decided or some time has passed."""
        state = self._state()
        moment = (id(state.governance.holds), state.time_ms // _AGAIN_MS)
        again, self._moment = moment != self._moment, moment
        for erasure in self._erasures():
            known = self._carried.get(erasure.id)
            said = self._member in erasure.acknowledged
            if known is not None and (said or not again):  # until it is said, more may come: by a grant, say
                continue
            if not self._level():
                self._moment = (0, 0)
                return
            await self._carry_out(erasure)

    async def _carry_out(self, erasure: Erasure) -> None:
        """Destroy all that nothing stands in the way of."""
        free: list[Remains] = []
        reasons: list[str] = []
        for one in await self._bound(erasure):
            reason = self._in_the_way(one, erasure)
            if reason:
                reasons.append(reason)
            else:
                free.append(one)
        if await self._destroy(erasure, free):
            self._carried[erasure.id] = reasons[0] if reasons else ""

    async def _bound(self, erasure: Erasure) -> list[Remains]:
        """What is left here of the records that the order binds: its author's own, or, by a court, anybody's."""
        found = await self._store.remains(erasure.records)
        return [one for one in found if erasure.author in ("", parse_header(one.header_bytes).author)]

    def _in_the_way(self, one: Remains, erasure: Erasure) -> str:
        if one.held is None or self._member in erasure.acknowledged:
            return ""
        seen = self._erasing.judge.see(one.held)
        return self._erasing.judge.in_the_way(seen, court=not erasure.author)

    async def _destroy(self, erasure: Erasure, found: Sequence[Remains]) -> bool:
        """False while the index has still to be told of one of them: its lines would come after it was gone."""
        if not found:
            return True
        if any(one.held is not None for one in found) and found[-1].index >= await self._party.indexed_up_to():
            return False
        records = [Destroyed(one.index, one.id, erasure.id, self._closed_by(one)) for one in found]
        await self._store.destroy(records)
        self._oblivion.close([tag for record in records for tag in record.closed])
        self._forget([record.id for record in records])
        _log.info("erased", erasure=erasure.id.hex(), records=len(records))
        return True

    def _closed_by(self, one: Remains) -> tuple[bytes, ...]:
        if one.held is None:
            return ()
        return self._oblivion.tags(self._erasing.judge.see(one.held).parts, self._erasing.judge.known())

    # --- the word --------------------------------------------------------------------------------------------

    async def _acknowledge_all(self) -> None:
        if self._halted() or self._governance.member(self._member) is None:
            return
        for erasure in self._erasures():
            carried = self._carried.get(erasure.id)
            if carried is None or self._member in erasure.acknowledged or self._came_later(erasure):
                continue
            word = await self._word(erasure, carried)
            if word == "" and await self._bound(erasure):  # something has come since
                await self._carry_out(erasure)
                continue
            if word is not None and word != erasure.held_back.get(self._member):
                await self._say(erasure, word)

    def _came_later(self, erasure: Erasure) -> bool:
        return self._governance.standings[self._member].admitted > erasure.height

    async def _word(self, erasure: Erasure, carried: str) -> str | None:
        """'' for done, the reason for held back, None for not yet: after the authors, who are no secret."""
        authors = await self._authors(erasure)
        if self._member in authors:
            return carried
        held_back = [reason for name, reason in sorted(erasure.held_back.items()) if name in authors]
        if held_back:
            return held_back[0]
        waits = [name for name in authors if name not in erasure.acknowledged and self._governance.member(name)]
        return None if waits and not self._half_over(erasure) else carried

    async def _authors(self, erasure: Erasure) -> set[str]:
        if erasure.author:
            return {erasure.author}
        stored = [await self._ledger.record(record) for record in erasure.records]
        return {one.header.author for one in stored if one is not None}

    def _half_over(self, erasure: Erasure) -> bool:
        state = self._state()
        return state.time_ms > erasure.time_ms + state.governance.settings.acknowledgement_s * 500

    async def _say(self, erasure: Erasure, reason: str) -> None:
        said = Acknowledgement(tombstone=erasure.id, state="held-back" if reason else "done", reason=reason)
        record_id = self._custody.derive_id(encode(["acknowledgement", erasure.id, said.state, reason]))
        draft = PublicDraft(record_id, self._member, self._clock.now_ms(), said)
        await self._writer.finish(self._writer.publish(draft), Wait.APPLIED, _WRITE_S)

    # --- what is due -----------------------------------------------------------------------------------------

    async def _answer(self) -> None:
        if not self._halted() and self._level():
            await self._requests.answer()

    async def _retain(self) -> None:
        """Order what this member wrote and whose time is over, by the ledger's time, every so often."""
        now = self._state().time_ms
        if self._halted() or not self._level() or self._governance.member(self._member) is None:
            return
        if self._retained_ms is not None and now - self._retained_ms < self._interval_ms:
            return
        for type, before in due_before(self._governance.settings.retention, now).items():
            while ids := await self._due(type, before):
                under_way = self._erasing.order(ids, "retention", ("retention", *ids))
                await self._writer.finish(under_way, Wait.APPLIED, _WRITE_S)
        self._retained_ms = now

    async def _due(self, type: str, before_ms: int) -> list[bytes]:
        """The next records of a type that are due; what is ordered already, or stands in the way, is passed over."""
        tag, after = self._opener.tag(Party(self._member)), -1
        ids: list[bytes] = []
        while len(ids) < MAX_ERASED:
            page = await self._party.find([tag], type=type, from_ms=None, to_ms=before_ms, after=after, limit=_PAGE)
            ids += [held.id for held in page if self._is_due(held)]
            if len(page) < _PAGE:
                break
            after = page[-1].index
            await asyncio.sleep(0)
        return ids[:MAX_ERASED]

    def _is_due(self, held: HeldRecord) -> bool:
        author, now = parse_header(held.header_bytes).author, self._state()
        if author != self._member or now.governance.erased_by(held.id, author) is not None:
            return False
        judge = self._erasing.judge
        seen = judge.see(held)
        return is_due(now.governance.settings.retention, seen, now.time_ms) and not judge.in_the_way(seen)
