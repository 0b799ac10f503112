"""Why somebody may read something, and what another policy set would change: for administrators, who read nothing.

What is said of one person and record is what that person can learn by asking for it. What is said of a policy set is
sums over the people and records of this member, by role, type and field group.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from consortium.energy.field_groups import TYPES
from consortium.errors import ConfigurationError, InvalidRequest, NotFound
from consortium.model.names import Party
from consortium.model.records import Accepted
from consortium.pipeline.access import Access, NoDelegations, party_of
from consortium.pipeline.opening import Opener
from consortium.policy.engine import Decision, PolicyEngine
from consortium.policy.requests import Action
from consortium.ports.accounts import Account, AccountStore
from consortium.ports.callers import Caller
from consortium.ports.ledger import LedgerStore
from consortium.ports.party import PartyStore

NOBODY = "no policy lets this person read it, or there is no such record"
MAX_TEXTS_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Texts:
    """A policy set as its texts: the schema, and the policies by file name."""

    schema: str
    files: Mapping[str, str]

    def engine(self, which: str) -> PolicyEngine:
        """Raises `InvalidRequest` for what is no policy set."""
        if len(self.schema) + sum(map(len, self.files.values())) > MAX_TEXTS_BYTES:
            raise InvalidRequest(f"a policy set is at most {MAX_TEXTS_BYTES:,} characters", field=which)
        try:
            return PolicyEngine(self.schema, self.files)
        except ConfigurationError as error:
            raise InvalidRequest(str(error), field=which, hint=error.hint) from None


@dataclass(frozen=True, slots=True)
class Change:
    """What a role gains or loses: so many people may open a group of fields of a type before and after, and how many
    of them can do so newly or no more, of how many records in all.
    """

    role: str
    type: str
    group: str
    before: int
    after: int
    gain: int
    lose: int
    records: int


class Explainer:
    """Answers about decisions, to this member's administrators."""

    def __init__(
        self,
        member: str,
        access: Access,
        opener: Opener,
        accounts: AccountStore,
        ledger: LedgerStore,
        party: PartyStore,
        standing: Callable[[], frozenset[str]],
        now_ms: Callable[[], int],
    ) -> None:
        self._member = member
        self._access = access
        self._opener = opener
        self._accounts = accounts
        self._ledger = ledger
        self._party = party
        self._standing = standing
        self._now_ms = now_ms

    async def explain(self, caller: Caller, person: str, record_id: bytes) -> dict[str, Any]:
        """Which policies decide about a person (`billing@suncoop`) and a record, group by group.

        Where they permit nothing the answer is the same as for a record that is not there. Raises `Forbidden`;
        `NotFound` for a person without an account here.
        """
        self._access.require_action(caller, Action.EXPLAIN_POLICY, about=person)
        account = await self._account(person)
        asked = self._as_caller(account)
        tag = self._opener.tag(party_of(asked))
        stored = await self._ledger.record(record_id)
        index = stored.verdict.index if stored is not None and isinstance(stored.verdict, Accepted) else -1
        kind = (await self._party.kinds_of([index], [tag])).get(index)
        held = await self._party.held(record_id, [tag])
        if held is None or not self._opener.may_open(held, party_of(asked)):
            kind = None
        found = self._access.decisions(asked, kind.type if kind and kind.type in TYPES else "") if kind else {}
        allowed = [group for group, decision in found.items() if decision.allowed]
        return {
            "person": str(Party(self._member, account.name)),
            "kind": account.kind,
            "duties": sorted(account.duties),
            "record": record_id.hex(),
            "permitted": allowed,
            "decisions": [self._words(group, found[group]) for group in sorted(found)] if allowed else [],
            "why": "" if allowed else NOBODY,
            "policy_set": self._access.policy_set.hex(),
            "height": self._access.height,
        }

    def _words(self, group: str, decision: Decision) -> dict[str, Any]:
        rules = [self._access.engine.rules[id] for id in decision.policies]
        policies = [{"id": rule.id, "file": rule.file, "says": rule.says} for rule in rules]
        return {"group": group, "allowed": decision.allowed, "policies": policies}

    async def _account(self, person: str) -> Account:
        try:
            party = Party.parse(person)
        except InvalidRequest as error:
            raise InvalidRequest(str(error), field="person", hint=error.hint) from None
        account = await self._accounts.account(party.user) if party.member == self._member and party.user else None
        if account is None:
            raise NotFound("no such account")
        return account

    def _as_caller(self, account: Account) -> Caller:
        return Caller(account.name, self._member, account.kind, account.duties)

    async def compare(self, caller: Caller, old: Texts, new: Texts) -> Sequence[Change]:
        """What `new` changes against `old` in who may open what of the records that this node holds, by role.

        People are all accounts that are not shut. Grants and delegations are left out: they name what they cover.
        Raises `Forbidden`, `InvalidRequest`.
        """
        self._access.require_action(caller, Action.EXPLAIN_POLICY)
        rights = [self._rights(old.engine("old")), self._rights(new.engine("new"))]
        held: dict[bytes, Counter[str]] = defaultdict(Counter)
        for count in await self._party.census():
            held[count.party][count.type if count.type in TYPES else ""] += count.records
        sums: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
        for account in await self._accounts.all_accounts():
            if not account.disabled:
                self._count(self._as_caller(account), rights, held, sums)
                await asyncio.sleep(0)  # each takes some milliseconds: others come in between
        return [_change(key, sums[key]) for key in sorted(sums) if sums[key]["gain"] or sums[key]["lose"]]

    def _rights(self, engine: PolicyEngine) -> Access:
        access = Access(engine, self._member)
        access.know(standing=self._standing, now_ms=self._now_ms, delegations=NoDelegations())
        return access

    def _count(
        self,
        person: Caller,
        rights: Sequence[Access],
        held: Mapping[bytes, Counter[str]],
        sums: dict[tuple[str, str, str], Counter[str]],
    ) -> None:
        for type, records in held.get(self._opener.tag(party_of(person)), Counter()).items():
            before, after = (access.groups(person, type) for access in rights)
            for group in before | after:
                one = sums[_role(person), type, group]
                one["before"] += group in before
                one["after"] += group in after
                if (group in before) != (group in after):
                    one["gain" if group in after else "lose"] += 1
                    one["records"] += records


def _role(person: Caller) -> str:
    return f"{person.kind}: {', '.join(sorted(person.duties))}" if person.duties else person.kind


def _change(key: tuple[str, str, str], sums: Counter[str]) -> Change:
    return Change(*key, sums["before"], sums["after"], sums["gain"], sums["lose"], sums["records"])
