"""Checkpoints of this ledger: who signs them, who cosigns them, and what a quorum is.

There is no single log operator: every member holds a log key under the ledger's origin, and a checkpoint signed by
any of them is a checkpoint. What makes it trustworthy are the cosignatures: each member cosigns only a tree that it
computed itself from the log.
"""

from __future__ import annotations

from consortium.crypto.notes import COSIGNATURE_V1, ED25519, VerifierKey
from consortium.crypto.trust import TrustPolicy, parse_policy, render_policy
from consortium.model.members import Membership


def log_keys(membership: Membership) -> tuple[VerifierKey, ...]:
    """The members' log keys, all named by the origin (tlog-policy accepts any of the listed logs)."""
    return tuple(VerifierKey(membership.origin, ED25519, m.keys.log) for m in membership.members)


def cosigner_name(membership: Membership, member: str) -> str:
    """The key name of a member's cosignatures."""
    return f"{membership.origin}/{member}"


def witness_keys(membership: Membership) -> dict[str, VerifierKey]:
    """The members' witness keys by member."""
    return {
        m.name: VerifierKey(cosigner_name(membership, m.name), COSIGNATURE_V1, m.keys.witness)
        for m in membership.members
    }


def quorum(membership: Membership) -> int:
    """More than half of the members."""
    return len(membership.members) // 2 + 1


def trust_file(membership: Membership) -> str:
    """The trust file (C2SP tlog-policy) for this ledger's receipts."""
    return render_policy(membership.origin, log_keys(membership), witness_keys(membership), quorum(membership))


def trust_policy(membership: Membership) -> TrustPolicy:
    """The same, parsed."""
    return parse_policy(trust_file(membership))
