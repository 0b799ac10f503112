"""The section by which a user's own encryption key becomes known to those who seal records for them."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from consortium.energy.payloads.base import Digest, Group, Name, Part, PartyText

MAX_TYPES = 32


class UserKey(Part):
    """A user keeps their own key, or none any more. Readers: all active members, the user.

    `start_ms` is when it was registered. `key` is an X25519 public key, whose private half never was at a node; null:
    custodial again. `mandate` names the record types that go on being wrapped for the node's custodial key as well.
    `sequence` counts a user's registrations from 1: the highest one counts. Only the user's own member says so.
    """

    TYPE: ClassVar[str] = "user-key"
    PART: ClassVar[str] = "key"
    GROUP: ClassVar[Group] = "terms"
    subject: PartyText
    key: Digest | None
    mandate: Annotated[tuple[Name, ...], Field(max_length=MAX_TYPES)]
    sequence: Annotated[int, Field(ge=1)]
