"""Who asks, may they: what the steps submit and read ask of the policies.

What needs no record (submit, list, header) is refused as `Forbidden`: that tells a caller about their own role and
nothing about what exists. What concerns one record is refused as `NotFound`.
"""

from __future__ import annotations

from consortium.errors import Forbidden
from consortium.model.names import Party
from consortium.policy.engine import Decision, PolicyEngine
from consortium.policy.requests import AccessRequest, Action, NodeResource, Principal, RecordResource
from consortium.ports import Caller

MAX_REMEMBERED = 4096


def party_of(caller: Caller) -> Party:
    """The party in whose name a caller reads: a user for itself, everybody else for their member."""
    return Party(caller.member, caller.name if caller.kind == "user" else "")


def _principal(caller: Caller) -> Principal:
    name = str(Party(caller.member, caller.name))
    return Principal(caller.kind, name, caller.member)


class Access:
    """The policies, asked in this node's words. `member` runs the node."""

    def __init__(self, engine: PolicyEngine, member: str) -> None:
        self._engine = engine
        self._member = member
        self._node = NodeResource(member)
        self._submitters: set[tuple[Caller, str]] = set()
        self.errors = 0
        """Decisions that were denied because a policy failed in evaluation."""

    @property
    def policy_set(self) -> bytes:
        """Digest of the policy set in force."""
        return self._engine.digest

    def may_read(self, caller: Caller, author: str, *, own: bool) -> bool:
        """Whether the caller may open a record; `own` says that their party holds a wrap of it."""
        return self._on_record(caller, Action.READ_RECORD, author, own=own)

    def may_have_receipt(self, caller: Caller, author: str, *, own: bool) -> bool:
        """Whether the caller may have a record's receipt."""
        return self._on_record(caller, Action.READ_RECEIPT, author, own=own)

    def require_submit(self, caller: Caller, type: str) -> None:
        """Raises `Forbidden`. A permission is remembered: it depends on nothing else."""
        if (caller, type) in self._submitters:
            return
        resource = RecordResource(self._member, self._member, frozenset(), type)
        self._require(AccessRequest(_principal(caller), Action.SUBMIT_RECORD, resource), "submit records")
        if len(self._submitters) >= MAX_REMEMBERED:
            self._submitters.clear()
        self._submitters.add((caller, type))

    def require_list(self, caller: Caller) -> None:
        """Raises `Forbidden`."""
        party = str(party_of(caller))
        self._require(AccessRequest(_principal(caller), Action.LIST_RECORDS, self._node, party), "list records")

    def require_header(self, caller: Caller) -> None:
        """Raises `Forbidden`."""
        self._require(AccessRequest(_principal(caller), Action.READ_HEADER, self._node), "read headers")

    def require_status(self, caller: Caller) -> None:
        """Raises `Forbidden`."""
        self._require(AccessRequest(_principal(caller), Action.READ_STATUS, self._node), "read the status")

    def _on_record(self, caller: Caller, action: Action, author: str, *, own: bool) -> bool:
        readers = frozenset((str(party_of(caller)),)) if own else frozenset[str]()
        resource = RecordResource(self._member, author, readers)
        return self._decide(AccessRequest(_principal(caller), action, resource)).allowed

    def _require(self, request: AccessRequest, what: str) -> None:
        if not self._decide(request).allowed:
            raise Forbidden(f"your role does not let you {what} here")

    def _decide(self, request: AccessRequest) -> Decision:
        decision = self._engine.decide(request)
        self.errors += decision.errors
        return decision
