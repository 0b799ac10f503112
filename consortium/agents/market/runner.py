"""Runs a node's market: follows the ledger into the view, asks the agents what is due, writes it.

A record's id follows from what caused it, so whatever is killed at any instant is written once: after a restart the
view is folded anew, and what is due and not on the ledger is written then.
"""

from __future__ import annotations

import asyncio
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache

import structlog

from consortium.agents.market.clear import Clearer
from consortium.agents.market.deliver import Deliverer
from consortium.agents.market.duty import Agent, Cause, Duty, Poisoned, cause_key
from consortium.agents.market.forecasts import Mandates
from consortium.agents.market.gates import Gatekeeper
from consortium.agents.market.oblivion import Oblivion
from consortium.agents.market.pay import Payer
from consortium.agents.market.settle import Settler
from consortium.energy.payloads.money import Entry
from consortium.energy.view.facts import Fact, fact_of
from consortium.energy.view.view import View
from consortium.errors import CommitmentMismatch, IdConflict, NotReady, StoreUnavailable
from consortium.ledger.transition import Transition
from consortium.model.records import SEALED, Accepted, Applied, Draft, parse_header
from consortium.pipeline.opening import Opener
from consortium.pipeline.order import AlreadyKnown
from consortium.pipeline.write import Writer
from consortium.ports.clock import Clock
from consortium.ports.keys import KeyCustody
from consortium.ports.party import Arrived, HeldRecord, PartyStore

_log = structlog.get_logger(__name__)
_PAGE = 500
_TURN = 50
_MOST_UNDER_WAY = 5_000
_ENOUGH_UNDER_WAY = 600
"""While so many are under way, two batches and more, the agents need not be asked: what they gave would only queue."""
_RETRY_S = 0.2


class MarketAgents:
    """A node's agents. `view` is what they, and the node's submissions, know."""

    def __init__(
        self,
        view: View,
        party: PartyStore,
        opener: Opener,
        writer: Writer,
        custody: KeyCustody,
        clock: Clock,
        ledger_time: Callable[[], int],
        fault: Callable[[str], None],
    ) -> None:
        self.view = view
        self._party = party
        self._opener = opener
        self._writer = writer
        self._clock = clock
        self._ledger_time = ledger_time
        self._fault = fault
        self._derive = lru_cache(65_536)(lambda cause: custody.derive_id(cause_key(cause)))
        self._agents: tuple[Agent, ...] = ()
        self._cursor = -1
        self._height = 0
        self._given: set[bytes] = set()
        self._hopeless: set[bytes] = set()
        """Ids of what cannot be written, whatever is tried: they count as done until the node starts again."""
        self._queue: deque[Duty] = deque()
        self._wake = asyncio.Event()
        self._broken = False
        self._flying = 0
        self._oblivion: Oblivion | None = None
        self.level = False
        """Whether the view knows all that has arrived: not so while it is folded anew."""
        self.followed = False
        """Whether the view has been level with the ledger since the node started."""
        self.idle_height = 0
        """Up to this block nothing is left to do."""
        self._begin()

    def remember(self, oblivion: Oblivion) -> None:
        """What the agents must still know of what was erased."""
        self._oblivion = oblivion

    def forget(self) -> None:
        """Something of what was folded was erased: fold anew, once what is on its way has arrived."""
        self.level = False
        self._broken = True
        self._wake.set()

    def _begin(self) -> None:
        """From nothing: an empty view, agents that have seen nothing."""
        self.level = False
        self.view.forget()
        if self._oblivion is not None:
            self.view.own_ids |= self._oblivion.own_ids()
        self._cursor = -1
        self._given.clear()
        self._queue.clear()
        self._broken = False
        view, known = self.view, self._known
        self._agents = (
            Mandates(view, known),
            Gatekeeper(view, known),
            Payer(view, self._on_ledger),
            Clearer(view, known),
            Deliverer(view, known),
            Settler(view, known),
        )

    @property
    def waiting(self) -> int:
        """Records that are due, or on their way."""
        return len(self._given)

    @property
    def folded(self) -> int:
        """The view knows all that arrived up to this tree index."""
        return self._cursor

    def block_applied(self, step: Transition, _: Sequence[HeldRecord]) -> None:
        """Listener of the applier."""
        self._height = step.block.height
        self._wake.set()

    async def run(self) -> None:
        """Act for ever."""
        self._begin()  # what was erased is known by now
        self._wake.set()
        while True:
            await self._wake.wait()
            self._wake.clear()
            height = self._height
            try:
                await self._follow()
                self.followed, self.level = True, not self._broken
            except StoreUnavailable:
                await asyncio.sleep(_RETRY_S)
                self._wake.set()
                continue
            if self._broken:
                if self._flying:
                    continue  # each of them wakes us when it is over
                self._begin()
                self._wake.set()
                continue
            if self._flying > _ENOUGH_UNDER_WAY:
                self._write()  # each of them wakes us when it is over
                continue
            await self._act()
            if not self._given:
                self.idle_height = height

    # --- following -------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while page := await self._party.arrived(self._cursor, _PAGE):
            for number, arrived in enumerate(page, start=1):
                self._fold(arrived)
                self._cursor = arrived.held.index
                if number % _TURN == 0:
                    await asyncio.sleep(0)
        self.view.now_ms = max(self.view.now_ms, self._ledger_time())

    def _fold(self, arrived: Arrived) -> None:
        if parse_header(arrived.held.header_bytes).author == self.view.member:
            self.view.own_ids.add(arrived.held.id)
            self._given.discard(arrived.held.id)
        try:
            self._tell(self._open(arrived))
        except Exception as error:  # noqa: BLE001 - any member may have written it: it stops nobody's node
            self._report(error)

    def _tell(self, fact: Fact | None) -> None:
        if fact is None:
            return
        self.view.add(fact)
        for agent in self._agents:
            agent.see(fact)

    def _report(self, error: Exception) -> None:
        """Where it failed, but not the message: an exception's words may hold anything."""
        frames = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)][-4:]
        _log.error("a record that the market's code does not foresee", error=type(error).__name__, frames=frames)
        self._fault(f"a record that this version does not foresee was left alone: {type(error).__name__}")

    def _open(self, arrived: Arrived) -> Fact | None:
        try:
            opened = self._opener.open_all(arrived.held)
        except CommitmentMismatch:
            return None  # the index has named its author already
        return fact_of(arrived.held.index, opened.header, arrived.time_ms, opened.sections)

    # --- acting ----------------------------------------------------------------------------------------------

    def _on_ledger(self, cause: Cause) -> bool:
        record_id = self._derive(cause)
        return record_id in self.view.own_ids or record_id in self._hopeless

    def _known(self, cause: Cause) -> bool:
        record_id = self._derive(cause)
        return record_id in self.view.own_ids or record_id in self._given or record_id in self._hopeless

    def _forbidden(self, duty: Duty) -> bool:
        return self._oblivion is not None and self._oblivion.forbids(duty)

    async def _act(self) -> None:
        for agent in self._agents:
            for number, duty in enumerate(agent.due(), start=1):
                if isinstance(duty, Poisoned):
                    self._report(duty.error)
                    continue
                if not self._known(duty.cause) and not self._forbidden(duty):
                    self._given.add(self._derive(duty.cause))
                    self._queue.append(duty)
                if number % _TURN == 0:
                    self._write()
                    await asyncio.sleep(0)
        self._write()

    def _write(self) -> None:
        """Hand on what is due, in its order, as far as there is room."""
        while self._queue and self._flying < _MOST_UNDER_WAY and not self._broken:
            duty = self._queue[0]
            record_id = self._derive(duty.cause)
            draft = Draft(record_id, SEALED, self.view.member, self._clock.now_ms(), duty.sections)
            try:
                ticket = self._writer.start(draft, duty.type, duty.start_ms).ticket
            except NotReady:
                asyncio.get_running_loop().call_later(_RETRY_S, self._wake.set)
                return
            except IdConflict:
                self._broken = True
                return
            except Exception as error:  # noqa: BLE001 - a stranger among its readers, say: it stops nobody's node
                self._give_up(duty, record_id, error)
                continue
            self._queue.popleft()
            self._flying += 1
            ticket.applied.add_done_callback(self._settled)

    def _give_up(self, duty: Duty, record_id: bytes, error: Exception) -> None:
        """What cannot be sealed is left alone. Of a payment others may follow in the chains: all is folded anew."""
        self._report(error)
        self._queue.popleft()
        self._given.discard(record_id)
        self._hopeless.add(record_id)
        if duty.type == Entry.TYPE:
            self._broken = True
            self._wake.set()

    def _settled(self, applied: asyncio.Future[Applied | AlreadyKnown]) -> None:
        """A record of ours is on the ledger, or something is not as we thought: then all is folded anew."""
        self._flying -= 1
        if applied.cancelled() or applied.exception() is not None:
            return  # the node stops by itself
        verdict = applied.result()
        if isinstance(verdict, AlreadyKnown) or not isinstance(verdict, Accepted):
            _log.warning("an agent's record was there already, or was rejected; it looks again")
            self._broken = True
        self._wake.set()
