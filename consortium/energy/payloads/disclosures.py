"""The sections by which holders hand content keys to an officer under a grant, and shares of escrow keys by a vote."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from consortium.energy.payloads.base import Group, Name, Part, RecordId

MAX_BOX = 64 * 1024
Box = Annotated[bytes, Field(min_length=1, max_length=MAX_BOX)]
Period = Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$", description="A month, for example 2017-06.")]


class Disclosure(Part):
    """Content keys of what a grant covers, by one of the holders. Readers: the officer's member, the author.

    `start_ms` is when the grant was opened. `box` is a sealed box to the grant's key (`crypto.disclosing`) with `count`
    entries; the author cannot open it any more. It goes over the ledger's tree from leaf `after` + 1 up to `up_to`:
    what of these leaves the author holds, may open and finds covered stands in the box.
    """

    TYPE: ClassVar[str] = "disclosure"
    PART: ClassVar[str] = "disclosure"
    GROUP: ClassVar[Group] = "terms"
    grant: RecordId
    after: Annotated[int, Field(ge=-1)]
    up_to: Annotated[int, Field(ge=-1)]
    count: Annotated[int, Field(ge=0)]
    box: Box


class Escrow(Part):
    """The keys of a supervised record's other sections, in parts for the dealers of an area and period; always a
    record's last section. Readers: the compliance members, who cannot open it further.

    `start_ms` is the start of the period. `boxes` are sealed boxes to the escrow keys of `dealers`, in their order.
    """

    TYPE: ClassVar[str] = "escrow"
    PART: ClassVar[str] = "keys"
    GROUP: ClassVar[Group] = "terms"
    area: Name
    period: Period
    dealers: Annotated[tuple[Name, ...], Field(min_length=2, max_length=64)]
    boxes: Annotated[tuple[Box, ...], Field(min_length=2, max_length=64)]


class EscrowShares(Part):
    """A member's shares of the escrow keys of one area and period, after the vote `release`. Readers: the compliance
    members, the author.

    `start_ms` is the start of the period. `dealers` and `shares` belong together, in the dealers' order.
    """

    TYPE: ClassVar[str] = "escrow-share"
    PART: ClassVar[str] = "shares"
    GROUP: ClassVar[Group] = "terms"
    release: RecordId
    area: Name
    period: Period
    dealers: Annotated[tuple[Name, ...], Field(min_length=1, max_length=64)]
    shares: Annotated[tuple[Box, ...], Field(min_length=1, max_length=64)]
