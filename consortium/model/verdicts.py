"""Why a batch or a record is refused. The words stand in blocks, so they are a wire format: append only."""

from __future__ import annotations

from enum import StrEnum


class BatchRefusal(StrEnum):
    """Reasons for which a whole batch becomes a block with no records."""

    TOO_LARGE = "too-large"
    MALFORMED = "malformed"
    UNKNOWN_MEMBER = "unknown-member"
    MISPLACED = "misplaced"
    BAD_SIGNATURE = "bad-signature"
    WRONG_COUNT = "wrong-count"
    WRONG_ROOT = "wrong-root"


class RecordRefusal(StrEnum):
    """Reasons for which one record of a good batch is rejected."""

    MALFORMED_HEADER = "malformed-header"
    WRONG_AUTHOR = "wrong-author"
    CREATED_AFTER_BATCH = "created-after-batch"
    WRONG_CIPHERTEXT = "wrong-ciphertext"
    WRONG_WRAPS = "wrong-wraps"
    DUPLICATE_ID = "duplicate-id"
    MALFORMED_BODY = "malformed-body"
    NOT_ENTITLED = "not-entitled"
    NO_SUCH_SUBJECT = "no-such-subject"
    NOT_OPEN = "not-open"
    ALREADY_DONE = "already-done"
    CONFLICT = "conflict"


EVIDENCE_NEEDED = frozenset({RecordRefusal.WRONG_CIPHERTEXT, RecordRefusal.WRONG_WRAPS})
"""Refusals that rest on more than the header: the whole record is kept as evidence, so that anyone can check them."""
