"""The sections by which a user learns who read what, and by which a user lets somebody else read."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from consortium.energy.payloads.base import WORDS, Digest, Group, Name, Part, PartyText, RecordId, TimeMs

MAX_RECORDS = 500
MAX_PURPOSE = 100
Role = Literal["user", "staff", "machine", "officer", "administrator", "service"]
Basis = Literal["duties", "grant", "delegation"]
Purpose = Annotated[str, Field(max_length=MAX_PURPOSE), WORDS]


class Access(Part):
    """What one kind of reader was shown of one party's records, at one node (the author's). Readers: the subject, the
    author.

    `start_ms` is the first read that it tells of, `last_ms` the last one; times are the node's own, so the ledger's
    time of the record stands beside them wherever they are shown. `name` is '' where the ledger's settings do not let
    staff be named. `under` is the grant's or delegation's id. `answers` counts in how many answers the `records` left.
    `sequence` counts from 1 by author and subject; `previous` is the SHA-256 of the one before (32 zero bytes at
    first), so that a subject sees that nothing was taken out.
    """

    TYPE: ClassVar[str] = "access"
    PART: ClassVar[str] = "access"
    GROUP: ClassVar[Group] = "terms"
    last_ms: TimeMs
    subject: PartyText
    role: Role
    duties: Annotated[tuple[Name, ...], Field(max_length=16)]
    name: Annotated[str, Field(max_length=64), WORDS]
    member: Name
    basis: Basis
    under: RecordId | None
    purpose: Purpose
    records: Annotated[tuple[RecordId, ...], Field(min_length=1, max_length=MAX_RECORDS)]
    types: Annotated[tuple[Name, ...], Field(max_length=64)]
    groups: Annotated[tuple[Name, ...], Field(max_length=8)]
    answers: Annotated[int, Field(ge=1)]
    sequence: Annotated[int, Field(ge=1)]
    previous: Digest


class Delegation(Part):
    """A user lets another user or a service of the same member read some of their records, for a while. Readers:
    subject, delegate, their member.

    `start_ms` and `to_ms` bound the periods of the records (`to_ms` 0: open), `until_ms` the delegation itself, by the
    ledger's time. No `types` or no `groups`: any.
    """

    TYPE: ClassVar[str] = "delegation"
    PART: ClassVar[str] = "delegation"
    GROUP: ClassVar[Group] = "terms"
    subject: PartyText
    delegate: PartyText
    types: Annotated[tuple[Name, ...], Field(max_length=64)]
    to_ms: TimeMs
    groups: Annotated[tuple[Name, ...], Field(max_length=8)]
    until_ms: TimeMs
    purpose: Purpose


class DelegationEnd(Part):
    """The subject takes a delegation back; it ends with this record. Readers: as the delegation's."""

    TYPE: ClassVar[str] = "delegation-end"
    PART: ClassVar[str] = "end"
    GROUP: ClassVar[Group] = "terms"
    delegation: RecordId
    subject: PartyText
    delegate: PartyText
