"""Who asks, may they: what the steps submit and read ask of the policies.

What needs no record (submit, list, header, all that `require_action` asks) is refused as `Forbidden`: that tells a
caller about their own role and nothing about what exists. What concerns one record is refused as `NotFound`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from consortium.energy.contracts.terms import MarketTerms
from consortium.energy.field_groups import GROUPS, IDENTITY, TYPES
from consortium.errors import Forbidden
from consortium.pipeline.asking import (
    DELEGATE,
    GRANT,
    GRID_OPERATOR,
    MARKET_OPERATOR,
    PARTY,
    Delegations,
    NoDelegations,
    is_delegate,
    own_party,
    party_of,
    principal_of,
    relation_of,
)
from consortium.policy.engine import Decision, PolicyEngine
from consortium.policy.requests import (
    AccessRequest,
    Action,
    Context,
    MarketResource,
    NodeResource,
    RecordResource,
)
from consortium.ports.callers import Caller

__all__ = [
    "DELEGATE",
    "GRANT",
    "GRID_OPERATOR",
    "MARKET_OPERATOR",
    "PARTY",
    "Access",
    "Delegations",
    "NoDelegations",
    "is_delegate",
    "party_of",
    "principal_of",
]
MAX_REMEMBERED = 4096
MINUTE_MS = 60_000
_DOINGS = {
    Action.READ_GOVERNANCE: "see proposals and votes",
    Action.PROPOSE: "propose this",
    Action.VOTE: "vote",
    Action.MANAGE_ACCOUNTS: "manage accounts",
    Action.MANAGE_KEYS: "manage keys",
    Action.REQUEST_ERASURE: "ask for this erasure",
    Action.DELEGATE: "manage these delegations",
    Action.READ_ACCESSES: "see these accesses",
    Action.READ_GRANTS: "see these grants",
    Action.EXPLAIN_POLICY: "ask about decisions",
}


class Access:
    """The policies, asked in this node's words. `member` runs the node."""

    def __init__(self, engine: PolicyEngine, member: str) -> None:
        self._engine = engine
        self._member = member
        self._node = NodeResource(member)
        self._standing: Callable[[], frozenset[str]] = frozenset
        self._now_ms: Callable[[], int] = lambda: 0
        self._delegations: Delegations = NoDelegations()
        self._submitters: set[tuple[Caller, str, str]] = set()
        self._groups: dict[tuple[object, ...], frozenset[str]] = {}
        self.height = 0
        """The block from which on the policy set has been in force."""
        self.errors = 0
        """Decisions that were denied because a policy failed in evaluation."""

    def know(
        self, *, standing: Callable[[], frozenset[str]], now_ms: Callable[[], int], delegations: Delegations
    ) -> None:
        """What decisions depend on besides the policies: what the node's member is in the consortium and its markets
        (`grid-operator`, `market-operator`), the ledger's time, what users let others read. Until then: nothing.
        """
        self._standing, self._now_ms, self._delegations = standing, now_ms, delegations

    @property
    def policy_set(self) -> bytes:
        """Digest of the policy set in force."""
        return self._engine.digest

    @property
    def engine(self) -> PolicyEngine:
        """What decides."""
        return self._engine

    def replace(self, engine: PolicyEngine, height: int) -> None:
        """Decide by another policy set from now on; `height` is the block from which on it is in force."""
        self._engine, self.height = engine, height
        self._submitters.clear()
        self._groups.clear()

    # --- records ---------------------------------------------------------------------------------------------

    def groups(
        self, caller: Caller, type: str, *, relation: str = "", start_ms: int = 0, anywhen: bool = False
    ) -> frozenset[str]:
        """The field groups that the caller may open of records of a type that are about the time `start_ms`.

        `relation` says by what: `party` (the caller's party holds a key), `delegate`, `grant` (an officer's grant in
        force covers the record: who asks has checked it, and narrows the answer to the grant's groups). By default
        what the caller claims: `delegate` if they read for somebody, else `party`. Of a delegate only what the
        delegations cover at that time; `anywhen` leaves that out. An answer is remembered for a minute of the ledger's
        time.
        """
        relation = relation or relation_of(caller)
        covered = GROUPS
        if relation == DELEGATE and not anywhen:
            covered = self._delegations.groups(caller, type, start_ms)
        return covered & self._decided(caller, type, relation) if covered else covered

    def require_groups(
        self, caller: Caller, needs: Mapping[str, frozenset[str]], what: str, start_ms: int | None = None
    ) -> None:
        """Whether the caller may open all that an answer is computed from, by type; of a delegate also whether that is
        delegated, from `start_ms` on. Raises `Forbidden`, which speaks of the role alone.
        """
        for type, groups in needs.items():
            if not groups <= self.groups(caller, type, start_ms=start_ms or 0, anywhen=start_ms is None):
                raise Forbidden(f"your role does not let you {what} here")

    def require_any(self, caller: Caller, type: str) -> None:
        """Whether the caller's role opens any section of a type. Raises `Forbidden`."""
        if not self._decided(caller, type, relation_of(caller)) - {IDENTITY}:
            raise Forbidden("your role does not let you read such records here")

    def decisions(self, caller: Caller, type: str, relation: str = PARTY) -> dict[str, Decision]:
        """By field group the decision about records of a type, with the policies that made it."""
        return {group: self._decide(self._reading(caller, type, relation, group)) for group in sorted(GROUPS)}

    def _decided(self, caller: Caller, type: str, relation: str) -> frozenset[str]:
        type = type if type in TYPES else ""
        key = (caller, type, relation, self._minute(), self._standing())
        known = self._groups.get(key)
        if known is None:
            decisions = self.decisions(caller, type, relation)
            known = frozenset(group for group, decision in decisions.items() if decision.allowed)
            if len(self._groups) >= MAX_REMEMBERED:
                self._groups.clear()
            if not any(decision.errors for decision in decisions.values()):
                self._groups[key] = known
        return known

    def _reading(self, caller: Caller, type: str, relation: str, group: str) -> AccessRequest:
        readers = frozenset({str(party_of(caller))}) if relation == PARTY else frozenset[str]()
        relations = self._standing() | ({relation} if relation in (DELEGATE, GRANT) else frozenset[str]())
        resource = RecordResource(self._member, "", readers, type, relations=relations)
        context = Context(group=group, purpose=caller.purpose, now_ms=self._minute())
        return AccessRequest(principal_of(caller), Action.READ_RECORD, resource, context)

    def _minute(self) -> int:
        now = self._now_ms()
        return now - now % MINUTE_MS

    def may_have_receipt(self, caller: Caller, author: str, *, own: bool) -> bool:
        """Whether the caller may have a record's receipt; `own` says that their party holds a key to it, and for a
        delegate that a delegation covers it.
        """
        delegated = own and is_delegate(caller)
        readers = frozenset({str(party_of(caller))}) if own and not delegated else frozenset[str]()
        relations = frozenset({DELEGATE}) if delegated else frozenset[str]()
        resource = RecordResource(self._member, author, readers, relations=relations)
        return self._decide(AccessRequest(principal_of(caller), Action.READ_RECEIPT, resource)).allowed

    def require_type(self, caller: Caller, type: str) -> None:
        """Whether the caller's role may submit this type at all, in their own name. Raises `Forbidden`."""
        self.require_submit(caller, type, str(own_party(caller)))

    def require_submit(self, caller: Caller, type: str, actor: str) -> None:
        """Whether the caller may submit it in the name of `actor`, a party of this node. Raises `Forbidden`.

        A permission is remembered: it depends on nothing else.
        """
        if (caller, type, actor) in self._submitters:
            return
        resource = RecordResource(self._member, self._member, frozenset(), type, actor)
        self._require(AccessRequest(principal_of(caller), Action.SUBMIT_RECORD, resource), "submit such records")
        if len(self._submitters) >= MAX_REMEMBERED:
            self._submitters.clear()
        self._submitters.add((caller, type, actor))

    def require_list(self, caller: Caller) -> None:
        """Raises `Forbidden`."""
        delegate = is_delegate(caller)
        context = Context(
            party="" if delegate else str(party_of(caller)), delegated=delegate and self._delegations.any(caller)
        )
        self._require(AccessRequest(principal_of(caller), Action.LIST_RECORDS, self._node, context), "list records")

    # --- the node --------------------------------------------------------------------------------------------

    def require_header(self, caller: Caller) -> None:
        """Raises `Forbidden`."""
        self._require(AccessRequest(principal_of(caller), Action.READ_HEADER, self._node), "read headers")

    def require_status(self, caller: Caller) -> None:
        """Raises `Forbidden`."""
        self._require(AccessRequest(principal_of(caller), Action.READ_STATUS, self._node), "read the status")

    def require_action(self, caller: Caller, action: Action, *, about: str = "", kind: str = "") -> None:
        """Whether the caller may do `action` at this node: to propose, vote, manage accounts, delegate and so on.

        `about` is the party that it is about (`home-01@suncoop`; whose accesses, whose account), `kind` what of it: of
        a proposal its kind, of an account `read` or what changes, of delegations `read` or what is done. The schema
        names both by action. Raises `Forbidden`, which speaks of the role alone.
        """
        asked = AccessRequest(principal_of(caller), action, self._node, Context(about=about, kind=kind))
        self._require(asked, _DOINGS.get(action, "do this"))

    # --- markets ---------------------------------------------------------------------------------------------

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
        return AccessRequest(principal_of(caller), action, MarketResource(self._member, *sides, terms.grid_operator))

    def _require(self, request: AccessRequest, what: str) -> None:
        if not self._decide(request).allowed:
            raise Forbidden(f"your role does not let you {what} here")

    def _decide(self, request: AccessRequest) -> Decision:
        decision = self._engine.decide(request)
        self.errors += decision.errors
        return decision
