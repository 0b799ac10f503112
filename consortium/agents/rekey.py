"""What a node does when its keys change: new generations proposed, everything at rest sealed anew, old keys destroyed.

Each step may be cut off anywhere: what is kept says by itself what is left to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from consortium.agents.keywatch import KeyWatch
from consortium.errors import CallerError, Malformed, NotYet, OperatorError
from consortium.ledger.governance.state import Governance
from consortium.ledger.governance.terms import Keys, RotateKeys
from consortium.ledger.state import LedgerState
from consortium.model.members import MemberKeys
from consortium.model.public import Proposal
from consortium.model.records import parse_header
from consortium.pipeline.rewraps import needs_old_key, rewrapped
from consortium.pipeline.write import Answer
from consortium.ports.keys import KeyCustody, KeyKeeper
from consortium.ports.ledger import LedgerStore
from consortium.ports.rekeying import RekeyStore

STORAGE, ALL = "storage", "all"
_SLICE = 100
_DAY_MS = 86_400_000
_OPEN_MS = 3_600_000
Publish = Callable[[Proposal], Awaitable[Answer]]
Context = Callable[..., bytes]


@dataclass(frozen=True, slots=True)
class RekeySettings:
    """`rotation_days`: encryption keys change by themselves after so many days of ledger time, and old ones are
    destroyed (0: by command alone). `grace_s`: so long, in ledger time, a replaced key is kept in any case: a member
    that was behind may still have sealed for it. Who was silent for `away_s` is not waited for.
    """

    rotation_days: int = 0
    grace_s: int = 86_400
    away_s: int = 7 * 86_400
    interval_s: float = 2.0


class Rekeyer:
    """Rotates, seals anew and retires on one node."""

    def __init__(
        self,
        member: str,
        custody: KeyCustody,
        keeper: KeyKeeper,
        watch: KeyWatch,
        state: Callable[[], LedgerState],
        ledger: LedgerStore,
        store: RekeyStore,
        cosigned: Callable[[], Awaitable[Mapping[str, int]]],
        publish: Publish,
        contexts: Mapping[str, Context],
        settings: RekeySettings,
        *,
        came_back: Callable[[], None] = lambda: None,
    ) -> None:
        """`cosigned` is the size of the largest tree by member that it cosigned; `contexts` say for each place of
        `store` what a row's key makes of its box's context; `came_back` hears that keys that were missing are there.
        """
        self._member, self._custody, self._keeper, self._watch = member, custody, keeper, watch
        self._state, self._ledger, self._store = state, ledger, store
        self._cosigned, self._publish, self._contexts, self._settings = cosigned, publish, contexts, settings
        self._came_back = came_back
        self._retiring = False
        self._wake = asyncio.Event()
        self.rewrapped_up_to = -1

    # --- commands --------------------------------------------------------------------------------------------

    async def rotate(self, what: str) -> Answer | None:
        """New keys: `signing`, `encryption` or `all` by a proposal on the ledger, in force when it is applied;
        `storage` at once, and the rest of it in the background (None).

        Raises `InvalidRequest`, `NotYet`, `KeysUnavailable`, and what `Writer` raises: then nothing has
        changed but that the file holds keys that wait.
        """
        if what == STORAGE:
            await self._keeper.add_storage_key()
            self._wake.set()
            return None
        return await self._propose(await self._keeper.prepare(what))

    async def _propose(self, keys: MemberKeys) -> Answer:
        terms = RotateKeys(name=self._member, keys=Keys.of(keys))
        expires_ms = self._state().time_ms + _OPEN_MS
        return await self._publish(Proposal(kind=terms.KIND, terms=terms.model_dump(), expires_ms=expires_ms))

    async def retire(self) -> None:
        """Begin to destroy the keys that were replaced: first whatever only they open is wrapped anew.

        Raises `NotYet` with what stands in the way.
        """
        if reason := await self.why_not_retire():
            raise NotYet(f"old keys are still needed: {reason}")
        self._retiring = True
        self._wake.set()

    @property
    def olds(self) -> int:
        """Generations that were replaced and are still held."""
        return sum(state == "old" for state, _ in self._keeper.inventory().generations)

    async def why_not_retire(self) -> str:
        """What stands in the way of destroying old keys; '' if nothing."""
        if not self._watch.held:
            return "the node does not hold the keys that the ledger names"
        if not self.olds:
            return "there are none"
        state = self._state()
        standing = state.governance.standings[self._member]
        block = await self._ledger.block(standing.periods[-1].since - 1)
        if block is not None:
            over_ms = state.time_ms - block.time_ms - self._settings.grace_s * 1000
            if over_ms < 0:
                return f"they were replaced less than {self._settings.grace_s} s of ledger time ago"
            if behind := await self._behind(state, block.size):
                return f"{', '.join(behind)} may not have heard of the new ones"
        if count := await self._store.missing_count():
            return f"{count} payloads have still to be fetched"
        return ""

    async def _behind(self, state: LedgerState, size: int) -> list[str]:
        """Members that have not cosigned a tree with the rotation in it, but for those that were silent for long."""
        sizes, found = await self._cosigned(), []
        for member in state.governance.members:
            latest = state.members[member.name].latest_ms
            away = latest is None or latest < state.time_ms - self._settings.away_s * 1000
            if member.name != self._member and sizes.get(member.name, 0) < size and not away:
                found.append(member.name)
        return found

    async def described(self) -> dict[str, Any]:
        """What is held, in the API's words; no secret."""
        inventory = self._keeper.inventory()
        standing = self._state().governance.standings.get(self._member)
        since = {p.keys: p.since for p in standing.periods} if standing else {}
        return {
            "generations": [
                {"state": state, "since": since.get(keys), **keys.as_dict()} for state, keys in inventory.generations
            ],
            "storage": list(inventory.storage),
            "held": self._watch.held,
            "retiring": self._retiring,
            "retire": await self.why_not_retire(),
        }

    # --- by itself -------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow for ever."""
        while True:
            try:
                await self.look()
            except (OperatorError, CallerError):  # a proposal that was not ordered in time, say: looked at again
                self._retiring = False
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), self._settings.interval_s)
            except TimeoutError:
                continue

    async def look(self) -> None:
        """One look at what is left to do."""
        if not self._watch.held and self._keeper.reload():
            self._watch.follow()
            self._came_back()
        if self._watch.held:
            await self._keeper.settle(self._custody.public)
        if "old" in self._keeper.inventory().storage:
            await self._reseal()
        if self._settings.rotation_days:
            await self._by_schedule()
        if self._retiring:
            await self._rewrap()
            now = self._state().governance
            await self._keeper.retire(_encryption_keys(now), _boxes(now, self._member))
            self._retiring = False

    async def _by_schedule(self) -> None:
        """Rotate all keys when the period of the encryption key is over, and the storage key with them; destroy those
        before when it may be.
        """
        if not self._watch.held:
            return
        if await self._age_ms() >= self._settings.rotation_days * _DAY_MS:
            waiting = [keys for state, keys in self._keeper.inventory().generations if state == "next"]
            # Keys that wait were proposed in vain, or the node died before it could.
            answer = await self._propose(waiting[-1] if waiting else await self._keeper.prepare(ALL))
            if answer.state == "accepted" and "old" not in self._keeper.inventory().storage:
                await self.rotate(STORAGE)
        elif self.olds and not await self.why_not_retire():
            self._retiring = True

    async def _age_ms(self) -> int:
        """For how long, in ledger time, the encryption key has been in force."""
        state = self._state()
        periods = state.governance.standings[self._member].periods
        since = next(p.since for p in periods if p.keys.encryption == self._custody.public.encryption)
        height, block = max(since - 1, 1), await self._ledger.block(max(since - 1, 1))
        while block is not None and not block.time_ms:  # the first blocks, before most members had spoken
            height += 1
            block = await self._ledger.block(height)
        return state.time_ms - block.time_ms if block is not None else 0

    async def _rewrap(self) -> None:
        """Keep what the wraps of every record open to that no wrap under the key in force opens."""
        membership, after = self._state().governance, -1
        while page := await self._store.held_after(after, _SLICE):
            for held in page:
                try:
                    header = parse_header(held.header_bytes)
                    if not held.rewraps and needs_old_key(membership, self._custody, header):
                        await self._store.add_rewraps(held, rewrapped(membership, self._custody, held, header))
                except Malformed:
                    continue  # its row was changed behind the node's back: the node's check of itself says so
            after = self.rewrapped_up_to = page[-1].index
            await asyncio.sleep(0)

    async def _reseal(self) -> None:
        """Seal anew whatever is under an old storage key, until a pass finds nothing; then destroy that."""
        while True:
            changed = 0
            for kind in self._store.kinds:
                changed += await self._reseal_kind(kind)
            if not changed:
                break
        await self._keeper.drop_storage_key()

    async def _reseal_kind(self, kind: str) -> int:
        changed, after = 0, None
        while page := await self._store.sealed_after(kind, after, _SLICE):
            for row in page:
                sealed = self._custody.reseal_at_rest(self._contexts[kind](*row.key), row.sealed)
                if sealed is not None:
                    await self._store.replace_sealed(row, sealed)
                    changed += 1
            after = page[-1].key
            await asyncio.sleep(0)
        return changed


def _encryption_keys(governance: Governance) -> Collection[bytes]:
    """Every X25519 key that any member ever had."""
    return dict.fromkeys(p.keys.encryption for s in governance.standings.values() for p in s.periods)


def _boxes(governance: Governance, member: str) -> Collection[bytes]:
    """The ephemeral public keys of the boxes that hold the member's shares of escrow keys."""
    shares = (share for key in governance.escrow_keys.values() for share in key.shares if share.member == member)
    return dict.fromkeys(share.box[:32] for share in shares)
