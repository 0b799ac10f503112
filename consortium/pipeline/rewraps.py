"""What a wrap opened to, kept at rest: so that the key that it is addressed to can be destroyed."""

from __future__ import annotations

from collections.abc import Sequence

from consortium.crypto.hints import my_slots
from consortium.crypto.sealing import Wrap, open_wrap, pick_wraps
from consortium.errors import CommitmentMismatch, DefectError, Malformed
from consortium.model.encoding import decode, encode
from consortium.model.members import Membership
from consortium.model.records import Header
from consortium.pipeline.keyring import pairs_with
from consortium.ports.keys import KeyCustody
from consortium.ports.party import HeldRecord


def context(index: int, ordinal: int) -> bytes:
    """What a box is bound to: the leaf of the record, and which of its wraps."""
    return b"consortium/v1/rewrap\n" + index.to_bytes(8, "big") + ordinal.to_bytes(8, "big")


def needs_old_key(membership: Membership, custody: KeyCustody, header: Header) -> bool:
    """Whether no wrap of the record is addressed to this member's key in force."""
    slots = header.slots()
    mine = (custody.pair(public).hint for public in membership.encryption_keys(header.author))
    return not any(my_slots(hint, header.id, slots) for hint in mine)


def rewrapped(membership: Membership, custody: KeyCustody, held: HeldRecord, header: Header) -> list[bytes]:
    """A box for each wrap of this node; one that does not open stays one that does not open."""
    pair = fitting_pair(membership, custody, header)
    try:
        wraps: Sequence[bytes] = pick_wraps(header, held.wraps, held.slots)
    except Malformed:
        wraps = [b""] * len(held.slots)
    return [
        custody.seal_at_rest(context(held.index, ordinal), _encoded(header, wrap, pair))
        for ordinal, wrap in enumerate(wraps)
    ]


def kept_wraps(custody: KeyCustody, held: HeldRecord, header: Header) -> tuple[list[Wrap], CommitmentMismatch | None]:
    """What was kept of the record's wraps. Raises `KeysUnavailable`."""
    found: list[Wrap] = []
    wrong: CommitmentMismatch | None = None
    for ordinal, box in enumerate(held.rewraps):
        wrap = _decoded(custody.open_at_rest(context(held.index, ordinal), box))
        if wrap is None:
            wrong = CommitmentMismatch(header.author, header.id.hex(), 0)
        else:
            found.append(wrap)
    return found, wrong


def fitting_pair(membership: Membership, custody: KeyCustody, header: Header) -> bytes:
    """The key that the author's and our keys of that time share; the hints tell which."""
    found = pairs_with(membership, custody, header.author)
    if not found:
        raise Malformed("a held record has an author outside the consortium")
    slots = header.slots()
    fitting = (p for p in found if my_slots(p.hint, header.id, slots)) if len(found) > 1 else iter(found)
    return next(fitting, found[0]).pair


def _encoded(header: Header, wrap: bytes, pair: bytes) -> bytes:
    try:
        opened = open_wrap(header, wrap, pair)
    except CommitmentMismatch:
        return encode([])
    return encode([opened.tag, opened.mask, list(opened.keys), opened.sealed_keys])


def _decoded(data: bytes) -> Wrap | None:
    raw = decode(data)
    if raw == ():
        return None
    if type(raw) is not tuple or len(raw) != 4:
        raise DefectError("what was kept of a wrap has another form")
    tag, mask, keys, sealed_keys = raw
    return Wrap(tag, mask, keys, sealed_keys)
