"""A store in memory, held to the same suites as Postgres (tests/ports).

Set `away` to make every method raise `StoreUnavailable`, as when Postgres is down.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from consortium.crypto.merkle import TileId
from consortium.crypto.notes import Checkpoint, NoteSignature, SignedNote
from consortium.errors import ConfigurationError, StoreUnavailable, Tampering
from consortium.ledger.state import LedgerState, initial
from consortium.ledger.transition import Transition
from consortium.model.blocks import AcceptedRecord, Block, KeptBlock, RejectedRecord
from consortium.model.members import Genesis
from consortium.model.records import Accepted, parse_header
from consortium.ports.accounts import Account
from consortium.ports.erasure import Destroyed, Remains
from consortium.ports.ledger import BlockRow, StoredRecord
from consortium.ports.party import Arrived, Count, HeldRecord, IndexEntry, Kind, MissingRecord
from consortium.ports.rekeying import SealedRow


class MemoryStore:
    """`LedgerStore`, `PartyStore`, `WitnessStore`, `AccountStore` and `ErasureStore` of one node."""

    def __init__(self) -> None:
        self.away = False
        self.steps: list[Transition] = []
        self._accepted: dict[bytes, StoredRecord] = {}
        self._rejected: dict[bytes, StoredRecord] = {}
        self._headers: list[bytes] = []
        self._tiles: dict[TileId, bytes] = {}
        self._held: dict[int, HeldRecord] = {}
        self._missing: dict[int, MissingRecord] = {}
        self._entries: dict[tuple[bytes, int], IndexEntry] = {}
        self._indexed_up_to = 0
        self._notes: dict[tuple[int, str], tuple[NoteSignature, ...]] = {}
        self._cosigned_size = 0
        self._member_sizes: dict[str, int] = {}
        self._accounts: dict[str, Account] = {}
        self._erased: set[bytes] = set()
        self._closed: set[bytes] = set()

    def _require(self) -> None:
        if self.away:
            raise StoreUnavailable("the store is away")

    # --- LedgerStore ---

    async def load(self, genesis: Genesis) -> LedgerState:
        self._require()
        if not self.steps:
            return initial(genesis)
        if self.steps[0].block.previous != genesis.digest():
            raise ConfigurationError("the store holds the ledger of another genesis")
        return self.steps[-1].state

    async def taken(self, ids: Sequence[bytes]) -> Collection[bytes]:
        self._require()
        return frozenset(id for id in ids if id in self._accepted)

    async def commit(
        self, step: Transition, held: Sequence[HeldRecord], missing: Sequence[MissingRecord] = ()
    ) -> Collection[bytes]:
        self._require()
        height = step.block.height
        if height <= len(self.steps):
            if self.steps[height - 1].state.digest != step.state.digest:
                raise Tampering(f"the store holds another block at height {height}")
            return frozenset()
        if height != len(self.steps) + 1 or (self.steps and step.block.previous != self.steps[-1].state.digest):
            raise Tampering(f"the store does not hold the block that block {height} builds on")
        if taken := await self.taken([good.verdict.id for good in step.accepted]):
            return taken
        self.steps.append(step)
        for good in step.accepted:
            stored = StoredRecord(good.verdict, parse_header(good.header_bytes), good.header_bytes)
            self._accepted[good.verdict.id] = stored
            self._headers.append(good.header_bytes)
        for bad in step.rejected:
            if bad.verdict.id:
                stored = StoredRecord(bad.verdict, parse_header(bad.header_bytes), bad.header_bytes)
                self._rejected.setdefault(bad.verdict.id, stored)
        self._tiles.update({(t.level, t.index): t.hashes for t in step.tiles})
        self._held.update({h.index: h for h in held})
        self._missing.update({m.index: m for m in missing})
        return frozenset()

    async def blocks(self, start: int, limit: int) -> Sequence[KeptBlock]:
        self._require()
        first = max(start, 1) - 1
        return [KeptBlock(step.block, step.batch) for step in self.steps[first : first + max(limit, 0)]]

    async def block_rows(self, start: int, limit: int) -> Sequence[BlockRow]:
        self._require()
        first = max(start, 1) - 1
        return [
            BlockRow(s.block, s.state.digest, s.batch.head, s.batch.signature, s.batch.raw)
            for s in self.steps[first : first + max(limit, 0)]
        ]

    async def rows(self, first: int, last: int) -> Sequence[AcceptedRecord | RejectedRecord]:
        self._require()
        rows = [row for step in self.steps for row in (*step.accepted, *step.rejected)]
        named = [row for row in rows if first <= row.verdict.height <= last]
        return sorted(named, key=lambda row: (row.verdict.height, row.verdict.item))

    async def block(self, height: int) -> Block | None:
        self._require()
        return self.steps[height - 1].block if 1 <= height <= len(self.steps) else None

    async def block_of_size(self, size: int) -> Block | None:
        self._require()
        return next((step.block for step in self.steps if step.block.size >= size), None)

    async def block_of_batch(self, member: str, sequence: int) -> Block | None:
        self._require()
        place = (member, sequence)
        return next((s.block for s in self.steps if (s.block.member, s.block.sequence) == place), None)

    async def record(self, record_id: bytes) -> StoredRecord | None:
        self._require()
        return self._accepted.get(record_id) or self._rejected.get(record_id)

    async def headers(self, start: int, end: int) -> Sequence[bytes]:
        self._require()
        return self._headers[max(start, 0) : max(end, 0)]

    async def tiles(self, ids: Collection[TileId]) -> Mapping[TileId, bytes]:
        self._require()
        return {id: self._tiles[id] for id in ids if id in self._tiles}

    # --- PartyStore ---

    async def unindexed(self, limit: int) -> Sequence[HeldRecord]:
        self._require()
        return [self._held[i] for i in sorted(self._held) if i >= self._indexed_up_to][:limit]

    async def indexed_up_to(self) -> int:
        self._require()
        return self._indexed_up_to

    async def add_index(self, entries: Sequence[IndexEntry], up_to: int) -> None:
        self._require()
        for entry in entries:
            self._entries.setdefault((entry.party, entry.index), entry)
        self._indexed_up_to = max(self._indexed_up_to, up_to)

    async def arrived(self, after: int, limit: int) -> Sequence[Arrived]:
        self._require()
        end = min(self._missing, default=len(self._headers))
        found = [self._held[i] for i in sorted(self._held) if after < i < end][:limit]
        times = {good.verdict.index: step.block.time_ms for step in self.steps for good in step.accepted}
        return [Arrived(held, times[held.index]) for held in found]

    async def held(self, record_id: bytes, parties: Collection[bytes] | None = None) -> HeldRecord | None:
        self._require()
        if parties is not None and not await self.is_reader(record_id, parties):
            return None
        return next((h for h in self._held.values() if h.id == record_id), None)

    async def held_among(self, record_ids: Collection[bytes]) -> Mapping[bytes, HeldRecord]:
        self._require()
        return {held.id: held for held in self._held.values() if held.id in record_ids}

    async def is_reader(self, record_id: bytes, parties: Collection[bytes]) -> bool:
        self._require()
        stored = self._accepted.get(record_id)
        index = stored.verdict.index if stored and isinstance(stored.verdict, Accepted) else -1
        return any((party, index) in self._entries for party in parties)

    async def find(
        self,
        parties: Collection[bytes],
        *,
        type: str | None,
        from_ms: int | None,
        to_ms: int | None,
        after: int,
        limit: int,
    ) -> Sequence[HeldRecord]:
        self._require()
        found = {
            entry.index
            for entry in self._entries.values()
            if entry.party in parties
            and entry.index > after
            and type in (None, entry.type)
            and (from_ms is None or entry.start_ms >= from_ms)
            and (to_ms is None or entry.start_ms < to_ms)
        }
        return [self._held[i] for i in sorted(found) if i in self._held][:limit]

    async def kinds_of(self, indexes: Collection[int], parties: Collection[bytes]) -> Mapping[int, Kind]:
        self._require()
        found = [e for e in self._entries.values() if e.index in indexes and e.party in parties]
        return {entry.index: Kind(entry.type, entry.start_ms) for entry in found}

    async def census(self) -> Sequence[Count]:
        self._require()
        found = Counter((entry.party, entry.type) for entry in self._entries.values())
        return [Count(*key, found[key]) for key in sorted(found)]

    async def missing(self, limit: int, after: int = -1) -> Sequence[MissingRecord]:
        self._require()
        return [self._missing[i] for i in sorted(self._missing) if i > after][:limit]

    async def fill(self, held: HeldRecord, entries: Sequence[IndexEntry]) -> None:
        self._require()
        if self._missing.pop(held.index, None) is None:
            return
        self._held.setdefault(held.index, held)
        await self.add_index(entries, 0)

    # --- WitnessStore ---

    async def save(self, note: SignedNote) -> SignedNote:
        self._require()
        key = (Checkpoint.parse(note.text).size, note.text)
        merged = SignedNote(note.text, self._notes.get(key, ())).with_signatures(note.signatures)
        self._notes[key] = merged.signatures
        return merged

    async def latest(self) -> SignedNote | None:
        self._require()
        if not self._notes:
            return None
        key = min(self._notes, key=lambda k: (-k[0], k[1]))
        return SignedNote(key[1], self._notes[key])

    async def notes(self, min_size: int, limit: int) -> Sequence[SignedNote]:
        self._require()
        keys = [key for key in sorted(self._notes) if key[0] >= min_size]
        return [SignedNote(key[1], self._notes[key]) for key in keys[:limit]]

    async def prune(self, keep_below: Collection[int], newest: int) -> None:
        self._require()
        sizes = sorted({size for size, _ in self._notes}, reverse=True)
        kept = {*sizes[:newest], *keep_below}
        self._notes = {key: value for key, value in self._notes.items() if key[0] in kept}

    async def cosigned_size(self) -> int:
        self._require()
        return self._cosigned_size

    async def advance_cosigned(self, old: int, new: int) -> bool:
        self._require()
        if self._cosigned_size != old:
            return False
        self._cosigned_size = new
        return True

    async def member_sizes(self) -> Mapping[str, int]:
        self._require()
        return dict(self._member_sizes)

    async def saw(self, cosigner: str, size: int) -> None:
        self._require()
        self._member_sizes[cosigner] = max(size, self._member_sizes.get(cosigner, size))

    # --- AccountStore ---

    async def account(self, name: str) -> Account | None:
        self._require()
        return self._accounts.get(name)

    async def put_account(self, account: Account) -> None:
        self._require()
        self._accounts[account.name] = account

    async def add_account(self, account: Account) -> bool:
        self._require()
        return self._accounts.setdefault(account.name, account) is account

    async def revoke(self, name: str, now_ms: int) -> None:
        self._require()
        if name in self._accounts:
            self._accounts[name] = replace(self._accounts[name], revoked_ms=now_ms)

    async def set_own_key(self, name: str, key: bytes, mandate: frozenset[str], now_ms: int) -> Account | None:
        self._require()
        known = self._accounts.get(name)
        if known is None or known.kind != "user":
            return None
        changed = replace(known, own_key=key, mandate=mandate, key_ms=now_ms, key_sequence=known.key_sequence + 1)
        self._accounts[name] = changed
        return changed

    async def all_accounts(self) -> Sequence[Account]:
        self._require()
        return [self._accounts[name] for name in sorted(self._accounts)]

    async def users(self) -> Sequence[str]:
        self._require()
        return sorted(a.name for a in self._accounts.values() if a.kind == "user")

    # --- ErasureStore ---

    async def remains(self, ids: Collection[bytes]) -> Sequence[Remains]:
        self._require()
        stored = [one for id in set(ids) if (one := self._accepted.get(id)) and isinstance(one.verdict, Accepted)]
        found = {one.verdict.index: one for one in stored if isinstance(one.verdict, Accepted)}
        return [
            Remains(index, found[index].verdict.id, found[index].header_bytes, self._held.get(index))
            for index in sorted(found)
            if index in self._held or index in self._missing or any(i == index for _, i in self._entries)
        ]

    async def destroy(self, records: Sequence[Destroyed]) -> None:
        self._require()
        for record in records:
            self._erased.add(record.id)
            self._closed.update(record.closed)
            self._held.pop(record.index, None)
            self._missing.pop(record.index, None)
            self._entries = {key: entry for key, entry in self._entries.items() if entry.index != record.index}

    async def erased(self, ids: Collection[bytes]) -> Collection[bytes]:
        self._require()
        return self._erased & set(ids)

    async def closed(self) -> frozenset[bytes]:
        self._require()
        return frozenset(self._closed)

    # --- RekeyStore ---

    async def held_after(self, after: int, limit: int) -> Sequence[HeldRecord]:
        self._require()
        return [self._held[index] for index in sorted(self._held) if index > after][:limit]

    async def missing_count(self) -> int:
        self._require()
        return len(self._missing)

    async def add_rewraps(self, held: HeldRecord, sealed: Sequence[bytes]) -> None:
        self._require()
        kept = self._held.get(held.index)
        if kept is not None and not kept.rewraps:
            self._held[held.index] = replace(kept, rewraps=tuple(sealed))

    @property
    def kinds(self) -> Sequence[str]:
        return ("rewrap",)

    async def sealed_after(self, kind: str, after: tuple[object, ...] | None, limit: int) -> Sequence[SealedRow]:
        self._require()
        rows = [
            SealedRow(kind, (index, ordinal), box)
            for index, held in sorted(self._held.items())
            for ordinal, box in enumerate(held.rewraps)
            if after is None or (index, ordinal) > after
        ]
        return rows[:limit]

    async def replace_sealed(self, row: SealedRow, sealed: bytes) -> bool:
        self._require()
        index, ordinal = row.key
        held = self._held.get(index)  # type: ignore[call-overload]
        if held is None or held.rewraps[ordinal : ordinal + 1] != (row.sealed,):  # type: ignore[operator]
            return False
        boxes = list(held.rewraps)
        boxes[ordinal] = sealed  # type: ignore[call-overload]
        self._held[index] = replace(held, rewraps=tuple(boxes))  # type: ignore[index]
        return True
