"""Tariffs, and the kinds of fields that all terms are made of.

Prices are integer micro-units of the currency per Wh. A list of the API and a tuple of the ledger's encoding are the
same here. Rules that need more than one field stand in `checks`.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from consortium.energy.payloads.base import Name, Price, Wh
from consortium.energy.zones import MINUTES, zone
from consortium.errors import InvalidRequest


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _zone(key: str) -> str:
    try:
        zone(key)
    except InvalidRequest as error:
        raise ValueError(str(error)) from None
    return key


def _is_int(value: Any) -> Any:
    # `Literal` compares: 900.0 would pass.
    if type(value) is not int:
        raise ValueError("Input should be a valid integer")
    return value


def minute(clock: str) -> int:
    """The minute of the day that "HH:MM" is."""
    return int(clock[:2]) * 60 + int(clock[3:])


Table = tuple[int | None, ...]
AsTuple = BeforeValidator(_tuple)
Zone = Annotated[str, AfterValidator(_zone), Field(max_length=64, description="IANA name or offset like -08:00.")]
Share = Annotated[int, Field(ge=0, le=100, description="Percent.")]
Seconds = Annotated[int, Field(ge=0, le=14 * 86_400)]
Days = Annotated[int, Field(ge=0, le=3650)]
SessionS = Annotated[Literal[900, 1800, 3600], BeforeValidator(_is_int)]
Clock = Annotated[
    str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$", description="Local wall time, HH:MM; 24:00 ends.")
]
Energy = Annotated[Wh, Field(gt=0)]
AreaFee = Annotated[tuple[Name, Name, Price], AsTuple, Field(description="From area, to area, fee.")]


class TermsModel(BaseModel):
    """Base of all terms: strict, frozen, nothing unknown."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, validate_by_name=True, validate_by_alias=True)


class Fixed(TermsModel):
    """One price at all times."""

    type: Literal["fixed"] = "fixed"
    price: Price


class Band(TermsModel):
    """A price from one local wall time up to a later one of the same day; `to` 24:00 or 00:00 is the end of the day."""

    days: Literal["all", "weekday", "weekend"] = "all"
    from_: Clock = Field(alias="from")
    to: Clock
    price: Price

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        start, end = self.minutes
        if start >= end:
            raise ValueError("a band ends after it starts; one over midnight is two")
        return self

    @property
    def minutes(self) -> tuple[int, int]:
        """Its first minute of the day, and the first one after it; a `to` of 00:00 is the end of the day."""
        return minute(self.from_), minute(self.to) or MINUTES


class TimeOfUse(TermsModel):
    """Prices by local wall time: the bands cover every day exactly once."""

    type: Literal["time-of-use"] = "time-of-use"
    zone: Zone
    bands: Annotated[tuple[Band, ...], AsTuple, Field(min_length=1, max_length=200)]

    @cached_property
    def tables(self) -> tuple[Table, Table]:
        """The price of every minute of a day, of weekdays and of days of the weekend; None in a gap."""
        return self._table("weekday"), self._table("weekend")

    def _table(self, days: str) -> Table:
        prices: list[int | None] = [None] * MINUTES
        for band in self.bands:
            if band.days in ("all", days):
                start, end = band.minutes
                prices[start:end] = [band.price] * (end - start)
        return tuple(prices)


class Indexed(TermsModel):
    """The published series plus a spread, never above `cap` nor below `floor`."""

    type: Literal["indexed"] = "indexed"
    series: Name
    spread: Price
    cap: Price | None = None
    floor: Price | None = None


Tariff = Annotated[Fixed | TimeOfUse | Indexed, Field(discriminator="type")]
