"""One public record -> one deterministic step of what stands decided, or the reason why it is refused."""

from __future__ import annotations

from dataclasses import replace

from consortium.crypto.hints import is_usable_key
from consortium.errors import Malformed
from consortium.ledger.governance.effects import conflict, effect
from consortium.ledger.governance.rules import OWN
from consortium.ledger.governance.state import Erasure, Governance, ProposalState
from consortium.ledger.governance.terms import OpenGrant, RotateKeys, Terms, terms_of
from consortium.model.names import Party
from consortium.model.public import Acknowledgement, Ballot, EscrowKey, Proposal, Recovery, Tombstone, parse_body
from consortium.model.records import Header
from consortium.model.verdicts import RecordRefusal

MAX_OPEN = 64
"""Open proposals that one member may have: what is open is kept in memory by every node."""


def step(governance: Governance, header: Header, height: int, time_ms: int) -> Governance | RecordRefusal:
    """What stands decided after a public record in the block at `height`, whose ledger time is `time_ms`.

    What it decides is in force for what comes after it; its author's signature was judged before.
    """
    try:
        body = parse_body(header.kind, header.body or b"")
        if isinstance(body, Proposal):
            return _propose(governance, header, body, terms_of(body), height, time_ms)
    except Malformed:
        return RecordRefusal.MALFORMED_BODY
    if isinstance(body, Ballot):
        return _vote(governance, header.author, body, height, time_ms)
    if isinstance(body, Tombstone):
        return _erase(governance, header, body, height, time_ms)
    if isinstance(body, Acknowledgement):
        return _acknowledge(governance, header.author, body)
    if isinstance(body, EscrowKey):
        return _escrow(governance, header.author, body)
    if isinstance(body, Recovery):
        # What opened the epoch was judged with its batch; the other members' first batches carry the same.
        return governance if body.epoch == governance.epoch else RecordRefusal.NOT_OPEN
    return RecordRefusal.MALFORMED_BODY


def _propose(
    governance: Governance, header: Header, proposal: Proposal, terms: Terms, height: int, time_ms: int
) -> Governance | RecordRefusal:
    author = governance.member(header.author)
    if author is None or not _may_propose(author.name, "compliance" in author.roles, terms):
        return RecordRefusal.NOT_ENTITLED
    if (refusal := conflict(governance, terms, time_ms)) is not None:
        return refusal
    if proposal.expires_ms <= time_ms:
        return RecordRefusal.NOT_OPEN
    if _open_of(governance, author.name, time_ms) >= MAX_OPEN:
        return RecordRefusal.CONFLICT
    if proposal.kind in OWN:
        state = ProposalState(
            header.id,
            author.name,
            height,
            proposal,
            terms,
            frozenset({author.name}),
            0,
            outcome="passed",
            decided=height,
        )
        return _decided(governance, state, height, time_ms)
    rule = governance.rules[terms.rule()]
    voters = rule.electorate(governance, terms.about())
    if not voters:
        return RecordRefusal.CONFLICT
    state = ProposalState(header.id, author.name, height, proposal, terms, voters, rule.threshold(len(voters)))
    return replace(governance, proposals={**governance.proposals, header.id: state})


def _may_propose(author: str, compliance: bool, terms: Terms) -> bool:
    """Keys are one's own; a grant is asked for by the member whose officer it is for."""
    if isinstance(terms, RotateKeys):
        return terms.name == author
    if isinstance(terms, OpenGrant):
        return compliance and Party.parse(terms.officer).member == author
    return True


def _open_of(governance: Governance, author: str, time_ms: int) -> int:
    return sum(p.author == author and p.state_at(time_ms) == "open" for p in governance.proposals.values())


def _vote(governance: Governance, author: str, ballot: Ballot, height: int, time_ms: int) -> Governance | RecordRefusal:
    state = governance.proposals.get(ballot.proposal)
    if state is None:
        return RecordRefusal.NO_SUCH_SUBJECT
    if author not in state.voters or governance.member(author) is None:
        return RecordRefusal.NOT_ENTITLED
    if author in state.yes | state.no:
        return RecordRefusal.ALREADY_DONE
    if state.state_at(time_ms) != "open":
        return RecordRefusal.NOT_OPEN
    side = "yes" if ballot.yes else "no"
    state = replace(state, **{side: getattr(state, side) | {author}})
    # A member that was removed since counts no more; the number needed stays what it was.
    yes = sum(governance.member(name) is not None for name in state.yes)
    left = sum(governance.member(name) is not None for name in state.voters - state.yes - state.no)
    if yes >= state.needed:
        # Something else may have been decided since: then there is nothing left to decide here.
        outcome = "failed" if conflict(governance, state.terms, time_ms) is not None else "passed"
        return _decided(governance, replace(state, outcome=outcome, decided=height), height, time_ms)
    if yes + left < state.needed:
        state = replace(state, outcome="failed", decided=height)
    return replace(governance, proposals={**governance.proposals, state.id: state})


def _decided(governance: Governance, state: ProposalState, height: int, time_ms: int) -> Governance:
    after = replace(governance, proposals={**governance.proposals, state.id: state})
    return effect(after, state, height, time_ms) if state.outcome == "passed" else after


def _erase(
    governance: Governance, header: Header, tombstone: Tombstone, height: int, time_ms: int
) -> Governance | RecordRefusal:
    if len(set(tombstone.records)) != len(tombstone.records):
        return RecordRefusal.MALFORMED_BODY
    erasure = Erasure(
        header.id, header.author, tombstone.records, tombstone.ground, tombstone.reference, height, time_ms
    )
    return replace(governance, erasures={**governance.erasures, header.id: erasure})


def _acknowledge(governance: Governance, author: str, word: Acknowledgement) -> Governance | RecordRefusal:
    erasure = governance.erasures.get(word.tombstone)
    if erasure is None:
        return RecordRefusal.NO_SUCH_SUBJECT
    if author in erasure.acknowledged:
        return RecordRefusal.ALREADY_DONE
    held_back = {name: reason for name, reason in erasure.held_back.items() if name != author}
    if word.state == "done":
        after = replace(erasure, acknowledged=erasure.acknowledged | {author}, held_back=held_back)
    else:
        after = replace(erasure, held_back={**held_back, author: word.reason})
    return replace(governance, erasures={**governance.erasures, erasure.id: after})


def _escrow(governance: Governance, author: str, key: EscrowKey) -> Governance | RecordRefusal:
    """One key per dealer, area and period; shared among the participants of now, as many needed as the settings say."""
    dealer = governance.member(author)
    participants = {m.name for m in governance.members if "compliance" not in m.roles}
    if dealer is None or author not in participants:
        return RecordRefusal.NOT_ENTITLED
    if (key.area, key.period, author) in governance.escrow_keys:
        return RecordRefusal.ALREADY_DONE
    if not is_usable_key(key.public):
        return RecordRefusal.MALFORMED_BODY  # nobody could seal to it: no author's record would be escrowed any more
    if not all(is_usable_key(share.box[:32]) for share in key.shares):
        return RecordRefusal.MALFORMED_BODY  # no box that a key could open
    names = [share.member for share in key.shares]
    if names != sorted(participants) or key.needed != min(governance.settings.escrow_needed, len(names)):
        return RecordRefusal.CONFLICT
    place = (key.area, key.period, author)
    return replace(governance, escrow_keys={**governance.escrow_keys, place: key})
