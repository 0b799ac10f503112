"""A holder discloses by itself: what a grant in force covers of the records that this node holds and can open.

It goes over its records in the ledger's order and writes the content keys of the covered sections, sealed to the
grant's key, in records of type `disclosure`; later records while the grant lasts, nothing after its end. Each of them
says up to which leaf it goes, and its id follows from the one from which it goes on: what is killed at any instant
finds its place again by its own records, and writes nothing twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from consortium.agents.market.duty import cause_key
from consortium.crypto.disclosing import MAX_ENTRIES, KeyEntry, seal_keys
from consortium.crypto.sealing import Entropy, open_section
from consortium.energy.payloads.base import Part, read_part
from consortium.energy.payloads.disclosures import MAX_BOX, Disclosure
from consortium.energy.scoping import Places, covered
from consortium.errors import CommitmentMismatch, ConsortiumError, IdConflict, Malformed, NotReady, OperatorError
from consortium.ledger.governance.state import Grant
from consortium.ledger.state import LedgerState
from consortium.ledger.transition import Transition
from consortium.model.names import Party
from consortium.model.records import SEALED, Accepted, Applied, Draft, parse_header
from consortium.pipeline.opening import Opener
from consortium.pipeline.order import AlreadyKnown, Ticket
from consortium.pipeline.write import Writer
from consortium.ports.clock import Clock
from consortium.ports.keys import KeyCustody
from consortium.ports.ledger import LedgerStore
from consortium.ports.party import HeldRecord, PartyStore

_log = structlog.get_logger(__name__)
_PAGE = 500
_TURN = 50
_REMEMBERED = 50_000
_RETRY_S = 0.5
_GATHER_S = 0.25
"""New records are gathered for so long: a block may bring one, or a thousand."""
_ENTRY_BYTES, _BOX_BYTES = 64, 128
"""More than an entry takes without its words, and than a box takes without its entries."""
MAX_ASKED = 500
MAX_ANSWER_BYTES = 2 << 20


@dataclass(slots=True)
class _Course:
    """How far a grant's disclosures go: `at` is the tree index gone over, `after` where the next record goes on."""

    at: int = -1
    after: int = -1
    written: bool = False
    entries: list[KeyEntry] = field(default_factory=list)
    size: int = 0
    """Of the entries, in bytes at the most."""


class Discloser:
    """Discloses what this member holds. `folded` is the tree index up to which `places` know everything."""

    def __init__(
        self,
        member: str,
        party: PartyStore,
        ledger: LedgerStore,
        opener: Opener,
        writer: Writer,
        custody: KeyCustody,
        clock: Clock,
        entropy: Entropy,
        state: Callable[[], LedgerState],
        places: Places,
        folded: Callable[[], int],
    ) -> None:
        self._member = member
        self._party = party
        self._ledger = ledger
        self._opener = opener
        self._writer = writer
        self._custody = custody
        self._clock = clock
        self._entropy = entropy
        self._state = state
        self._places = places
        self._folded = folded
        self._courses: dict[bytes, _Course] = {}
        self._fresh: dict[tuple[bytes, bytes], tuple[int, ...]] = {}
        self._tickets: list[tuple[bytes, Ticket]] = []
        self._wake = asyncio.Event()

    def block_applied(self, step: Transition, _: Sequence[HeldRecord]) -> None:
        """Listener of the applier."""
        if step.state.governance.grants:
            self._wake.set()

    @property
    def overdue(self) -> int:
        """Grants in force that this node has not gone over within the time that the ledger's settings give."""
        state = self._state()
        limit_ms = state.governance.settings.disclosure_s * 1000
        late = (grant for grant in self._due() if grant.from_ms + limit_ms < state.time_ms)
        return sum(grant.id not in self._courses or not self._courses[grant.id].written for grant in late)

    async def run(self) -> None:
        """Disclose for ever."""
        self._wake.set()
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.round()
            except OperatorError:
                self._courses.clear()  # what was given may be lost: the ledger tells
                self._wake.set()
                await asyncio.sleep(_RETRY_S)
                continue
            await asyncio.sleep(_GATHER_S)

    async def round(self) -> None:
        """Go over all that arrived, for every grant in force; returns once what was written is applied."""
        due = self._due()
        self._courses = {id: course for id, course in self._courses.items() if id in {grant.id for grant in due}}
        try:
            for grant in due:
                await self._go_over(grant)
        finally:
            await self._settle()

    def _due(self) -> list[Grant]:
        return [grant for grant in self._state().governance.grants.values() if self._may_disclose(grant)]

    def _may_disclose(self, grant: Grant) -> bool:
        """To others' officers alone: what its own member holds an officer's node does not fetch."""
        state, officers = self._state(), Party.parse(grant.officer).member
        if officers == self._member or state.governance.member(officers) is None:
            return False
        return grant.in_force(state.height + 1, state.time_ms)

    # --- one grant -------------------------------------------------------------------------------------------

    async def _go_over(self, grant: Grant) -> None:
        course = self._courses.get(grant.id)
        if course is None:
            course = self._courses[grant.id] = await self._resumed(grant)
        while page := await self._page(course.at):
            for number, held in enumerate(page, start=1):
                entries = self.entries(grant, held)
                size = _size_of(entries)
                if len(course.entries) + len(entries) > MAX_ENTRIES or course.size + size > MAX_BOX - _BOX_BYTES:
                    self._write(grant, course)
                course.entries += entries
                course.size += size
                self._remember(grant.id, held.id, entries)
                course.at = held.index
                if number % _TURN == 0:
                    await asyncio.sleep(0)
        if course.entries or not course.written:
            self._write(grant, course)

    async def _page(self, after: int) -> list[HeldRecord]:
        """What arrived next, as far as what the scope asks of it is known."""
        folded = self._folded()
        return [one.held for one in await self._party.arrived(after, _PAGE) if one.held.index <= folded]

    def entries(self, grant: Grant, held: HeldRecord) -> list[KeyEntry]:
        """The keys of a record's covered sections."""
        try:
            keys, parts = self._opened(held)
            numbers, words = covered(grant.scope, parts, self._places)
        except Exception as error:  # noqa: BLE001 - any member may have written it: it stops nobody's node
            _log.error("a record that disclosing does not foresee", error=type(error).__name__)
            return []
        return [KeyEntry(held.id, number, keys[number], words) for number in numbers]

    def _remember(self, grant_id: bytes, record: bytes, entries: Sequence[KeyEntry]) -> None:
        """Soon after a record was disclosed its ciphertext is asked for: it need not be opened again."""
        if len(self._fresh) >= _REMEMBERED:
            self._fresh.clear()
        if entries:
            self._fresh[grant_id, record] = tuple(entry.section for entry in entries)

    def _covered(self, grant: Grant, held: HeldRecord) -> Sequence[int]:
        known = self._fresh.pop((grant.id, held.id), None)
        return known if known is not None else tuple(entry.section for entry in self.entries(grant, held))

    def _opened(self, held: HeldRecord) -> tuple[dict[int, bytes], dict[int, Part]]:
        """By section its content key and what it says, of all sections that a party of this node may read."""
        keys: dict[int, bytes] = {}
        parts: dict[int, Part] = {}
        for number, key, part in self._sections(held):
            if number not in keys:
                keys[number], parts[number] = key, part
        return keys, parts

    def _sections(self, held: HeldRecord) -> Iterator[tuple[int, bytes, Part]]:
        header = parse_header(held.header_bytes)
        tried: set[tuple[int, bytes]] = set()
        for wrap in self._opener.wraps(held, header)[0]:
            for number, key in enumerate(wrap.keys):
                if key is None or (number, key) in tried:
                    continue
                tried.add((number, key))
                try:
                    part = read_part(open_section(header, number, held.bodies[number], key))
                except (CommitmentMismatch, Malformed):
                    continue  # its author sealed it wrongly: there is nothing here that anybody could read
                if part is not None:
                    yield number, key, part

    # --- writing ---------------------------------------------------------------------------------------------

    def _write(self, grant: Grant, course: _Course) -> None:
        """One record; a grant that is over by now gets nothing more."""
        entries, course.entries, course.size = course.entries, [], 0
        if not self._may_disclose(grant):
            return
        try:
            box = seal_keys(grant.id, entries, grant.key, self._entropy)
        except Malformed:
            course.written = True  # the officer's own node named a key that nobody can seal to
            return
        section = Disclosure(
            start_ms=grant.from_ms, grant=grant.id, after=course.after, up_to=course.at, count=len(entries), box=box
        ).section((Party(Party.parse(grant.officer).member), Party(self._member)))
        record_id = self._id(grant, course.after, first=not course.written)
        draft = Draft(record_id, SEALED, self._member, self._clock.now_ms(), (section,))
        try:
            self._tickets.append((grant.id, self._writer.start(draft, Disclosure.TYPE, grant.from_ms).ticket))
        except IdConflict:
            raise NotReady("a disclosure with that id is under way already") from None
        course.after, course.written = course.at, True

    def _id(self, grant: Grant, after: int, *, first: bool) -> bytes:
        return self._custody.derive_id(cause_key(("disclosure", grant.id, after, int(first))))

    async def _settle(self) -> None:
        """Wait for what was written; where it is not as we thought, begin again at what the ledger shows."""
        tickets, self._tickets = self._tickets, []
        for grant_id, ticket in tickets:
            try:
                verdict: Applied | AlreadyKnown = await asyncio.shield(ticket.applied)
            except ConsortiumError:
                verdict = AlreadyKnown(b"")
            if not isinstance(verdict, Accepted):
                _log.warning("a disclosure was there already, or was rejected; looking again")
                self._courses.pop(grant_id, None)

    async def _resumed(self, grant: Grant) -> _Course:
        """Where this member's own disclosures on the ledger end: each says where the next one goes on."""
        course = _Course()
        while True:
            record_id = self._id(grant, course.after, first=not course.written)
            stored = await self._ledger.record(record_id)
            if stored is None or not isinstance(stored.verdict, Accepted) or stored.header.author != self._member:
                return course
            held = await self._party.held(record_id)
            own = self._own(held) if held is not None else None
            if own is None or own.grant != grant.id:
                raise NotReady("this node lacks a disclosure of its own")
            course = _Course(own.up_to, own.up_to, written=True)

    def _own(self, held: HeldRecord) -> Disclosure | None:
        for _, _, part in self._sections(held):
            if isinstance(part, Disclosure):
                return part
        return None

    # --- for the officer's node ------------------------------------------------------------------------------

    async def ciphertexts(
        self, asking: str, grant_id: bytes, records: Sequence[bytes]
    ) -> Mapping[bytes, Mapping[int, bytes]]:
        """Ciphertexts by record and section of what a grant of the asking member's officer covers.

        Of what is not covered, or not held, nothing ({}), in one way; records that did not fit are left out.
        """
        grant = self._state().governance.grants.get(grant_id)
        found: dict[bytes, Mapping[int, bytes]] = {}
        if grant is None or not self._may_disclose(grant) or Party.parse(grant.officer).member != asking:
            return {record: {} for record in records[:MAX_ASKED]}
        size, asked = 0, records[:MAX_ASKED]
        for start in range(0, len(asked), _TURN):  # not all at once: each may be large
            turn = asked[start : start + _TURN]
            known = await self._party.held_among(turn)
            for record in turn:
                held = known.get(record)
                bodies = {} if held is None else {n: held.bodies[n] for n in self._covered(grant, held)}
                size += sum(map(len, bodies.values()))
                if found and size > MAX_ANSWER_BYTES:
                    return found
                found[record] = bodies
        return found


def _size_of(entries: Sequence[KeyEntry]) -> int:
    """Bytes at the most of these in a disclosure: long names fill its box before their number does."""
    return sum(_ENTRY_BYTES + sum(len(word) + 2 for word in one.words) for one in entries)
