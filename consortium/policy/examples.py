"""Examples kept beside the policies: who may, and who may not, each with a sentence. Pure.

An example is a table: `says` (the sentence), `allow` (true or false), `who`, `action`, and what the action needs:

    [[example]]
    says = "Metering staff do not see the price of a contract."
    allow = false
    who = { kind = "staff", duties = ["metering"] }
    action = "readRecord"
    record = { type = "contract", relation = "party", group = "terms" }

`who` has `kind`, `name` (default "somebody"), `member` (default "suncoop"), `duties`. A `record` has `type`, `author`,
`subject`, `group`, `purpose`, `now_ms`, `relation` (party, delegate, grant, none), `standing` (what the node's member
is: grid-operator, market-operator). A `market` has `members`, `operators`, `grid`. For the rest `about`, `kind`,
`party` and `delegated` are the context's. `node` is the member whose node is asked (default: the caller's).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from consortium.errors import ConfigurationError
from consortium.policy.engine import PolicyEngine
from consortium.policy.requests import (
    AccessRequest,
    Action,
    Context,
    MarketResource,
    NodeResource,
    Principal,
    RecordResource,
    Resource,
)


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Who(_Given):
    kind: str
    name: str = "somebody"
    member: str = "suncoop"
    duties: frozenset[str] = frozenset()


class _Record(_Given):
    type: str = ""
    author: str = "gridco"
    subject: str = ""
    group: str = ""
    purpose: str = ""
    now_ms: int = 0
    relation: str = "none"
    standing: frozenset[str] = frozenset()


class _Market(_Given):
    members: frozenset[str] = frozenset()
    operators: frozenset[str] = frozenset()
    grid: str = ""


class Example(_Given):
    """One example, and how it is asked."""

    says: str = Field(min_length=1)
    allow: bool
    who: _Who
    action: Action
    record: _Record | None = None
    market: _Market | None = None
    node: str = ""
    about: str = ""
    kind: str = ""
    party: str = ""
    delegated: bool = False

    def request(self) -> AccessRequest:
        """As it is asked of the policies."""
        who = self.who
        principal = Principal(who.kind, f"{who.name}@{who.member}", who.member, who.duties)
        return AccessRequest(principal, self.action, self._resource(), self._context())

    def _resource(self) -> Resource:
        node = self.node or self.who.member
        if self.market is not None:
            return MarketResource(node, self.market.members, self.market.operators, self.market.grid)
        if self.record is None:
            return NodeResource(node)
        one, who = self.record, self.who
        own = f"{who.name}@{who.member}" if who.kind == "user" else who.member
        readers = frozenset({own}) if one.relation == "party" else frozenset[str]()
        relations = one.standing | ({one.relation} & {"delegate", "grant"})
        return RecordResource(node, one.author, readers, one.type, one.subject, frozenset(relations))

    def _context(self) -> Context:
        one = self.record or _Record()
        return Context(one.group, one.purpose, one.now_ms, self.party, self.delegated, self.about, self.kind)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an example: `right` if the policies say what it says; `policies` are those that decided."""

    example: Example
    right: bool
    policies: tuple[str, ...]
    errors: bool


def parse_examples(name: str, tables: Mapping[str, Any]) -> tuple[Example, ...]:
    """The examples of a file. Raises `ConfigurationError` that names the file and which of them is wrong."""
    rows = tables.get("example")
    if not isinstance(rows, list) or tables.keys() != {"example"}:
        raise ConfigurationError(f"{name}: a file of examples holds [[example]] tables and nothing else")
    found = []
    for number, row in enumerate(rows, 1):
        try:
            found.append(Example.model_validate(row))
        except ValidationError as error:
            where = ", ".join(".".join(map(str, item["loc"])) for item in error.errors())
            raise ConfigurationError(f"{name}: example {number} is wrong in: {where}") from error
    return tuple(found)


def run(engine: PolicyEngine, examples: Iterable[Example]) -> Sequence[Outcome]:
    """Ask the policies every example. One that fails in evaluation is wrong, whatever it says."""
    outcomes = []
    for example in examples:
        decision = engine.decide(example.request())
        right = decision.allowed == example.allow and not decision.errors
        outcomes.append(Outcome(example, right, decision.policies, decision.errors))
    return outcomes
