"""An officer's reads: what a grant in force covers, record by record, each read on the ledger before it leaves.

What is outside the scope, of another grant, or asked for after its end is `NotFound` in the words of what is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from consortium.crypto.receipts import Receipt
from consortium.crypto.sealing import open_section
from consortium.energy.field_groups import Permitted, users_in, without_names
from consortium.energy.metering import to_rfc3339
from consortium.energy.payloads.base import Part, read_part
from consortium.energy.scoping import parties_in
from consortium.energy.sections import in_words
from consortium.errors import NotFound
from consortium.ledger.governance.state import Grant
from consortium.ledger.state import LedgerState
from consortium.model.names import Party
from consortium.model.records import Header, parse_header
from consortium.pipeline.access import GRANT, Access, principal_of
from consortium.pipeline.claims import Vault
from consortium.pipeline.escrowing import grant_of
from consortium.pipeline.prove import Prover
from consortium.pipeline.release import Released, Releases
from consortium.policy.requests import Action
from consortium.ports.callers import Caller
from consortium.ports.disclosures import Claim, DisclosureStore, Standing, State

MAX_PAGE = 200


@dataclass(frozen=True, slots=True)
class Query:
    """Which records: a type, a period (from <= start < to, UTC ms), after a tree index, at most `limit`."""

    type: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    after: int = -1
    limit: int = 50


@dataclass(frozen=True, slots=True)
class _Shown:
    """A record that is about to leave: its sections that were opened, with their keys and ciphertexts."""

    id: bytes
    place: Standing
    header: Header
    permitted: Permitted
    sections: tuple[tuple[int, bytes, bytes, bytes, Part], ...]
    holders: tuple[str, ...]
    by_word: bool
    words: tuple[str, ...]


class Disclosed:
    """Reads for the officers of a member."""

    def __init__(
        self,
        access: Access,
        releases: Releases,
        store: DisclosureStore,
        vault: Vault,
        prover: Prover,
        state: Callable[[], LedgerState],
    ) -> None:
        self._access = access
        self._releases = releases
        self._store = store
        self._vault = vault
        self._prover = prover
        self._state = state

    def own(self, caller: Caller, grant_id: bytes) -> Grant:
        """A grant of the caller's that is in force. Raises `Forbidden` of the role alone, `NotFound` of all else."""
        self._access.require_action(caller, Action.READ_GRANTS, about=str(principal_of(caller).name))
        state = self._state()
        officer = str(Party(caller.member, caller.name))
        grant = state.governance.grants.get(grant_id) or self._released(grant_id, caller)
        if grant is None or caller.kind != "officer" or grant.officer != officer:
            raise NotFound("no such record")
        if not grant.in_force(state.height + 1, state.time_ms):
            raise NotFound("no such record")
        return grant

    def _released(self, release_id: bytes, caller: Caller) -> Grant | None:
        """What a vote released from escrow, as a grant for each officer of a compliance member."""
        state = self._state()
        release, office = state.governance.releases.get(release_id), state.governance.member(caller.member)
        if release is None or office is None or "compliance" not in office.roles:
            return None
        return grant_of(state, release, str(Party(caller.member, caller.name)))

    async def get(self, caller: Caller, grant_id: bytes, record: bytes) -> dict[str, Any]:
        """One record. Raises `NotFound`, and `NotReady` if the read cannot be noted."""
        grant = self.own(caller, grant_id)
        found = await self._open(caller, grant, [record])
        if not found:
            raise NotFound("no such record")
        return (await self._let_go(caller, grant, found))[0]

    async def page(self, caller: Caller, grant_id: bytes, query: Query) -> tuple[list[dict[str, Any]], int | None]:
        """A page of what is covered, in the ledger's order, opened and noted as by `get`; the next page's cursor."""
        grant = self.own(caller, grant_id)
        limit = min(query.limit, MAX_PAGE)
        ids = await self._store.page(
            grant.id,
            type=query.type,
            from_ms=query.from_ms,
            to_ms=query.to_ms,
            after=query.after,
            limit=limit,
        )
        found = await self._open(caller, grant, ids)
        last = (await self._store.standing(ids[-1:]))[ids[-1]].index if len(ids) == limit else None
        return await self._let_go(caller, grant, found), last

    async def _open(self, caller: Caller, grant: Grant, ids: Sequence[bytes]) -> list[_Shown]:
        """Those of the records that the grant covers, with what the policies permit of them."""
        by_record: dict[bytes, list[Claim]] = {}
        for claim in await self._store.of_records(grant.id, ids):
            if claim.state is State.OPEN:
                by_record.setdefault(claim.record, []).append(claim)
        places = await self._store.standing(by_record)
        found = (self._opened(caller, grant, claims, places[record]) for record, claims in by_record.items())
        return [one for one in found if one is not None]

    def _opened(self, caller: Caller, grant: Grant, claims: Sequence[Claim], place: Standing) -> _Shown | None:
        first, header = claims[0], parse_header(place.header_bytes)
        erasure = self._state().governance.erased_by(first.record, header.author)
        if erasure is not None and caller.member in erasure.acknowledged:
            return None  # this member has said that nothing of it is left
        granted = frozenset(grant.scope.groups)
        groups = self._access.groups(caller, first.type, relation=GRANT, start_ms=first.start_ms) & granted
        permitted = Permitted(first.type, groups)
        sections: dict[int, tuple[int, bytes, bytes, bytes, Part]] = {}
        by_word, words = False, set[str]()
        for claim in claims:
            if not claim.sealed:
                continue
            content = self._vault.open(grant.id, claim.record, claim.sealed)
            by_word, words = by_word or content.by_word, words | set(content.words)
            for number, (key, body) in content.sections.items():
                if number in sections or not permitted.opens(number):
                    continue
                plaintext = open_section(header, number, body, key)
                part = read_part(plaintext)
                if part is not None and permitted.keeps(plaintext):
                    sections[number] = (number, key, body, plaintext, part)
        if not sections:
            return None
        ordered = tuple(sections[number] for number in sorted(sections))
        holders = tuple(dict.fromkeys(claim.holder for claim in claims))
        return _Shown(first.record, place, header, permitted, ordered, holders, by_word, tuple(sorted(words)))

    async def _let_go(self, caller: Caller, grant: Grant, found: Sequence[_Shown]) -> list[dict[str, Any]]:
        """The answers, once the read stands on the ledger."""
        answers = [await self._answer(grant, one) for one in found]
        await self._releases.release(caller, [_released(grant, one) for one in found])
        self.own(caller, grant.id)  # it may have ended while the read was being noted
        return answers

    async def _answer(self, grant: Grant, one: _Shown) -> dict[str, Any]:
        type, data = in_words([plaintext for _, _, _, plaintext, _ in one.sections])
        masked: tuple[str, ...] = ()
        if not one.permitted.names:
            data, masked = without_names(data)
        return {
            "id": one.id.hex(),
            "index": one.place.index,
            "type": type,
            "author": one.header.author,
            "created": to_rfc3339(one.header.created_ms),
            "start": to_rfc3339(one.sections[0][4].start_ms),
            "data": data,
            "masked": list(masked),
            "grant": grant.id.hex(),
            "groups": sorted({part.GROUP for *_, part in one.sections}),
            "holders": list(one.holders),
            "by_word": one.by_word,
            "words": list(one.words),
            "proof": await self._proof(one) if one.permitted.names else None,
        }

    async def _proof(self, one: _Shown) -> dict[str, Any]:
        """What the officer's own tool needs to check all of it: where names are withheld there is none, since the keys
        would open them.
        """
        receipt = await self._prover.receipt(one.place.index, one.place.header_bytes)
        sections = [
            {"number": number, "group": part.GROUP, "key": key.hex(), "body": body.hex()}
            for number, key, body, _, part in one.sections
        ]
        return {"header": one.place.header_bytes.hex(), "sections": sections, "receipt": _text(receipt)}


def _text(receipt: Receipt | None) -> str | None:
    return None if receipt is None else str(receipt)


def _released(grant: Grant, one: _Shown) -> Released:
    """Told are the users whom the record names, or whom the holder says it is about; else the members who know it."""
    parts = [part for *_, part in one.sections]
    named = {party for part in parts for party in parties_in(part)} | (set(one.words) & set(grant.scope.parties))
    parties = {Party.parse(text) for text in named} | set(users_in(parts))
    groups = {part.GROUP for part in parts} | ({"identity"} if one.permitted.names else set())
    members = {Party(name) for name in (one.header.author, *one.holders)}
    return Released(
        one.id,
        parts[0].TYPE,
        frozenset(groups),
        tuple(sorted(party for party in parties if party.user)),
        tuple(sorted(members)),
        grant.id,
        parts[0].start_ms,
    )
