"""Erasing: who asks, may they, and what stands in the way; then the tombstone is ordered, or its author is asked.

Only the member that wrote a record can order it erased (a court's order goes by vote). A user asks at their own node;
where another member wrote the record, that node sends it a sealed request and its agent decides by the same rules.
Whatever a user may not ask for, and whatever is not there, is refused in the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from consortium.energy.metering import to_rfc3339
from consortium.energy.payloads.base import Part, read_part
from consortium.energy.payloads.erasure import MAX_ASKED, ErasureRequest
from consortium.energy.retention import DAY_MS, Seen, held_by, kept_until, needed_for
from consortium.energy.scoping import NoPlaces, Places
from consortium.energy.view.known import Known
from consortium.errors import CommitmentMismatch, InvalidRequest, Malformed, NotFound, NotReady
from consortium.ledger.governance.state import Erasure, Governance
from consortium.ledger.state import LedgerState
from consortium.model.encoding import encode
from consortium.model.names import Party
from consortium.model.public import Tombstone
from consortium.model.records import SEALED, Draft, parse_header
from consortium.pipeline.access import Access, party_of
from consortium.pipeline.opening import Opener
from consortium.pipeline.write import PublicDraft, UnderWay, Wait, Writer
from consortium.policy.requests import Action
from consortium.ports.callers import Caller
from consortium.ports.clock import Clock
from consortium.ports.keys import KeyCustody
from consortium.ports.party import HeldRecord, PartyStore

Ground = Literal["user", "author"]
NO_SUCH = "no such record"
OTHERS = "it is about others as well: only a court can have it erased before its time"
_GONE = "the member that wrote it has left: only a court can have it erased"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a record that somebody asked for: `state` is `ordered` (by the tombstone `by`), `asked` (its
    author, by the request `by`) or `refused` (`reason` says why).
    """

    id: bytes
    state: Literal["ordered", "asked", "refused"]
    by: bytes | None = None
    reason: str = ""


class Judge:
    """Looks at held records, and says what stands in the way of erasing them. `known` is the node's view of the market
    while it is level with the ledger (None: this node knows none, or not yet).
    """

    def __init__(
        self,
        opener: Opener,
        state: Callable[[], LedgerState],
        known: Callable[[], Known | None],
        places: Places | None = None,
    ) -> None:
        self._opener = opener
        self._state = state
        self.known = known
        self._places = places or NoPlaces()

    def see(self, held: HeldRecord) -> Seen:
        """The record as this node can open it."""
        header = parse_header(held.header_bytes)
        try:
            texts = self._opener.open_all(held).sections
        except CommitmentMismatch:
            texts = ()
        return Seen(held.id, held.index, header.author, header.created_ms, tuple(_parts(texts)))

    def in_the_way(self, seen: Seen, *, court: bool = False) -> str:
        """Why it cannot be erased now, or ''. The time for which records are kept binds no court; a hold does."""
        state = self._state()
        now, height = state.governance, state.height + 1  # what is ordered now stands in the next block at the earliest
        for hold in now.holds.values():
            in_force = hold.since <= height and (hold.released is None or height < hold.released)
            if in_force and held_by(hold.scope, seen, self._places):
                return f"legal hold {hold.id.hex()}: {hold.reference}"[:500]
        until = kept_until(now.settings.retention, seen)
        if not court and until > state.time_ms:
            return f"records of this type are kept until {to_rfc3339(until)}"
        known = self.known()
        return needed_for(seen, known) if known is not None else ""


def _parts(texts: Sequence[bytes | None]) -> Iterator[Part]:
    for text in texts:
        try:
            part = read_part(text) if text is not None else None
        except Malformed:
            continue
        if part is not None:
            yield part


class Erasing:
    """Orders erasures in this member's name."""

    def __init__(
        self,
        member: str,
        access: Access,
        judge: Judge,
        opener: Opener,
        party: PartyStore,
        writer: Writer,
        custody: KeyCustody,
        clock: Clock,
        state: Callable[[], LedgerState],
    ) -> None:
        self._member = member
        self._access = access
        self.judge = judge
        self._opener = opener
        self._party = party
        self._writer = writer
        self._custody = custody
        self._clock = clock
        self._state = state

    # --- asking ----------------------------------------------------------------------------------------------

    async def ask(
        self, caller: Caller, ids: Sequence[bytes], ground: Ground, reference: str = "", *, timeout_s: float = 10.0
    ) -> list[Outcome]:
        """Have records erased: a user those about themself, an administrator what the member wrote by mistake.

        Raises `Forbidden`; `NotFound` if any of them is not the caller's to ask for, whatever it is; `InvalidRequest`.
        """
        subject = party_of(caller) if ground == "user" else Party(self._member)
        self._access.require_action(caller, Action.REQUEST_ERASURE, about=str(subject), kind=ground)
        if ground == "user" and not subject.user:
            raise InvalidRequest("only a person has this ground", field="ground", hint="author, or a court's by vote")
        ids = list(dict.fromkeys(ids))
        if not 0 < len(ids) <= MAX_ASKED:
            raise InvalidRequest(f"one to {MAX_ASKED} records at once", field="records")
        found = [await self._asked_for(record_id, subject) for record_id in ids]
        return await self._act(
            [seen for seen in found if seen is not None], len(ids), subject, ground, reference, timeout_s
        )

    async def _asked_for(self, record_id: bytes, subject: Party) -> Seen | None:
        """The record if it is the subject's to ask for. All are looked at, whatever one of them is."""
        held = await self._party.held(record_id, [self._opener.tag(subject)])
        seen = self.judge.see(held) if held is not None else None
        if seen is None:
            return None
        mine = subject in seen.users if subject.user else seen.author == self._member
        return seen if mine else None

    async def _act(
        self, found: list[Seen], asked: int, subject: Party, ground: Ground, reference: str, timeout_s: float
    ) -> list[Outcome]:
        if len(found) < asked:
            raise NotFound(NO_SUCH)
        outcomes: dict[bytes, Outcome] = {}
        own: list[bytes] = []
        others: dict[str, list[bytes]] = {}
        for seen in found:
            reason = self.refusal(seen, subject)
            if reason:
                outcomes[seen.id] = Outcome(seen.id, "refused", reason=reason)
            elif seen.author == self._member:
                own.append(seen.id)
            else:
                others.setdefault(seen.author, []).append(seen.id)
        sent: list[tuple[UnderWay, list[bytes]]] = []
        if own:
            sent.append((self.order(own, ground, ("asked", str(subject), *sorted(own)), reference), own))
        sent += [(self._request(subject, author, ids), ids) for author, ids in others.items()]
        for under_way, ids in sent:
            state: Literal["ordered", "asked"] = "ordered" if ids is own else "asked"
            answer = await self._writer.finish(under_way, Wait.APPLIED, timeout_s)
            if answer.state == "rejected":
                raise NotReady("the ledger rejected it", hint="try again later")
            outcomes |= {id: Outcome(id, state, under_way.draft.id) for id in ids}
        return [outcomes[seen.id] for seen in found]

    def refusal(self, seen: Seen, subject: Party) -> str:
        """Why a record is not erased by its subject's wish, or as its author's mistake; '' if it is."""
        if subject.user and seen.users != (subject,):
            return OTHERS
        if self._state().governance.member(seen.author) is None:
            return _GONE
        return self.judge.in_the_way(seen)

    # --- ordering --------------------------------------------------------------------------------------------

    def order(
        self,
        ids: Sequence[bytes],
        ground: Literal["user", "author", "retention"],
        cause: tuple[str | bytes, ...],
        reference: str = "",
    ) -> UnderWay:
        """Publish the tombstone of records that this member wrote; one cause, one tombstone."""
        body = Tombstone(records=tuple(ids), ground=ground, reference=reference)
        record_id = self._custody.derive_id(encode(["tombstone", *cause]))
        return self._writer.publish(PublicDraft(record_id, self._member, self._clock.now_ms(), body))

    def _request(self, subject: Party, author: str, ids: list[bytes]) -> UnderWay:
        """Ask the member that wrote them. Asked again on another day it is another request."""
        now = self._clock.now_ms()
        said = ErasureRequest(start_ms=now - now % DAY_MS, subject=str(subject), records=tuple(ids))
        readers = (subject, Party(self._member), Party(author))
        cause = ["erasure-request", str(subject), author, now // DAY_MS, *sorted(ids)]
        draft = Draft(self._custody.derive_id(encode(cause)), SEALED, self._member, now, (said.section(readers),))
        return self._writer.start(draft, said.TYPE, said.start_ms)

    # --- seeing ----------------------------------------------------------------------------------------------

    def orders(self, caller: Caller) -> list[dict[str, Any]]:
        """All erasures that were ordered, the newest first, with who did them and who is overdue. All is public."""
        self._access.require_action(caller, Action.READ_GOVERNANCE)
        state = self._state()
        found = sorted(state.governance.erasures.values(), key=lambda erasure: erasure.height, reverse=True)
        return [words(erasure, state) for erasure in found]

    def one(self, caller: Caller, erasure_id: bytes) -> dict[str, Any]:
        """One of them. Raises `NotFound`."""
        self._access.require_action(caller, Action.READ_GOVERNANCE)
        state = self._state()
        found = state.governance.erasures.get(erasure_id)
        if found is None:
            raise NotFound("there is no such erasure", hint="`consortium erase list` lists them")
        return words(found, state)


def words(erasure: Erasure, state: LedgerState) -> dict[str, Any]:
    """An erasure in the API's words."""
    return {
        "id": erasure.id.hex(),
        "by": erasure.author or None,
        "ground": erasure.ground,
        "reference": erasure.reference,
        "records": [record.hex() for record in erasure.records],
        "height": erasure.height,
        "time": to_rfc3339(erasure.time_ms),
        "acknowledged": sorted(erasure.acknowledged),
        "held_back": dict(sorted(erasure.held_back.items())),
        "awaited": awaited(erasure, state.governance),
        "overdue": overdue(erasure, state),
    }


def awaited(erasure: Erasure, governance: Governance) -> list[str]:
    """The members of now, and of then, that have not said a word."""
    return [
        member.name
        for member in governance.members
        if governance.standings[member.name].admitted <= erasure.height
        and member.name not in erasure.acknowledged
        and member.name not in erasure.held_back
    ]


def overdue(erasure: Erasure, state: LedgerState) -> list[str]:
    """Those of them whose time is over, by the ledger's."""
    late = state.time_ms > erasure.time_ms + state.governance.settings.acknowledgement_s * 1000
    return awaited(erasure, state.governance) if late else []
