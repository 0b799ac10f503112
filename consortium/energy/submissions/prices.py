"""A published series of prices or of emissions, for everyone in a market."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from consortium.energy.metering import to_ms
from consortium.energy.payloads import market
from consortium.energy.payloads.base import Name, PartyText, Price
from consortium.energy.submissions.base import (
    Interval,
    Moment,
    Submitted,
    market_of,
    parties,
    whole,
)
from consortium.errors import Forbidden, InvalidRequest
from consortium.model.names import Party
from consortium.model.records import DraftSection

if TYPE_CHECKING:
    from consortium.energy.catalogue import Directory

Values = Annotated[
    tuple[Price, ...],
    BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value),
    Field(min_length=1, max_length=3000),
]


class PriceSeries(Submitted):
    """A published series: one value an interval, for everyone in the market."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "publisher": "gridco",
                    "market": "local",
                    "series": "wholesale",
                    "unit": "micro/Wh",
                    "start": "2017-06-15T00:00:00-08:00",
                    "interval_s": 3600,
                    "values": [31, 29, 28],
                }
            ]
        }
    )
    ACTOR: ClassVar[str] = "publisher"

    publisher: PartyText = Field(description="The member that publishes: a grid operator or market operator.")
    market: Name = Field(description="The market whose members read it.")
    series: Name = Field(description="Its name, for example wholesale or carbon.")
    unit: Literal["micro/Wh", "g/kWh"] = Field(description="micro/Wh or g/kWh.")
    start: Moment = Field(description="Start of the first interval, RFC 3339 with its offset.")
    interval_s: Interval = Field(3600, description="Length of an interval in seconds: 900, 1800 or 3600.")
    values: Values = Field(description="A whole number for each interval, 1 to 3000 of them.")

    @property
    def actor(self) -> str:
        """The member that publishes."""
        return self.publisher

    @cached_property
    def start_ms(self) -> int:
        """Start of the first interval, UTC milliseconds."""
        return to_ms(self.start)

    def check(self, now_ms: int) -> None:
        """Intervals are whole, emissions not negative. Raises `InvalidRequest`."""
        whole(self.start_ms, self.interval_s, "data.start")
        if self.unit == "g/kWh" and min(self.values) < 0:
            raise InvalidRequest("an emission is not negative", field="data.values", hint="g/kWh from 0 on")

    def admit(self, directory: Directory) -> None:
        """Only who runs the grid or the market publishes. Raises `InvalidRequest`, `Forbidden`."""
        self._members(directory)

    def sections(self, directory: Directory) -> tuple[DraftSection, ...]:
        """The series, for the market's members. Raises `InvalidRequest`, `Forbidden`."""
        prices = market.Prices(
            start_ms=self.start_ms, series=self.series, unit=self.unit, interval_s=self.interval_s, values=self.values
        )
        return (prices.section((Party.parse(self.publisher), *self._members(directory))),)

    def _members(self, directory: Directory) -> tuple[Party, ...]:
        publisher = Party.parse(self.publisher)
        terms = market_of(directory, self.market, self.start_ms, publisher)
        if publisher not in directory.grid_operators and self.publisher not in terms.operators:
            raise Forbidden("prices are published by the grid operator and the market's operators")
        return parties(terms.members)
