"""A member's node: what runs, what stops it, and what it says of itself.

On tampering it stops applying and ordering, says so in status, metrics and log, and goes on serving reads. On a
failure that it does not know it ends: what orders a ledger must fail stop.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from consortium.agents.belonging import Belonging
from consortium.agents.catchup import CatchUp, PayloadFetcher
from consortium.agents.cosign import Cosigner
from consortium.agents.disclose import Discloser
from consortium.agents.erase import Eraser
from consortium.agents.escrow import EscrowAgent
from consortium.agents.index import Indexer
from consortium.agents.market.runner import MarketAgents
from consortium.agents.overdue import OverdueWatch
from consortium.agents.ownkeys import OwnKeyKeeper
from consortium.agents.receive import Receiver
from consortium.agents.rekey import Rekeyer
from consortium.agents.selfcheck import SelfCheck
from consortium.agents.tell import Telling
from consortium.agents.trim import Trimmer
from consortium.energy.metering import to_rfc3339
from consortium.errors import (
    CommitmentMismatch,
    ConfigurationError,
    Divergence,
    NotReady,
    OperatorError,
    PeerError,
    Tampering,
)
from consortium.ledger.transition import Transition
from consortium.metrics import Metrics
from consortium.pipeline.access import Access
from consortium.pipeline.apply import Applier
from consortium.pipeline.order import Orderer
from consortium.ports.log import OrderingLog
from consortium.ports.party import HeldRecord
from consortium.ports.peers import Peers, PeerStatus
from consortium.ports.witness import WitnessStore

_log = structlog.get_logger(__name__)
_QUOTA_ALARM = 0.8
_HEAD_TIMEOUT_S = 2.0
_PAUSE_S = 0.2
_AGENT_PAUSE_S = 5.0
_REFUSED_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What a node is made of; `bootstrap` puts it together."""

    log: OrderingLog
    applier: Applier
    indexer: Indexer
    orderer: Orderer
    cosigner: Cosigner
    catch_up: CatchUp
    fetcher: PayloadFetcher
    trimmer: Trimmer
    self_check: SelfCheck
    witness: WitnessStore
    peers: Peers
    access: Access
    market: MarketAgents | None
    telling: Telling
    eraser: Eraser
    discloser: Discloser
    receiver: Receiver
    escrow: EscrowAgent
    overdue: OverdueWatch
    belonging: Belonging
    rekeyer: Rekeyer
    own_keys: OwnKeyKeeper


class Node:
    """Runs the parts and knows how they are."""

    def __init__(
        self,
        member: str,
        metrics: Metrics,
        ping_store: Callable[[], Awaitable[None]],
        monitor_interval_s: float,
    ) -> None:
        self.member = member
        self.metrics = metrics
        self._ping_store = ping_store
        self._monitor_interval_s = monitor_interval_s
        self._parts: Parts | None = None
        self._ordering = False
        self._serving = False
        self._alarms: dict[str, str] = {}
        self._stopped = ""
        self._halt = asyncio.Event()
        self._lag = 0
        self._peer_status: dict[str, PeerStatus] = {}
        self._overdue: dict[str, int] = {}

    @property
    def parts(self) -> Parts:
        """The parts, once attached."""
        if self._parts is None:
            raise RuntimeError("the node is not put together yet")
        return self._parts

    def attach(self, parts: Parts) -> None:
        """Give the node its parts, and hang its metrics on them."""
        self._parts = parts
        parts.applier.listen(self._count)
        parts.applier.observe = self.metrics.apply_seconds.observe
        parts.orderer.metrics.batch = self._count_batch
        self.metrics.policy_errors.set_function(lambda: float(parts.access.errors))

    # --- running ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until cancelled."""
        parts = self.parts
        await parts.indexer.start()
        await parts.eraser.start()
        await parts.own_keys.start()
        parts.indexer.listener = parts.own_keys.indexed
        await parts.cosigner.start()
        for listener in (parts.indexer, parts.discloser, parts.receiver, parts.escrow, parts.eraser):
            parts.applier.listen(listener.block_applied)
        if parts.market is not None:
            parts.applier.listen(parts.market.block_applied)
        _log.info("node starts", member=self.member, height=parts.applier.state.height)
        async with asyncio.TaskGroup() as tasks:
            for name, work in (
                ("apply", self._apply()),
                ("order", self._order()),
                ("monitor", self._monitor()),
                ("index", parts.indexer.run()),
                ("cosign", parts.cosigner.run()),
                ("trim", parts.trimmer.run()),
                ("fetch", parts.fetcher.run()),
                ("self-check", parts.self_check.run()),
                ("tell", self._kept_up("tell", parts.telling.run)),
                ("rekey", self._kept_up("rekey", parts.rekeyer.run)),
                ("own-keys", self._kept_up("own-keys", parts.own_keys.run)),
                ("disclose", self._kept_up("disclose", parts.discloser.run)),
                ("receive", self._kept_up("receive", parts.receiver.run)),
                ("escrow", self._kept_up("escrow", parts.escrow.run)),
                ("overdue", self._kept_up("overdue", parts.overdue.run)),
                ("erase", self._kept_up("erase", parts.eraser.run)),
                ("open", self._open_reads()),
                *([("market", parts.market.run())] if parts.market is not None else []),
            ):
                tasks.create_task(self._named(name, work))

    async def _named(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            # Where, but not the message: an exception's words may hold anything.
            frames = [f"{f.filename}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)][-6:]
            _log.error("the node fails", task=name, error=type(error).__name__, frames=frames)
            raise

    async def _kept_up(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """An agent beside the ledger: what it does not foresee in a record must not take ordering down with it.
        It begins anew after a pause, and the alarm stands.
        """
        while True:
            try:
                await self._named(name, work())
                return
            except Exception as error:  # noqa: BLE001 - `_named` has logged where
                self.raise_alarm(
                    f"agent-{name}", f"it met what it does not foresee ({type(error).__name__}), and goes on"
                )
                await asyncio.sleep(_AGENT_PAUSE_S)

    async def _apply(self) -> None:
        parts = self.parts
        while True:
            try:
                await parts.applier.run(parts.log, parts.catch_up)
            except Tampering as error:
                self._stop(str(error))
                return
            except ConfigurationError as error:
                # A member that was removed, or is not admitted yet, is refused: it goes on serving what it has.
                self.raise_alarm("ordering", f"the ordering log refuses this node: {error}")
                await asyncio.sleep(_REFUSED_PAUSE_S)

    async def _order(self) -> None:
        """Order while the ledger names this member; nothing is appended before it does, and nothing after."""
        parts = self.parts
        while not self._halt.is_set() and parts.orderer.failure is None:
            await parts.belonging.until_inside()
            if await self._applied_all():
                self._ordering = True
                _log.info("node takes records", height=parts.applier.state.height)
                await self._while_member(parts.orderer.run(parts.applier.state.next_sequence(self.member)))
            self._ordering = False
            if not parts.belonging.now:
                _log.warning("node takes no records", reason=parts.belonging.refusal)
                parts.orderer.abandon(NotReady(parts.belonging.refusal))
        if parts.orderer.failure is not None:
            self._stop(str(parts.orderer.failure))

    async def _open_reads(self) -> None:
        """Once all that stood in the log at the start is applied, or cannot be: then all orders to erase are known that
        this node can know of, and what it had destroyed before a backup was restored is destroyed again.
        """
        await self._applied_all()
        await self.parts.eraser.caught_up()
        self._serving = True

    async def _applied_all(self) -> bool:
        """Whether this node has applied all that stands in the log by now: its own batches among it."""
        parts = self.parts
        while parts.belonging.now:
            try:
                head = await parts.log.head(timeout_s=_HEAD_TIMEOUT_S)
            except OperatorError:
                await asyncio.sleep(_PAUSE_S)
                continue
            await self._while_member(parts.applier.until_position(head))
            return parts.belonging.now and not self._halt.is_set()
        return False

    async def _while_member(self, work: Coroutine[Any, Any, None]) -> None:
        """A node that applies no more, or is no member's, appends no more either, not even a sign of life."""
        until = (self._halt.wait(), self.parts.belonging.until_outside())
        tasks = [asyncio.ensure_future(each) for each in (work, *until)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        for task in done:
            task.result()

    async def _monitor(self) -> None:
        while True:
            await self._measure_log()
            await self._measure_peers()
            self.metrics.backlog.set(self.parts.orderer.backlog)
            self.metrics.witnessed.set(self.parts.cosigner.best_size)
            self.metrics.checked.set(self.parts.self_check.checked_height)
            await asyncio.sleep(self._monitor_interval_s)

    async def _measure_log(self) -> None:
        parts = self.parts
        try:
            head = await parts.log.head(timeout_s=_HEAD_TIMEOUT_S)
            usage = await parts.log.usage()
        except OperatorError as error:
            self.metrics.log_up.set(0)
            self.raise_alarm("ordering", f"the ordering log does not answer: {error}")
            return
        self.metrics.log_up.set(1)
        self._alarms.pop("ordering", None)
        self._lag = max(0, head - parts.applier.state.position)
        self.metrics.lag.set(self._lag)
        ratio = usage.used_bytes / usage.quota_bytes
        self.metrics.log_used.set(ratio)
        if ratio >= _QUOTA_ALARM:
            self.raise_alarm("quota", "the ordering log has used 80 % of its quota")
        else:
            self._alarms.pop("quota", None)

    async def _measure_peers(self) -> None:
        parts = self.parts
        names = parts.peers.names  # members come and go while they are asked
        results = await asyncio.gather(*(self._ask(name) for name in names))
        for gone in self._peer_status.keys() - set(names):
            del self._peer_status[gone]
        for name, status in zip(names, results, strict=True):
            if status is None:
                self._peer_status.pop(name, None)
                continue
            self._peer_status[name] = status
            self._compare(status)
            self.metrics.peer_height.labels(name).set(status.height)
        try:
            for name, size in (await parts.witness.member_sizes()).items():
                self.metrics.peer_checkpoint.labels(name).set(size)
        except OperatorError:
            return

    def _compare(self, status: PeerStatus) -> None:
        """At one height there is one block. Checkpoints cover the records alone: of two chains of blocks that differ in
        empty or refused batches they say nothing.
        """
        state = self.parts.applier.state
        if status.height == state.height and status.block_digest != state.digest:
            self.alarm(Divergence(f"{status.member} holds another block at height {status.height}"))

    async def _ask(self, member: str) -> PeerStatus | None:
        try:
            return await self.parts.peers.status(member)
        except (OperatorError, PeerError):
            return None

    # --- what happened ---------------------------------------------------------------------------------------

    def _count(self, step: Transition, _: Sequence[HeldRecord]) -> None:
        block = step.block
        self.metrics.height.set(block.height)
        self.metrics.size.set(block.size)
        if block.refusal:
            self.metrics.refused.labels(block.member, block.refusal).inc()
            _log.warning("batch refused", height=block.height, member=block.member, reason=block.refusal)
        for item, reason in block.rejections:
            self.metrics.rejected.labels(block.member, reason).inc()
            _log.warning("record rejected", height=block.height, item=item, member=block.member, reason=reason)

    def _count_batch(self, records: int, size: int, seconds: float) -> None:
        self.metrics.batch_records.observe(records)
        self.metrics.order_seconds.observe(seconds)

    def fault(self, error: CommitmentMismatch) -> None:
        """A record that its author sealed otherwise than it committed."""
        self.metrics.faults.labels(error.author).inc()
        _log.warning("commitment mismatch", author=error.author, record=error.record, section=error.section)

    def acknowledgements_overdue(self, count: int) -> None:
        """How many members' words on erasures are late."""
        self.metrics.acknowledgements_overdue.set(count)
        if count:
            self.raise_alarm("erasure", "members have not said in time that they erased what was ordered")
        else:
            self.end_alarm("erasure")

    def disclosures_overdue(self, found: Mapping[str, int]) -> None:
        """By member how many disclosures are late (`agents.overdue`)."""
        self._overdue = dict(found)
        self.metrics.overdue.clear()
        for name, count in found.items():
            self.metrics.overdue.labels(name).set(count)

    def disclosed_wrong(self, holder: str) -> None:
        """A member disclosed what does not hold, or more than a grant covers."""
        self.metrics.disclosed_wrong.labels(holder).inc()

    def alarm(self, error: Exception) -> None:
        """Something that another member, or this node's own database, shows and that must not be."""
        kind = "divergence" if isinstance(error, Divergence) else "tampering"
        self.metrics.tampering.set(1)
        self.raise_alarm(kind, str(error))

    def raise_alarm(self, kind: str, sentence: str) -> None:
        """Show an alarm in the status until it is over; log it once."""
        if self._alarms.get(kind) != sentence:
            _log.error("alarm", kind=kind, sentence=sentence)
        self._alarms[kind] = sentence

    def end_alarm(self, kind: str) -> None:
        """It is over."""
        self._alarms.pop(kind, None)

    def report(self, sentence: str) -> None:
        """Something worth a line in the log."""
        _log.warning(sentence)

    def _stop(self, sentence: str) -> None:
        self._stopped = sentence
        self._halt.set()
        self.metrics.tampering.set(1)
        self.raise_alarm("tampering", sentence)

    # --- what it says of itself ------------------------------------------------------------------------------

    def halted(self) -> str:
        """Why the node takes no records; '' if it does."""
        if self._stopped:
            return f"the node stopped applying: {self._stopped}"
        if refusal := self.parts.belonging.refusal:
            return refusal
        return "" if self._ordering else "the node is catching up with the log"

    def reads_shut(self) -> str:
        """Why nothing is shown that may have been erased; '' once it is known what was."""
        return "" if self._serving else "the node learns what was erased before it shows anything"

    async def unready(self) -> str:
        """Why the node is not ready; '' if it is."""
        try:
            await self._ping_store()
        except OperatorError as error:
            return str(error)
        return self.halted() or self.reads_shut()

    def status(self) -> dict[str, Any]:
        """For `GET /v1/status`."""
        parts = self.parts
        state = parts.applier.state
        return {
            "member": self.member,
            "network": state.genesis.network,
            "channel": state.genesis.channel,
            "epoch": state.governance.epoch,
            "height": state.height,
            "size": state.tree.size,
            "root": state.tree.root().hex(),
            "block": state.digest.hex(),
            "ledger_time": to_rfc3339(state.time_ms),
            "position": state.position,
            "lag": self._lag,
            "witnessed_size": parts.cosigner.best_size,
            "state": self._state(),
            "alarms": [f"{kind}: {sentence}" for kind, sentence in sorted(self._alarms.items())],
            "checked_height": parts.self_check.checked_height,
            "policy_set": parts.access.policy_set.hex(),
            "disclosures_overdue": self._overdue,
            "agents": None
            if parts.market is None
            else {"height": parts.market.idle_height, "waiting": parts.market.waiting},
            "peers": {
                name: {"height": s.height, "size": s.size, "root": s.root.hex()}
                for name, s in sorted(self._peer_status.items())
            },
        }

    def _state(self) -> str:
        """In one word; `observing` is a node whose member is none now."""
        if self._stopped:
            return "stopped"
        if not self.parts.belonging.now:
            return "observing"
        return "running" if self._ordering else "catching-up"

    def peer_status(self) -> dict[str, Any]:
        """For other members' nodes."""
        state = self.parts.applier.state
        return {
            "member": self.member,
            "height": state.height,
            "size": state.tree.size,
            "root": state.tree.root().hex(),
            "block": state.digest.hex(),
        }
