"""The digest by which a policy set is known on the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from consortium.model.encoding import encode

_CONTEXT = b"consortium/policy-set/v1\n"


def policy_set_digest(schema: str, texts: Mapping[str, str]) -> bytes:
    """SHA-256 over the schema and the sorted texts: what decides, not how the files are called.

    Raises `UnicodeEncodeError` for a text with lone surrogates.
    """
    return hashlib.sha256(_CONTEXT + encode([schema, sorted(texts.values())])).digest()
