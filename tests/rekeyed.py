"""Two members' nodes in one process, on a log and stores in memory, with real key files: for tests of keys that change.

`Nodes` starts them; each has what orders, applies, indexes, seals, opens, and follows its keys.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

from consortium.adapters import keyfile
from consortium.adapters.keyvault import KeyVault
from consortium.adapters.unlock import MountedSecret
from consortium.agents.belonging import Belonging
from consortium.agents.index import Indexer
from consortium.agents.keywatch import KeyWatch
from consortium.agents.rekey import Rekeyer, RekeySettings
from consortium.energy.metering import read_payload
from consortium.energy.payloads.metering import MeterReading
from consortium.ledger.state import initial
from consortium.model.members import Genesis, Member
from consortium.model.names import Party
from consortium.model.public import Body
from consortium.model.records import Accepted, Draft
from consortium.pipeline import rewraps
from consortium.pipeline.apply import Applier
from consortium.pipeline.keyring import LiveMembership, hint_keys
from consortium.pipeline.opening import Opener
from consortium.pipeline.order import Orderer
from consortium.pipeline.seal import Sealer
from consortium.pipeline.write import Answer, PublicDraft, Wait, Writer
from tests.builders import T0
from tests.fakes.log import MemoryLog, MemoryLogServer
from tests.fakes.store import MemoryStore

DEADLINE_S = 30.0
NAMES = ("gridco", "suncoop")
UNLOCK = MountedSecret(bytes(32))
EXPIRES_MS = T0 + 365 * 86_400_000


class Clock:
    """Goes on by a millisecond with each look; tests may turn it."""

    def __init__(self) -> None:
        self.ms = T0

    def now_ms(self) -> int:
        self.ms += 1
        return self.ms


class LiveNode:
    """One member's node."""

    def __init__(self, genesis: Genesis, member: str, folder: Path, server: MemoryLogServer, clock: Clock) -> None:
        self.member, self.genesis, self.clock = member, genesis, clock
        self.path = folder / f"{member}.keys"
        self.custody, self.vault = KeyVault.open(self.path, UNLOCK)
        self.store, self.log = MemoryStore(), MemoryLog(server, member)
        self.alarms: dict[str, str] = {}
        state = initial(genesis)
        self.membership = LiveMembership(state.governance)
        self.applier = Applier(self.store, state, hint_keys(self.membership, self.custody), self._nothing)
        self.orderer = Orderer(genesis, member, self.log, self.store, self.custody, clock, heartbeat_s=0.05)
        self.opener = Opener(self.membership, self.custody)
        self.faults: list[Exception] = []
        self.indexer = Indexer(member, self.opener, self.store, self.orderer, self.faults.append)
        self.sealer = Sealer(self.membership, self.custody, os.urandom)
        self.watch = KeyWatch(
            member, self.custody, self.vault, lambda: self.applier.state.governance,
            alarm=lambda sentence: self.alarms.update(keys=sentence), calm=lambda: self.alarms.pop("keys", None),
        )  # fmt: skip
        self.watch.follow()
        self.belonging = Belonging(self.membership, member, lambda: self.watch.refusal)
        for listener in (self.watch.follow, self.sealer.forget, self.belonging.changed):
            self.membership.listen(listener)
        self.applier.listen(lambda step, _: self.membership.update(step.state.governance))
        self.applier.listen(self.indexer.block_applied)
        self.writer = Writer(
            member, self.sealer, self.orderer, self.opener, self.store, self.store, None, lambda: self.belonging.refusal
        )  # type: ignore[arg-type]
        self.rekeyer = Rekeyer(
            member, self.custody, self.vault, self.watch, lambda: self.applier.state, self.store, self.store,
            self._cosigned, self.publish, {"rewrap": rewraps.context}, RekeySettings(grace_s=1, interval_s=0.02),
            came_back=self.belonging.changed,
        )  # fmt: skip

    async def _nothing(self, _: int) -> int:
        return 0

    async def _cosigned(self) -> dict[str, int]:
        """As if everybody cosigned at once."""
        return dict.fromkeys(NAMES, self.applier.state.tree.size)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.applier.run(self.log, self._nothing_to_catch_up))
            tasks.create_task(self.indexer.run())
            tasks.create_task(self._order())

    async def _nothing_to_catch_up(self, _: object) -> None:
        raise AssertionError("nothing is trimmed here")

    async def _order(self) -> None:
        while True:
            await self.belonging.until_inside()
            order = asyncio.ensure_future(self.orderer.run(self.applier.state.next_sequence(self.member)))
            until = asyncio.ensure_future(self.belonging.until_outside())
            try:
                await asyncio.wait((order, until), return_when=asyncio.FIRST_COMPLETED)
            finally:
                order.cancel()
                until.cancel()

    async def publish(self, body: Body) -> Answer:
        draft = PublicDraft(os.urandom(16), self.member, self.clock.now_ms(), body)
        return await self.writer.finish(self.writer.publish(draft), Wait.APPLIED, DEADLINE_S)

    async def write(self, wh: int, readers: Sequence[str] = NAMES) -> Answer:
        """A reading of `wh` that these members may read."""
        under_way = self.writer.start(self.draft(wh, readers), "reading", T0)
        return await self.writer.finish(under_way, Wait.APPLIED, DEADLINE_S)

    def draft(self, wh: int, readers: Sequence[str] = NAMES) -> Draft:
        home = f"home-01@{self.member}"
        part = MeterReading(start_ms=T0, subject=home, interval_s=3600, load_wh=wh, pv_wh=0, quality="measured")
        section = part.section([Party(name) for name in readers])
        return Draft(os.urandom(16), "sealed", self.member, self.clock.now_ms(), (section,))

    async def reads(self, record_id: bytes) -> int:
        """The load of a record, as this member opens it."""
        held = await self.store.held(record_id)
        assert held is not None, "the payload never came"
        return read_payload(self.opener.open_all(held).sections[0] or b"")["load_wh"]

    async def until(self, height: int) -> None:
        """Until this node has applied the block."""
        await self.applier.until_height(height)

    def accepted(self, record_id: bytes) -> Accepted | None:
        return next((r.verdict for step in self.store.steps for r in step.accepted if r.verdict.id == record_id), None)


@asynccontextmanager
async def nodes(folder: Path) -> AsyncIterator[SimpleNamespace]:
    """`gridco` and `suncoop`, running."""
    keys = {name: keyfile.create(folder / f"{name}.keys", UNLOCK).public for name in NAMES}
    genesis = Genesis("testnet", "main", 1, "x.example", tuple(Member(n, ("utility",), keys[n]) for n in NAMES))
    server, clock = MemoryLogServer(), Clock()
    made = {name: LiveNode(genesis, name, folder, server, clock) for name in NAMES}
    running = [asyncio.create_task(node.run()) for node in made.values()]
    try:
        async with asyncio.timeout(DEADLINE_S * 2):
            yield SimpleNamespace(server=server, genesis=genesis, clock=clock, **made)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
