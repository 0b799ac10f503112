"""What public records say: proposals, ballots, tombstones, acknowledgements, escrow keys. Everybody reads them.

A body is a deterministic CBOR map with `v` (1) and the fields of its class (docs/formats.md, "Public records"). What a
body means, and whether its author may say it, is judged by `consortium.ledger.governance`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from consortium.errors import Malformed
from consortium.model.encoding import decode, encode
from consortium.model.names import ID_BYTES, MONTH
from consortium.model.records import MAX_TIME_MS

VERSION = 1
MAX_ERASED = 1000
"""Records that one tombstone names at most."""

Id = Annotated[bytes, Field(min_length=ID_BYTES, max_length=ID_BYTES)]
Key = Annotated[bytes, Field(min_length=32, max_length=32)]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}[a-z0-9]$")]
Text = Annotated[str, Field(max_length=500)]
TimeMs = Annotated[int, Field(ge=0, lt=MAX_TIME_MS)]


class Body(BaseModel):
    """Base: strict, frozen, nothing unknown. `KIND` is the record's public kind."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, ser_json_bytes="hex", val_json_bytes="hex")
    KIND: ClassVar[str] = ""

    def encoded(self) -> bytes:
        """The bytes that stand in the header."""
        return encode({"v": VERSION, **self.model_dump()})


class Proposal(Body):
    """Something to be decided by vote. `kind` says what, `terms` are its own fields; after `expires_ms` (ledger time)
    nobody can vote any more.
    """

    KIND: ClassVar[str] = "proposal"
    kind: Word
    terms: dict[str, Any]
    reason: Text = ""
    expires_ms: TimeMs


class Ballot(Body):
    """A member's vote on a proposal; once per member."""

    KIND: ClassVar[str] = "ballot"
    proposal: Id
    yes: bool


class Tombstone(Body):
    """The order to erase records. `ground`: user (a person's right), retention (time is over), author (a mistake).

    It binds the holders of those records that its author wrote; a court's order is a proposal instead.
    """

    KIND: ClassVar[str] = "tombstone"
    records: Annotated[tuple[Id, ...], Field(min_length=1, max_length=MAX_ERASED)]
    ground: Literal["user", "retention", "author"]
    reference: Text = ""


class Acknowledgement(Body):
    """A member's word that it holds nothing (more) of what a tombstone, or a court's order, names.

    Every member says it, holder or not: so it tells nobody who had been a party. `state` is `held-back` while a legal
    hold or a dispute keeps something; then `reason` says which.
    """

    KIND: ClassVar[str] = "acknowledgement"
    tombstone: Id
    state: Literal["done", "held-back"]
    reason: Text = ""


SHARE_BYTES = 17
"""A share is its number, from 1, and 16 bytes (Shamir's scheme over GF(2^128))."""
_SHARE_BOX_BYTES = 32 + 16 + SHARE_BYTES
"""A sealed box: the ephemeral public key, the tag, the share."""


class EscrowShare(BaseModel):
    """A member's share of an escrow key: `box` opens for that member alone, `digest` is the SHA-256 of the share."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, ser_json_bytes="hex", val_json_bytes="hex")
    member: Word
    box: Annotated[bytes, Field(min_length=_SHARE_BOX_BYTES, max_length=_SHARE_BOX_BYTES)]
    digest: Key


class EscrowKey(Body):
    """The public half of a dealer's escrow key for one area and period, and the shares of its private half.

    `period` is a month, `2017-06`. Any `needed` of the shares give the private half.
    """

    KIND: ClassVar[str] = "escrow-key"
    area: Word
    period: Annotated[str, Field(pattern=MONTH)]
    public: Key
    needed: Annotated[int, Field(ge=2, le=64)]
    shares: Annotated[tuple[EscrowShare, ...], Field(min_length=2, max_length=64)]


class RecoverySignature(BaseModel):
    """A member's word that it agrees: Ed25519 by its batch key over `consortium.ledger.recovery.statement`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, ser_json_bytes="hex", val_json_bytes="hex")
    member: Word
    signature: Annotated[bytes, Field(min_length=64, max_length=64)]


class Recovery(Body):
    """The members go on in epoch `epoch`, in a new log, from the block at `height` whose digest is `block`.

    It stands first in each member's first batch of the epoch, and nowhere else.
    """

    KIND: ClassVar[str] = "recovery"
    epoch: Annotated[int, Field(ge=2, lt=1 << 32)]
    height: Annotated[int, Field(ge=0)]
    block: Key
    signatures: Annotated[tuple[RecoverySignature, ...], Field(min_length=1, max_length=64)]


_KINDS: tuple[type[Body], ...] = (Proposal, Ballot, Tombstone, Acknowledgement, EscrowKey, Recovery)
BODIES: dict[str, type[Body]] = {body.KIND: body for body in _KINDS}
"""The bodies by their kind."""


def parse_body(kind: str, data: bytes) -> Body:
    """The body of a record of a public kind. Raises `Malformed`."""
    value = thaw(decode(data))
    if not isinstance(value, dict) or type(value.get("v")) is not int or value.pop("v") != VERSION:
        raise Malformed("unknown version of a public record")
    return read_model(BODIES[kind], value)


Model = TypeVar("Model", bound=BaseModel)


def read_model(model: type[Model], value: Any) -> Model:
    """A strict value of `model` from plain values. Raises `Malformed`."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise Malformed(f"a {model.__name__} has a wrong field") from error


def thaw(value: Any) -> Any:
    """Decoded CBOR with its frozen maps as dicts; arrays stay tuples."""
    if isinstance(value, tuple):
        return tuple(thaw(item) for item in value)
    if isinstance(value, Mapping):
        return {key: thaw(item) for key, item in value.items()}
    return value
