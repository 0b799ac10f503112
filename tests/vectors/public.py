"""Vectors of public records: one body of each kind, one proposal with the terms of each kind."""

from __future__ import annotations

import hashlib
from typing import Any

from consortium.ledger.governance.rules import Rule
from consortium.ledger.governance.settings import LedgerSettings
from consortium.ledger.governance.terms import (
    AdmitMember,
    ChangePolicies,
    ChangeRules,
    ChangeSettings,
    ConfirmGrant,
    EndGrant,
    Erase,
    Keys,
    LegalHold,
    OpenGrant,
    ReleaseEscrow,
    ReleaseHold,
    RemoveMember,
    RevokeKeys,
    RotateKeys,
    Terms,
)
from consortium.model.public import (
    Acknowledgement,
    Ballot,
    Body,
    EscrowKey,
    EscrowShare,
    Proposal,
    Recovery,
    RecoverySignature,
    Tombstone,
)
from consortium.model.scope import Scope

T0 = 1_497_484_800_000
_SCOPE = Scope(
    types=("reading", "trade"),
    parties=("suncoop",),
    areas=("east",),
    from_ms=T0,
    to_ms=T0 + 3_600_000,
    groups=("physical", "terms"),
)


def _bytes(label: str, size: int) -> bytes:
    return hashlib.shake_128(f"consortium vectors/public/{label}".encode()).digest(size)


def _keys() -> Keys:
    names = ("signing", "log", "witness", "token", "encryption")
    return Keys(**{name: _bytes(name, 32) for name in names})


TERMS: tuple[Terms, ...] = (
    AdmitMember(name="windfarm", roles=("utility",), keys=_keys(), peer_url="https://windfarm.example:8441"),
    RemoveMember(name="windfarm"),
    RotateKeys(name="suncoop", keys=_keys()),
    RevokeKeys(name="suncoop", keys=_keys()),
    ChangePolicies(policy_schema="entity User;", texts={"user.cedar": "permit (principal, action, resource);"}),
    ChangeRules(rules={"remove-member": Rule(voters="others", needed="two-thirds"), "erase": Rule(needed=2)}),
    ChangeSettings(settings=LedgerSettings(supervised=("trade",), disclosure_s=600)),
    OpenGrant(
        officer="olga@regulator",
        key=_bytes("grant", 32),
        scope=_SCOPE,
        purpose="market surveillance",
        basis="REMIT Art. 13",
        until_ms=T0 + 86_400_000,
        emergency=False,
    ),
    EndGrant(grant=_bytes("grant id", 16)),
    ConfirmGrant(grant=_bytes("grant id", 16)),
    Erase(records=(_bytes("record", 16),), reference="C-1/17"),
    LegalHold(scope=_SCOPE, reference="C-2/17"),
    ReleaseHold(hold=_bytes("hold", 16)),
    ReleaseEscrow(area="east", period="2017-06", purpose="suncoop is gone"),
)
BODIES: tuple[Body, ...] = (
    *(Proposal(kind=t.KIND, terms=t.model_dump(), reason="as agreed", expires_ms=T0 + 1000) for t in TERMS),
    Ballot(proposal=_bytes("proposal", 16), yes=True),
    Tombstone(records=(_bytes("record", 16), _bytes("other", 16)), ground="user", reference="asked on 15 June"),
    Acknowledgement(tombstone=_bytes("tombstone", 16), state="held-back", reason="legal hold C-2/17"),
    EscrowKey(
        area="east",
        period="2017-06",
        public=_bytes("escrow", 32),
        needed=2,
        shares=tuple(
            EscrowShare(member=name, box=_bytes(f"box {name}", 65), digest=_bytes(f"share {name}", 32))
            for name in ("gridco", "suncoop")
        ),
    ),
    Recovery(
        epoch=2,
        height=238,
        block=_bytes("block", 32),
        signatures=tuple(
            RecoverySignature(member=name, signature=_bytes(f"signature {name}", 64)) for name in ("gridco", "suncoop")
        ),
    ),
)


def public() -> dict[str, Any]:
    """Every body as JSON (bytes in hex) and as it stands in a header."""
    return {
        "bodies": [{"kind": b.KIND, "body": b.model_dump(mode="json"), "encoded": b.encoded().hex()} for b in BODIES]
    }
