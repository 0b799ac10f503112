"""What a key file holds: a member's secrets by generation, its storage keys, and what ids follow from.

Plain values: every change gives a new `Keychain`, which `keyfile` writes. Never shown, never part of a message.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from nacl import bindings

from consortium.crypto import hints, signing
from consortium.crypto.hashing import keyed
from consortium.errors import Malformed, NotYet
from consortium.model.encoding import decode, encode
from consortium.model.members import MemberKeys

KEY_BYTES = 32
MAX_WAITING = 8
Entropy = Callable[[int], bytes]
"""From a number of bytes to that many random bytes."""


class State(StrEnum):
    """Of a generation: `next` is made and not in force yet, `active` is in force, `old` opens what came before.

    Of a storage key: all is sealed under the `active` one; an `old` one opens what was not sealed anew yet.
    """

    NEXT = "next"
    ACTIVE = "active"
    OLD = "old"


class What(StrEnum):
    """What of a generation is new: the four keys that sign, the one that opens, or all five."""

    SIGNING = "signing"
    ENCRYPTION = "encryption"
    ALL = "all"


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """32 bytes each: four Ed25519 seeds, an X25519 secret, and the key for what the member keeps at rest."""

    signing: bytes
    log: bytes
    witness: bytes
    token: bytes
    encryption: bytes
    storage: bytes

    def __repr__(self) -> str:
        return "Secrets(...)"

    @classmethod
    def generate(cls, entropy: Entropy) -> Secrets:
        """New ones, drawn in the order of the fields."""
        return cls(*(entropy(KEY_BYTES) for _ in fields(cls)))


@dataclass(frozen=True, slots=True, repr=False)
class Generation:
    """The five secrets that belong together, 32 bytes each. Two generations may share some of them."""

    state: State
    signing: bytes
    log: bytes
    witness: bytes
    token: bytes
    encryption: bytes

    def __repr__(self) -> str:
        return f"Generation({self.state}, ...)"

    def public(self) -> MemberKeys:
        """The public halves."""
        seeds = (self.signing, self.log, self.witness, self.token)
        first, log, witness, token = map(signing.public_key, seeds)
        return MemberKeys(first, log, witness, token, bindings.crypto_scalarmult_base(self.encryption))

    def encoded(self) -> list[Any]:
        return [str(self.state), self.signing, self.log, self.witness, self.token, self.encryption]


@dataclass(frozen=True, slots=True, repr=False)
class StorageKey:
    """A key for what the member keeps at rest, 32 bytes."""

    state: State
    key: bytes

    def __repr__(self) -> str:
        return f"StorageKey({self.state}, ...)"


@dataclass(frozen=True, slots=True, repr=False)
class Keychain:
    """All secrets of a member, both lists oldest first, one of each active.

    `derivation` is what ids, and the index's names for parties, follow from: it never changes, or a node would write
    again what it has written. `hints` are pairs of another's X25519 public key and the hint key (32 bytes) that it
    shared with a destroyed key of ours: by it records are recognised that it opened, and nothing is opened. `boxes`
    are pairs of a box's own (ephemeral) public key and the shared key that opens that box, and no other.
    """

    generations: tuple[Generation, ...]
    storage: tuple[StorageKey, ...]
    derivation: bytes
    hints: tuple[tuple[bytes, bytes], ...] = ()
    boxes: tuple[tuple[bytes, bytes], ...] = ()

    def __repr__(self) -> str:
        return f"Keychain({len(self.generations)} generations, ...)"

    @classmethod
    def of(cls, secrets: Secrets, derivation: bytes | None = None) -> Keychain:
        """One generation. Without `derivation` that of files of version 1: it followed from their storage key."""
        first = Generation(
            State.ACTIVE, secrets.signing, secrets.log, secrets.witness, secrets.token, secrets.encryption
        )
        storage = StorageKey(State.ACTIVE, secrets.storage)
        return cls((first,), (storage,), derivation or keyed(b"", key=secrets.storage, person=b"consortium bkey"))

    @property
    def active(self) -> Generation:
        """The generation in force."""
        return next(g for g in self.generations if g.state is State.ACTIVE)

    def with_next(self, what: What, entropy: Entropy) -> Keychain:
        """One more generation. One that waits stays: its proposal may be on its way. Raises `NotYet`."""
        last = self.active
        if [g.state for g in self.generations].count(State.NEXT) >= MAX_WAITING:
            raise NotYet("too many new keys wait to be put in force", hint="is the node's proposal taken?")
        signing = {name: entropy(KEY_BYTES) for name in ("signing", "log", "witness", "token")}
        fresh = replace(last, state=State.NEXT, **signing) if what is not What.ENCRYPTION else last
        if what is not What.SIGNING:
            fresh = replace(fresh, state=State.NEXT, encryption=entropy(KEY_BYTES))
        return replace(self, generations=(*self.generations, fresh))

    def activated(self, keys: MemberKeys) -> Keychain:
        """The generation of these public keys is in force, those before it are old; never back to an older one."""
        publics = [g.public() for g in self.generations]
        at = max(publics.index(keys), [g.state for g in self.generations].index(State.ACTIVE))
        states = [State.OLD if i < at else State.ACTIVE if i == at else State.NEXT for i in range(len(publics))]
        changed = (replace(g, state=s) for g, s in zip(self.generations, states, strict=True))
        return replace(self, generations=tuple(changed))

    def retired(self, others: Collection[bytes], boxes: Collection[bytes] = ()) -> Keychain:
        """Without the old generations: what was sealed for them alone opens no more. What they shared with the X25519
        public keys `others` is still recognised; boxes with these ephemeral public keys still open.
        """
        left = tuple(g for g in self.generations if g.state is not State.OLD)
        kept = {g.encryption for g in left}
        gone = dict.fromkeys(g.encryption for g in self.generations if g.encryption not in kept)
        shared = [(public, hints.hint_key(hints.pair_key(secret, public))) for secret in gone for public in others]
        opening = [(public, hints.pair_key(secret, public)) for secret in gone for public in boxes]
        return replace(
            self,
            generations=left,
            hints=tuple(dict.fromkeys((*self.hints, *shared))),
            boxes=tuple(dict.fromkeys((*self.boxes, *opening))),
        )

    def with_new_storage(self, entropy: Entropy) -> Keychain:
        """A new storage key in force. Raises `NotYet` while another one is being replaced."""
        if len(self.storage) > 1:
            raise NotYet("a new storage key is under way already", hint="`consortium keys list` shows it")
        olds = (replace(key, state=State.OLD) for key in self.storage)
        return replace(self, storage=(*olds, StorageKey(State.ACTIVE, entropy(KEY_BYTES))))

    def storage_dropped(self) -> Keychain:
        """Without the old storage keys."""
        return replace(self, storage=tuple(key for key in self.storage if key.state is not State.OLD))

    def encoded(self) -> bytes:
        """The bytes that are sealed, in version 2 of the file."""
        storage = [[str(key.state), key.key] for key in self.storage]
        generations = [g.encoded() for g in self.generations]
        shared = [[list(pair) for pair in pairs] for pairs in (self.hints, self.boxes)]
        return encode([generations, storage, self.derivation, *shared])

    @classmethod
    def decode(cls, version: int, data: bytes) -> Keychain:
        """The inverse of `encoded`, and the six keys of version 1. Raises `Malformed`."""
        raw = decode(data)
        if version == 1:
            return cls.of(Secrets(*_keys(raw, len(fields(Secrets)))))
        if type(raw) is not tuple or len(raw) != 5 or any(type(raw[at]) is not tuple for at in (0, 1, 3, 4)):
            raise Malformed("a key file holds generations, storage keys, what ids follow from, and hint keys")
        generations = tuple(Generation(_state(g), *_keys(g[1:], 5)) for g in raw[0])
        storage = tuple(StorageKey(_state(s), _keys(s[1:], 1)[0]) for s in raw[1])
        for states in ([g.state for g in generations], [s.state for s in storage]):
            _require_one_active(states)
        shared = (tuple((public, key) for public, key in (_keys(pair, 2) for pair in raw[at])) for at in (3, 4))
        return cls(generations, storage, _keys((raw[2],), 1)[0], *shared)


def _keys(raw: Any, count: int) -> tuple[bytes, ...]:
    if type(raw) is not tuple or len(raw) != count:
        raise Malformed(f"{count} keys stand here")
    if any(type(key) is not bytes or len(key) != KEY_BYTES for key in raw):
        raise Malformed("a key has 32 bytes")
    return raw


def _state(raw: Any) -> State:
    if type(raw) is not tuple or not raw or raw[0] not in list(State):
        raise Malformed("a key has a state")
    return State(raw[0])


def _require_one_active(states: Iterable[State]) -> None:
    if list(states).count(State.ACTIVE) != 1:
        raise Malformed("one key is active")
