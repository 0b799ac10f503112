"""The sections by which a user's erasure reaches the member that wrote the record, and its answer comes back."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from consortium.energy.payloads.base import Group, Part, PartyText, RecordId, Text

MAX_ASKED = 100
"""Records that one request names at most."""


class ErasureRequest(Part):
    """A user asks the member that wrote records about them to have them erased; written by the user's own member.
    Readers: the subject, their member, the author of those records.

    `start_ms` is when they asked.
    """

    TYPE: ClassVar[str] = "erasure-request"
    PART: ClassVar[str] = "request"
    GROUP: ClassVar[Group] = "terms"
    subject: PartyText
    records: Annotated[tuple[RecordId, ...], Field(min_length=1, max_length=MAX_ASKED)]


class ErasureRefused(Part):
    """What of a request is not erased now, and why: one reason per record, in their order. Readers: the subject, their
    member, the author.

    What a request names and no refusal does was ordered by a tombstone.
    """

    TYPE: ClassVar[str] = "erasure-refused"
    PART: ClassVar[str] = "refusal"
    GROUP: ClassVar[Group] = "terms"
    request: RecordId
    subject: PartyText
    records: Annotated[tuple[RecordId, ...], Field(min_length=1, max_length=MAX_ASKED)]
    reasons: Annotated[tuple[Text, ...], Field(min_length=1, max_length=MAX_ASKED)]
