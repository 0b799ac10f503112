"""A section's plaintext and the typed value that it stands for.

Every section is a deterministic CBOR map with `v` (1), `type` (the record's type), `part` (the section's name),
`start_ms` (start of the period that it is about, UTC) and the fields of its class. Energy is integer Wh, prices
integer micro-units per Wh, money integer micro-units, ids 16 bytes. Decoding is strict: an unknown field, a missing
one or another kind of value is `Malformed`, which the reader treats as a payload of a version that it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from consortium.errors import InvalidRequest, Malformed
from consortium.model.encoding import decode, encode
from consortium.model.names import ID_BYTES, Party
from consortium.model.records import MAX_TIME_MS, DraftSection

Group = Literal["physical", "terms", "money"]
VERSION = 1
MAX_AMOUNT = 1 << 60


def _party(text: str) -> str:
    try:
        return str(Party.parse(text))
    except InvalidRequest as error:
        raise ValueError(str(error)) from None


class Identity:
    """Marks a type of fields that may hold a user's name: `words` are free text, in which anybody may be named."""

    def __init__(self, *, words: bool = False) -> None:
        self.words = words


NAMES, WORDS = Identity(), Identity(words=True)
PartyText = Annotated[str, AfterValidator(_party), Field(description="A party: member or user@member."), NAMES]
RecordId = Annotated[bytes, Field(min_length=ID_BYTES, max_length=ID_BYTES)]
Digest = Annotated[bytes, Field(min_length=32, max_length=32)]
Wh = Annotated[int, Field(ge=0, lt=1 << 53, description="Energy in Wh.")]
Price = Annotated[int, Field(gt=-(1 << 40), lt=1 << 40, description="Micro-units of the currency per Wh.")]
Amount = Annotated[int, Field(gt=-MAX_AMOUNT, lt=MAX_AMOUNT, description="Micro-units of the currency.")]
TimeMs = Annotated[int, Field(ge=0, lt=MAX_TIME_MS, description="UTC milliseconds since the epoch.")]
IntervalS = Annotated[int, Field(ge=900, le=3600, description="Length of an interval in seconds.")]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}[a-z0-9]$")]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 code.")]
Text = Annotated[str, Field(max_length=500), WORDS]
AccountText = Annotated[str, NAMES]


class Part(BaseModel):
    """One section of a payload. Subclasses set `TYPE` and `PART`, together the name under which they are known, and
    `GROUP`, the field group of all that stands in it but of what is marked as `Identity`.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    TYPE: ClassVar[str] = ""
    PART: ClassVar[str] = ""
    GROUP: ClassVar[Group] = "terms"
    IDENTITY: ClassVar[frozenset[str]] = frozenset()
    """Names of the fields that may name a user: group `identity`, whatever the section's own."""
    FREE_WORDS: ClassVar[frozenset[str]] = frozenset()
    """Those of them that hold free text."""
    start_ms: TimeMs

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        marks = {name: mark for name, field in cls.model_fields.items() if (mark := _mark(field)) is not None}
        cls.IDENTITY = frozenset(marks)
        cls.FREE_WORDS = frozenset(name for name, mark in marks.items() if mark.words)
        if cls.TYPE:
            if "GROUP" not in vars(cls):
                raise TypeError(f"{cls.__name__} names no field group")
            KINDS[cls.TYPE, cls.PART] = cls

    def plaintext(self) -> bytes:
        """The section's bytes."""
        part = {"part": self.PART} if self.PART else {}  # a reading, the first type, has none
        return encode({"v": VERSION, "type": self.TYPE, **part, **self.model_dump()})

    def section(self, readers: Sequence[Party]) -> DraftSection:
        """The section for its readers, each once."""
        return DraftSection(self.PART, self.plaintext(), tuple(dict.fromkeys(readers)))

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Self:
        """From plain values. Raises `Malformed`."""
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise Malformed(f"a section '{cls.PART}' of type {cls.TYPE} has a wrong field") from error


KINDS: dict[tuple[str, str], type[Part]] = {}
"""Every known section by its record's type and its own name, those of one type in the order in which they stand."""


def _mark(field: FieldInfo) -> Identity | None:
    """The mark of a field's type, also of an optional one's."""
    nested = [mark for option in get_args(field.annotation) for mark in getattr(option, "__metadata__", ())]
    return next((mark for mark in (*field.metadata, *nested) if isinstance(mark, Identity)), None)


def read_part(plaintext: bytes) -> Part | None:
    """The typed section, or None for a type, part or version that this code does not know. Raises `Malformed`."""
    value = plain(decode(plaintext))
    if not isinstance(value, dict):
        return None
    version, type_, part = value.pop("v", None), value.pop("type", ""), value.pop("part", "")
    # Anybody may have written it: a map in the type's place cannot be looked up, and true is 1.
    if type(version) is not int or version != VERSION or not (isinstance(type_, str) and isinstance(part, str)):
        return None
    kind = KINDS.get((type_, part))
    return None if kind is None else kind.read(value)


def plain(value: Any) -> Any:
    """Decoded CBOR with its frozen maps as dicts; arrays stay tuples."""
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return value
