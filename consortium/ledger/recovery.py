"""A new epoch after the ordering log was lost: the members agree, signed, on the block from which they go on.

There is no log left to vote on, so the agreement is a statement that enough members sign with their batch keys; every
member's first batch of the new epoch carries it as its first record, and the first of these batches in the new log
opens the epoch. So whoever replays the ledger finds the agreement where it took effect, and needs nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from consortium.crypto import signing
from consortium.errors import Malformed, Tampering
from consortium.ledger.governance.rules import Rule
from consortium.ledger.governance.state import Governance
from consortium.ledger.state import LedgerState, MemberState
from consortium.model.batches import BatchHead
from consortium.model.encoding import encode_ordered
from consortium.model.members import Membership
from consortium.model.public import Recovery, parse_body
from consortium.model.records import parse_header

RECOVERY_CONTEXT = b"consortium/recovery/v1\n"


def statement(network: str, channel: str, epoch: int, height: int, block: bytes) -> bytes:
    """What each member signs: that epoch `epoch` goes on from the block at `height`, whose digest is `block`."""
    return RECOVERY_CONTEXT + encode_ordered([network, channel, epoch, height, block])


def signers(membership: Membership, recovery: Recovery) -> frozenset[str]:
    """The members of now whose signatures under it hold."""
    said = statement(membership.network, membership.channel, recovery.epoch, recovery.height, recovery.block)
    found = set()
    for one in recovery.signatures:
        member = membership.member(one.member)
        if member is not None and signing.verify(said, one.signature, member.keys.signing):
            found.add(one.member)
    return frozenset(found)


def agreed(membership: Membership, recovery: Recovery) -> bool:
    """Whether as many signed as the rule `recover` needs (a majority of the participants by default)."""
    rules: Mapping[str, Rule] = membership.rules if isinstance(membership, Governance) else {}
    rule = rules.get("recover", Rule())
    voters = rule.electorate(membership, "")
    return bool(voters) and len(signers(membership, recovery) & voters) >= rule.threshold(len(voters))


def opening(membership: Membership, head: BatchHead, headers: Sequence[bytes]) -> Recovery | None:
    """The agreement by which a batch opens the next epoch, or None: it stands first, and enough members signed it."""
    if head.epoch != membership.epoch + 1 or not headers:
        return None
    try:
        header = parse_header(headers[0])
        body = parse_body(header.kind, header.body) if header.kind == Recovery.KIND and header.body else None
    except Malformed:
        return None
    fits = isinstance(body, Recovery) and body.epoch == head.epoch and agreed(membership, body)
    return body if isinstance(body, Recovery) and fits else None


def reopened(state: LedgerState, recovery: Recovery) -> LedgerState:
    """The state in which the opening batch is judged: positions and numbers begin anew, all else goes on.

    Raises `Tampering` if this ledger does not end where the members agreed to go on.
    """
    if (recovery.height, recovery.block) != (state.height, state.digest):
        raise Tampering(
            f"epoch {recovery.epoch} goes on from block {recovery.height}, and this ledger ends elsewhere",
            hint="catch up from another member; blocks above the agreed one have to be rolled back",
        )
    governance = replace(state.governance, epoch=recovery.epoch, epoch_since=state.height + 1)
    members = {name: MemberState() for name in state.members}
    return replace(state, governance=governance, position=0, members=members)
