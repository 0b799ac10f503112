"""Meter readings: what a home used and made in one interval of its market's day.

A reading has one section, `physical`, for the home, its member and the grid operator, and nobody else. Energy is
integer watt-hours; an interval starts at a multiple of its own length in UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from consortium.errors import InvalidRequest, Malformed
from consortium.model.encoding import decode, encode
from consortium.model.names import Party
from consortium.model.records import DraftSection

READING = "reading"
MAX_WH_PER_HOUR = 1_000_000
"""1 MWh in an hour is a thousand homes at full load: whatever claims more is a wrong unit or a broken meter."""
_PLAUSIBLE_FROM = datetime(2000, 1, 1, tzinfo=UTC)


def _is_party(text: str) -> str:
    try:
        party = Party.parse(text)
    except InvalidRequest as error:
        raise ValueError(str(error)) from None
    if not party.user:
        raise ValueError("a reading's subject is a user, written 'user@member'")
    return text


def _is_text(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("a time is RFC 3339 text with an offset")
    return value


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

    subject: Annotated[str, AfterValidator(_is_party)] = Field(description="The home, as user@member.")
    interval_start: Annotated[AwareDatetime, BeforeValidator(_is_text), Field(strict=False)] = Field(
        description="Start of the interval, RFC 3339 with its offset."
    )
    interval_s: Literal[900, 1800, 3600] = Field(3600, description="Length of the interval in seconds.")
    load_wh: int = Field(ge=0, description="What the home used, in Wh.")
    pv_wh: int = Field(0, ge=0, description="What its panels made, in Wh.")
    quality: Literal["measured", "estimated"] = Field("measured", description="How the figures were come by.")

    @property
    def start_ms(self) -> int:
        """Start of the interval, UTC milliseconds."""
        return to_ms(self.interval_start)

    def check(self, now_ms: int) -> None:
        """The rules that one field alone cannot show. Raises `InvalidRequest`."""
        start, length = self.start_ms, self.interval_s * 1000
        if start % length:
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

    def sections(self, grid_operators: tuple[Party, ...]) -> tuple[DraftSection, ...]:
        """The one section, sealed to the home, its member and the grid operators."""
        home = Party.parse(self.subject)
        readers = tuple(dict.fromkeys((home, Party(home.member), *grid_operators)))
        return (DraftSection("physical", self.plaintext(), readers),)

    def plaintext(self) -> bytes:
        """The payload, see docs/formats.md "Payloads"."""
        return encode(
            {
                "type": READING,
                "v": 1,
                "subject": self.subject,
                "start_ms": self.start_ms,
                "interval_s": self.interval_s,
                "load_wh": self.load_wh,
                "pv_wh": self.pv_wh,
                "quality": self.quality,
            }
        )


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
    """The fields of any payload as plain values, `type` and `start_ms` among them. Raises `Malformed`."""
    value = decode(plaintext)
    if not hasattr(value, "items") or type(value.get("type")) is not str or type(value.get("start_ms")) is not int:
        raise Malformed("a payload is a map with type and start_ms")
    return dict(value.items())


def describe(payload: dict[str, Any]) -> dict[str, Any]:
    """A reading's payload in the API's words."""
    shown = {k: v for k, v in payload.items() if k not in ("type", "v", "start_ms")}
    return {"interval_start": to_rfc3339(payload["start_ms"]), **shown}
