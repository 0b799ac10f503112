"""A node's teller with real keys over stores in memory, and a writer that puts records on a ledger of its own."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from types import SimpleNamespace

from consortium.crypto.hints import my_slots
from consortium.energy.accesses import Told
from consortium.energy.payloads.access import Access
from consortium.energy.payloads.base import read_part
from consortium.errors import DeadlineExceeded, IdConflict, NotReady
from consortium.model.members import Genesis, Member
from consortium.model.names import Party
from consortium.model.records import Accepted, Draft, SealedRecord, parse_header
from consortium.pipeline.accesslog import AccessLog
from consortium.pipeline.chains import Chains
from consortium.pipeline.opening import Opener
from consortium.pipeline.release import Released
from consortium.pipeline.seal import Sealer
from consortium.pipeline.telling import Teller
from consortium.pipeline.write import Answer
from consortium.ports.ledger import StoredRecord
from consortium.ports.party import HeldRecord
from tests.callers import FakeClock, custody_of
from tests.fakes.accesses import MemoryAccesses

MEMBERS = {"cityretail": ("retailer",), "regulator": ("compliance",), "suncoop": ("cooperative",)}
KEYS = {name: custody_of(name) for name in MEMBERS}
GENESIS = Genesis("testnet", "main", 1, "x.example", tuple(Member(n, MEMBERS[n], KEYS[n].public) for n in MEMBERS))


class MemoryWriter:
    """A `Writer` whose records stand on its ledger at once; `LedgerStore` and `PartyStore` of their author as well."""

    def __init__(self, member: str, clock: FakeClock) -> None:
        self.member = member
        self.clock = clock
        self.sealer = Sealer(GENESIS, KEYS[member], os.urandom)
        self.drafts: dict[bytes, Draft] = {}
        self.records: dict[bytes, tuple[int, SealedRecord, int]] = {}
        self.queue: list[SealedRecord] = []
        self.refuses = False
        self.stalls = False
        self.fetched = True

    def start(self, draft: Draft, type: str, start_ms: int) -> SimpleNamespace:
        if self.refuses:
            raise NotReady("the node takes no records")
        known = self.drafts.get(draft.id)
        if known is not None and known.sections != draft.sections:
            raise IdConflict("another record")
        sealed = self.sealer.seal(draft)  # a stranger among the readers is refused before anything is queued
        if draft.id not in self.drafts:
            self.drafts[draft.id] = draft
            self.queue.append(sealed)
        if not self.stalls:
            for sealed in self.queue:
                self.records[sealed.header.id] = (len(self.records), sealed, self.clock.ms)
            self.queue.clear()
        return SimpleNamespace(draft=draft)

    async def finish(
        self, under_way: SimpleNamespace, wait: object, timeout_s: float, *, began: float | None = None
    ) -> Answer:
        await asyncio.sleep(0)
        if under_way.draft.id not in self.records:
            raise DeadlineExceeded("too late")
        return Answer(under_way.draft.id, "accepted", index=self.records[under_way.draft.id][0])

    async def record(self, record_id: bytes) -> StoredRecord | None:
        if record_id not in self.records:
            return None
        index, sealed, _ = self.records[record_id]
        return StoredRecord(Accepted(record_id, index + 1, 0, index), sealed.header, sealed.header_bytes)

    async def held(self, record_id: bytes, parties: object = None) -> HeldRecord | None:
        return self.held_by(self.member, record_id) if record_id in self.records and self.fetched else None

    def held_by(self, member: str, record_id: bytes) -> HeldRecord | None:
        """As the node of `member` holds it, or None if nothing of it is addressed to that node."""
        index, sealed, _ = self.records[record_id]
        hint = KEYS[member].pair(KEYS[self.member].public.encryption).hint
        slots = my_slots(hint, record_id, sealed.header.slots())
        return HeldRecord(index, record_id, sealed.header_bytes, sealed.bodies, sealed.wraps, slots) if slots else None


class TellerWorld:
    """The node of `member`."""

    def __init__(self, member: str = "cityretail") -> None:
        self.member = member
        self.clock = FakeClock()
        self.writer = MemoryWriter(member, self.clock)
        self.store = MemoryAccesses()
        self.halted = ""
        self.name_staff = False
        self.delegations: dict[str, bytes] = {}
        self.restart()

    def restart(self) -> None:
        """The process begins anew; what stands in its store and on the ledger stands."""
        custody, opener = KEYS[self.member], Opener(GENESIS, KEYS[self.member])
        chains = Chains(self.store, custody, opener, self.writer, self.writer)
        self.teller = Teller(
            self.member, self.store, chains, custody, self.writer, opener, self.clock, lambda: self.halted
        )
        under = SimpleNamespace(under=lambda caller, kind, start_ms, groups: self.delegations.get(kind, b""))
        self.log = AccessLog(self.teller, under, lambda: self.name_staff, self.clock, 5.0)

    def told(self, subject: str) -> list[Told]:
        """What the subject's own node opens for it, in the ledger's order."""
        party = Party.parse(subject)
        opener = Opener(GENESIS, KEYS[party.member])
        found = []
        for record_id, (index, _, time_ms) in self.writer.records.items():
            held = self.writer.held_by(party.member, record_id)
            if held is None or opener.tag(party) not in opener.blinded_readers(
                opener.wraps(held, parse_header(held.header_bytes))[0]
            ):
                continue
            part = read_part(opener.open_all(held).sections[0])
            assert isinstance(part, Access)
            found.append(Told(record_id.hex(), index, self.member, time_ms, part))
        return found


def released(id: int, *subjects: str, type: str = "reading", groups: str = "physical", **more: object) -> Released:
    """A record that is about to leave."""
    parties = tuple(map(Party.parse, subjects))
    users, members = tuple(p for p in parties if p.user), tuple(p for p in parties if not p.user)
    made = Released(
        bytes([id]) * 16 if id < 256 else id.to_bytes(16, "big"), type, frozenset(groups.split()), users, members
    )
    return replace(made, **more)
