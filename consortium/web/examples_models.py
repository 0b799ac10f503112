"""Examples of bodies and answers that are models, by the model's name: what the OpenAPI document shows of them."""

from __future__ import annotations

from typing import Any

from consortium.web.examples import ID

_TIME, _KEY, _CODE = "2017-06-15T12:00:00Z", "5f" * 32, "kq7c-9xwd-m2ha-t4re"
_SESSION = {"id": ID, "signed_in": _TIME, "last_renewed": _TIME, "ends": _TIME, "bound": False}
_ACCOUNT = {"name": "suncoop-billing", "kind": "staff", "duties": ["billing"], "state": "active"}
_INVITATION = {
    "name": "home-11", "kind": "user", "duties": [], "by": "suncoop-admin", "recovers": False,
    "needs_confirmation": False, "confirmed_by": "", "expires_at": _TIME,
}  # fmt: skip

MODELS: dict[str, dict[str, Any]] = {
    "SessionsOut": {"sessions": [_SESSION]},
    "EnrolmentOut": {"secret": "JBSWY3DPEHPK3PXP", "uri": "otpauth://totp/suncoop:home-01", "recovery_codes": [_CODE]},
    "OwnKeyOut": {"key": _KEY, "mandate": ["reading"], "sequence": 1, "since": _TIME},
    "OwnKeyRequest": {"key": _KEY, "mandate": ["reading"], "answer": "00" * 32, "code": ""},
    "SealedOut": {
        "header": "8901", "index": 340, "bodies": ["5f5f"], "mask": 3, "sealed_keys": "5f5f",
    },
    "RotationIn": {"what": "encryption"},
    "AccountOut": _ACCOUNT,
    "AccountsOut": {"accounts": [_ACCOUNT], "invitations": [_INVITATION]},
    "InvitedResponse": {
        "name": "home-11", "kind": "user", "code": _CODE, "expires_at": _TIME, "needs_confirmation": False,
    },
    "ResetRequest": {"second_factor": False},
    "ProposalIn": {"kind": "end-grant", "terms": {"grant": ID}, "reason": "the case is closed"},
    "BallotIn": {"proposal": ID, "yes": True},
    "ErasureIn": {"records": [ID], "ground": "user", "reference": ""},
    "GrantIn": {
        "types": ["trade"], "areas": ["area-1"], "groups": ["physical", "terms"],
        "from": "2017-06-15T00:00:00-08:00", "to": "2017-06-15T12:00:00-08:00", "purpose": "complaint 17-204",
        "basis": "Regulation (EU) No 1227/2011, Art. 13", "until": "2027-07-15T00:00:00Z",
    },
    "CompareIn": {
        "old": {"schema": "entity User;", "texts": {"user.cedar": "permit (principal, action, resource);"}},
        "new": {"schema": "entity User;", "texts": {"user.cedar": "forbid (principal, action, resource);"}},
    },
}  # fmt: skip
"""One each, whole."""
