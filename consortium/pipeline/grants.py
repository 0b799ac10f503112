"""Grants from an officer's side: to ask for one, to follow it, to see who did not disclose, to take the votes along."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from nacl import bindings

from consortium.crypto.sealing import open_section
from consortium.energy.field_groups import TYPES
from consortium.energy.metering import to_rfc3339
from consortium.energy.payloads.access import Access as AccessPart
from consortium.energy.payloads.base import Part, read_part
from consortium.energy.scoping import NEVER, holders_in, references_in
from consortium.errors import Forbidden, InvalidRequest, NotFound
from consortium.ledger.governance.state import Governance, Grant
from consortium.ledger.governance.terms import OpenGrant
from consortium.ledger.state import LedgerState
from consortium.model.names import ID_BYTES, Party
from consortium.model.public import Ballot, Proposal
from consortium.model.records import MAX_TIME_MS, parse_header
from consortium.model.scope import Scope
from consortium.pipeline.access import Access, principal_of
from consortium.pipeline.claims import Vault
from consortium.pipeline.govern import DEFAULT_OPEN_MS, Governor, grant_words, scope_words
from consortium.pipeline.opening import Opener
from consortium.pipeline.prove import Prover
from consortium.pipeline.write import Answer, Wait
from consortium.policy.requests import Action
from consortium.ports.callers import Caller
from consortium.ports.disclosures import Claim, DisclosureStore, Standing, State
from consortium.ports.party import PartyStore

_PAGE = 500
MAX_MISSING = 1000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an officer asks for; `until_ms` in UTC ms."""

    scope: Scope
    purpose: str
    basis: str
    until_ms: int
    emergency: bool = False
    reason: str = ""


class Grants:
    """The grants of a member's officers."""

    def __init__(
        self,
        access: Access,
        governor: Governor,
        store: DisclosureStore,
        vault: Vault,
        party: PartyStore,
        opener: Opener,
        prover: Prover,
        state: Callable[[], LedgerState],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._access = access
        self._governor = governor
        self._store = store
        self._vault = vault
        self._party = party
        self._opener = opener
        self._prover = prover
        self._state = state
        self._entropy = entropy

    # --- asking ----------------------------------------------------------------------------------------------

    async def ask(
        self, caller: Caller, wanted: Wanted, record_id: bytes | None, wait: Wait, timeout_s: float
    ) -> Answer:
        """Propose a grant for the caller, with a key made for it alone. Raises `Forbidden`, `InvalidRequest`."""
        officer = str(Party(caller.member, caller.name))
        self._access.require_action(caller, Action.PROPOSE, about=officer, kind=OpenGrant.KIND)
        if caller.kind != "officer":
            raise Forbidden("your role does not let you ask for a grant here")
        _require_sound(wanted, self._state().time_ms)
        grant_id = record_id if record_id is not None else self._entropy(ID_BYTES)
        public = await self._key(grant_id)
        terms = OpenGrant(
            officer=officer,
            key=public,
            scope=wanted.scope,
            purpose=wanted.purpose,
            basis=wanted.basis,
            until_ms=wanted.until_ms,
            emergency=wanted.emergency,
        )
        known = self._state().governance.proposals.get(grant_id)
        expires = (
            known.proposal.expires_ms if known else min(wanted.until_ms, self._governor.now_ms() + DEFAULT_OPEN_MS)
        )
        body = Proposal(kind=terms.KIND, terms=terms.model_dump(), reason=wanted.reason, expires_ms=expires)
        return await self._governor.publish(body, grant_id, wait, timeout_s)

    async def _key(self, grant_id: bytes) -> bytes:
        """The public half; asked again with the same id it is the same."""
        sealed = self._vault.seal_key(grant_id, self._entropy(32))
        secret = self._vault.open_key(grant_id, await self._store.save_key(grant_id, sealed))
        return bytes(bindings.crypto_scalarmult_base(secret))

    # --- following -------------------------------------------------------------------------------------------

    def all(self, caller: Caller) -> list[dict[str, Any]]:
        """What the caller asked for, the newest first; to administrators everybody's. Raises `Forbidden`."""
        own = str(principal_of(caller).name)
        self._access.require_action(caller, Action.READ_GRANTS, about=own)
        found = reversed(list(self._state().governance.proposals.values()))
        return [
            self._words(one.id)
            for one in found
            if isinstance(one.terms, OpenGrant) and (caller.kind != "officer" or one.terms.officer == own)
        ]

    async def one(self, caller: Caller, grant_id: bytes) -> dict[str, Any]:
        """A grant and what was disclosed under it so far, by holder. Raises `Forbidden`, `NotFound`."""
        self._visible(caller, grant_id)
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        async for claim in self._claims(grant_id):
            counts[claim.holder][claim.state.name.lower()] += 1
        holders = {
            name: {state.name.lower(): counted[state.name.lower()] for state in State}
            for name, counted in sorted(counts.items())
        }
        return self._words(grant_id) | {"holders": holders}

    def _visible(self, caller: Caller, grant_id: bytes) -> None:
        own = str(principal_of(caller).name)
        self._access.require_action(caller, Action.READ_GRANTS, about=own)
        proposal = self._state().governance.proposals.get(grant_id)
        if proposal is None or not isinstance(proposal.terms, OpenGrant):
            raise NotFound("no such grant")
        if caller.kind == "officer" and proposal.terms.officer != own:
            raise NotFound("no such grant")

    def _words(self, grant_id: bytes) -> dict[str, Any]:
        state = self._state()
        proposal, grant = state.governance.proposals[grant_id], state.governance.grants.get(grant_id)
        if grant is not None:
            return grant_words(grant, state) | {"state": _state_of(grant, state)}
        terms = proposal.terms
        if not isinstance(terms, OpenGrant):
            raise NotFound("no such grant")
        return {
            "id": grant_id.hex(),
            "officer": terms.officer,
            "scope": scope_words(terms.scope.model_dump(mode="json")),
            "purpose": terms.purpose,
            "basis": terms.basis,
            "until": to_rfc3339(terms.until_ms),
            "emergency": terms.emergency,
            "state": {"open": "asked"}.get(proposal.state_at(state.time_ms), proposal.state_at(state.time_ms)),
            "in_force": False,
        }

    # --- what is missing -------------------------------------------------------------------------------------

    async def missing(self, caller: Caller, grant_id: bytes) -> dict[str, Any]:
        """Who did not disclose what others did, what nobody did although disclosed records refer to it, what was
        refused. Ids and holders alone, nothing that a record says. Raises `NotFound`.
        """
        self._visible(caller, grant_id)
        grant = self._state().governance.grants.get(grant_id)
        if grant is None:
            raise NotFound("no such grant")
        found = await self._survey(grant)
        return {
            "overdue": [{"record": record.hex(), "holder": holder} for record, holder in found.overdue[:MAX_MISSING]],
            "undisclosed": [
                {"record": record.hex(), "type": type, "referred_by": by.hex(), "certain": certain}
                for (type, record), (by, certain) in list(found.undisclosed.items())[:MAX_MISSING]
            ],
            "refused": [
                {"record": claim.record.hex(), "holder": claim.holder, "reason": claim.reason}
                for claim in found.refused[:MAX_MISSING]
            ],
            "waiting": found.waiting,
        }

    async def overdue(self) -> dict[str, int]:
        """By holder, how many records it should have disclosed to this node's officers and did not in time."""
        state, counts = self._state(), Counter[str]()
        for grant in state.governance.grants.values():
            if grant.in_force(state.height + 1, state.time_ms) and await self._store.key(grant.id):
                counts.update(holder for _, holder in (await self._survey(grant)).overdue)
        return dict(counts)

    async def _survey(self, grant: Grant) -> _Survey:
        state, survey = self._state(), _Survey()
        limit_ms = state.governance.settings.disclosure_s * 1000
        by_record: dict[bytes, list[Claim]] = {}
        async for claim in self._claims(grant.id):
            by_record.setdefault(claim.record, []).append(claim)
        ids = list(by_record)
        for start in range(0, len(ids), _PAGE):
            places = await self._store.standing(ids[start : start + _PAGE])
            for record, place in sorted(places.items(), key=lambda item: item[1].index):
                late = max(grant.from_ms, place.time_ms) + limit_ms < state.time_ms
                self._look(survey, grant, state.governance, by_record[record], place, late=late)
        for key in [key for key in survey.undisclosed if key[1] in by_record]:
            del survey.undisclosed[key]
        return survey

    def _look(
        self, survey: _Survey, grant: Grant, now: Governance, claims: list[Claim], place: Standing, *, late: bool
    ) -> None:
        survey.refused += [claim for claim in claims if claim.state is State.REFUSED]
        survey.waiting += sum(claim.state is State.WAITING for claim in claims)
        good = [claim for claim in claims if claim.state is State.OPEN]
        if not good or not late:
            return
        parts = [part for claim in good if claim.sealed for part in self._parts(grant, claim, place)]
        record, did = good[0].record, {claim.holder for claim in good}
        should = {holder for part in parts for holder in holders_in(part)}
        active = {m.name for m in now.members if m.name != Party.parse(grant.officer).member}
        survey.overdue += [(record, holder) for holder in sorted((should & active) - did)]
        narrow = bool(grant.scope.parties or grant.scope.areas)
        for part in parts:
            for type, other, same_start in references_in(part):
                if type in grant.scope.types:
                    survey.undisclosed.setdefault((type, other), (record, same_start and not narrow))

    def _parts(self, grant: Grant, claim: Claim, place: Standing) -> list[Part]:
        header = parse_header(place.header_bytes)
        content = self._vault.open(grant.id, claim.record, claim.sealed)
        texts = (open_section(header, number, body, key) for number, (key, body) in content.sections.items())
        return [part for text in texts if (part := read_part(text)) is not None]

    async def _claims(self, grant_id: bytes) -> AsyncIterator[Claim]:
        after = (-1, "")
        while page := await self._store.all(grant_id, after, _PAGE):
            for claim in page:
                yield claim
            after = (page[-1].index, page[-1].holder)

    # --- evidence --------------------------------------------------------------------------------------------

    async def evidence(self, caller: Caller, grant_id: bytes) -> dict[str, Any]:
        """What a report needs beside the records: genesis, the votes with receipts, the ids of the access records that
        the reads under this grant left. Raises `NotFound`.
        """
        self._visible(caller, grant_id)
        rows = await self._store.public([Proposal.KIND, Ballot.KIND])
        return {
            "genesis": self._state().genesis.to_json(),
            "grant": self._words(grant_id),
            "public": [await self._proven(row) for row in rows],
            "accesses": await self._accesses(caller, grant_id),
        }

    async def _proven(self, row: Standing) -> dict[str, Any]:
        receipt = await self._prover.receipt(row.index, row.header_bytes)
        return {"height": row.height, "time_ms": row.time_ms, "receipt": None if receipt is None else str(receipt)}

    async def _accesses(self, caller: Caller, grant_id: bytes) -> list[dict[str, Any]]:
        """The access records of this member under the grant: their ids, and receipts that they stand on the ledger."""
        member, after, found = Party(caller.member), -1, list[dict[str, Any]]()
        tags = [self._opener.tag(member)]
        asked = {"type": AccessPart.TYPE, "from_ms": None, "to_ms": None, "limit": _PAGE}
        while page := await self._party.find(tags, after=after, **asked):  # type: ignore[arg-type]
            for held in page:
                parts = [read_part(text) for text in self._opener.open_all(held).sections if text is not None]
                if any(isinstance(part, AccessPart) and part.under == grant_id for part in parts):
                    receipt = await self._prover.receipt(held.index, held.header_bytes)
                    found.append({"id": held.id.hex(), "receipt": None if receipt is None else str(receipt)})
            after = page[-1].index
        return found


class _Survey:
    """What a look over all claims of a grant finds."""

    def __init__(self) -> None:
        self.overdue: list[tuple[bytes, str]] = []
        self.undisclosed: dict[tuple[str, bytes], tuple[bytes, bool]] = {}
        self.refused: list[Claim] = []
        self.waiting = 0


def _state_of(grant: Grant, state: LedgerState) -> str:
    if grant.in_force(state.height + 1, state.time_ms):
        return "in force"
    return "ended" if grant.ended is not None and grant.ended <= state.height + 1 else "expired"


def _require_sound(wanted: Wanted, now_ms: int) -> None:
    """What every node would vote on, and no officer's node could check or use. Raises `InvalidRequest`."""
    scope = wanted.scope
    unknown = set(scope.types) - (TYPES - NEVER)
    if unknown:
        raise InvalidRequest("a record type is unknown, or holds nothing but keys", field="types")
    if set(scope.groups) == {"identity"}:
        raise InvalidRequest(
            "names alone are no section", field="groups",
            hint="add the group that they stand in: physical, terms, money",
        )  # fmt: skip
    if scope.areas and not scope.parties and "physical" not in scope.groups:
        raise InvalidRequest(
            "where a record belongs shows in its physical part alone", field="groups",
            hint="add the group physical, or name parties",
        )  # fmt: skip
    if not now_ms < wanted.until_ms < MAX_TIME_MS:
        raise InvalidRequest("a grant ends after it begins, and before the year 6429", field="until")
