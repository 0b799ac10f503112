"""Members, their public keys, and the genesis that a network starts from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from consortium.errors import Malformed
from consortium.model.encoding import encode
from consortium.model.names import NO_MEMBER, is_name

GENESIS_VERSION, GENESIS_WITH_CONSTITUTION = 1, 2
ROLES = frozenset({"utility", "grid-operator", "cooperative", "retailer", "compliance"})


@dataclass(frozen=True, slots=True)
class MemberKeys:
    """A member's public keys, 32 bytes each.

    `signing` Ed25519, batches. `log` Ed25519, checkpoints (note type 0x01). `witness` Ed25519, cosignatures (note
    type 0x04). `token` Ed25519, JWT. `encryption` X25519, wraps. Five keys and not two, since C2SP signed-note asks
    that no key serves two signature types.
    """

    signing: bytes
    log: bytes
    witness: bytes
    token: bytes
    encryption: bytes

    def as_dict(self) -> dict[str, str]:
        """Field name to hex."""
        return {name: getattr(self, name).hex() for name in self.__slots__}

    @classmethod
    def from_dict(cls, raw: Any) -> MemberKeys:
        """The inverse of `as_dict`. Raises `Malformed`."""
        if not isinstance(raw, dict) or set(raw) != set(cls.__slots__):
            raise Malformed("a member has five public keys: " + ", ".join(cls.__slots__))
        keys = {name: _key(value) for name, value in raw.items()}
        return cls(**keys)


def _key(text: Any) -> bytes:
    try:
        key = bytes.fromhex(text)
    except (TypeError, ValueError):
        raise Malformed("a public key is 64 hex digits") from None
    if len(key) != 32:
        raise Malformed("a public key is 64 hex digits")
    return key


@dataclass(frozen=True, slots=True)
class Member:
    """An organisation in the consortium. `roles` are sorted words of `ROLES`."""

    name: str
    roles: tuple[str, ...]
    keys: MemberKeys


class Membership(Protocol):
    """Who belongs to the network, with which keys: at its genesis, or at some height of its ledger."""

    @property
    def network(self) -> str: ...
    @property
    def channel(self) -> str: ...
    @property
    def epoch(self) -> int: ...
    @property
    def origin(self) -> str: ...
    @property
    def members(self) -> tuple[Member, ...]:
        """The members, sorted by name."""
        ...

    def member(self, name: str) -> Member | None:
        """The member of that name, or None."""
        ...

    def with_role(self, role: str) -> tuple[Member, ...]:
        """The members that hold `role`."""
        ...

    def encryption_keys(self, name: str) -> tuple[bytes, ...]:
        """All X25519 keys that a member, or one that was removed, ever had here, newest first."""
        ...


@dataclass(frozen=True, slots=True)
class Genesis:
    """What every node of a network agrees on before the first block. Implements `Membership`.

    `origin` names the tree in checkpoints (C2SP tlog-checkpoint); `members` are sorted by name. `constitution` holds
    the rules that votes are counted by, the ledger's settings and the digest of the policy set, as
    `consortium.ledger.governance.constitution` reads them; empty for its defaults.
    """

    network: str
    channel: str
    epoch: int
    origin: str
    members: tuple[Member, ...]
    constitution: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def member(self, name: str) -> Member | None:
        """The member of that name, or None."""
        return next((m for m in self.members if m.name == name), None)

    def with_role(self, role: str) -> tuple[Member, ...]:
        """The members that hold `role`."""
        return tuple(m for m in self.members if role in m.roles)

    def encryption_keys(self, name: str) -> tuple[bytes, ...]:
        """The member's key; nothing for a stranger."""
        member = self.member(name)
        return (member.keys.encryption,) if member else ()

    def digest(self) -> bytes:
        """SHA-256 over the deterministic encoding: the "previous block" of the first block."""
        return hashlib.sha256(b"consortium/genesis/v1\n" + encode(self.as_dict())).digest()

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        more = {"constitution": dict(self.constitution)} if self.constitution else {}
        return {
            "version": GENESIS_WITH_CONSTITUTION if more else GENESIS_VERSION,
            "network": self.network,
            "channel": self.channel,
            "epoch": self.epoch,
            "origin": self.origin,
            "members": [{"name": m.name, "roles": list(m.roles), "keys": m.keys.as_dict()} for m in self.members],
            **more,
        }

    def to_json(self) -> str:
        """The genesis file."""
        return json.dumps(self.as_dict(), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Genesis:
        """Read a genesis file. Raises `Malformed`."""
        try:
            raw = json.loads(text)
        except ValueError as error:
            raise Malformed("the genesis is no JSON") from error
        constitution = _constitution(raw)
        if set(raw) != {"version", "network", "channel", "epoch", "origin", "members"}:
            raise Malformed("the genesis has unknown or missing fields")
        if not is_name(raw["network"]) or not is_name(raw["channel"]):
            raise Malformed("network and channel are names")
        if type(raw["epoch"]) is not int or raw["epoch"] < 1:
            raise Malformed("epochs count from 1")
        if not isinstance(raw["origin"], str) or not raw["origin"] or set(raw["origin"]) & set(" +\n\t"):
            raise Malformed("the origin is a line without spaces and plus")
        if not isinstance(raw["members"], list) or not raw["members"]:
            raise Malformed("the genesis names no members")
        members = tuple(_member(m) for m in raw["members"])
        if list(members) != sorted(members, key=lambda m: m.name) or len({m.name for m in members}) != len(members):
            raise Malformed("members are sorted by name and distinct")
        if NO_MEMBER & {m.name for m in members}:
            raise Malformed("a member cannot be called so")
        return cls(raw["network"], raw["channel"], raw["epoch"], raw["origin"], members, constitution)


def _constitution(raw: Any) -> dict[str, Any]:
    """Takes the constitution out of a genesis: version 1 has none, version 2 must."""
    version = raw.get("version") if isinstance(raw, dict) else None
    if type(version) is not int or version not in (GENESIS_VERSION, GENESIS_WITH_CONSTITUTION):
        raise Malformed("unknown genesis version")
    constitution = raw.pop("constitution", None)
    if version == GENESIS_VERSION and constitution is None:
        return {}
    if version == GENESIS_VERSION or not isinstance(constitution, dict) or not constitution:
        raise Malformed("a genesis of version 2 has a constitution, one of version 1 has none")
    return constitution


def _member(raw: Any) -> Member:
    if not isinstance(raw, dict) or set(raw) != {"name", "roles", "keys"}:
        raise Malformed("a member has name, roles and keys")
    if not is_name(raw["name"]):
        raise Malformed("a member's name is 2 to 32 of a-z, 0-9 and hyphen")
    roles = raw["roles"]
    if not isinstance(roles, list) or roles != sorted(set(roles) & ROLES):
        raise Malformed("roles are sorted words of " + ", ".join(sorted(ROLES)))
    return Member(raw["name"], tuple(roles), MemberKeys.from_dict(raw["keys"]))
