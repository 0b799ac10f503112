"""A market's records in memory, sealed with real keys: three members' nodes, each with its view and its readers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace

from consortium.adapters.keyfile import KeyFile
from consortium.adapters.keysecrets import Secrets
from consortium.adapters.policyfiles import load_policies
from consortium.agents.index import index_lines
from consortium.crypto.hints import my_slots
from consortium.energy.payloads.base import Part
from consortium.energy.view.facts import fact_of
from consortium.energy.view.view import View
from consortium.model.members import Genesis, Member
from consortium.model.names import Party
from consortium.model.records import SEALED, Accepted, Draft, DraftSection
from consortium.pipeline.access import Access
from consortium.pipeline.delegating import LiveDelegations
from consortium.pipeline.markets import MarketReader
from consortium.pipeline.opening import Opener
from consortium.pipeline.personal import Personal
from consortium.pipeline.portfolio import Portfolio
from consortium.pipeline.read import Reader
from consortium.pipeline.release import Released
from consortium.pipeline.seal import Sealer
from consortium.pipeline.showing import Showing
from consortium.pipeline.standing import standing
from consortium.ports.callers import Caller
from consortium.ports.ledger import StoredRecord
from consortium.ports.party import HeldRecord, Kind
from tests.builders import T0

ROLES = {"cityretail": ("retailer",), "gridco": ("grid-operator",), "suncoop": ("cooperative",), "farm": ("retailer",)}
KEYS = {name: KeyFile(Secrets.generate(os.urandom)) for name in ROLES}
GENESIS = Genesis("testnet", "main", 1, "x.example", tuple(Member(n, ROLES[n], KEYS[n].public) for n in sorted(ROLES)))
ENGINE = load_policies(Path(__file__).parents[1] / "policies")


class Noting:
    """Remembers what was released to whom."""

    def __init__(self) -> None:
        self.released: list[tuple[Caller, Released]] = []

    async def release(self, caller: Caller, released: Sequence[Released]) -> None:
        self.released += [(caller, one) for one in released]


class MarketNode:
    """One member's node: what it holds, its view, and the readers on top. A `PartyStore` as far as readers need it."""

    def __init__(self, member: str) -> None:
        self.member = member
        self.opener = Opener(GENESIS, KEYS[member])
        self.view = View(GENESIS, member)
        self.access = Access(ENGINE, member)
        self.rows: list[tuple[HeldRecord, dict[bytes, tuple[str, int]]]] = []
        self.stored: dict[bytes, StoredRecord] = {}
        self.access.know(
            standing=partial(standing, self.view),
            now_ms=lambda: self.view.now_ms,
            delegations=LiveDelegations(lambda: self.view.delegations, lambda: self.view.now_ms),
        )
        self.releases = Noting()
        showing = Showing(self.releases, member, self.users)
        self.reader = reader = Reader(self.access, self.opener, self, self, showing)
        self.market = MarketReader(member, self.access, self.view, self.opener, self, showing)
        portfolio = Portfolio(self.access, self.opener, self, showing)
        self.personal = Personal(self.access, portfolio, reader, self.market)

    def take(self, index, record, time_ms):
        self.stored[record.header.id] = StoredRecord(
            Accepted(record.header.id, index + 1, 0, index), record.header, record.header_bytes
        )
        author = GENESIS.member(record.header.author)
        hint = KEYS[self.member].pair(author.keys.encryption).hint
        slots = my_slots(hint, record.header.id, record.header.slots())
        if not slots:
            return
        held = HeldRecord(index, record.header.id, record.header_bytes, record.bodies, record.wraps, slots)
        lines = index_lines(self.opener, held, lambda error: None)
        self.rows.append((held, {line.party: (line.type, line.start_ms) for line in lines}))
        fact = fact_of(index, record.header, time_ms, self.opener.open_all(held).sections)
        if fact is not None:
            self.view.add(fact)

    # --- PartyStore and LedgerStore ---

    async def record(self, record_id):
        return self.stored.get(record_id)

    async def users(self):
        return [f"home-{number:02}" for number in range(1, 13)]

    async def held(self, record_id, parties):
        return next((h for h, lines in self.rows if h.id == record_id and not lines.keys().isdisjoint(parties)), None)

    async def is_reader(self, record_id, parties):
        return await self.held(record_id, parties) is not None

    async def kinds_of(self, indexes, parties):
        return {
            held.index: Kind(*lines[tag])
            for held, lines in self.rows
            for tag in parties
            if held.index in indexes and tag in lines
        }

    async def find(self, parties, *, type, from_ms, to_ms, after, limit):
        found = []
        for held, lines in self.rows:
            for tag in parties:
                kind, start = lines.get(tag, (None, 0))
                good = kind is not None and held.index > after and type in (None, kind)
                if good and (from_ms is None or start >= from_ms) and (to_ms is None or start < to_ms):
                    found.append(held)
                    break
        return found[:limit]


class MarketWorld:
    """The ledger that all nodes take from."""

    def __init__(self, *members: str) -> None:
        self.nodes = {name: MarketNode(name) for name in members or ROLES}
        self.count = 0
        self.now_ms = T0
        self._sealers = {name: Sealer(GENESIS, KEYS[name], os.urandom) for name in ROLES}

    def add(self, author: str, *sections: tuple[Part | DraftSection, str], id: bytes | None = None) -> bytes:
        """Seal and apply a record of sections, each with its readers as text with blanks between; the record's id."""
        made = []
        for part, readers in sections:
            parties = tuple(map(Party.parse, readers.split()))
            made.append(part.section(parties) if isinstance(part, Part) else part)
        id = id or os.urandom(16)
        record = self._sealers[author].seal(Draft(id, SEALED, author, self.now_ms, tuple(made)))
        for node in self.nodes.values():
            node.take(self.count, record, self.now_ms)
        self.count += 1
        return id

    def services(self, member: str, verifier) -> SimpleNamespace:
        """What the reading routes need of a node's services."""
        node = self.nodes[member]
        return SimpleNamespace(
            personal=node.personal, market=node.market, reader=node.reader, access=node.access, verifier=verifier
        )
