"""Four members' nodes in one process (`tests.grants_world`), each with its eraser."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from consortium.agents.erase import Eraser
from consortium.agents.erasure_requests import Requests
from consortium.agents.market.oblivion import Oblivion
from consortium.energy.payloads.metering import MeterReading
from consortium.energy.view.places import ViewPlaces
from consortium.ledger.governance.state import Erasure
from consortium.pipeline.erase import Erasing, Judge, Outcome
from consortium.ports.callers import Caller
from tests.builders import T0
from tests.grants_world import GrantsNode, GrantsWorld, grants_world

HOUR = 3_600_000
MEMBERS = ("cityretail", "gridco", "regulator", "suncoop")
HOME = Caller("home-01", "suncoop", "user")


class ErasingNode:
    """What a node adds to `GrantsNode` for erasing; `begin` is a restart of the process."""

    def __init__(self, node: GrantsNode) -> None:
        self.node = node
        self.forgotten: list[bytes] = []
        self.late = 0
        self.halted = ""
        self.level = True
        self.interval_s = 3600.0
        self.begin()

    def begin(self) -> None:
        node, world = self.node, self.node.world
        state = lambda: node.applier.state  # noqa: E731
        judge = Judge(node.opener, state, lambda: node.view, ViewPlaces(node.view))
        self.erasing = Erasing(
            node.member, node.access, judge, node.opener, node.store, node.writer, node.custody, world.clock, state
        )
        node.writer.erased = lambda record: state().governance.erased_by(record, node.member) is not None
        rest = (node.writer, node.custody, world.clock, state)
        self.oblivion = Oblivion(node.member, node.custody, state)
        self.eraser = Eraser(
            node.member,
            self.erasing,
            self.oblivion,
            node.store,
            node.store,
            node.store,
            node.opener,
            *rest,
            Requests(node.member, self.erasing, node.opener, node.store, *rest),
            halted=lambda: self.halted,
            level=lambda: self.level,
            forget=self._forget,
            observe=self._observe,
            interval_s=self.interval_s,
        )

    def _forget(self, ids: Collection[bytes]) -> None:
        self.forgotten += ids

    def _observe(self, count: int) -> None:
        self.late = count


class ErasureWorld:
    """The nodes, and what the tests do with them."""

    def __init__(self, world: GrantsWorld) -> None:
        self.world = world
        self.nodes = {name: ErasingNode(node) for name, node in world.nodes.items()}
        self.away: set[str] = set()

    def __getitem__(self, member: str) -> ErasingNode:
        return self.nodes[member]

    async def reading(self, home: str = "home-01@suncoop", hour: int = 0, load_wh: int = 1500) -> bytes:
        """A reading by the home's member, as its node writes it."""
        member = home.rpartition("@")[2]
        part = MeterReading(
            start_ms=T0 + hour * HOUR, subject=home, interval_s=3600, load_wh=load_wh, pv_wh=0, quality="measured"
        )
        return await self.world.write(member, (part, f"{home} {member} gridco"))

    async def asks(self, *ids: bytes, caller: Caller = HOME, ground: str = "user") -> list[Outcome]:
        return await self.nodes[caller.member].erasing.ask(caller, ids, ground)

    async def erase(self, rounds: int = 3) -> None:
        """Every node that is not away does its part, until words have followed on words."""
        for _ in range(rounds):
            await self.world.agree()
            for name, node in self.nodes.items():
                if name not in self.away:
                    await node.node.fold()
                    await node.eraser.round()
        await self.world.agree()

    async def held(self, id: bytes) -> set[str]:
        """Whose nodes hold the payload."""
        return {name for name, node in self.nodes.items() if await node.node.store.held(id) is not None}

    def orders(self) -> list[Erasure]:
        return list(self.world.office.applier.state.governance.erasures.values())

    async def voted(self, kind: str, terms: dict) -> bytes:
        """A proposal that two members agreed on."""
        id = await self.world.propose("gridco", kind, terms)
        await self.world.vote(id, "gridco", "suncoop")
        return id


@asynccontextmanager
async def erasure_world() -> AsyncIterator[ErasureWorld]:
    """A world whose nodes run until it is left."""
    async with grants_world() as world:
        yield ErasureWorld(world)
