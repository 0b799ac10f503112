"""Who asks, may they: what the steps submit and read ask of the policies.

What needs no record (submit, list, header) is refused as `Forbidden`: that tells a caller about their own role and
nothing about what exists. What concerns one record is refused as `NotFound`.
"""

from __future__ import annotations

from consortium.energy.contracts.terms import MarketTerms
from consortium.errors import Forbidden
from consortium.model.names import Party
from consortium.policy.engine import Decision, PolicyEngine
from consortium.policy.requests import (
    AccessRequest,
    Action,
    MarketResource,
    NodeResource,
    Principal,
    RecordResource,
)
from consortium.ports.callers import Caller

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
        self._submitters: set[tuple[Caller, str, str]] = set()
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

    def require_type(self, caller: Caller, type: str) -> None:
        """Whether the caller's role may submit this type at all, in their own name. Raises `Forbidden`."""
        self.require_submit(caller, type, str(party_of(caller)))

    def require_submit(self, caller: Caller, type: str, actor: str) -> None:
        """Whether the caller may submit it in the name of `actor`, a party of this node. Raises `Forbidden`.

        A permission is remembered: it depends on nothing else.
        """
        if (caller, type, actor) in self._submitters:
            return
        resource = RecordResource(self._member, self._member, frozenset(), type, actor)
        self._require(AccessRequest(_principal(caller), Action.SUBMIT_RECORD, resource), "submit such records")
        if len(self._submitters) >= MAX_REMEMBERED:
            self._submitters.clear()
        self._submitters.add((caller, type, actor))

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

    def may_see_market(self, caller: Caller, terms: MarketTerms) -> bool:
        """Whether the caller is of the market, and may know its rules, prices and volumes."""
        return self._decide(self._on_market(caller, Action.READ_MARKET, terms)).allowed

    def require_book(self, caller: Caller, terms: MarketTerms) -> None:
        """Raises `Forbidden`."""
        self._require(self._on_market(caller, Action.READ_BOOK, terms), "see a market's book")

    def require_totals(self, caller: Caller, terms: MarketTerms) -> None:
        """Raises `Forbidden`."""
        self._require(self._on_market(caller, Action.READ_TOTALS, terms), "see totals")

    def _on_market(self, caller: Caller, action: Action, terms: MarketTerms) -> AccessRequest:
        sides = frozenset(terms.members), frozenset(terms.operators)
        return AccessRequest(_principal(caller), action, MarketResource(self._member, *sides, terms.grid_operator))

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
