"""Proposals and ballots of this member's people: who may bring them, and what stands decided, in the API's words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from consortium.energy.metering import to_rfc3339
from consortium.errors import ConfigurationError, InvalidRequest, Malformed, NotFound
from consortium.ledger.governance.changes import changes
from consortium.ledger.governance.state import Governance, Grant, ProposalState
from consortium.ledger.governance.terms import TERMS, ChangePolicies, Terms, terms_of
from consortium.ledger.state import LedgerState
from consortium.model.names import ID_BYTES
from consortium.model.public import Ballot, Body, Proposal
from consortium.pipeline.access import Access, principal_of
from consortium.pipeline.write import Answer, PublicDraft, Wait, Writer
from consortium.policy.engine import PolicyEngine
from consortium.policy.requests import Action
from consortium.ports.callers import Caller
from consortium.ports.clock import Clock

DEFAULT_OPEN_MS = 14 * 86_400_000
"""How long a proposal is open for votes unless it says otherwise."""


class Governor:
    """Brings public records of governance, and reads what stands decided."""

    def __init__(
        self,
        member: str,
        access: Access,
        writer: Writer,
        clock: Clock,
        state: Callable[[], LedgerState],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._member = member
        self._access = access
        self._writer = writer
        self._clock = clock
        self._state = state
        self._entropy = entropy

    @property
    def now(self) -> Governance:
        """What stands decided."""
        return self._state().governance

    # --- bringing --------------------------------------------------------------------------------------------

    async def propose(
        self,
        caller: Caller,
        kind: str,
        raw: Any,
        *,
        reason: str = "",
        expires_ms: int | None = None,
        record_id: bytes | None = None,
        wait: Wait = Wait.APPLIED,
        timeout_s: float = 10.0,
    ) -> Answer:
        """Publish a proposal. `raw` are its terms as untrusted JSON: bytes in hex, times in UTC ms.

        Raises `Forbidden`, `InvalidRequest`, and what `Writer` raises.
        """
        terms = read_terms(kind, raw)
        self._access.require_action(caller, Action.PROPOSE, about=_about(caller, terms), kind=kind)
        _require_sound(terms)
        expires = expires_ms if expires_ms is not None else self.now_ms() + DEFAULT_OPEN_MS
        body = Proposal(kind=kind, terms=terms.model_dump(), reason=reason, expires_ms=expires)
        return await self.publish(body, record_id, wait, timeout_s)

    async def vote(
        self,
        caller: Caller,
        proposal: bytes,
        *,
        yes: bool,
        record_id: bytes | None = None,
        wait: Wait = Wait.APPLIED,
        timeout_s: float = 10.0,
    ) -> Answer:
        """Cast the member's ballot. Raises `Forbidden`, `NotFound`, and what `Writer` raises."""
        self._access.require_action(caller, Action.VOTE)
        state = self.now.proposals.get(proposal)
        if state is None:
            raise NotFound("there is no such proposal", hint="`consortium governance history` lists them")
        return await self.publish(Ballot(proposal=proposal, yes=yes), record_id, wait, timeout_s)

    async def publish(self, body: Body, record_id: bytes | None, wait: Wait, timeout_s: float) -> Answer:
        """A public record of this member; for agents and steps that have asked the policies themselves."""
        record_id = record_id if record_id is not None else self._entropy(ID_BYTES)
        draft = PublicDraft(record_id, self._member, self._clock.now_ms(), body)
        return await self._writer.finish(self._writer.publish(draft), wait, timeout_s)

    def now_ms(self) -> int:
        """The ledger's time; before all members have spoken for the first time it has none."""
        return max(self._state().time_ms, self._clock.now_ms())

    # --- reading ---------------------------------------------------------------------------------------------

    def overview(self, caller: Caller) -> dict[str, Any]:
        """Members, rules, settings, policy set, grants and holds of now."""
        self._access.require_action(caller, Action.READ_GOVERNANCE)
        state, now = self._state(), self.now
        return {
            "height": state.height,
            "members": [_member_words(now, name) for name in sorted(now.standings)],
            "rules": {kind: rule.model_dump(mode="json") for kind, rule in sorted(now.rules.items())},
            "settings": now.settings.model_dump(mode="json"),
            "policy_set": {
                "digest": now.policy.digest.hex() if now.policy.digest else None,
                "since": now.policy.since,
            },
            "grants": [grant_words(grant, state) for grant in now.grants.values()],
            "holds": [
                {"id": h.id.hex(), "reference": h.reference, "since": h.since, "released": h.released}
                for h in now.holds.values()
            ],
        }

    def history(self, caller: Caller) -> list[dict[str, Any]]:
        """All proposals, the newest first."""
        self._access.require_action(caller, Action.READ_GOVERNANCE)
        return [self._words(state) for state in reversed(list(self.now.proposals.values()))]

    def show(self, caller: Caller, proposal: bytes) -> dict[str, Any]:
        """One proposal, its votes, and what it would change. Raises `NotFound`."""
        self._access.require_action(caller, Action.READ_GOVERNANCE)
        state = self.now.proposals.get(proposal)
        if state is None:
            raise NotFound("there is no such proposal", hint="`consortium governance history` lists them")
        return self._words(state) | {"terms": state.terms.model_dump(mode="json"), "changes": self._changes(state)}

    def _changes(self, state: ProposalState) -> list[str]:
        """Of an open one: of what was decided the ledger shows what it changed."""
        ledger = self._state()
        if state.state_at(ledger.time_ms) != "open":
            return []
        return list(changes(self.now, state, ledger.height, ledger.time_ms))

    def _words(self, state: ProposalState) -> dict[str, Any]:
        return {
            "id": state.id.hex(),
            "kind": state.proposal.kind,
            "author": state.author,
            "reason": state.proposal.reason,
            "state": state.state_at(self._state().time_ms),
            "height": state.height,
            "decided": state.decided,
            "expires": to_rfc3339(state.proposal.expires_ms),
            "voters": sorted(state.voters),
            "needed": state.needed,
            "yes": sorted(state.yes),
            "no": sorted(state.no),
        }


def read_terms(kind: str, raw: Any) -> Terms:
    """Terms from untrusted JSON. Raises `InvalidRequest`, which repeats nothing of it."""
    model = TERMS.get(kind)
    if model is None:
        raise InvalidRequest("unknown kind of proposal", field="kind", hint="one of " + ", ".join(TERMS))
    try:
        terms = model.model_validate_json(json.dumps(raw))
        # As every node will read it: what is refused there is refused here already.
        return terms_of(Proposal(kind=kind, terms=terms.model_dump(), expires_ms=0))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        known = [str(part) for part in first["loc"] if part in model.model_fields]
        raise InvalidRequest(
            first["msg"].removeprefix("Value error, "),
            field=".".join(["terms", *known]),
            hint="its fields are " + ", ".join(model.model_fields),
        ) from None
    except Malformed as error:
        raise InvalidRequest(str(error), field="terms") from None


def _require_sound(terms: Terms) -> None:
    """A policy set that no node could load would stop everybody's reading. Raises `InvalidRequest`."""
    if isinstance(terms, ChangePolicies):
        try:
            PolicyEngine(terms.policy_schema, terms.texts)
        except ConfigurationError as error:
            raise InvalidRequest(f"the policy set does not hold: {error}", field="terms.texts") from None


def _about(caller: Caller, terms: Terms) -> str:
    """Whom it is about, in the policies' words: an officer asks for nobody but themselves."""
    return str(getattr(terms, "officer", "") or terms.about() or principal_of(caller).name)


def _member_words(now: Governance, name: str) -> dict[str, Any]:
    standing = now.standings[name]
    return {
        "name": name,
        "roles": list(standing.roles),
        "admitted": standing.admitted,
        "removed": standing.removed,
        "keys": [{"since": p.since, **p.keys.as_dict()} for p in standing.periods],
    }


def grant_words(grant: Grant, state: LedgerState) -> dict[str, Any]:
    """A grant as everybody may know it."""
    return {
        "id": grant.id.hex(),
        "officer": grant.officer,
        "scope": scope_words(grant.scope.model_dump(mode="json")),
        "purpose": grant.purpose,
        "basis": grant.basis,
        "from": to_rfc3339(grant.from_ms),
        "until": to_rfc3339(grant.until_ms),
        "emergency": grant.emergency,
        "confirmed": grant.confirmed,
        "opened": grant.opened,
        "ended": grant.ended,
        "in_force": grant.in_force(state.height + 1, state.time_ms),
    }


def scope_words(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A scope with its times as RFC 3339."""
    times = {"from": to_rfc3339(raw["from_ms"]), "to": to_rfc3339(raw["to_ms"])}
    return {name: value for name, value in raw.items() if not name.endswith("_ms")} | times
