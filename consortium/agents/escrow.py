"""A dealer and holder of shares: deals escrow keys for the areas it knows ahead of time, gives its shares by a vote.

Dealing: a seed of 16 bytes is split k-of-n among the participants (Shamir, by PyCryptodome), each share sealed to a
member's key, and forgotten at once: not even the dealer can open anything later. Holding: a share that does not open,
or is not the one that its dealer published, is named when it is dealt, not when it is needed. Giving: once a vote
released an area and month, the member's shares of all its dealers go to the compliance members in one record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

import structlog
from Crypto.Protocol.SecretSharing import Shamir

from consortium.agents.market.duty import cause_key
from consortium.crypto.escrow import SEED_BYTES, open_share, public_key
from consortium.crypto.hashing import sha256
from consortium.crypto.sealing import Entropy, sealed_box
from consortium.energy.payloads.disclosures import EscrowShares
from consortium.energy.scoping import month_of, month_start, next_month
from consortium.energy.view.view import View
from consortium.errors import ConsortiumError, Malformed
from consortium.ledger.governance.state import Governance, Release
from consortium.ledger.state import LedgerState
from consortium.ledger.transition import Transition
from consortium.model.names import Party
from consortium.model.public import EscrowKey, EscrowShare
from consortium.model.records import SEALED, Draft
from consortium.pipeline.escrowing import dealers_of
from consortium.pipeline.write import PublicDraft, Writer
from consortium.ports.clock import Clock
from consortium.ports.keys import KeyCustody
from consortium.ports.ledger import LedgerStore
from consortium.ports.party import HeldRecord

_log = structlog.get_logger(__name__)
_GATHER_S = 1.0


class EscrowAgent:
    """Acts for `member`; compliance members deal no keys and hold no shares."""

    def __init__(
        self,
        member: str,
        view: View,
        writer: Writer,
        ledger: LedgerStore,
        custody: KeyCustody,
        clock: Clock,
        entropy: Entropy,
        state: Callable[[], LedgerState],
        faulty: Callable[[tuple[str, str, str]], None],
    ) -> None:
        """`faulty` is told the area, the period and the member that dealt a share for them which does not hold."""
        self._member = member
        self._view = view
        self._writer = writer
        self._ledger = ledger
        self._custody = custody
        self._clock = clock
        self._entropy = entropy
        self._state = state
        self._faulty = faulty
        self._given: set[bytes] = set()
        self._checked: set[tuple[str, str, str]] = set()
        self._wake = asyncio.Event()

    def block_applied(self, _: Transition, __: Sequence[HeldRecord]) -> None:
        """Listener of the applier."""
        self._wake.set()

    async def run(self) -> None:
        """Act for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.round()
            except ConsortiumError as error:  # the node takes no records yet, say: the next block comes soon
                _log.info("escrow waits", error=type(error).__name__)
            await asyncio.sleep(_GATHER_S)

    async def round(self) -> None:
        """Deal what is due, give what was released."""
        now = self._state().governance
        names = participants(now)
        if self._member not in names:
            return
        if len(names) >= 2 and now.settings.supervised:
            for area, period in self._due(now):
                await self._deal(now, names, area, period)
        self._check(now)
        state = self._state()
        for release in now.releases.values():
            if release.id not in self._given and release.in_force(state.height + 1, state.time_ms):
                await self._give(now, release)

    # --- dealing ---------------------------------------------------------------------------------------------

    def _due(self, now: Governance) -> Iterator[tuple[str, str]]:
        """The keys of the month and the next one, of every area that a grid contract names."""
        month = month_of(max(self._state().time_ms, 0))
        areas = {contract.frame.area for contract in self._view.of_kind("grid") if contract.frame.area}
        for area in sorted(areas):
            for period in (month, next_month(month)):
                if (area, period, self._member) not in now.escrow_keys:
                    yield area, period

    async def _deal(self, now: Governance, names: Sequence[str], area: str, period: str) -> None:
        body = deal(now, names, area, period, self._entropy)
        record_id = self._custody.derive_id(cause_key(("escrow-key", area, period, *names)))
        under_way = self._writer.publish(PublicDraft(record_id, self._member, self._clock.now_ms(), body))
        await asyncio.shield(under_way.ticket.applied)

    # --- holding ---------------------------------------------------------------------------------------------

    def _check(self, now: Governance) -> None:
        for place in now.escrow_keys.keys() - self._checked:
            self._checked.add(place)
            mine = _of(now.escrow_keys[place], self._member)
            if mine is not None and self._opened(now, mine) is None:
                _log.warning("a share does not open, or is another than its dealer said", dealer=place[2])
                self._faulty(place)

    # --- giving ----------------------------------------------------------------------------------------------

    async def _give(self, now: Governance, release: Release) -> None:
        record_id = self._custody.derive_id(cause_key(("escrow-share", release.id)))
        if await self._ledger.record(record_id) is None:
            shares = dict(self._shares(now, release))
            if shares:
                part = EscrowShares(
                    start_ms=month_start(release.period),
                    release=release.id,
                    area=release.area,
                    period=release.period,
                    dealers=tuple(shares),
                    shares=tuple(shares.values()),
                )
                readers = (*(Party(m.name) for m in now.with_role("compliance")), Party(self._member))
                draft = Draft(record_id, SEALED, self._member, self._clock.now_ms(), (part.section(readers),))
                await asyncio.shield(self._writer.start(draft, part.TYPE, part.start_ms).ticket.applied)
        self._given.add(release.id)

    def _shares(self, now: Governance, release: Release) -> Iterator[tuple[str, bytes]]:
        for dealer, key in dealers_of(now, release.area, release.period):
            mine = _of(key, self._member)
            share = self._opened(now, mine) if mine is not None else None
            if share is not None:
                yield dealer, share

    def _opened(self, now: Governance, mine: EscrowShare) -> bytes | None:
        publics = now.encryption_keys(self._member)
        for public, pair in ((p, k) for k in self._custody.pairs(mine.box[:32]) for p in publics):
            try:
                share = open_share(mine.box, public, pair.pair)
            except Malformed:
                continue
            return share if sha256(share) == mine.digest else None
        return None


def _of(key: EscrowKey, member: str) -> EscrowShare | None:
    return next((share for share in key.shares if share.member == member), None)


def participants(governance: Governance) -> list[str]:
    """Members without the role compliance, sorted."""
    return sorted(member.name for member in governance.members if "compliance" not in member.roles)


def deal(governance: Governance, names: Sequence[str], area: str, period: str, entropy: Entropy) -> EscrowKey:
    """A fresh escrow key with its shares for `names`; its seed exists nowhere but in them. A share is its number (one
    byte, from 1) and 16 bytes.
    """
    seed, needed = entropy(SEED_BYTES), min(governance.settings.escrow_needed, len(names))
    shares = []
    for name, (number, share) in zip(names, Shamir.split(needed, len(names), seed, ssss=False), strict=True):
        member = governance.member(name)
        if member is None:
            raise Malformed(f"{name} is no member")
        told = bytes([number]) + share
        box = sealed_box(told, member.keys.encryption, entropy)
        shares.append(EscrowShare(member=name, box=box, digest=sha256(told)))
    return EscrowKey(area=area, period=period, public=public_key(seed), needed=needed, shares=tuple(shares))
