"""What is stored beside what follows, field by field."""

from __future__ import annotations

from typing import Any

from consortium.audit.report import Finding, at_block, at_record
from consortium.model.blocks import Block, KeptBatch, KeptBlock
from consortium.model.verdicts import BatchRefusal

_FIELDS = tuple(name for name in Block.__slots__ if name != "rejections")


def block_differences(stored: Block, computed: Block) -> list[Finding]:
    """Every field of a stored block that differs from the computed one; `computed.height` names the block."""
    findings = [
        at_block(computed.height, _sentence(name, stored, computed))
        for name in _FIELDS
        if getattr(stored, name) != getattr(computed, name)
    ]
    return findings + verdict_differences(stored, computed)


def verdict_differences(stored: Block, computed: Block) -> list[Finding]:
    """Records on which two blocks' verdicts differ."""
    theirs, ours = dict(stored.rejections), dict(computed.rejections)
    return [
        at_record(
            computed.height,
            item,
            f"the verdict '{theirs.get(item, 'accepted')}' is stored, '{ours.get(item, 'accepted')}' follows",
        )
        for item in sorted(theirs.keys() | ours.keys())
        if theirs.get(item) != ours.get(item)
    ]


def batch_differences(height: int, stored: KeptBatch, computed: KeptBatch) -> list[Finding]:
    """What is kept of a batch without need, or not kept although the verdict rests on it."""
    items = sorted(stored.evidence.keys() | computed.evidence.keys())
    findings = [
        at_record(height, item, "the evidence that is kept is not what the verdict rests on")
        for item in items
        if stored.evidence.get(item) != computed.evidence.get(item)
    ]
    for name in ("head", "signature", "headers", "raw"):
        if getattr(stored, name) != getattr(computed, name):
            findings.append(at_block(height, f"the batch's {name} is not what is kept of such a batch"))
    return findings


def broken_batch(height: int, kept: KeptBlock, refusal: str, *, blame_rejected: bool) -> list[Finding]:
    """A batch that is kept as a good one and no longer is.

    With `blame_rejected` the accepted headers are known to be right, so that of the headers only rejected ones remain.
    """
    items = [item for item, _ in kept.block.rejections]
    if refusal == BatchRefusal.WRONG_ROOT and blame_rejected and len(items) == 1:
        return [at_record(height, items[0], "the header of this rejected record is not the one that was signed")]
    return [at_block(height, f"the batch is kept as a good one, and is refused as '{refusal}'")]


def _sentence(name: str, stored: Block, computed: Block) -> str:
    if name == "previous":
        return (
            f"previous is not the digest of block {computed.height - 1}: previous itself, or the position or another "
            f"field of block {computed.height - 1}, was changed"
        )
    if name == "batch_digest":
        return "batch_digest is not the digest of what is kept of the batch (head, signature, evidence, or raw bytes)"
    return f"{name} is stored as {show(getattr(stored, name))}, and follows as {show(getattr(computed, name))}"


def show(value: Any) -> str:
    """A value for a sentence: bytes as hex."""
    return value.hex() if isinstance(value, bytes) else repr(value)
