"""Going on after the ordering log was lost: a statement, the members' signatures, and the first batch of a new epoch.

Done while the nodes stand still. What it needs of the world comes in: the log of the new epoch, the store, the keys.
"""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import Any

from consortium.crypto.hashing import sha256
from consortium.crypto.merkle import leaf_hash, root_of
from consortium.errors import InvalidRequest, LogUnavailable, Malformed, NotReady
from consortium.ledger.recovery import agreed, signers, statement
from consortium.ledger.state import LedgerState
from consortium.model.batches import BATCH_CONTEXT, BatchHead, encode_batch
from consortium.model.names import ID_BYTES
from consortium.model.public import Recovery, RecoverySignature, read_model
from consortium.pipeline.apply import Applier
from consortium.pipeline.seal import public_record
from consortium.ports.keys import KeyCustody
from consortium.ports.log import Appended, OrderingLog

_APPEND_S = 10.0


def proposed(state: LedgerState) -> dict[str, Any]:
    """The statement by which the members would go on from this ledger's end, without signatures: as JSON."""
    now = state.governance
    return {
        "network": now.network,
        "channel": now.channel,
        "epoch": now.epoch + 1,
        "height": state.height,
        "block": state.digest.hex(),
        "signatures": [],
    }


def parse(text: str) -> tuple[dict[str, Any], Recovery | None]:
    """A statement's file, and the agreement if anybody has signed it. Raises `InvalidRequest`."""
    try:
        raw = json.loads(text)
        fields = {name: raw[name] for name in ("epoch", "height")}
        fields["block"] = bytes.fromhex(raw["block"])
        signed = tuple(
            RecoverySignature(member=one["member"], signature=bytes.fromhex(one["signature"]))
            for one in raw["signatures"]
        )
        body = read_model(Recovery, {**fields, "signatures": signed}) if signed else None
    except (ValueError, TypeError, KeyError, Malformed):
        raise InvalidRequest("this is no statement of recovery") from None
    return raw, body


def signed(raw: dict[str, Any], state: LedgerState, member: str, custody: KeyCustody) -> dict[str, Any]:
    """The statement with this member's signature: it agrees if its own ledger ends there. Raises `InvalidRequest`."""
    ours = proposed(state)
    names = ("network", "channel", "epoch", "height", "block")
    if any(raw.get(name) != ours[name] for name in names):
        raise InvalidRequest(
            f"this node's ledger ends at block {state.height}, {state.digest.hex()}, not where the statement says",
            hint="the members go on from a block that all who sign hold as their last",
        )
    said = statement(raw["network"], raw["channel"], raw["epoch"], raw["height"], bytes.fromhex(raw["block"]))
    others = [one for one in raw["signatures"] if one["member"] != member]
    own = {"member": member, "signature": custody.sign_batch(said).hex()}
    return {**raw, "signatures": sorted([*others, own], key=lambda one: str(one["member"]))}


def require_agreed(recovery: Recovery | None, state: LedgerState) -> Recovery:
    """The agreement, if it opens the next epoch of this very ledger. Raises `InvalidRequest`, `NotReady`."""
    now = state.governance
    if recovery is None or not agreed(now, recovery):
        names = ", ".join(sorted(signers(now, recovery))) if recovery is not None else ""
        raise InvalidRequest(f"too few members have signed: {names or 'none'}", hint="`consortium recover sign`")
    if (recovery.epoch, recovery.height, recovery.block) != (now.epoch + 1, state.height, state.digest):
        raise NotReady(
            f"this node's ledger ends at block {state.height}, the members go on from block {recovery.height}",
            hint="bring it there first: `consortium join import` of another member's export into an empty database",
        )
    return recovery


async def open_epoch(
    recovery: Recovery, member: str, created_ms: int, log: OrderingLog, applier: Applier, custody: KeyCustody
) -> LedgerState:
    """Append this member's first batch of the new epoch, unless it stands there, and apply up to the opening one.

    `log` is that of the new epoch. Raises `LogUnavailable`, `Tampering`.
    """
    try:
        if await log.head(timeout_s=_APPEND_S) == 0:
            await log.append(0, _first_batch(recovery, member, created_ms, applier, custody), timeout_s=_APPEND_S)
    except LogUnavailable:
        raise LogUnavailable(
            "the new ordering log does not answer", hint="is the new etcd up, with its users?"
        ) from None
    async with aclosing(log.read(0, {})) as events:
        async for event in events:
            if isinstance(event, Appended):
                await applier.apply_entry(event.entry)
            if applier.state.governance.epoch >= recovery.epoch:
                break
    return applier.state


def _first_batch(recovery: Recovery, member: str, created_ms: int, applier: Applier, custody: KeyCustody) -> bytes:
    now = applier.state.governance
    id = sha256(b"consortium/recovery-record/v1\n" + member.encode() + recovery.encoded())[:ID_BYTES]
    record = public_record(id, member, created_ms, recovery)
    root = root_of([leaf_hash(record.header_bytes)])
    head = BatchHead(now.network, now.channel, recovery.epoch, member, 0, created_ms, 1, root).encoded()
    return encode_batch(head, custody.sign_batch(BATCH_CONTEXT + head), [record])
