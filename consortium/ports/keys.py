"""The member's private keys."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from consortium.crypto.notes import NoteSignature
from consortium.model.members import MemberKeys


@dataclass(frozen=True, slots=True)
class PairKeys:
    """What this member shares with another (or with itself): `pair` opens wraps, `hint` only recognises them."""

    pair: bytes
    hint: bytes


class KeyCustody(Protocol):
    """The member's private keys. They never leave it; what needs one asks it to act."""

    @property
    def public(self) -> MemberKeys:
        """The public halves of the keys in force."""
        ...

    @property
    def generations(self) -> Sequence[MemberKeys]:
        """The public halves of all keys that it holds, oldest first: replaced ones, those in force, those to come."""
        ...

    def use(self, keys: MemberKeys) -> bool:
        """The ledger names these as the member's: sign, and seal, with them from now on. Whether it holds them; if
        not, it goes on as before, and nobody will take what it signs. It never goes back to older ones: a ledger that
        names those is behind.
        """
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

    def sign_token(self, message: bytes, public: bytes | None = None) -> bytes:
        """Ed25519 by the token key in force, or by the one of this public half, which must be held."""
        ...

    def pair(self, public: bytes) -> PairKeys:
        """The keys shared with the holder of an X25519 public key."""
        ...

    def pairs(self, public: bytes) -> Sequence[PairKeys]:
        """`pair` for each own encryption key that is not destroyed, newest first."""
        ...

    def hints(self, public: bytes) -> Sequence[bytes]:
        """The hint keys shared with the holder of an X25519 public key, newest first, those of own keys that were
        destroyed too: they recognise, and open nothing.
        """
        ...

    def blind(self, tag: bytes) -> bytes:
        """A party's tag under a key that no rotation changes, 16 bytes; deterministic."""
        ...

    def derive_id(self, cause: bytes) -> bytes:
        """The id of the record that follows from `cause`, 16 bytes: always the same, and nobody else can guess it."""
        ...

    def seal_at_rest(self, context: bytes, plaintext: bytes) -> bytes:
        """Sealed under the storage key, for this node's own database; `context` says what it is and whose."""
        ...

    def open_at_rest(self, context: bytes, sealed: bytes) -> bytes:
        """The inverse. Raises `KeysUnavailable` if it was changed, or sealed in another context or by another key."""
        ...

    def reseal_at_rest(self, context: bytes, sealed: bytes) -> bytes | None:
        """The same under the newest storage key; None if it is already. Raises `KeysUnavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a member's custody holds, without a secret: states of its generations and of its storage keys, oldest first
    (`next`, `active`, `old`), each generation with its public halves.
    """

    generations: Sequence[tuple[str, MemberKeys]]
    storage: Sequence[str]


class KeyKeeper(Protocol):
    """Changes what custody holds. Each change is durable when it returns; custody knows of it at once.

    Raises `KeysUnavailable`, and `ConfigurationError` for a change that is not the next step.
    """

    def reload(self) -> bool:
        """Whether somebody else changed what is kept (a command, beside the running node); custody knows it then."""
        ...

    def inventory(self) -> Inventory:
        """What is held."""
        ...

    async def prepare(self, what: str) -> MemberKeys:
        """Make new keys: `signing` (the four that sign), `encryption` or `all`. Nobody uses them before the ledger
        names them.
        """
        ...

    async def settle(self, keys: MemberKeys) -> None:
        """Keep that these are in force; nothing is done where it is kept already."""
        ...

    async def retire(self, others: Collection[bytes], boxes: Collection[bytes] = ()) -> None:
        """Destroy all keys that were replaced. What they shared with the X25519 public keys `others` is recognised as
        before (`KeyCustody.hints`), and not opened. Boxes with the ephemeral public keys `boxes` open as before, by
        `KeyCustody.pairs`: shares of escrow keys, that stand on the ledger and cannot be wrapped anew.
        """
        ...

    async def add_storage_key(self) -> None:
        """A new key for what is kept at rest; the one before opens what was not sealed anew yet."""
        ...

    async def drop_storage_key(self) -> None:
        """Everything was sealed anew: destroy the one before."""
        ...
