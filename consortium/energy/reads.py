"""Reads that somebody has to be told of: as they are noted, and gathered into what the next access records say. Pure.

Who reads the same over and over is told of once with a count, never left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from consortium.energy.payloads.access import MAX_RECORDS, Access, Basis, Role
from consortium.model.encoding import decode, encode
from consortium.model.names import Party


@dataclass(frozen=True, slots=True)
class Source:
    """Who read, and by what right. What is equal in all of it is told together. `name` is '' where it is not told."""

    role: Role
    duties: tuple[str, ...]
    name: str
    member: str
    basis: Basis
    under: bytes | None
    purpose: str


@dataclass(frozen=True, slots=True)
class Read:
    """One or more answers that told somebody of one subject's records, at most 500 of them; times in UTC ms."""

    subject: str
    source: Source
    first_ms: int
    last_ms: int
    records: tuple[bytes, ...]
    types: tuple[str, ...]
    groups: tuple[str, ...]
    answers: int = 1

    def encoded(self) -> bytes:
        """As it waits, before it is sealed at rest."""
        who = self.source
        source = [who.role, list(who.duties), who.name, who.member, who.basis, who.under, who.purpose]
        what = [list(self.records), list(self.types), list(self.groups), self.answers]
        return encode([self.subject, source, self.first_ms, self.last_ms, *what])

    @classmethod
    def decoded(cls, data: bytes) -> Read:
        """Of what `encoded` made. Raises `Malformed`."""
        value: Any = decode(data)
        subject, (role, duties, name, member, basis, under, purpose), first_ms, last_ms, *what = value
        source = Source(role, tuple(duties), name, member, basis, under, purpose)
        records, types, groups, answers = what
        return cls(subject, source, first_ms, last_ms, tuple(records), tuple(types), tuple(groups), answers)

    def access(self, sequence: int, previous: bytes) -> Access:
        """The record's section at that place of the chain."""
        who = self.source
        return Access(
            start_ms=self.first_ms,
            last_ms=self.last_ms,
            subject=self.subject,
            role=who.role,
            duties=who.duties,
            name=who.name,
            member=who.member,
            basis=who.basis,
            under=who.under,
            purpose=who.purpose,
            records=self.records,
            types=self.types,
            groups=self.groups,
            answers=self.answers,
            sequence=sequence,
            previous=previous,
        )


def reads_of(
    subject: Party, source: Source, at_ms: int, released: Iterable[tuple[bytes, str, Iterable[str]]]
) -> Iterator[Read]:
    """One answer's (id, type, groups) as reads of at most 500 records each."""
    given = list(released)
    for first in range(0, len(given), MAX_RECORDS):
        part = given[first : first + MAX_RECORDS]
        ids = tuple(dict.fromkeys(id for id, _, _ in part))
        types = tuple(sorted({type for _, type, _ in part}))
        groups = tuple(sorted({group for _, _, groups in part for group in groups}))
        yield Read(str(subject), source, at_ms, at_ms, ids, types, groups)


def gathered(reads: Sequence[Read]) -> list[Read]:
    """One subject's reads by their sources, in the order of their first reads: so the times of a chain never fall."""
    by_source: dict[Source, list[Read]] = {}
    for read in reads:
        by_source.setdefault(read.source, []).append(read)
    found = [one for group in by_source.values() for one in _together(group)]
    return sorted(found, key=lambda read: read.first_ms)


def _together(reads: Sequence[Read]) -> Iterator[Read]:
    """Reads of one source as few as 500 records each allow; none is split, so that each says when its own were read."""
    open_one: Read | None = None
    for read in sorted(reads, key=lambda read: read.first_ms):
        if open_one is None:
            open_one = read
            continue
        ids = tuple(dict.fromkeys((*open_one.records, *read.records)))
        if len(ids) > MAX_RECORDS:
            yield open_one
            open_one = read
            continue
        open_one = replace(
            open_one,
            last_ms=max(open_one.last_ms, read.last_ms),
            records=ids,
            types=tuple(sorted({*open_one.types, *read.types})),
            groups=tuple(sorted({*open_one.groups, *read.groups})),
            answers=open_one.answers + read.answers,
        )
    if open_one is not None:
        yield open_one


def by_subject(reads: Iterable[Read]) -> Mapping[str, list[Read]]:
    """Reads by whom they are told to."""
    found: dict[str, list[Read]] = {}
    for read in reads:
        found.setdefault(read.subject, []).append(read)
    return found
