"""Made-up networks, records, batches and blocks for tests: deterministic, no cryptography beyond what admission checks.

    genesis = make_genesis(3)                                  # alpha, bravo, charlie
    data = make_batch(genesis, "alpha", 0, T0, make_records("alpha", 5))
    step = apply(initial(genesis), LogEntry("alpha", 0, 7, data))

`Chain` does the book-keeping (positions, sequences, taken ids) for tests that need many blocks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from consortium.crypto import signing
from consortium.crypto.merkle import leaf_hash, root_of
from consortium.ledger.admission import open_entry
from consortium.ledger.state import LedgerState, initial
from consortium.ledger.transition import Transition, transition
from consortium.model.batches import BATCH_CONTEXT, BatchHead, encode_batch
from consortium.model.blocks import LogEntry
from consortium.model.members import Genesis, Member, MemberKeys
from consortium.model.public import Body
from consortium.model.records import SEALED, Header, SealedRecord, SectionSeal
from consortium.pipeline.seal import public_record
from consortium.ports.party import HeldRecord

T0 = 1_497_484_800_000
"""2017-06-15T00:00:00Z in milliseconds: when made-up records are created unless said otherwise."""

NAMES = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel")
WRAP_BYTES = 170


def noise(*label: object, size: int = 32) -> bytes:
    """`size` bytes that look random and depend on `label` alone."""
    return hashlib.shake_128(repr(label).encode()).digest(size)


def seed(member: str, purpose: str) -> bytes:
    """The 32-byte seed of a member's key; `purpose` is a field name of `MemberKeys`."""
    return noise("seed", member, purpose)


def signing_secret(member: str, purpose: str = "signing") -> bytes:
    """The expanded Ed25519 secret key of a member."""
    return signing.expand(seed(member, purpose))


def make_member(name: str, roles: tuple[str, ...] = ("utility",)) -> Member:
    """A member whose keys follow from its name. Its encryption key is noise: nothing here seals."""
    ed25519 = {p: signing.public_key(seed(name, p)) for p in ("signing", "log", "witness", "token")}
    return Member(name, roles, MemberKeys(**ed25519, encryption=noise("x25519", name)))


def make_genesis(members: int = 3, *, network: str = "testnet", channel: str = "main", epoch: int = 1) -> Genesis:
    """A network of the first `members` of `NAMES`."""
    parts = tuple(make_member(name) for name in NAMES[:members])
    return Genesis(network, channel, epoch, f"consortium.example/{network}/{channel}/{epoch}", parts)


def make_record(
    author: str,
    label: object,
    *,
    id: bytes | None = None,
    created_ms: int = T0,
    sections: int = 1,
    slots: int = 2,
    body_bytes: int = 256,
) -> SealedRecord:
    """A sealed record of noise with right digests. The same arguments give the same record."""
    bodies = tuple(noise("body", author, label, n, size=body_bytes + 16) for n in range(sections))
    wraps = noise("wraps", author, label, size=WRAP_BYTES * slots)
    seals = tuple(
        SectionSeal(noise("commitment", author, label, n), hashlib.sha256(body).digest(), body_bytes)
        for n, body in enumerate(bodies)
    )
    header = Header(
        id=noise("id", author, label, size=16) if id is None else id,
        kind=SEALED,
        author=author,
        created_ms=created_ms,
        sections=seals,
        hints=noise("hints", author, label, size=16 * slots),
        wraps_digest=hashlib.sha256(wraps).digest(),
    )
    return SealedRecord(header, header.encoded(), bodies, wraps)


def make_public(author: str, label: object, body: Body, *, created_ms: int = T0) -> SealedRecord:
    """A public record with that body."""
    return public_record(noise("id", author, label, size=16), author, created_ms, body)


def make_records(author: str, count: int, *, first: int = 0, created_ms: int = T0) -> list[SealedRecord]:
    """`count` records labelled `first`, `first` + 1, ..."""
    return [make_record(author, first + n, created_ms=created_ms) for n in range(count)]


def broken_body(record: SealedRecord) -> SealedRecord:
    """The record with a ciphertext that its header does not name (wrong-ciphertext)."""
    return replace(record, bodies=(bytes(len(record.bodies[0])), *record.bodies[1:]))


def broken_wraps(record: SealedRecord) -> SealedRecord:
    """The record with wraps that its header does not name (wrong-wraps)."""
    return replace(record, wraps=bytes(len(record.wraps)))


def broken_header(record: SealedRecord) -> SealedRecord:
    """The record with bytes for a header that are none (malformed-header)."""
    return replace(record, header_bytes=b"\x00" + record.header_bytes)


def make_head(
    genesis: Genesis, member: str, sequence: int, created_ms: int, records: Sequence[SealedRecord]
) -> BatchHead:
    """The head that fits the records."""
    root = root_of([leaf_hash(r.header_bytes) for r in records])
    return BatchHead(genesis.network, genesis.channel, genesis.epoch, member, sequence, created_ms, len(records), root)


def sign_batch(head: BatchHead, records: Sequence[SealedRecord], *, signer: str | None = None) -> bytes:
    """A batch of any head, signed by `signer` (the head's member unless said otherwise)."""
    encoded = head.encoded()
    signature = signing.sign(BATCH_CONTEXT + encoded, signing_secret(signer or head.member))
    return encode_batch(encoded, signature, records)


def make_batch(
    genesis: Genesis, member: str, sequence: int, created_ms: int, records: Sequence[SealedRecord] = ()
) -> bytes:
    """A good batch as the log carries it; without records a heartbeat."""
    return sign_batch(make_head(genesis, member, sequence, created_ms, records), records)


def apply(state: LedgerState, entry: LogEntry, taken: Collection[bytes] = frozenset()) -> Transition:
    """Admission and transition of one entry. `taken` may be all accepted ids so far."""
    return transition(state, open_entry(state.governance, entry), taken)


@dataclass
class Chain:
    """A growing ledger: entries get rising positions (with gaps, as etcd's), batches the member's next sequence."""

    genesis: Genesis = field(default_factory=make_genesis)
    now_ms: int = T0
    steps: list[Transition] = field(default_factory=list)
    entries: list[LogEntry] = field(default_factory=list)
    taken: set[bytes] = field(default_factory=set)

    @property
    def state(self) -> LedgerState:
        """After the last block."""
        return self.steps[-1].state if self.steps else initial(self.genesis)

    def add(self, member: str, records: Sequence[SealedRecord] = ()) -> Transition:
        """One more good batch of `member`, one second later."""
        self.now_ms += 1000
        return self.add_raw(
            member, make_batch(self.genesis, member, self.state.next_sequence(member), self.now_ms, records)
        )

    def add_raw(self, member: str, data: bytes, *, sequence: int | None = None) -> Transition:
        """One more entry of any bytes."""
        state = self.state
        number = state.next_sequence(member) if sequence is None else sequence
        entry = LogEntry(member, number, state.position + 3, data)
        step = apply(state, entry, self.taken)
        self.taken.update(r.verdict.id for r in step.accepted)
        self.entries.append(entry)
        self.steps.append(step)
        return step


def held_of(step: Transition, records: Sequence[SealedRecord], slots: tuple[int, ...] = (0,)) -> list[HeldRecord]:
    """What a party to all accepted ones of `records` keeps of the block."""
    by_id = {r.header.id: r for r in records}
    return [
        HeldRecord(
            a.verdict.index, a.verdict.id, a.header_bytes, by_id[a.verdict.id].bodies, by_id[a.verdict.id].wraps, slots
        )
        for a in step.accepted
        if a.verdict.id in by_id
    ]
