"""Cosigning: members witness each other's ledger outside the log (C2SP tlog-witness).

One member proposes: it signs a checkpoint of its tree and asks the others to cosign. The members stand in by the
order of their names, so that usually one proposes and no two race. A member cosigns only a tree that it computed
itself, and never a smaller one than before. Whoever finds another root for the same size has found a divergence.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import Callable

from consortium.crypto.merkle import verify_consistency
from consortium.crypto.notes import (
    Checkpoint,
    NoteSignature,
    SignedNote,
    parse_decimal,
    parse_note,
    parse_signatures,
    unbase64,
    verified_by,
)
from consortium.crypto.trust import TrustPolicy
from consortium.errors import Divergence, Malformed, OperatorError, PeerError, ProofInvalid
from consortium.ledger import witnessing
from consortium.model.members import Membership
from consortium.pipeline.apply import Applier
from consortium.pipeline.prove import Prover
from consortium.ports.clock import Clock
from consortium.ports.keys import KeyCustody
from consortium.ports.peers import Peers
from consortium.ports.witness import WitnessStore

_APPLY_WAIT_S = 5.0
_KEEP_NOTES = 512
_PRUNE_EVERY = 120
"""Looks between two prunings: most members never propose, and are told checkpoints all the same."""
_MAX_PROOF = 63
Alarm = Callable[[Exception], None]


class Cosigner:
    """Both sides of cosigning on one node."""

    def __init__(
        self,
        membership: Membership,
        member: str,
        custody: KeyCustody,
        witness: WitnessStore,
        prover: Prover,
        applier: Applier,
        peers: Peers,
        clock: Clock,
        *,
        interval_s: float,
        alarm: Alarm,
    ) -> None:
        self._membership = membership
        self._member = member
        self._custody = custody
        self._witness = witness
        self._prover = prover
        self._applier = applier
        self._peers = peers
        self._clock = clock
        self._interval_s = interval_s
        self._alarm = alarm
        self.refresh()
        self._peer_sizes: dict[str, int] = {}
        self._best: SignedNote | None = None
        self._best_size = 0
        self._better = asyncio.Condition()

    def refresh(self) -> None:
        """Who is a member, or a member's key, has changed: what counts from now on are the cosignatures of these."""
        self._trust = witnessing.trust_policy(self._membership)
        self._keys = witnessing.witness_keys(self._membership)
        self._logs = witnessing.log_keys(self._membership)

    @property
    def trust(self) -> TrustPolicy:
        """By which checkpoints are believed now."""
        return self._trust

    @property
    def best(self) -> SignedNote | None:
        """The largest checkpoint that a quorum cosigned, as far as this node knows."""
        return self._best

    @property
    def best_size(self) -> int:
        """Its tree size, 0 if there is none."""
        return self._best_size

    async def start(self) -> None:
        """Load the best stored checkpoint."""
        await self._witness.prune((), _KEEP_NOTES)
        for note in reversed(await self._witness.notes(0, _KEEP_NOTES)):
            if await self._consider(note):
                return

    async def until_witnessed(self, size: int) -> SignedNote:
        """Wait for a quorum's checkpoint of at least `size` leaves."""
        async with self._better:
            await self._better.wait_for(lambda: self._best_size >= size)
        if self._best is None:
            raise ProofInvalid("there is no checkpoint yet")
        return self._best

    async def witnessed_size(self, wanted: int) -> int:
        """The largest witnessed tree; the other members are asked if it is below `wanted`."""
        if self._best_size < wanted:
            await asyncio.gather(*(self._ask(member) for member in self._peers.names))
        return self._best_size

    async def _ask(self, member: str) -> None:
        try:
            note = await self._peers.checkpoint(member)
            if note is not None:
                await self._learn(note)
        except (OperatorError, PeerError):
            return

    async def run(self) -> None:
        """Propose whenever it is this node's turn."""
        patience = 0
        for look in itertools.count(1):
            await asyncio.sleep(self._interval_s)
            names = [m.name for m in self._membership.members]
            if self._member not in names:
                continue  # not admitted yet, or removed: nobody would take its word
            rank = names.index(self._member)
            behind = self._applier.state.tree.size > self._best_size
            patience = patience + 1 if behind else 0
            try:
                if patience > 2 * rank:
                    patience = 0
                    await self.propose()
                if look % _PRUNE_EVERY == 0:
                    await self._witness.prune((), _KEEP_NOTES)
            except (OperatorError, PeerError):
                continue

    async def propose(self) -> None:
        """One round: sign the tree of the moment, collect cosignatures, tell everybody."""
        state = self._applier.state
        checkpoint = Checkpoint(self._membership.origin, state.tree.size, state.tree.root())
        text = checkpoint.text()
        note = SignedNote(text, (self._custody.sign_checkpoint(text, self._membership.origin),))
        own = await self._cosign(checkpoint, await self._witness.cosigned_size())
        others = [member for member in self._peers.names if member in self._keys]
        answers = await asyncio.gather(*(self._request(member, checkpoint, note) for member in others))
        note = note.with_signatures(s for answer in (own, *answers) for s in answer)
        merged = await self._witness.save(note)
        await self._consider(merged)
        await asyncio.gather(*(self._tell(member, merged) for member in others))

    async def add_checkpoint(self, body: str) -> tuple[int, str]:
        """The witness's side: HTTP status and body as tlog-witness says; 503 while this node is still behind."""
        try:
            old, proof, note = _parse_request(body)
            checkpoint = Checkpoint.parse(note.text)
        except Malformed as error:
            return 400, f"{error}\n"
        if checkpoint.origin != self._membership.origin:
            return 404, "unknown origin\n"
        try:
            if not verified_by(note, self._logs):
                return 403, "no known log signed this checkpoint\n"
        except ProofInvalid as error:
            return 403, f"{error}\n"
        if old > checkpoint.size:
            return 400, "the old size is larger than the checkpoint\n"
        cosigned = await self._witness.cosigned_size()
        if old != cosigned:
            return 409, f"{cosigned}\n"
        return await self._judge(old, proof, checkpoint)

    async def _judge(self, old: int, proof: list[bytes], checkpoint: Checkpoint) -> tuple[int, str]:
        try:
            async with asyncio.timeout(_APPLY_WAIT_S):
                await self._applier.until_size(checkpoint.size)
        except TimeoutError:
            return 503, "this node has not applied as much\n"
        try:
            await self._require_own_root(checkpoint)
            verify_consistency(old, checkpoint.size, await self._prover.root(old), checkpoint.root, proof)
        except (ProofInvalid, Divergence) as error:
            return 422, f"{error}\n"
        signatures = await self._cosign(checkpoint, old)
        if not signatures:
            return 409, f"{await self._witness.cosigned_size()}\n"
        return 200, "".join(s.line() for s in signatures)

    async def receive(self, note: SignedNote) -> None:
        """A checkpoint that another member sent. Raises `ProofInvalid`, `Malformed`, `Divergence`."""
        await self._learn(note)

    async def _learn(self, note: SignedNote) -> None:
        checkpoint = Checkpoint.parse(note.text)
        if checkpoint.origin != self._membership.origin or not verified_by(note, self._logs):
            raise ProofInvalid("no known log signed this checkpoint")
        if self._applier.state.tree.size >= checkpoint.size:
            await self._require_own_root(checkpoint)
        keys = verified_by(note, list(self._keys.values()))
        known = {(key.name, key.id) for key in (*self._logs, *keys)}
        clean = SignedNote(note.text, tuple(s for s in note.signatures if (s.name, s.key_id) in known))
        # Kept only if a quorum stands under it: one member alone can sign checkpoints without end, of any size.
        if self._has_quorum(clean):
            clean = await self._witness.save(clean)
        await self._consider(clean)

    async def _require_own_root(self, checkpoint: Checkpoint) -> None:
        """A signed checkpoint of another tree than ours is proof that somebody's ledger was changed."""
        if await self._prover.root(checkpoint.size) != checkpoint.root:
            error = Divergence(f"another member signed a different tree of {checkpoint.size} records")
            self._alarm(error)
            raise error

    async def _cosign(self, checkpoint: Checkpoint, old: int) -> tuple[NoteSignature, ...]:
        """Our cosignature, once the size is durably recorded; none if the size moved meanwhile or would go back."""
        if checkpoint.size < old or not await self._witness.advance_cosigned(old, checkpoint.size):
            return ()
        name = witnessing.cosigner_name(self._membership, self._member)
        return (self._custody.cosign(checkpoint.text(), name, self._clock.now_ms() // 1000),)

    async def _request(self, member: str, checkpoint: Checkpoint, note: SignedNote) -> tuple[NoteSignature, ...]:
        """Ask one member; where it cosigned another size last, ask once more from there."""
        try:
            for _ in range(3):
                old = self._peer_sizes.get(member, 0)
                if old > checkpoint.size:
                    self._peer_sizes.pop(member)
                    return ()
                proof = await self._prover.consistency(old, checkpoint.size)
                status, answer = await self._peers.add_checkpoint(member, _request_body(old, proof, note))
                if status == 200:
                    self._peer_sizes[member] = checkpoint.size
                    return self._checked(member, note, answer)
                if status != 409:
                    return ()
                self._peer_sizes[member] = parse_decimal(answer.strip())
        except (OperatorError, PeerError):
            return ()
        return ()

    def _checked(self, member: str, note: SignedNote, answer: str) -> tuple[NoteSignature, ...]:
        key = self._keys.get(member)
        if key is None:
            return ()  # removed while it was asked
        lines = parse_signatures(answer)
        mine = tuple(s for s in lines if s.name == key.name and s.key_id == key.id)
        verified_by(SignedNote(note.text, mine), [key])
        return mine

    async def _tell(self, member: str, note: SignedNote) -> None:
        try:
            await self._peers.send_checkpoint(member, note)
        except (OperatorError, PeerError):
            return

    async def _consider(self, note: SignedNote) -> bool:
        """Whether a quorum stands under the note; keep it if it is the best."""
        checkpoint = Checkpoint.parse(note.text)
        for key in verified_by(note, list(self._keys.values())):
            await self._witness.saw(key.name.rpartition("/")[2], checkpoint.size)
        if not self._has_quorum(note):
            return False
        if checkpoint.size >= self._best_size:
            async with self._better:
                self._best, self._best_size = note, checkpoint.size
                self._better.notify_all()
        return True

    def _has_quorum(self, note: SignedNote) -> bool:
        try:
            self._trust.verify(note)
        except ProofInvalid:
            return False
        return True


def _parse_request(body: str) -> tuple[int, list[bytes], SignedNote]:
    front, blank, note = body.partition("\n\n")
    lines = front.split("\n")
    if not blank or not lines[0].startswith("old ") or len(lines) > _MAX_PROOF + 1:
        raise Malformed("a request is an old size line, a consistency proof, an empty line and a checkpoint")
    proof = [unbase64(line) for line in lines[1:]]
    if any(len(node) != 32 for node in proof):
        raise Malformed("a proof line is a hash of 32 bytes")
    return parse_decimal(lines[0].removeprefix("old ")), proof, parse_note(note)


def _request_body(old: int, proof: list[bytes], note: SignedNote) -> str:
    lines = [f"old {old}", *(base64.b64encode(node).decode() for node in proof)]
    return "\n".join(lines) + f"\n\n{note}"
