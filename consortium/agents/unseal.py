"""A compliance member's node after a vote released an area and month: puts the shares together, opens what they open.

Every share is checked against the digest that its dealer published, every reconstructed key against the public one,
every opened section against its commitment; what does not hold is named. The keys are kept nowhere: they are put
together again while the release lasts, and what was opened is dropped with it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import structlog
from Crypto.Protocol.SecretSharing import Shamir

from consortium.crypto.escrow import join_keys, private_key, public_key
from consortium.crypto.hashing import sha256
from consortium.crypto.sealing import open_section
from consortium.energy.payloads.base import Part, read_part
from consortium.energy.payloads.disclosures import Escrow, EscrowShares
from consortium.energy.scoping import NoPlaces, escrow_place, month_of, month_start, next_month
from consortium.errors import CommitmentMismatch, Malformed
from consortium.ledger.governance.state import Release
from consortium.ledger.state import LedgerState
from consortium.model.names import Party
from consortium.model.public import SHARE_BYTES, EscrowKey
from consortium.model.records import parse_header
from consortium.pipeline.claims import Content, Vault
from consortium.pipeline.escrowing import dealers_of
from consortium.pipeline.opening import Opener
from consortium.ports.disclosures import Claim, DisclosureStore, State
from consortium.ports.party import HeldRecord, PartyStore

_log = structlog.get_logger(__name__)
_PAGE = 500


class Unsealer:
    """Opens what votes released, for the officers of `member`."""

    def __init__(
        self,
        member: str,
        party: PartyStore,
        store: DisclosureStore,
        opener: Opener,
        vault: Vault,
        state: Callable[[], LedgerState],
        faulty: Callable[[str], None],
    ) -> None:
        """`faulty` is told the member whose share, key or record does not hold."""
        self._member = Party(member)
        self._party = party
        self._store = store
        self._opener = opener
        self._vault = vault
        self._state = state
        self._faulty = faulty
        self._named: set[tuple[bytes, str]] = set()
        self._done: dict[bytes, tuple[frozenset[str], int]] = {}

    async def round(self, releases: Sequence[Release]) -> None:
        """Open what the shares that arrived open."""
        for release in releases:
            privates = await self._privates(release)
            if len(privates) >= 2:
                await self._open(release, privates)

    # --- shares ----------------------------------------------------------------------------------------------

    async def _privates(self, release: Release) -> dict[str, bytes]:
        """By dealer the private half, where enough shares of it arrived."""
        given = await self._given(release)
        found: dict[str, bytes] = {}
        for dealer, key in dealers_of(self._state().governance, release.area, release.period):
            good = self._good(release, dealer, key, given)
            if len(good) < key.needed:
                continue
            seed = bytes(Shamir.combine([(share[0], share[1:]) for share in good[: key.needed]], ssss=False))
            if public_key(seed) == key.public:
                found[dealer] = private_key(seed)
            else:
                self._name(release, dealer, "an escrow key is not what its dealer published")
        return found

    async def _given(self, release: Release) -> dict[str, EscrowShares]:
        """By member the shares that it gave under this release; its first word counts."""
        found: dict[str, EscrowShares] = {}
        start = month_start(release.period)
        async for held in self._held(EscrowShares.TYPE, start, start + 1):
            part = self._first(held)
            author = parse_header(held.header_bytes).author
            if isinstance(part, EscrowShares) and part.release == release.id:
                found.setdefault(author, part)
        return found

    def _good(self, release: Release, dealer: str, key: EscrowKey, given: Mapping[str, EscrowShares]) -> list[bytes]:
        digests = {share.member: share.digest for share in key.shares}
        good: dict[int, bytes] = {}
        for member, part in sorted(given.items()):
            share = dict(zip(part.dealers, part.shares, strict=False)).get(dealer)
            if share is None or member not in digests:
                continue
            if len(share) == SHARE_BYTES and sha256(share) == digests[member]:
                good.setdefault(share[0], share)
            else:
                self._name(release, member, "a share is not the one that its dealer published")
        return list(good.values())

    # --- records ---------------------------------------------------------------------------------------------

    async def _open(self, release: Release, privates: Mapping[str, bytes]) -> None:
        """Of all records the first time, and again whenever another dealer's key has come; else of the new ones."""
        start, end = month_start(release.period), month_start(next_month(release.period))
        dealers, at = self._done.get(release.id, (frozenset(), -1))
        claims, at = list[Claim](), at if dealers == privates.keys() else -1
        async for held in self._held(Escrow.TYPE, start, end, at):
            part, at = self._first(held), held.index
            if not isinstance(part, Escrow) or not set(part.dealers) <= privates.keys():
                continue
            if (part.area, part.period) == (release.area, release.period):
                claims.append(self._claim(release, held, part, privates))
        if claims:
            await self._store.add(claims, 0)
        self._done[release.id] = (frozenset(privates), at)

    def _claim(self, release: Release, held: HeldRecord, escrow: Escrow, privates: Mapping[str, bytes]) -> Claim:
        header = parse_header(held.header_bytes)
        content: dict[int, tuple[bytes, bytes]] = {}
        parts: list[Part] = []
        reason = ""
        try:
            keys = join_keys(escrow.boxes, [privates[dealer] for dealer in escrow.dealers])
            for number, key in enumerate(keys[: len(header.sections) - 1]):
                part = read_part(open_section(header, number, held.bodies[number], key))
                if part is not None:
                    content[number] = (key, held.bodies[number])
                    parts.append(part)
            reason = _outside(release, self._state(), parts)
        except (CommitmentMismatch, Malformed):
            reason = "its author sealed other keys to escrow"
        mask = sum(1 << number for number in content)
        at_ms = self._state().time_ms
        claim = Claim(release.id, held.id, header.author, held.index, mask, at_ms, b"", State.REFUSED, reason=reason)
        if reason:
            self._name(release, header.author, reason)
            return claim
        sealed = self._vault.seal(release.id, held.id, Content(content, (release.area,), by_word=True))
        first = parts[0]
        return Claim(
            release.id, held.id, header.author, held.index, mask, at_ms, sealed, State.OPEN, first.TYPE, first.start_ms
        )

    async def _held(self, type: str, from_ms: int, to_ms: int, after: int = -1) -> AsyncIterator[HeldRecord]:
        tags = [self._opener.tag(self._member)]
        while page := await self._party.find(tags, type=type, from_ms=from_ms, to_ms=to_ms, after=after, limit=_PAGE):
            for held in page:
                yield held
            after = page[-1].index

    def _first(self, held: HeldRecord) -> Part | None:
        """The one section that this member may read."""
        try:
            texts = [text for text in self._opener.open_all(held).sections if text is not None]
            return read_part(texts[0]) if len(texts) == 1 else None
        except (CommitmentMismatch, Malformed):
            return None

    def _name(self, release: Release, member: str, sentence: str) -> None:
        if (release.id, member) not in self._named:
            self._named.add((release.id, member))
            _log.warning(sentence, member=member)
            self._faulty(member)


def _outside(release: Release, state: LedgerState, parts: list[Part]) -> str:
    """Why what opened is none of the release's: its author sealed it to other keys than its area's and month's."""
    if not parts or any(part.TYPE not in state.governance.settings.supervised for part in parts):
        return "it is of no supervised type"
    if any(month_of(part.start_ms) != release.period for part in parts):
        return "it is about another period"
    place = escrow_place(parts, NoPlaces())
    return "it is of another area" if place is not None and place[0] != release.area else ""
