"""What the pipeline needs of the world, as contracts.

Every obligation that code relies on is stated here; the suites in `tests/ports` hold each fake and each real adapter
to them. All methods may be cancelled; none leaves half of its effect behind.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from consortium.crypto.merkle import TileId
from consortium.crypto.notes import NoteSignature, SignedNote
from consortium.ledger.state import LedgerState
from consortium.ledger.transition import Transition
from consortium.model.blocks import AcceptedRecord, Block, KeptBlock, LogEntry, RejectedRecord
from consortium.model.members import Genesis, MemberKeys
from consortium.model.records import Accepted, Header, Rejected

# --- clock -----------------------------------------------------------------------------------------------------


class Clock(Protocol):
    """Wall time, for the edges only; the core is given times."""

    def now_ms(self) -> int:
        """UTC milliseconds since the epoch."""
        ...


# --- ordering log ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Appended:
    """A new entry. Entries come in rising `position`, each exactly once."""

    entry: LogEntry


@dataclass(frozen=True, slots=True)
class Removed:
    """An entry's key was deleted (by trimming, or by tampering: the reader judges)."""

    member: str
    sequence: int
    position: int


@dataclass(frozen=True, slots=True)
class Overwritten:
    """An entry's key was written a second time: tampering."""

    member: str
    sequence: int
    position: int


@dataclass(frozen=True, slots=True)
class Trimmed:
    """The log no longer holds the batches of `member` from `expected` up to, not with, `first`.

    If it holds none of them, nor the one before, `first` is `expected`: nobody can tell how many there were.
    """

    member: str
    expected: int
    first: int


LogEvent = Appended | Removed | Overwritten | Trimmed


@dataclass(frozen=True, slots=True)
class LogUsage:
    """Bytes that the log's store takes, and the most that it may take."""

    used_bytes: int
    quota_bytes: int


class OrderingLog(Protocol):
    """One total order of all members' batches. One instance belongs to one member, and appends only as that one."""

    async def append(self, sequence: int, data: bytes, *, timeout_s: float) -> int:
        """Append `data` as the member's batch `sequence`, exactly once; its position.

        The same call again, after any error, finds the entry if the first one had succeeded. Raises `LogUnavailable`
        when it cannot say within `timeout_s` whether the entry stands (repeat the same call); `Tampering` if the
        sequence holds other bytes.
        """
        ...

    def read(self, after: int, next_sequences: Mapping[str, int]) -> AsyncGenerator[LogEvent, None]:
        """Every event after position `after`, in order, for ever; reconnects by itself.

        `next_sequences` says which batch of each member comes next: where the log begins later, or holds nothing from
        the batch before that on (a member never trims its newest), `Trimmed` is yielded before any `Appended` of that
        reading. Entries from before `after` are not repeated; holes between them are told as `Removed`. Nothing is
        expected of members that it does not name.
        """
        ...

    async def head(self, *, timeout_s: float) -> int:
        """The position of the newest entry (0 if none), as of now by majority. Raises `LogUnavailable`."""
        ...

    async def trim(self, below: int) -> int:
        """Delete this member's own entries of sequences < `below`; how many were there. Not the newest: see `read`."""
        ...

    async def usage(self) -> LogUsage:
        """Raises `LogUnavailable`."""
        ...

    async def close(self) -> None:
        """Give up all connections."""
        ...


# --- ledger store ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HeldRecord:
    """What a party keeps of a record beside its header.

    `index` is the tree index; `slots` are the numbers of the wraps that are addressed to this node.
    """

    index: int
    id: bytes
    header_bytes: bytes
    bodies: tuple[bytes, ...]
    wraps: bytes
    slots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Arrived:
    """A held record and the ledger's time at its block, UTC ms."""

    held: HeldRecord
    time_ms: int


@dataclass(frozen=True, slots=True)
class MissingRecord:
    """A record that is addressed to this node, and whose payload it still has to fetch."""

    index: int
    id: bytes
    author: str


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A line in the node's own index of what it may open.

    `party` is the party's tag blinded under the node's storage key (16 bytes): the database shows that two records
    have the same reader, never who that is. `start_ms` is the start of the record's period (or when it was created).
    """

    index: int
    party: bytes
    type: str
    start_ms: int


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record's verdict and header as the ledger holds them."""

    verdict: Accepted | Rejected
    header: Header
    header_bytes: bytes


@dataclass(frozen=True, slots=True)
class BlockRow:
    """A block's own columns exactly as they stand, whatever they say.

    `block.rejections` come from the rows of rejected records, `digest` from its own column; `raw` is the refused batch
    that is kept for this height, or None.
    """

    block: Block
    digest: bytes
    head: bytes
    signature: bytes
    raw: bytes | None


class LedgerStore(Protocol):
    """A node's ledger: blocks, records, tiles. Only `commit` writes it.

    Raises `StoreUnavailable` from every method while Postgres is away; the same call succeeds once it is back.
    """

    async def load(self, genesis: Genesis) -> LedgerState:
        """The state after the last committed block; the initial one of `genesis` for an empty store."""
        ...

    async def taken(self, ids: Sequence[bytes]) -> Collection[bytes]:
        """Those of `ids` that accepted records have."""
        ...

    async def commit(
        self, step: Transition, held: Sequence[HeldRecord], missing: Sequence[MissingRecord] = ()
    ) -> Collection[bytes]:
        """Store one block and all that follows from it, in one transaction.

        Gives those ids of `step.accepted` that accepted records of earlier blocks have: then nothing was stored, and
        the block is to be judged again with them as `taken`. None of them: it is stored.

        Idempotent by height: a block that is already stored unchanged is left alone. Raises `Tampering` if another
        block stands at that height.
        """
        ...

    async def blocks(self, start: int, limit: int) -> Sequence[KeptBlock]:
        """Blocks from height `start` (the first is 1) in order, with what is kept of their batches."""
        ...

    async def block_rows(self, start: int, limit: int) -> Sequence[BlockRow]:
        """Blocks from height `start` by height as their rows stand, nothing believed and nothing checked: for the
        audit, which must see a changed row to name it. Missing heights are left out.
        """
        ...

    async def rows(self, first: int, last: int) -> Sequence[AcceptedRecord | RejectedRecord]:
        """The record rows, accepted and rejected, that name a height from `first` to `last`, by height and item.

        As `block_rows`, for the audit: every column as it stands (an `AcceptedRecord.leaf` that is not stored is
        computed from the header).
        """
        ...

    async def block(self, height: int) -> Block | None:
        """One block without its batch."""
        ...

    async def block_of_size(self, size: int) -> Block | None:
        """The first block after which the tree has at least `size` leaves."""
        ...

    async def block_of_batch(self, member: str, sequence: int) -> Block | None:
        """The block that a member's batch became."""
        ...

    async def record(self, record_id: bytes) -> StoredRecord | None:
        """The accepted record of that id, else the first rejected one, else None."""
        ...

    async def headers(self, start: int, end: int) -> Sequence[bytes]:
        """Header bytes of the leaves [start, end)."""
        ...

    async def tiles(self, ids: Collection[TileId]) -> Mapping[TileId, bytes]:
        """Those of the full tiles that are stored."""
        ...


class PartyStore(Protocol):
    """What this node holds as a party: payloads (sealed as ever), and its index of them.

    `reader` methods see only rows of the parties that they name: row-level security stands behind them.
    """

    async def unindexed(self, limit: int) -> Sequence[HeldRecord]:
        """Held records that were not indexed yet, in the order of the tree."""
        ...

    async def indexed_up_to(self) -> int:
        """Every held record of a smaller tree index is indexed."""
        ...

    async def add_index(self, entries: Sequence[IndexEntry], up_to: int) -> None:
        """Add index lines and move the mark, in one transaction; repeating it changes nothing."""
        ...

    async def held(self, record_id: bytes) -> HeldRecord | None:
        """The payload of a record that this node is a party to, or None."""
        ...

    async def readers(self, index: int) -> frozenset[bytes]:
        """The blinded tags of the parties of this node that may open the record."""
        ...

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
        """Held records that any of `parties` may open, of a type, with from_ms <= start < to_ms, and tree index >
        `after` (-1 for all), in the order of the tree, each once.
        """
        ...

    async def arrived(self, after: int, limit: int) -> Sequence[Arrived]:
        """Held records of tree indexes > `after` in the order of the tree, up to the first one that is missing: what is
        fetched later is given in its turn.
        """
        ...

    async def missing(self, limit: int, after: int = -1) -> Sequence[MissingRecord]:
        """Payloads that this node still has to fetch, of tree indexes > `after`, in the order of the tree."""
        ...

    async def fill(self, held: HeldRecord, entries: Sequence[IndexEntry]) -> None:
        """A missing payload has come: store it with its index lines, strike it off the missing."""
        ...


class WitnessStore(Protocol):
    """Checkpoints and cosignatures; not part of the ledger, and different on every node."""

    async def save(self, note: SignedNote) -> SignedNote:
        """Merge the note's signatures into the stored one of the same text; the merged note."""
        ...

    async def latest(self) -> SignedNote | None:
        """The stored note of the largest tree."""
        ...

    async def notes(self, min_size: int, limit: int) -> Sequence[SignedNote]:
        """Stored notes of trees with at least `min_size` leaves, by size."""
        ...

    async def prune(self, keep_below: Collection[int], newest: int) -> None:
        """Forget notes of trees smaller than the `newest` largest ones, except the sizes named."""
        ...

    async def cosigned_size(self) -> int:
        """The tree size that this node cosigned last; 0 if never."""
        ...

    async def advance_cosigned(self, old: int, new: int) -> bool:
        """Set the cosigned size to `new` if it is `old`, durably and atomically; whether it was."""
        ...

    async def member_sizes(self) -> Mapping[str, int]:
        """The largest tree size per cosigner name that was seen under a stored note."""
        ...

    async def saw(self, cosigner: str, size: int) -> None:
        """Remember that `cosigner` cosigned a tree of `size`; never goes back."""
        ...


@dataclass(frozen=True, slots=True)
class Account:
    """A person or machine that the member's node knows.

    `kind` is user, staff, machine or auditor. `password_hash` is an Argon2id string or ''; `public_key` an Ed25519
    key for signed challenges, or b''; `own_key` the X25519 key of a user who keeps their own, or b''.
    """

    name: str
    kind: str
    password_hash: str = ""
    public_key: bytes = b""
    own_key: bytes = b""
    disabled: bool = False


class AccountStore(Protocol):
    """The member's own accounts."""

    async def account(self, name: str) -> Account | None:
        """The account, or None."""
        ...

    async def put_account(self, account: Account) -> None:
        """Create or replace."""
        ...

    async def users(self) -> Sequence[str]:
        """Names of all accounts of kind user, sorted."""
        ...


# --- keys ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PairKeys:
    """What this member shares with another (or with itself): `pair` opens wraps, `hint` only recognises them."""

    pair: bytes
    hint: bytes


class KeyCustody(Protocol):
    """The member's private keys. They never leave it; what needs one asks it to act."""

    @property
    def public(self) -> MemberKeys:
        """The public halves."""
        ...

    def sign_batch(self, message: bytes) -> bytes:
        """Ed25519 by the signing key."""
        ...

    def sign_checkpoint(self, text: str, origin: str) -> NoteSignature:
        """Note signature by the log key, under the origin's name."""
        ...

    def cosign(self, text: str, name: str, timestamp_s: int) -> NoteSignature:
        """Cosignature/v1 by the witness key, under the cosigner's name."""
        ...

    def sign_token(self, message: bytes) -> bytes:
        """Ed25519 by the token key."""
        ...

    def pair(self, public: bytes) -> PairKeys:
        """The keys shared with the holder of an X25519 public key."""
        ...

    def blind(self, tag: bytes) -> bytes:
        """A party's tag under the storage key, 16 bytes; deterministic."""
        ...

    def derive_id(self, cause: bytes) -> bytes:
        """The id of the record that follows from `cause`, 16 bytes: always the same, and nobody else can guess it."""
        ...


# --- callers ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as a verified token says: `name` at `member`, of `kind` user, staff, machine, auditor or peer."""

    name: str
    member: str
    kind: str


class TokenVerifier(Protocol):
    """Tokens to callers."""

    async def verify(self, token: str) -> Caller:
        """Raises `NotAuthenticated`, always with the same words."""
        ...


# --- other members' nodes --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """What a member's node says of itself."""

    member: str
    height: int
    size: int
    root: bytes
    block_digest: bytes


class Peers(Protocol):
    """The other members' nodes. Everything they answer is checked by the caller. Raises `PeerUnavailable`."""

    @property
    def names(self) -> Sequence[str]:
        """The members that have an address, this one left out."""
        ...

    async def status(self, member: str) -> PeerStatus:
        """Their height and tree."""
        ...

    async def blocks(self, member: str, start: int, limit: int) -> Sequence[KeptBlock]:
        """Blocks from a height on."""
        ...

    async def payload(self, member: str, record_id: bytes) -> tuple[tuple[bytes, ...], bytes] | None:
        """A record's ciphertexts and wraps, if they hold it."""
        ...

    async def add_checkpoint(self, member: str, body: str) -> tuple[int, str]:
        """tlog-witness add-checkpoint: HTTP status and body."""
        ...

    async def send_checkpoint(self, member: str, note: SignedNote) -> None:
        """Tell them a checkpoint with the cosignatures that stand under it."""
        ...

    async def checkpoint(self, member: str) -> SignedNote | None:
        """Their latest checkpoint."""
        ...

    async def consistency(self, member: str, old: int, new: int) -> Sequence[bytes]:
        """Their consistency proof between two tree sizes."""
        ...
