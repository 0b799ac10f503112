"""Users who keep their own key: registering it, telling all members, and knowing those of other members' users.

The record that tells has an id that follows from what it says and to whom: after a crash it is written once, and when
a member joins it is written again for all.
"""

from __future__ import annotations

import asyncio
import hmac
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

from consortium.crypto.sealing import Entropy, is_usable_key, sealed_box
from consortium.energy.own_keys import OwnKeys
from consortium.energy.payloads.keys import UserKey
from consortium.energy.view.facts import fact_of
from consortium.errors import CallerError, CommitmentMismatch, InvalidRequest, Malformed, NotFound, OperatorError
from consortium.model.encoding import encode
from consortium.model.members import Membership
from consortium.model.names import Party
from consortium.model.records import SEALED, Draft
from consortium.pipeline.opening import Opener
from consortium.pipeline.write import UnderWay, Wait, Writer
from consortium.ports.accounts import Account, AccountStore
from consortium.ports.clock import Clock
from consortium.ports.keys import KeyCustody
from consortium.ports.party import HeldRecord, PartyStore

_PAGE = 500
_RETRY_S = 1.0
_LOOK_S = 5.0
_ASKED_MS = 120_000
_MAX_ASKED = 10_000


class Possession:
    """Proof that somebody holds the private half of an X25519 key: they open a box that was sealed to it."""

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        self._clock, self._entropy = clock, entropy
        self._asked: OrderedDict[str, tuple[bytes, bytes, int]] = OrderedDict()

    def ask(self, name: str, key: bytes) -> bytes:
        """A box to open; it replaces the one before of that account. Raises `InvalidRequest` for a bad key."""
        if not is_usable_key(key):
            raise InvalidRequest("not a usable X25519 public key", field="key")
        words = self._entropy(32)
        box = sealed_box(words, key, self._entropy)
        self._asked.pop(name, None)
        self._asked[name] = key, words, self._clock.now_ms() + _ASKED_MS
        if len(self._asked) > _MAX_ASKED:
            self._asked.popitem(last=False)
        return box

    def require(self, name: str, key: bytes, answer: bytes) -> None:
        """Raises `InvalidRequest` unless `answer` is what the last box to that key held. Each box serves once."""
        asked, words, until_ms = self._asked.pop(name, (b"", b"", 0))
        in_time = 0 <= until_ms - self._clock.now_ms() <= _ASKED_MS
        if asked != key or not words or not in_time or not hmac.compare_digest(words, answer):
            raise InvalidRequest("this does not show that you hold the key", field="answer", hint="ask for a new box")


class OwnKeyKeeper:
    """Keeps `directory` level with what this node holds, and the other members informed of this member's users."""

    def __init__(
        self,
        member: str,
        membership: Membership,
        accounts: AccountStore,
        party: PartyStore,
        opener: Opener,
        writer: Writer,
        custody: KeyCustody,
        clock: Clock,
        directory: OwnKeys,
        changed: Callable[[], None],
    ) -> None:
        self._member, self._membership, self._accounts, self._party = member, membership, accounts, party
        self._opener, self._writer, self._custody, self._clock = opener, writer, custody, clock
        self._directory, self._changed = directory, changed
        self._seen: set[bytes] = set()
        self._wake = asyncio.Event()

    async def start(self) -> None:
        """Know all that is held already."""
        await self._follow()
        self._directory.loaded = True

    def indexed(self, types: frozenset[str]) -> None:
        """A listener of the indexer: records of these types came."""
        if UserKey.TYPE in types:
            self._wake.set()

    def membership_changed(self) -> None:
        """A listener of the live membership: who joined has to know as well."""
        self._wake.set()

    async def run(self) -> None:
        """Follow and tell for ever."""
        self._wake.set()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _LOOK_S)  # payloads that were missing come without a word
            self._wake.clear()
            try:
                await self._follow()
                for account in await self._accounts.all_accounts():
                    if account.key_sequence:
                        await self._tell(account)
            except (OperatorError, CallerError):
                await asyncio.sleep(_RETRY_S)
                self._wake.set()

    async def account(self, name: str) -> Account:
        """A user's account, with the key that it has now. Raises `NotFound`."""
        found = await self._accounts.account(name)
        if found is None:
            raise NotFound("no such account")
        return found

    async def register(self, name: str, key: bytes, mandate: frozenset[str], timeout_s: float) -> Account:
        """A user's key from now on (b'': custodial again). Returns when the ledger says so. Raises `NotFound`; if it
        raises `NotReady` or `DeadlineExceeded`, it is told as soon as that is possible.
        """
        account = await self._accounts.set_own_key(name, key, mandate, self._clock.now_ms())
        if account is None:
            raise NotFound("no such account")
        try:
            under_way = await self._tell(account)
            if under_way is not None:
                await self._writer.finish(under_way, Wait.APPLIED, timeout_s)
        finally:
            self._wake.set()
        await self._follow()
        return account

    async def _tell(self, account: Account) -> UnderWay | None:
        """To all members of now and the user; None if that stands on the ledger already."""
        user, names = Party(self._member, account.name), sorted(m.name for m in self._membership.members)
        mandate = tuple(sorted(account.mandate))
        cause = [UserKey.TYPE, account.name, account.key_sequence, account.own_key, list(mandate), names]
        record_id = self._custody.derive_id(encode(cause))
        if await self._writer.knows(record_id):
            return None
        said = UserKey(
            start_ms=account.key_ms,
            subject=str(user),
            key=account.own_key or None,
            mandate=mandate,
            sequence=account.key_sequence,
        )
        section = said.section([*(Party(name) for name in names), user])
        draft = Draft(record_id, SEALED, self._member, self._clock.now_ms(), (section,))
        return self._writer.start(draft, UserKey.TYPE, said.start_ms)

    async def _follow(self) -> None:
        """All that is held of them, whenever it arrived: what was missing comes late, and out of order."""
        own, after, changed = self._opener.tag(Party(self._member)), -1, False
        while True:
            page = await self._party.find([own], type=UserKey.TYPE, from_ms=None, to_ms=None, after=after, limit=_PAGE)
            for held in page:
                if held.id not in self._seen:
                    self._seen.add(held.id)
                    changed |= self._fold(held)
            if len(page) < _PAGE:
                break
            after = page[-1].index
        if changed:
            self._changed()

    def _fold(self, held: HeldRecord) -> bool:
        try:
            opened = self._opener.open_all(held)
        except (CommitmentMismatch, Malformed):
            return False  # the index has named its author already
        fact = fact_of(held.index, opened.header, 0, opened.sections)
        said = fact.find(UserKey) if fact is not None else None
        if fact is None or said is None or (said.key is not None and not is_usable_key(said.key)):
            return False  # nothing could be sealed to such a key
        return self._directory.see(fact)
