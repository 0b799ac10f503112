"""The list of who read a party's records: chains of access records, and whether they are whole. Pure.

A chain is of one author (the node that answered) and one subject. It shows that nothing was taken out of its middle;
that its author left out the newest, or never began it, no chain can show. The times in it are the author's own:
beside them stands the ledger's time of each record, which no single member can move, and what does not fit is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from consortium.crypto.hashing import sha256
from consortium.energy.payloads.access import Access

FIRST = bytes(32)
"""`previous` of a chain's first record."""
TOLERANCE_MS = 180_000
"""Reads are told within a minute; clocks and a busy ledger are given two more."""
LATE, BACK_DATED, AHEAD = "late", "back-dated", "ahead"


@dataclass(frozen=True, slots=True)
class Link:
    """Where a chain stands: the number of its last record (0: none yet) and that one's digest."""

    sequence: int = 0
    digest: bytes = FIRST


@dataclass(frozen=True, slots=True)
class Told:
    """An access record as its subject opened it. `time_ms` is the ledger's time of its block; `id` is hex."""

    id: str
    index: int
    author: str
    time_ms: int
    access: Access


@dataclass(frozen=True, slots=True)
class Checked:
    """An access record and what is to be said of its times: '', `late`, `back-dated` or `ahead`.

    late: it was told minutes after the read that it tells of, or says so. back-dated: it even claims a time minutes
    before one that its author had told of already. ahead: it claims a time that had not come.
    """

    told: Told
    timing: str


@dataclass(frozen=True, slots=True)
class AuthorChain:
    """One author's chain: how many records were followed; `wrong` says where it breaks, '' if it is whole."""

    author: str
    count: int
    wrong: str


@dataclass(frozen=True, slots=True)
class Verified:
    """All of one subject's access records, in the ledger's order, and their chains by author."""

    rows: tuple[Checked, ...]
    chains: tuple[AuthorChain, ...]

    @property
    def whole(self) -> bool:
        """Whether no chain has a gap."""
        return not any(chain.wrong for chain in self.chains)


def digest(access: Access) -> bytes:
    """What the next record names as `previous`: SHA-256 of this one's plaintext."""
    return sha256(access.plaintext())


def following(link: Link, access: Access) -> Link | str:
    """The chain with its next record, or what is wrong with that one."""
    if access.sequence != link.sequence + 1:
        return f"after number {link.sequence} comes number {access.sequence}"
    if access.previous != link.digest:
        return f"number {access.sequence} does not follow from number {link.sequence}"
    return Link(access.sequence, digest(access))


def timing(told: Told, before: Access | None) -> str:
    """What is to be said of the times that a record claims; `before` is the one before it in its chain."""
    access = told.access
    if before is not None and access.start_ms < before.start_ms - TOLERANCE_MS:
        return BACK_DATED
    if told.time_ms - access.start_ms > TOLERANCE_MS:
        return LATE
    if max(access.start_ms, access.last_ms) > told.time_ms + TOLERANCE_MS:
        return AHEAD
    return ""


def verify(told: Iterable[Told], subject: str) -> Verified:
    """All that the subject was told of their own records; what is about others is left out."""
    by_author: dict[str, list[Told]] = {}
    for one in told:
        if one.access.subject == subject:
            by_author.setdefault(one.author, []).append(one)
    rows: list[Checked] = []
    chains = []
    for author in sorted(by_author):
        found = sorted(by_author[author], key=lambda one: (one.access.sequence, one.index))
        chains.append(_chain(author, found))
        rows += _timed(found)
    return Verified(tuple(sorted(rows, key=lambda row: row.told.index)), tuple(chains))


def _chain(author: str, found: Sequence[Told]) -> AuthorChain:
    link = Link()
    for count, one in enumerate(found):
        after = following(link, one.access)
        if isinstance(after, str):
            return AuthorChain(author, count, f"record {one.id}: {after}")
        link = after
    return AuthorChain(author, len(found), "")


def _timed(found: Sequence[Told]) -> list[Checked]:
    befores = (None, *(one.access for one in found))
    return [Checked(one, timing(one, before)) for one, before in zip(found, befores, strict=False)]
