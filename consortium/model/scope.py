"""What a grant, a delegation or a legal hold covers: record types, parties, areas, a period, field groups.

A scope only ever narrows: two scopes together cover what each covers by itself, never a mixture of both.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from consortium.errors import InvalidRequest
from consortium.model.names import Party
from consortium.model.records import MAX_TIME_MS

Group = Literal["physical", "terms", "identity", "money"]
GROUPS: tuple[Group, ...] = ("physical", "terms", "identity", "money")
_Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}[a-z0-9]$")]
_PartyText = Annotated[str, Field(max_length=70)]
_Time = Annotated[int, Field(ge=0, lt=MAX_TIME_MS)]


class Scope(BaseModel):
    """`types` and `groups` are never empty. Empty `parties` or `areas` mean any; where both are given, both must fit.

    The period is of what a record is about (its `start_ms`): from_ms <= start < to_ms, UTC ms.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    types: Annotated[tuple[_Word, ...], Field(min_length=1, max_length=32)]
    parties: Annotated[tuple[_PartyText, ...], Field(max_length=256)] = ()
    areas: Annotated[tuple[_Word, ...], Field(max_length=64)] = ()
    from_ms: _Time
    to_ms: _Time
    groups: Annotated[tuple[Group, ...], Field(min_length=1, max_length=4)]

    @model_validator(mode="after")
    def _check(self) -> Scope:
        if self.from_ms >= self.to_ms:
            raise ValueError("a period ends after it begins")
        try:
            parsed = [str(Party.parse(party)) for party in self.parties]
        except InvalidRequest as error:
            raise ValueError(str(error)) from None
        for values in (self.types, self.groups, self.areas, tuple(parsed)):
            if list(values) != sorted(set(values)):
                raise ValueError("lists are sorted and without repetition")
        return self

    def covers(self, type: str, start_ms: int, parties: Collection[str], areas: Collection[str]) -> bool:
        """Whether a record of that type and time, with those parties and areas in it, lies inside."""
        return (
            type in self.types
            and self.from_ms <= start_ms < self.to_ms
            and (not self.parties or any(_is_of(party, self.parties) for party in parties))
            and (not self.areas or any(area in self.areas for area in areas))
        )

    def within(self, other: Scope) -> bool:
        """Whether this scope covers nothing that `other` does not."""
        return (
            set(self.types) <= set(other.types)
            and set(self.groups) <= set(other.groups)
            and other.from_ms <= self.from_ms
            and self.to_ms <= other.to_ms
            and (not other.parties or (bool(self.parties) and all(_is_of(p, other.parties) for p in self.parties)))
            and (not other.areas or (bool(self.areas) and set(self.areas) <= set(other.areas)))
        )


def _is_of(party: str, named: Collection[str]) -> bool:
    """A member that is named stands for its users as well."""
    return party in named or party.rpartition("@")[2] in named
