"""A book with its orders opened, as JSON: what `replay` needs to clear a session again with nothing else at hand.

Whoever holds a bundle reads every order in it: it is written by those who may read the book, for those whom they
want to convince. Ids, digests, keys, headers and plaintexts are lowercase hex.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from consortium.energy.market.settings import MarketSettings
from consortium.errors import InvalidRequest


def _from_hex(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str) or value != value.lower() or not value.isalnum():
        raise ValueError("lowercase hex digits are expected")
    return bytes.fromhex(value)


Hex = Annotated[bytes, BeforeValidator(_from_hex), PlainSerializer(bytes.hex, when_used="json")]
Hex16 = Annotated[Hex, Field(min_length=16, max_length=16)]
Hex32 = Annotated[Hex, Field(min_length=32, max_length=32)]
Index = Annotated[int, Field(ge=0)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class BundleOrder(_Model):
    """An opened order: its record's header, the content key and plaintext of its section `order`.

    `section` is that section's number in the header, `index` the record's place in the ledger, `priority` from where
    the order counts (its mandate's coming into force, or its index); `held` the settlement agent's verdict on a bid.
    """

    header: Hex
    section: Index = 0
    key: Hex32
    plaintext: Hex
    index: Index
    priority: Index
    held: bool | None = None


class BundleGate(_Model):
    """The gate whose book this is. `since` is the index of the gate of the round before, None in the first."""

    id: Hex16
    index: Index
    last: bool = True
    since: Index | None = None


class BundleTrade(_Model):
    """A published trade; its number is its place in the list. `price` in micro-units per Wh."""

    bid: Hex16
    ask: Hex16
    wh: int
    price: int


class BundleResult(_Model):
    """What was published for the gate."""

    price: int | None
    wh: int
    book_root: Hex32
    book_size: int
    trades: tuple[BundleTrade, ...]


class BookBundle(_Model):
    """One gate's book, opened, and its published result.

    `orders` are all orders of the session up to the gate that were not refused: in a continuous market those of the
    earlier rounds too, from which follows what rested.
    """

    v: Literal[1] = 1
    settings: MarketSettings
    start_ms: Index
    gate: BundleGate
    orders: tuple[BundleOrder, ...]
    result: BundleResult

    def to_json(self) -> str:
        """The bundle as JSON text."""
        return self.model_dump_json(indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> BookBundle:
        """Read a bundle. Raises `InvalidRequest` that names the first field at fault, never its content."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            field = ".".join(map(str, first["loc"]))
            raise InvalidRequest("this is no bundle of a book", field=field) from None
