"""Users let others read for them, see it, end it; and what that comes to when somebody asks to read for them.

The ground is the node's view, which folds the delegations of its own member's users. Until it has followed the ledger
once since the node started, nobody reads for anybody: an end might not have been folded yet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from consortium.energy.delegations import Delegated, Delegations, delegation_for
from consortium.energy.metering import to_rfc3339
from consortium.energy.payloads.access import Delegation, DelegationEnd
from consortium.energy.reports.pages import page
from consortium.energy.submissions.base import validate
from consortium.energy.submissions.delegations import GROUPS, DelegationGiven, end_of, readers
from consortium.errors import Forbidden, NotFound
from consortium.model.encoding import encode
from consortium.model.names import ID_BYTES, Party
from consortium.model.records import SEALED, Draft
from consortium.pipeline.access import Access
from consortium.pipeline.write import Answer, Wait, Writer
from consortium.policy.requests import Action
from consortium.ports.callers import Caller
from consortium.ports.clock import Clock
from consortium.ports.keys import KeyCustody

Known = Callable[[], Delegations | None]
"""The delegations that the node knows, or None while it has not followed the ledger yet."""
Time = Callable[[], int]


class LiveDelegations:
    """What users let others read now. Implements `pipeline.access.Delegations`; `now_ms` is the ledger's time."""

    def __init__(self, known: Known, now_ms: Time) -> None:
        self._known = known
        self._now_ms = now_ms

    def groups(self, caller: Caller, type: str, start_ms: int) -> frozenset[str]:
        """The field groups that delegations in force cover."""
        return frozenset(group for group in GROUPS if self._covering(caller, type, start_ms, group) is not None)

    def any(self, caller: Caller) -> bool:
        """Whether any delegation is in force."""
        known = self._known()
        if known is None or caller.behalf is None:
            return False
        return next(known.between(str(caller.behalf), _text(caller), self._now_ms()), None) is not None

    def under(self, caller: Caller, type: str, start_ms: int, groups: frozenset[str]) -> bytes:
        """The id of the delegation by which the caller reads these groups (of several the first), b"" for none."""
        for group in sorted(groups):
            found = self._covering(caller, type, start_ms, group)
            if found is not None:
                return found.id
        return b""

    def _covering(self, caller: Caller, type: str, start_ms: int, group: str) -> Delegated | None:
        known = self._known()
        if known is None or caller.behalf is None:
            return None
        who = str(caller.behalf), _text(caller)
        return delegation_for(known, *who, self._now_ms(), type=type, start_ms=start_ms, group=group)


class Delegating:
    """Gives, lists and ends delegations for this member's callers. `clock` is that of the records."""

    def __init__(
        self,
        member: str,
        access: Access,
        known: Known,
        now_ms: Time,
        writer: Writer,
        custody: KeyCustody,
        clock: Clock,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._member = member
        self._access = access
        self._known = known
        self._now_ms = now_ms
        self._writer = writer
        self._custody = custody
        self._clock = clock
        self._entropy = entropy

    async def give(self, caller: Caller, id: bytes | None, data: object, wait: Wait, timeout_s: float) -> Answer:
        """Write a delegation of the caller's, in their own name. Raises `Forbidden`, `InvalidRequest`, as `Writer`."""
        subject = self._subject(caller)
        given = validate(DelegationGiven, data, "")
        if id is None or not await self._writer.knows(id):  # what was taken once is not judged by a later time
            given.check(subject, self._now_ms())
        return await self._write(id or self._entropy(ID_BYTES), given.part(subject), wait, timeout_s)

    async def end(self, caller: Caller, id: bytes, wait: Wait, timeout_s: float) -> Answer:
        """End a delegation of the caller's; again, with the same answer, if it has ended. Raises `NotFound`."""
        subject = self._subject(caller)
        known = self._known()
        found = known.get(id) if known is not None else None
        if found is None or found.terms.subject != str(subject):
            raise NotFound("no such delegation")
        end_id = self._custody.derive_id(encode(["delegation-end", id]))
        return await self._write(end_id, end_of(found), wait, timeout_s)

    def list(self, caller: Caller, after: int, limit: int) -> tuple[list[dict[str, Any]], int | None]:
        """Those that the caller gave or was given, ended ones too, by their place in the ledger. Raises `Forbidden`."""
        me = _text(caller)
        self._access.require_action(caller, Action.DELEGATE, about=me, kind="read")
        known = self._known()
        found = known.about(me) if known is not None else ()
        return page([(one.index, _words(one, self._now_ms())) for one in found], after, limit)

    def _subject(self, caller: Caller) -> Party:
        """Nobody delegates for anybody else, whatever was delegated to them."""
        self._access.require_action(caller, Action.DELEGATE, about=_text(caller), kind="give")
        if caller.kind != "user" or caller.behalf not in (None, Party(caller.member, caller.name)):
            raise Forbidden("delegations are for users, in their own name")
        return Party(caller.member, caller.name)

    async def _write(self, id: bytes, part: Delegation | DelegationEnd, wait: Wait, timeout_s: float) -> Answer:
        draft = Draft(id, SEALED, self._member, self._clock.now_ms(), (part.section(readers(part)),))
        under_way = self._writer.start(draft, part.TYPE, part.start_ms)
        return await self._writer.finish(under_way, wait, timeout_s)


def _text(caller: Caller) -> str:
    return str(Party(caller.member, caller.name))


def _words(one: Delegated, now_ms: int) -> dict[str, Any]:
    terms = one.terms
    return {
        "id": one.id.hex(),
        "index": one.index,
        "subject": terms.subject,
        "delegate": terms.delegate,
        "types": list(terms.types),
        "from": to_rfc3339(terms.start_ms),
        "to": to_rfc3339(terms.to_ms) if terms.to_ms else None,
        "groups": list(terms.groups),
        "until": to_rfc3339(terms.until_ms),
        "purpose": terms.purpose,
        "given": to_rfc3339(one.given_ms),
        "ended": None if one.ended_ms is None else to_rfc3339(one.ended_ms),
        "state": _state(one, now_ms),
    }


def _state(one: Delegated, now_ms: int) -> str:
    if one.in_force(now_ms):
        return "in force"
    return "expired" if one.ended_ms is None else "ended"
