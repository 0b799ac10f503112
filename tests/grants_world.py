"""Four members' nodes in one process, with real keys, sealing, ordering, applying and indexing over a log in memory.

async with grants_world() as world:
    trade = await world.write("gridco", (points, "gridco suncoop"), (terms, "gridco suncoop"))
    grant = await world.granted(scope)             # asked for by the officer, voted for by two
    await world.settle()                           # holders disclose, the officer's node receives
    (await world.office.disclosed.page(OFFICER, grant, Query()))
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from consortium.adapters.keyfile import KeyFile
from consortium.adapters.keysecrets import Secrets
from consortium.adapters.policyfiles import load_policies
from consortium.agents.disclose import Discloser
from consortium.agents.escrow import EscrowAgent
from consortium.agents.index import Indexer
from consortium.agents.receive import Receiver
from consortium.agents.unseal import Unsealer
from consortium.crypto.notes import Checkpoint, SignedNote
from consortium.energy.payloads.base import Part
from consortium.energy.view.facts import fact_of
from consortium.energy.view.places import ViewPlaces
from consortium.energy.view.view import View
from consortium.errors import PeerUnavailable
from consortium.ledger.state import initial
from consortium.ledger.witnessing import cosigner_name, trust_policy
from consortium.model.members import Genesis, Member
from consortium.model.names import Party
from consortium.model.public import Ballot, Body, Proposal
from consortium.model.records import SEALED, Accepted, Draft, parse_header
from consortium.model.scope import Scope
from consortium.pipeline.access import Access, NoDelegations
from consortium.pipeline.apply import Applier
from consortium.pipeline.claims import Vault
from consortium.pipeline.disclosed import Disclosed
from consortium.pipeline.escrowing import Escrowing
from consortium.pipeline.govern import Governor
from consortium.pipeline.grants import Grants, Wanted
from consortium.pipeline.keyring import LiveMembership, hint_keys
from consortium.pipeline.opening import Opener
from consortium.pipeline.order import Orderer
from consortium.pipeline.prove import Prover
from consortium.pipeline.seal import Sealer
from consortium.pipeline.write import Answer, Wait, Writer
from consortium.ports.callers import Caller
from consortium.ports.disclosures import Standing
from tests.builders import T0
from tests.fakes.disclosures import MemoryDisclosures
from tests.fakes.log import MemoryLog, MemoryLogServer
from tests.fakes.store import MemoryStore
from tests.marketworld import Noting

ROLES = {
    "cityretail": ("retailer",),
    "gridco": ("grid-operator", "utility"),
    "regulator": ("compliance",),
    "suncoop": ("cooperative",),
}
OFFICE = "regulator"
OFFICER = Caller("regulator-officer", OFFICE, "officer")
COLLEAGUE = Caller("regulator-second", OFFICE, "officer")
POLICIES = Path(__file__).parents[1] / "policies"
DAY_MS = 86_400_000


class WorldClock:
    """One clock for all, turned by the test."""

    def __init__(self) -> None:
        self.ms = T0

    def now_ms(self) -> int:
        return self.ms


class Ledgered(MemoryDisclosures):
    """Knows where records stand by the node's own ledger."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__()
        self._store, self._looked = store, 0

    async def standing(self, records):
        self._look()
        return await super().standing(records)

    async def public(self, kinds):
        self._look()
        return await super().public(kinds)

    def _look(self) -> None:
        if self._looked == len(self._store.steps):
            return
        self._looked = len(self._store.steps)
        self.ledger = {
            row.verdict.id: Standing(row.verdict.index, row.verdict.height, step.block.time_ms, row.header_bytes)
            for step in self._store.steps
            for row in step.accepted
        }


class GrantsNode:
    """One member's node."""

    def __init__(self, world: GrantsWorld, member: str) -> None:
        self.world, self.member = world, member
        self.custody = world.keys[member]
        self.store = MemoryStore()
        state = initial(world.genesis)
        self.membership = LiveMembership(state.governance)
        self.opener = Opener(self.membership, self.custody)
        log = MemoryLog(world.server, member)
        self.orderer = Orderer(world.genesis, member, log, self.store, self.custody, world.clock, heartbeat_s=0.05)
        self.applier = Applier(self.store, state, hint_keys(self.membership, self.custody), self._witnessed)
        self.indexer = Indexer(member, self.opener, self.store, self.orderer, lambda _: None)
        self.view, self.folded = View(self.membership, member), -1
        self.unescrowed = 0
        self.escrowing = Escrowing(lambda: self.applier.state.governance, ViewPlaces(self.view), self._missed)
        self.sealer = Sealer(self.membership, self.custody, os.urandom, None, self.escrowing)
        self.writer = Writer(
            member, self.sealer, self.orderer, self.opener, self.store, self.store, self._witnessed, lambda: ""
        )
        self.log = log
        self.disclosures = Ledgered(self.store)
        self.refused: list[str] = []
        self.dealt_wrong: list[str] = []
        self.releases = Noting()
        self.applier.listen(lambda step, _: self.membership.update(step.state.governance))
        self.applier.listen(self.indexer.block_applied)
        self.membership.listen(self.sealer.forget)
        self._services()

    def _services(self) -> None:
        world, state = self.world, lambda: self.applier.state
        self.access = Access(world.engine, self.member)
        self.access.know(standing=frozenset, now_ms=lambda: self.applier.state.time_ms, delegations=NoDelegations())
        vault = Vault(self.custody)
        self.governor = Governor(self.member, self.access, self.writer, world.clock, state, os.urandom)
        prover = Prover(self.store, self.store, lambda: trust_policy(world.genesis), state)
        self.grants = Grants(
            self.access, self.governor, self.disclosures, vault, self.store, self.opener, prover, state, os.urandom
        )
        self.disclosed = Disclosed(self.access, self.releases, self.disclosures, vault, prover, state)
        self.discloser = self.new_discloser()
        self.escrow = EscrowAgent(
            self.member, self.view, self.writer, self.store, self.custody, world.clock, os.urandom, state,
            self._dealt_wrong,
        )  # fmt: skip
        unsealer = Unsealer(self.member, self.store, self.disclosures, self.opener, vault, state, self.refused.append)
        self.receiver = Receiver(
            self.member, self.store, self.disclosures, self.opener, vault, world, state, self.refused.append, unsealer
        )

    def _dealt_wrong(self, place: tuple[str, str, str]) -> None:
        self.dealt_wrong.append(place[2])
        self.escrowing.distrust(place)

    def _missed(self) -> None:
        self.unescrowed += 1

    def new_discloser(self) -> Discloser:
        """As after a restart."""
        return Discloser(
            self.member, self.store, self.store, self.opener, self.writer, self.custody, self.world.clock, os.urandom,
            lambda: self.applier.state, ViewPlaces(self.view), lambda: self.folded,
        )  # fmt: skip

    async def _witnessed(self, size: int) -> int:
        return 0

    async def fold(self) -> None:
        """What the market's runner does: the view follows what arrived."""
        for arrived in await self.store.arrived(self.folded, 100_000):
            opened = self.opener.open_all(arrived.held)
            fact = fact_of(arrived.held.index, opened.header, arrived.time_ms, opened.sections)
            if fact is not None:
                self.view.add(fact)
            self.folded = arrived.held.index


class GrantsWorld:
    """The members' nodes and the log between them. It is their `Holders` as well: ask each other directly."""

    def __init__(self) -> None:
        self.clock = WorldClock()
        self.server = MemoryLogServer()
        self.keys = {name: KeyFile(Secrets.generate(os.urandom)) for name in ROLES}
        members = tuple(Member(name, ROLES[name], self.keys[name].public) for name in sorted(ROLES))
        self.genesis = Genesis("testnet", "main", 1, "x.example", members)
        self.engine = load_policies(POLICIES)
        self.nodes = {name: GrantsNode(self, name) for name in ROLES}
        self.silent: set[str] = set()
        self.away: set[str] = set()
        self.count = 0
        self.asked: list[tuple[str, int]] = []

    @property
    def office(self) -> GrantsNode:
        """The regulator's node."""
        return self.nodes[OFFICE]

    # --- Holders ---

    async def disclosed(self, member, grant, records):
        if member in self.away:
            raise PeerUnavailable(f"{member} is away")
        self.asked.append((member, len(records)))
        return await self.nodes[member].discloser.ciphertexts(OFFICE, grant, records)

    # --- writing ---

    async def write(self, author: str, *sections: tuple[Part, str], type: str = "") -> bytes:
        """A record of sections, each with its readers as text with blanks between; its id."""
        made = tuple(part.section(tuple(map(Party.parse, readers.split()))) for part, readers in sections)
        id = os.urandom(16)
        draft = Draft(id, SEALED, author, self.clock.ms, made)
        first = sections[0][0]
        under_way = self.nodes[author].writer.start(draft, type or first.TYPE, first.start_ms)
        await self.accepted(under_way.ticket.applied)
        return id

    async def publish(self, author: str, body: Body, id: bytes | None = None) -> Answer:
        return await self.nodes[author].governor.publish(body, id, Wait.APPLIED, 10.0)

    async def propose(self, author: str, kind: str, terms: dict) -> bytes:
        id = os.urandom(16)
        body = Proposal(kind=kind, terms=terms, expires_ms=self.clock.ms + 30 * DAY_MS)
        answer = await self.publish(author, body, id)
        assert answer.state == "accepted", answer.reason
        return id

    async def vote(self, id: bytes, *members: str, yes: bool = True) -> None:
        for member in members:
            answer = await self.publish(member, Ballot(proposal=id, yes=yes))
            assert answer.state == "accepted", answer.reason
        await self.agree()

    async def asks(self, scope: Scope, *, caller: Caller = OFFICER, days: int = 30, **more) -> bytes:
        """The officer asks for a grant; its id."""
        wanted = Wanted(scope, "complaint 17-204", "REMIT Art. 13", self.clock.ms + days * DAY_MS, **more)
        id = os.urandom(16)
        answer = await self.office.grants.ask(caller, wanted, id, Wait.APPLIED, 10.0)
        assert answer.state == "accepted", answer.reason
        await self.agree()
        return id

    async def granted(self, scope: Scope, **more) -> bytes:
        """A grant that two members voted for; nothing is disclosed yet."""
        id = await self.asks(scope, **more)
        await self.vote(id, "gridco", "suncoop")
        assert id in self.office.applier.state.governance.grants
        return id

    # --- time ---

    async def accepted(self, applied) -> None:
        verdict = await asyncio.wait_for(asyncio.shield(applied), 10)
        assert isinstance(verdict, Accepted), verdict
        await self.agree()

    async def agree(self) -> None:
        """Until all nodes have applied and indexed the same."""
        position = self.server.position
        for node in self.nodes.values():
            await asyncio.wait_for(node.applier.until_position(min(position, self._last())), 10)
        for node in self.nodes.values():
            while await node.store.unindexed(1):  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    def _last(self) -> int:
        return max((event.entry.position for event in self.server.standing.values()), default=0)

    async def turn(self, ms: int) -> None:
        """So much later by the ledger's time: every node has said so by a sign of life."""
        self.clock.ms += ms
        for node in self.nodes.values():
            while node.applier.state.time_ms < self.clock.ms:  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def disclose(self) -> None:
        """Every holder that is not silent goes over what it holds."""
        await self.agree()
        for name, node in self.nodes.items():
            await node.fold()
            if name not in self.silent:
                await node.discloser.round()
        await self.agree()

    async def escrow(self, *members: str) -> None:
        """These members' agents deal and give what is due."""
        await self.agree()
        for member in members:
            node = self.nodes[member]
            await node.fold()
            await node.escrow.round()
        await self.agree()

    async def settle(self) -> None:
        """Holders disclose, the officer's node receives."""
        await self.disclose()
        await self.office.receiver.round()

    async def cosign(self) -> None:
        """All members cosign the tree of now; the regulator's node knows it."""
        await self.agree()
        tree, origin = self.office.applier.state.tree, self.genesis.origin
        text = Checkpoint(origin, tree.size, tree.root()).text()
        signatures = [self.keys[OFFICE].sign_checkpoint(text, origin)]
        signatures += [self.keys[m].cosign(text, cosigner_name(self.genesis, m), 1_500_000_000) for m in sorted(ROLES)]
        await self.office.store.save(SignedNote(text, tuple(signatures)))

    def headers(self, member: str) -> Sequence[object]:
        """All headers that a member's node keeps."""
        return [parse_header(data) for data in self.nodes[member].store._headers]


@asynccontextmanager
async def grants_world() -> AsyncIterator[GrantsWorld]:
    """A world whose nodes run until it is left."""
    world = GrantsWorld()

    async def catch_up(state) -> None:
        raise AssertionError("nothing is ever trimmed here")

    tasks = []
    for node in world.nodes.values():
        await node.indexer.start()
        tasks += [
            asyncio.create_task(work)
            for work in (node.applier.run(node.log, catch_up), node.orderer.run(0), node.indexer.run())
        ]
    try:
        await world.turn(1000)
        yield world
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
