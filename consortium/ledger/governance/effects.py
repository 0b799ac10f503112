"""What a passed proposal changes, and what stands in its way. In force for what comes after it in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from consortium.ledger.governance.state import (
    Erasure,
    Governance,
    Grant,
    Hold,
    KeyPeriod,
    PolicySet,
    ProposalState,
    Release,
    Standing,
)
from consortium.ledger.governance.terms import (
    AdmitMember,
    ChangePolicies,
    ChangeRules,
    ChangeSettings,
    ConfirmGrant,
    EndGrant,
    Erase,
    LegalHold,
    OpenGrant,
    ReleaseEscrow,
    ReleaseHold,
    RemoveMember,
    RevokeKeys,
    RotateKeys,
    Terms,
)
from consortium.model.members import MemberKeys
from consortium.model.policyset import policy_set_digest
from consortium.model.verdicts import RecordRefusal

_NAMES = frozenset(MemberKeys.__slots__)
MAX_KEY_PERIODS = 256
"""By a member itself, which needs no ballot: all of its keys are looked through at each change, and by who reads it."""


def conflict(governance: Governance, terms: Terms, time_ms: int) -> RecordRefusal | None:
    """Why the proposal would make no sense now, or None."""
    if isinstance(terms, AdmitMember):
        there = governance.member(terms.name) is not None
        kept = _NAMES - {"signing"}
        return RecordRefusal.CONFLICT if there or _used(governance, terms.keys.as_keys(), terms.name, kept) else None
    if isinstance(terms, RemoveMember):
        return _unless(governance.member(terms.name) is not None and len(governance.members) > 1)
    if isinstance(terms, RotateKeys | RevokeKeys):
        if governance.member(terms.name) is None:
            return RecordRefusal.NO_SUCH_SUBJECT
        if isinstance(terms, RotateKeys) and len(governance.standings[terms.name].periods) >= MAX_KEY_PERIODS:
            return RecordRefusal.CONFLICT
        kept = _NAMES if isinstance(terms, RotateKeys) else frozenset({"encryption"})
        return RecordRefusal.CONFLICT if _used(governance, terms.keys.as_keys(), terms.name, kept) else None
    if isinstance(terms, EndGrant | ConfirmGrant):
        opened: Grant | Release | None = governance.grants.get(terms.grant)
        if isinstance(terms, EndGrant) and opened is None:
            opened = governance.releases.get(terms.grant)
        return _unless(opened is not None and opened.ended is None and time_ms < opened.until_ms)
    if isinstance(terms, OpenGrant):
        return RecordRefusal.NOT_OPEN if terms.until_ms <= time_ms else None
    if isinstance(terms, ReleaseHold):
        hold = governance.holds.get(terms.hold)
        return _unless(hold is not None and hold.released is None)
    return None


def _unless(holds: bool) -> RecordRefusal | None:
    return None if holds else RecordRefusal.NO_SUCH_SUBJECT


def _used(governance: Governance, keys: MemberKeys, by: str, kept: frozenset[str]) -> bool:
    """Whether another member has, or had, one of these keys, or this one had it before: no key comes back. Those that
    are named in `kept` may stay what they are, but not all of them: then nothing would change.
    """
    fresh = {getattr(keys, name) for name in _NAMES}
    for standing in governance.standings.values():
        had = {name: {getattr(period.keys, name) for period in standing.periods} for name in _NAMES}
        if standing.name != by and fresh & set().union(*had.values()):
            return True
        if standing.name == by and (keys == standing.keys or _comes_back(standing.keys, keys, had, kept)):
            return True
    return False


def _comes_back(now: MemberKeys, keys: MemberKeys, had: Mapping[str, set[bytes]], kept: frozenset[str]) -> bool:
    for name in _NAMES:
        key = getattr(keys, name)
        stays = name in kept and key == getattr(now, name)
        if key in had[name] and not stays:
            return True
    return False


def effect(governance: Governance, state: ProposalState, height: int, time_ms: int) -> Governance:
    """What stands decided once the proposal has passed in the block at `height`; in force from the next one on."""
    apply = _EFFECTS[type(state.terms)]
    return apply(governance, state, state.terms, height + 1, time_ms)


def _admit(governance: Governance, _: ProposalState, terms: AdmitMember, since: int, __: int) -> Governance:
    before = governance.standings.get(terms.name)
    periods = (*(before.periods if before else ()), KeyPeriod(terms.keys.as_keys(), since))
    first = before.first_admitted if before else since
    standing = Standing(terms.name, terms.roles, periods, since, first)
    return replace(governance, standings={**governance.standings, terms.name: standing})


def _remove(governance: Governance, _: ProposalState, terms: RemoveMember, since: int, __: int) -> Governance:
    standing = replace(governance.standings[terms.name], removed=since)
    return replace(governance, standings={**governance.standings, terms.name: standing})


def _rekey(governance: Governance, _: ProposalState, terms: RotateKeys, since: int, __: int) -> Governance:
    standing = governance.standings[terms.name]
    standing = replace(standing, periods=(*standing.periods, KeyPeriod(terms.keys.as_keys(), since)))
    return replace(governance, standings={**governance.standings, terms.name: standing})


def _policies(governance: Governance, _: ProposalState, terms: ChangePolicies, since: int, __: int) -> Governance:
    digest = policy_set_digest(terms.policy_schema, terms.texts)
    return replace(governance, policy=PolicySet(digest, terms.policy_schema, terms.texts, since))


def _rules(governance: Governance, _: ProposalState, terms: ChangeRules, __: int, ___: int) -> Governance:
    return replace(governance, rules={**governance.rules, **terms.rules})


def _settings(governance: Governance, _: ProposalState, terms: ChangeSettings, __: int, ___: int) -> Governance:
    return replace(governance, settings=terms.settings)


def _open(governance: Governance, state: ProposalState, terms: OpenGrant, since: int, time_ms: int) -> Governance:
    until = min(terms.until_ms, time_ms + governance.settings.emergency_s * 1000) if terms.emergency else terms.until_ms
    grant = Grant(
        state.id,
        terms.officer,
        terms.key,
        terms.scope,
        terms.purpose,
        terms.basis,
        time_ms,
        until,
        terms.emergency,
        since,
    )
    return replace(governance, grants={**governance.grants, grant.id: grant})


def _end(governance: Governance, _: ProposalState, terms: EndGrant, since: int, __: int) -> Governance:
    if (release := governance.releases.get(terms.grant)) is not None:
        return replace(governance, releases={**governance.releases, release.id: replace(release, ended=since)})
    grant = replace(governance.grants[terms.grant], ended=since)
    return replace(governance, grants={**governance.grants, grant.id: grant})


def _confirm(governance: Governance, _: ProposalState, terms: ConfirmGrant, __: int, ___: int) -> Governance:
    asked = governance.proposals[terms.grant].terms
    until = asked.until_ms if isinstance(asked, OpenGrant) else governance.grants[terms.grant].until_ms
    grant = replace(governance.grants[terms.grant], until_ms=until, confirmed=True)
    return replace(governance, grants={**governance.grants, grant.id: grant})


def _order_to_erase(governance: Governance, state: ProposalState, terms: Erase, _: int, time_ms: int) -> Governance:
    height = state.decided if state.decided is not None else state.height
    erasure = Erasure(state.id, "", terms.records, "court", terms.reference, height, time_ms)
    return replace(governance, erasures={**governance.erasures, erasure.id: erasure})


def _hold(governance: Governance, state: ProposalState, terms: LegalHold, since: int, _: int) -> Governance:
    hold = Hold(state.id, terms.scope, terms.reference, since)
    return replace(governance, holds={**governance.holds, hold.id: hold})


def _unhold(governance: Governance, _: ProposalState, terms: ReleaseHold, since: int, __: int) -> Governance:
    hold = replace(governance.holds[terms.hold], released=since)
    return replace(governance, holds={**governance.holds, hold.id: hold})


def _release(governance: Governance, state: ProposalState, terms: ReleaseEscrow, since: int, _: int) -> Governance:
    release = Release(state.id, terms.area, terms.period, terms.purpose, since, state.proposal.expires_ms)
    return replace(governance, releases={**governance.releases, release.id: release})


_EFFECTS: dict[type[Terms], Callable[[Governance, ProposalState, Any, int, int], Governance]] = {
    AdmitMember: _admit,
    RemoveMember: _remove,
    RotateKeys: _rekey,
    RevokeKeys: _rekey,
    ChangePolicies: _policies,
    ChangeRules: _rules,
    ChangeSettings: _settings,
    OpenGrant: _open,
    EndGrant: _end,
    ConfirmGrant: _confirm,
    Erase: _order_to_erase,
    LegalHold: _hold,
    ReleaseHold: _unhold,
    ReleaseEscrow: _release,
}
