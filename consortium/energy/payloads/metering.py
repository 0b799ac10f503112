"""The section of a meter reading as it stands in the payload; `energy.metering.Reading` is what is submitted."""

from __future__ import annotations

from typing import ClassVar, Literal

from consortium.energy.payloads.base import Group, IntervalS, Part, PartyText, Wh


class MeterReading(Part):
    """What a home used and made in one interval. Readers: the home, its member, the grid operators."""

    TYPE: ClassVar[str] = "reading"
    PART: ClassVar[str] = ""
    GROUP: ClassVar[Group] = "physical"
    subject: PartyText
    interval_s: IntervalS
    load_wh: Wh
    pv_wh: Wh
    quality: Literal["measured", "estimated", "corrected"]
