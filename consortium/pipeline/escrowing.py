"""Sealing a supervised record also to the escrow keys of its area and month, so that a vote can open it one day.

The members with the role compliance get the section `escrow`, and by it the ciphertext of the record: what they hold
opens nothing until the members have voted and enough of them have given their shares.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from consortium.crypto.escrow import split_keys
from consortium.crypto.sealing import KEY_BYTES, Entropy
from consortium.energy.payloads.base import Part, read_part
from consortium.energy.payloads.disclosures import Escrow
from consortium.energy.scoping import Places, escrow_place, month_start, next_month
from consortium.errors import Malformed
from consortium.ledger.governance.state import Governance, Grant, Release
from consortium.ledger.state import LedgerState
from consortium.model.names import Party
from consortium.model.public import EscrowKey
from consortium.model.records import MAX_SECTIONS, Draft
from consortium.model.scope import GROUPS, Scope

MAX_DEALERS = 3


class Escrowing:
    """Adds the section. `missed` is told of a supervised record whose area and month have no two escrow keys."""

    def __init__(self, governance: Callable[[], Governance], places: Places, missed: Callable[[], None]) -> None:
        self._governance = governance
        self._places = places
        self._missed = missed
        self._distrusted: set[tuple[str, str, str]] = set()

    def distrust(self, place: tuple[str, str, str]) -> None:
        """Seal no more to this area's, period's and dealer's key: a share of it does not hold, so it may never open."""
        self._distrusted.add(place)

    def extended(self, draft: Draft, type: str, entropy: Entropy) -> tuple[Draft, tuple[bytes, ...]]:
        """The draft with its last section, and the content keys of the others; as it is if it is not to be escrowed."""
        now = self._governance()
        compliance = tuple(Party(member.name) for member in now.with_role("compliance"))
        if type not in now.settings.supervised or not compliance or len(draft.sections) >= MAX_SECTIONS:
            return draft, ()
        place = escrow_place(_parts(draft), self._places)
        known = dealers_of(now, *place) if place is not None else []
        dealers = [one for one in known if place and (*place, one[0]) not in self._distrusted][:MAX_DEALERS]
        if place is None or len(dealers) < 2:
            self._missed()
            return draft, ()
        keys = tuple(entropy(KEY_BYTES) for _ in draft.sections)
        try:
            boxes = split_keys(keys, [key.public for _, key in dealers], entropy)
        except Malformed:
            self._missed()
            return draft, ()
        section = Escrow(
            start_ms=month_start(place[1]),
            area=place[0],
            period=place[1],
            dealers=tuple(name for name, _ in dealers),
            boxes=boxes,
        ).section(compliance)
        return replace(draft, sections=(*draft.sections, section)), keys


def dealers_of(governance: Governance, area: str, period: str) -> list[tuple[str, EscrowKey]]:
    """Who dealt an escrow key for an area and month, sorted by name; members of now alone."""
    found = ((where, key) for where, key in governance.escrow_keys.items() if where[:2] == (area, period))
    return sorted(
        ((where[2], key) for where, key in found if governance.member(where[2]) is not None), key=lambda one: one[0]
    )


def grant_of(state: LedgerState, release: Release, officer: str) -> Grant:
    """A release as a grant for one of the compliance members' officers: the supervised types of an area and month."""
    now = state.governance
    scope = Scope(
        types=tuple(sorted(set(now.settings.supervised))) or ("trade",),
        areas=(release.area,),
        from_ms=month_start(release.period),
        to_ms=month_start(next_month(release.period)),
        groups=tuple(sorted(GROUPS)),
    )
    return Grant(
        release.id, officer, b"", scope, release.purpose, "release of an escrow key by vote", 0, release.until_ms,
        emergency=False, opened=release.since, ended=release.ended,
    )  # fmt: skip


def _parts(draft: Draft) -> list[Part]:
    found = []
    for section in draft.sections:
        try:
            part = read_part(section.plaintext)
        except Malformed:
            continue
        if part is not None:
            found.append(part)
    return found
