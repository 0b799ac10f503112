"""Meter readings: what a home used and made in one interval of its market's day.

A reading has one section, `physical`, for the home, its member and the grid operator, and nobody else. Energy is
integer watt-hours; an interval starts at a multiple of its own length in UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Annotated, Any, ClassVar, Literal, Protocol

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from consortium.errors import InvalidRequest, Malformed
from consortium.model.encoding import decode, encode_ordered
from consortium.model.names import Party, is_name
from consortium.model.records import MAX_TIME_MS, DraftSection

READING = "reading"
MAX_WH_PER_HOUR = 1_000_000
"""1 MWh in an hour is a thousand homes at full load: whatever claims more is a wrong unit or a broken meter."""
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_PLAUSIBLE_FROM = datetime(2000, 1, 1, tzinfo=UTC)
_FIELDS = {"v": int, "subject": str, "interval_s": int, "load_wh": int, "pv_wh": int, "quality": str}


def _is_party(text: str) -> str:
    try:
        party = Party.parse(text)
    except InvalidRequest as error:
        raise ValueError(str(error)) from None
    if not party.user:
        raise ValueError("a reading's subject is a user, written 'user@member'")
    return text


def require_rfc3339(value: Any) -> Any:
    """`value` if it is written as RFC 3339 section 5.6 says, else ValueError: pydantic also takes "1497549600"."""
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise ValueError("a time is RFC 3339 text with its offset, for example 2017-06-15T10:00:00-08:00")
    return value


def _is_int(value: Any) -> Any:
    # `Literal` compares: 3600.0 would pass.
    if type(value) is not int:
        raise ValueError("Input should be a valid integer")
    return value


class GridOperators(Protocol):
    """Who runs the grid."""

    @property
    def grid_operators(self) -> tuple[Party, ...]:
        """The members with that role."""
        ...


class Reading(BaseModel):
    """One meter reading."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "subject": "home-01@suncoop",
                    "interval_start": "2017-06-15T10:00:00-08:00",
                    "interval_s": 3600,
                    "load_wh": 1521,
                    "pv_wh": 830,
                }
            ]
        },
    )

    ACTOR: ClassVar[str] = "subject"

    subject: Annotated[str, AfterValidator(_is_party)] = Field(description="The home, as user@member.")
    interval_start: Annotated[AwareDatetime, BeforeValidator(require_rfc3339), Field(strict=False)] = Field(
        description="Start of the interval, RFC 3339 with its offset."
    )
    interval_s: Annotated[Literal[900, 1800, 3600], BeforeValidator(_is_int)] = Field(
        3600, description="Length of the interval in seconds."
    )
    load_wh: int = Field(ge=0, description="What the home used, in Wh.")
    pv_wh: int = Field(0, ge=0, description="What its panels made, in Wh.")
    quality: Literal["measured", "estimated", "corrected"] = Field(
        "measured",
        description="How the figures were come by. A measured reading replaces an estimated one, a corrected one any.",
    )

    @cached_property
    def start_ms(self) -> int:
        """Start of the interval, UTC milliseconds."""
        return to_ms(self.interval_start)

    def check(self, now_ms: int) -> None:
        """The rules that one field alone cannot show. Raises `InvalidRequest`."""
        start, length = self.start_ms, self.interval_s * 1000
        if start % length or self.interval_start.microsecond:
            raise InvalidRequest("an interval starts at a multiple of its length", field="data.interval_start")
        if self.interval_start < _PLAUSIBLE_FROM or start + length > now_ms:
            raise InvalidRequest("the interval is not over yet, or lies before 2000", field="data.interval_start")
        limit = MAX_WH_PER_HOUR * self.interval_s // 3600
        for field in ("load_wh", "pv_wh"):
            if getattr(self, field) > limit:
                raise InvalidRequest(
                    f"more than {limit:,} Wh in {self.interval_s} s is no home's reading",
                    field=f"data.{field}",
                    hint="energy is given in watt-hours",
                )

    @property
    def actor(self) -> str:
        """The home."""
        return self.subject

    def admit(self, directory: GridOperators) -> None:
        """Nothing: a reading depends on nobody else's records."""

    def sections(self, directory: GridOperators) -> tuple[DraftSection, ...]:
        """The one section, sealed to the home, its member and the grid operators."""
        return (DraftSection("physical", self.plaintext(), _readers(self.subject, directory.grid_operators)),)

    def plaintext(self) -> bytes:
        """The payload, see docs/formats.md "Payloads". Its keys stand in the encoding's order: by length, by bytes."""
        return encode_ordered(
            {
                "v": 1,
                "type": READING,
                "pv_wh": self.pv_wh,
                "load_wh": self.load_wh,
                "quality": self.quality,
                "subject": self.subject,
                "start_ms": self.start_ms,
                "interval_s": self.interval_s,
            }
        )


@lru_cache(maxsize=65_536)
def _readers(subject: str, grid_operators: tuple[Party, ...]) -> tuple[Party, ...]:
    home = Party.parse(subject)
    return tuple(dict.fromkeys((home, Party(home.member), *grid_operators)))


def to_ms(moment: datetime) -> int:
    """UTC milliseconds of an aware datetime, exact: no float on the way."""
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


def to_rfc3339(ms: int) -> str:
    """UTC text of a time in milliseconds, to the second where it is whole."""
    moment = datetime.fromtimestamp(ms // 1000, UTC)
    fraction = f".{ms % 1000:03d}" if ms % 1000 else ""
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z"


def read_payload(plaintext: bytes) -> dict[str, Any]:
    """The fields of any payload as plain values, `type` and `start_ms` among them.

    Any member may have written it: what comes out of here can be stored and shown. Raises `Malformed`.
    """
    value = decode(plaintext)
    if not hasattr(value, "items"):
        raise Malformed("a payload is a map")
    payload = dict(value.items())
    start_ms = payload.get("start_ms")
    if not is_name(payload.get("type")) or type(start_ms) is not int or not 0 <= start_ms < MAX_TIME_MS:
        raise Malformed("a payload has a type and a start_ms")
    if payload["type"] == READING and any(type(payload.get(name)) is not kind for name, kind in _FIELDS.items()):
        raise Malformed("a reading lacks a field, or one is of another kind")
    return payload


def describe(payload: dict[str, Any]) -> dict[str, Any]:
    """A payload in the API's words: of a reading its own fields, of a type that this version does not know its plain
    values.
    """
    if payload["type"] == READING:
        shown = {name: payload[name] for name in _FIELDS if name != "v"}
    else:
        known = ("type", "v", "start_ms")
        shown = {k: v for k, v in payload.items() if k not in known and isinstance(v, int | str | None)}
    return {"interval_start": to_rfc3339(payload["start_ms"]), **shown}
