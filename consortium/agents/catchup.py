"""Catching up: a node that was away longer than the log is kept takes blocks from other members' nodes.

Nothing that one of them says is believed. Each block must follow from its batch, each batch carry its author's
signature, each stretch must be a prefix (RFC 6962 consistency) of a tree that a quorum cosigned, and its last block
be the one that a majority of them hold, before any of it is stored.
Payloads that concern this node are then fetched from their authors' nodes and checked against the headers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from consortium.agents.cosign import Cosigner
from consortium.agents.index import Fault, index_lines
from consortium.crypto.hashing import sha256
from consortium.crypto.hints import my_slots
from consortium.crypto.merkle import verify_consistency
from consortium.crypto.notes import Checkpoint
from consortium.errors import OperatorError, PeerError, Tampering
from consortium.ledger.admission import reopen
from consortium.ledger.state import LedgerState
from consortium.ledger.transition import transition
from consortium.model.blocks import Block, KeptBlock
from consortium.model.records import Header
from consortium.pipeline.apply import Applier
from consortium.pipeline.opening import Opener
from consortium.ports.ledger import LedgerStore, StoredRecord
from consortium.ports.party import HeldRecord, MissingRecord, PartyStore
from consortium.ports.peers import Peers

_CHUNK = 100
_AT_ONCE = 16
_PAUSE_S = 1.0
_ROUNDS = 10
"""In which all answer and none can prove more. What was trimmed by the word of a quorum may lack one for us, who count
more members than those did (one was just admitted): the next checkpoint comes with the others' next turn of cosigning.
"""


class CatchUp:
    """Brings the ledger forward from the other members' nodes."""

    def __init__(self, peers: Peers, cosigner: Cosigner, store: LedgerStore, report: Callable[[str], None]) -> None:
        self._peers = peers
        self._cosigner = cosigner
        self._store = store
        self._report = report
        self._applier: Applier | None = None

    def attach(self, applier: Applier) -> None:
        """The applier that this brings forward."""
        self._applier = applier

    async def __call__(self, state: LedgerState) -> None:
        """Apply what a quorum has cosigned beyond `state`; waits for a member that can help.

        Raises `Tampering` if all answer, again and again, and none has more that it can prove: such entries nobody may
        have trimmed.
        """
        unproven = 0
        while True:
            answered = 0
            for member in self._peers.names:
                try:
                    if await self._from(member):
                        return
                    answered += 1
                except (OperatorError, PeerError) as error:
                    self._report(f"cannot catch up from {member}: {error}")
            unproven = unproven + 1 if answered == len(self._peers.names) else 0
            if unproven == _ROUNDS:
                raise Tampering("the log lacks entries that no quorum has cosigned, and no other member can prove")
            await asyncio.sleep(_PAUSE_S)

    async def _from(self, member: str) -> bool:
        """Take all that one member can prove; whether that was anything."""
        applier = self._applier
        if applier is None:
            return False
        # Asked directly: who does not answer has not said that it has no more.
        told = await self._peers.checkpoint(member)
        if told is not None:
            await self._cosigner.receive(told)
        await self._cosigner.witnessed_size(applier.state.tree.size + 1)
        note = self._cosigner.best
        goal = Checkpoint.parse(note.text) if note else None
        began = applier.state.height
        while goal is not None:
            chunk = list(await self._peers.blocks(member, applier.state.height + 1, _CHUNK))
            chunk = [kept for kept in chunk if kept.block.size <= goal.size]
            if not chunk:
                break
            await self._verify(member, applier.state, chunk, goal)
            await self._confirm(member, chunk[-1].block)
            for kept in chunk:
                await applier.apply_kept(kept)
        return applier.state.height > began

    async def _verify(self, member: str, state: LedgerState, chunk: Sequence[KeptBlock], goal: Checkpoint) -> None:
        """Run the chunk through the state machine without storing it, and prove its end against the checkpoint."""
        seen: set[bytes] = set()
        for kept in chunk:
            opened = reopen(state.governance, kept.batch)
            taken = set(await self._store.taken(opened.ids())) | seen
            step = transition(state, opened, taken)
            if step.block != kept.block:
                raise PeerError(f"block {step.block.height} of {member} does not follow from its batch")
            seen.update(r.verdict.id for r in step.accepted)
            state = step.state
        proof = await self._peers.consistency(member, state.tree.size, goal.size)
        verify_consistency(state.tree.size, goal.size, state.tree.root(), goal.root, proof)

    async def _confirm(self, member: str, block: Block) -> None:
        """Require that a majority of the other members hold this very block, and with it all before it.

        Checkpoints cover the records alone: empty and refused batches could be left out or made up between them.
        """
        others = [name for name in self._peers.names if name != member]
        held = await asyncio.gather(*(self._holds(name, block) for name in others))
        if 1 + sum(held) <= len(self._peers.names) // 2:
            raise PeerError(f"no majority of the other members holds block {block.height} as {member} does")

    async def _holds(self, member: str, block: Block) -> bool:
        try:
            return any(kept.block == block for kept in await self._peers.blocks(member, block.height, 1))
        except (OperatorError, PeerError):
            return False


class PayloadFetcher:
    """Fetches the payloads that came without, after catching up."""

    def __init__(
        self,
        member: str,
        peers: Peers,
        party: PartyStore,
        ledger: LedgerStore,
        opener: Opener,
        hint_keys: Callable[[str], Sequence[bytes]],
        fault: Fault,
        *,
        interval_s: float,
    ) -> None:
        self._member = member
        self._peers = peers
        self._party = party
        self._ledger = ledger
        self._opener = opener
        self._hint_keys = hint_keys
        self._fault = fault
        self._interval_s = interval_s

    async def run(self) -> None:
        """Fetch for ever; sleeps while nothing is missing or nobody can help."""
        while True:
            try:
                if not await self.fetch():
                    await asyncio.sleep(self._interval_s)
            except (OperatorError, PeerError):
                await asyncio.sleep(self._interval_s)

    async def fetch(self) -> int:
        """One round over all that is missing; how many payloads came."""
        came, after = 0, -1
        away: set[str] = set()
        while page := await self._party.missing(_AT_ONCE, after):
            for held in await asyncio.gather(*(self._find(missing, away) for missing in page)):
                if held is not None:
                    await self._party.fill(held, index_lines(self._opener, held, self._fault))
                    came += 1
            after = page[-1].index
        return came

    async def _find(self, missing: MissingRecord, away: set[str]) -> HeldRecord | None:
        """From the author's node; our own records, if we lost them, from whoever is a party to them.

        Who is found `away` is not asked again in this round.
        """
        stored = await self._ledger.record(missing.id)
        if stored is None:
            return None
        ask = [name for name in self._peers.names if missing.author in (name, self._member)]
        for member in ask:
            if member in away:
                continue
            try:
                payload = await self._peers.payload(member, missing.id)
            except OperatorError:
                away.add(member)
                continue
            except PeerError:
                continue
            if payload is not None and _matches(stored.header, *payload):
                return self._as_held(missing, stored, *payload)
        return None

    def _as_held(
        self, missing: MissingRecord, stored: StoredRecord, bodies: tuple[bytes, ...], wraps: bytes
    ) -> HeldRecord:
        found = (my_slots(key, missing.id, stored.header.slots()) for key in self._hint_keys(missing.author))
        slots = next((slots for slots in found if slots), ())
        return HeldRecord(missing.index, missing.id, stored.header_bytes, bodies, wraps, slots)


def _matches(header: Header, bodies: tuple[bytes, ...], wraps: bytes) -> bool:
    """Whether a payload is the one that the header's author signed."""
    digests = [sha256(body) for body in bodies]
    return digests == [seal.digest for seal in header.sections] and sha256(wraps) == header.wraps_digest
