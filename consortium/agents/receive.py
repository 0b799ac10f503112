"""An officer's node takes what holders disclose: opens the keys, fetches the ciphertexts, checks all of it.

A key counts only if it was ordered while the grant was in force, if its ciphertext is the one that the header names, if
the plaintext is the one that its author committed to, and if that lies inside the scope. What does not is refused, kept
as a refusal with its holder's name, and never readable. When a grant is over its key and all that it opened are
destroyed.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from consortium.agents.unseal import Unsealer
from consortium.crypto.disclosing import KeyEntry, open_keys
from consortium.crypto.hashing import sha256
from consortium.crypto.sealing import open_section
from consortium.energy.payloads.base import Part, read_part
from consortium.energy.payloads.disclosures import Disclosure
from consortium.energy.scoping import judge
from consortium.errors import CommitmentMismatch, Malformed, OperatorError, PeerError
from consortium.ledger.governance.state import Grant
from consortium.ledger.governance.terms import OpenGrant
from consortium.ledger.state import LedgerState
from consortium.ledger.transition import Transition
from consortium.model.names import Party
from consortium.model.records import Header, parse_header
from consortium.pipeline.claims import Content, Vault
from consortium.pipeline.opening import Opener
from consortium.ports.disclosures import Claim, DisclosureStore, Holders, Standing, State
from consortium.ports.party import Arrived, HeldRecord, PartyStore

_log = structlog.get_logger(__name__)
_PAGE = 200
_RETRY_S = 0.5
_GATHER_S = 0.25


class Receiver:
    """Receives for the officers of `member`."""

    def __init__(
        self,
        member: str,
        party: PartyStore,
        store: DisclosureStore,
        opener: Opener,
        vault: Vault,
        holders: Holders,
        state: Callable[[], LedgerState],
        refused: Callable[[str], None],
        unsealer: Unsealer | None = None,
    ) -> None:
        """`refused` is told the holder of each record that was refused; `unsealer` opens what votes released."""
        self._member = member
        self._party = party
        self._store = store
        self._opener = opener
        self._vault = vault
        self._holders = holders
        self._state = state
        self._refused = refused
        self._unsealer = unsealer
        self._wake = asyncio.Event()

    def block_applied(self, step: Transition, _: Sequence[HeldRecord]) -> None:
        """Listener of the applier."""
        if step.state.governance.grants or step.state.governance.releases:
            self._wake.set()

    async def run(self) -> None:
        """Receive for ever."""
        self._wake.set()
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.round()
            except OperatorError:
                self._wake.set()
                await asyncio.sleep(_RETRY_S)
                continue
            await asyncio.sleep(_GATHER_S)

    async def round(self) -> None:
        """Forget what is over, take what arrived, fetch what is missing."""
        await self._unseal()
        grants = self._own()
        if not grants:
            return
        await self._forget(grants)
        await self._follow()
        state = self._state()
        for grant in grants:
            if grant.in_force(state.height + 1, state.time_ms):
                await self._fetch(grant)

    def _own(self) -> list[Grant]:
        found = self._state().governance.grants.values()
        return [grant for grant in found if Party.parse(grant.officer).member == self._member]

    async def _unseal(self) -> None:
        """Open what votes released, drop what was opened once that is over."""
        now = self._state()
        office = now.governance.member(self._member)
        if self._unsealer is None or office is None or "compliance" not in office.roles:
            return
        lasting = [one for one in now.governance.releases.values() if one.in_force(now.height + 1, now.time_ms)]
        over = now.governance.releases.keys() - {one.id for one in lasting}
        for release_id in over & set(await self._store.keys()):
            await self._store.drop(release_id)
        await self._unsealer.round(lasting)

    # --- the end ---------------------------------------------------------------------------------------------

    async def _forget(self, grants: Sequence[Grant]) -> None:
        """Destroy the keys of grants that are over, and of proposals that will never be any."""
        state, kept = self._state(), set(await self._store.keys())
        over = [grant.id for grant in grants if not grant.in_force(state.height + 1, state.time_ms)]
        for proposal in state.governance.proposals.values():
            if isinstance(proposal.terms, OpenGrant) and proposal.state_at(state.time_ms) in ("failed", "expired"):
                over.append(proposal.id)
        for grant_id in over:
            if grant_id in kept:
                await self._store.drop(grant_id)

    # --- what was disclosed ----------------------------------------------------------------------------------

    async def _follow(self) -> None:
        mark = await self._store.mark()
        while page := await self._party.arrived(mark - 1, _PAGE):
            found = [(arrived, part) for arrived in page if (part := self._disclosure(arrived.held)) is not None]
            claims = await self._claims(found)
            mark = page[-1].held.index + 1
            await self._store.add(claims, mark)

    def _disclosure(self, held: HeldRecord) -> Disclosure | None:
        try:
            texts = self._opener.open_all(held).sections
            part = read_part(texts[0]) if len(texts) == 1 and texts[0] is not None else None
        except (CommitmentMismatch, Malformed):
            return None
        return part if isinstance(part, Disclosure) else None

    async def _claims(self, found: Sequence[tuple[Arrived, Disclosure]]) -> list[Claim]:
        standing = await self._store.standing([arrived.held.id for arrived, _ in found])
        claims: list[Claim] = []
        for arrived, part in found:
            grant = self._state().governance.grants.get(part.grant)
            place = standing.get(arrived.held.id)
            if grant is None or place is None or Party.parse(grant.officer).member != self._member:
                continue
            holder = parse_header(arrived.held.header_bytes).author
            if not grant.in_force(place.height, place.time_ms):
                _log.warning("a disclosure outside its grant's time was left alone", holder=holder)
                continue
            claims += await self._keys_of(grant, holder, arrived, part)
        return claims

    async def _keys_of(self, grant: Grant, holder: str, arrived: Arrived, part: Disclosure) -> list[Claim]:
        sealed = await self._store.key(grant.id)
        if sealed is None:
            return []
        try:
            entries = open_keys(grant.id, part.box, self._vault.open_key(grant.id, sealed))
        except Malformed:
            _log.warning("a disclosure that does not open", holder=holder, record=arrived.held.id.hex())
            self._refused(holder)
            return []
        by_record: dict[bytes, list[KeyEntry]] = defaultdict(list)
        for entry in entries:
            by_record[entry.record].append(entry)
        places = await self._store.standing(by_record.keys())
        return [
            self._claim(grant, holder, record, given, places[record].index, arrived.time_ms)
            for record, given in by_record.items()
            if record in places
        ]

    def _claim(self, grant: Grant, holder: str, record: bytes, given: list[KeyEntry], index: int, at_ms: int) -> Claim:
        content = Content({one.section: (one.key, b"") for one in given}, given[0].words)
        mask = sum(1 << number for number in content.sections)
        return Claim(grant.id, record, holder, index, mask, at_ms, self._vault.seal(grant.id, record, content))

    # --- ciphertexts -----------------------------------------------------------------------------------------

    async def _fetch(self, grant: Grant) -> None:
        away = {self._member}
        while waiting := await self._store.waiting(grant.id, _PAGE, away):
            by_holder: dict[str, list[Claim]] = defaultdict(list)
            for claim in waiting:
                by_holder[claim.holder].append(claim)
            for holder, claims in by_holder.items():
                try:
                    settled = await self._settled(grant, holder, claims)
                except (OperatorError, PeerError) as error:
                    _log.warning("a holder cannot be asked", holder=holder, error=type(error).__name__)
                    settled = []
                if not settled:
                    away.add(holder)
                await self._store.settle(settled)
                await asyncio.sleep(0)

    async def _settled(self, grant: Grant, holder: str, claims: Sequence[Claim]) -> list[Claim]:
        """What becomes of claims of one holder; those that it could not answer now are left out."""
        known = await self._known(grant, [claim.record for claim in claims])
        contents = {claim.record: self._vault.open(grant.id, claim.record, claim.sealed) for claim in claims}
        ask = [record for record, content in contents.items() if record not in known or not known[record].has(content)]
        bodies = await self._holders.disclosed(holder, grant.id, ask) if ask else {}
        places = await self._store.standing(bodies.keys())
        settled = []
        for claim in claims:
            mine, other = contents[claim.record], known.get(claim.record)
            if other is not None and other.has(mine):
                settled.append(replace(claim, state=State.OPEN, type=other.type, start_ms=other.start_ms, sealed=b""))
            elif claim.record in bodies and claim.record in places:
                settled.append(self._checked(grant, claim, mine, bodies[claim.record], places[claim.record]))
        for claim in settled:
            if claim.state is State.REFUSED:
                _log.warning("disclosed, and refused", holder=holder, record=claim.record.hex(), reason=claim.reason)
                self._refused(holder)
        return settled

    async def _known(self, grant: Grant, records: Sequence[bytes]) -> dict[bytes, _Known]:
        """What other holders' disclosures have opened already: it need not be fetched, nor kept, twice."""
        known: dict[bytes, _Known] = {}
        for claim in await self._store.of_records(grant.id, records):
            if claim.state is State.OPEN and claim.sealed:
                content = self._vault.open(grant.id, claim.record, claim.sealed)
                one = known.setdefault(claim.record, _Known(claim.type, claim.start_ms, {}))
                one.keys.update({number: key for number, (key, _) in content.sections.items()})
        return known

    def _checked(
        self, grant: Grant, claim: Claim, content: Content, bodies: Mapping[int, bytes], place: Standing
    ) -> Claim:
        """The claim opened, or refused with the reason."""
        parts: list[Part] = []
        header = parse_header(place.header_bytes)
        for number, (key, _) in content.sections.items():
            body = bodies.get(number)
            if body is None:
                return _refusal(claim, "its holder gives no ciphertext")
            part = _opened(header, number, key, body)
            if isinstance(part, str):
                return _refusal(claim, part)
            parts.append(part)
        judged = judge(grant.scope, parts, content.words)
        if judged.fault or len({(part.TYPE, part.start_ms) for part in parts}) != 1:
            return _refusal(claim, judged.fault or "its sections are of different records")
        opened = Content(
            {number: (key, bodies[number]) for number, (key, _) in content.sections.items()},
            content.words,
            judged.by_word,
        )
        sealed = self._vault.seal(grant.id, claim.record, opened)
        return replace(claim, state=State.OPEN, type=parts[0].TYPE, start_ms=parts[0].start_ms, sealed=sealed)


@dataclass(frozen=True, slots=True)
class _Known:
    """An opened record: its type, its start, the key of each section."""

    type: str
    start_ms: int
    keys: dict[int, bytes]

    def has(self, content: Content) -> bool:
        """Whether these keys are known to open these sections: another key is looked at, and refused."""
        return all(self.keys.get(number) == key for number, (key, _) in content.sections.items())


def _opened(header: Header, number: int, key: bytes, body: bytes) -> Part | str:
    """The section, or what is wrong with what a holder gave."""
    if number >= len(header.sections) or sha256(body) != header.sections[number].digest:
        return "its ciphertext is not the one that the header names"
    try:
        part = read_part(open_section(header, number, body, key))
    except CommitmentMismatch:
        return "its key does not open what its author committed to"
    except Malformed:
        return "it breaks the rules of its type"
    return part if part is not None else "it is of a type that this version does not know"


def _refusal(claim: Claim, reason: str) -> Claim:
    return replace(claim, state=State.REFUSED, reason=reason, sealed=b"")
