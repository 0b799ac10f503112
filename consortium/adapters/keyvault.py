"""Changes of a key file while a node runs on it: `KeyKeeper` over `keyfile.change`.

Unsealing takes the better part of a second (Argon2id), so it is done in a thread. The node and commands beside it may
both change the file: each change reads it first, under a lock.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection
from pathlib import Path

from consortium.adapters import keyfile
from consortium.adapters.keyfile import KeyFile
from consortium.adapters.keysecrets import Entropy, Keychain, What
from consortium.adapters.unlock import Unlock
from consortium.errors import InvalidRequest, KeysUnavailable
from consortium.model.members import MemberKeys
from consortium.ports.keys import Inventory

_Stamp = tuple[int, int, int]


class KeyVault:
    """One key file and what the node knows of it. Implements `consortium.ports.keys.KeyKeeper`."""

    def __init__(self, path: Path, unlock: Unlock, custody: KeyFile, entropy: Entropy = os.urandom) -> None:
        self._path, self._unlock, self._custody, self._entropy = path, unlock, custody, entropy
        self._seen, self._filed = self._stamp(), custody.public
        self._changing = asyncio.Lock()

    @classmethod
    def open(cls, path: Path, unlock: Unlock) -> tuple[KeyFile, KeyVault]:
        """The custody of a key file, and who changes it. Raises `KeysUnavailable`."""
        custody = keyfile.open(path, unlock)
        return custody, cls(path, unlock, custody)

    def reload(self) -> bool:
        stamp = self._stamp()
        if stamp == self._seen:
            return False
        try:
            chain = keyfile.open(self._path, self._unlock).chain
        except KeysUnavailable:
            return False  # half way through somebody's copying, or sealed anew: what is known goes on
        self._seen = stamp
        self._take(chain)
        return True

    def inventory(self) -> Inventory:
        chain = self._custody.chain
        return Inventory(
            [(str(g.state), keys) for g, keys in zip(chain.generations, self._custody.generations, strict=True)],
            [str(key.state) for key in chain.storage],
        )

    async def prepare(self, what: str) -> MemberKeys:
        if what not in list(What):
            raise InvalidRequest("keys to rotate are " + ", ".join(What))
        chain = await self._change(lambda chain: chain.with_next(What(what), self._entropy))
        return chain.generations[-1].public()

    async def settle(self, keys: MemberKeys) -> None:
        if keys != self._filed:
            await self._change(lambda chain: chain)

    async def retire(self, others: Collection[bytes], boxes: Collection[bytes] = ()) -> None:
        await self._change(lambda chain: chain.retired(others, boxes))

    async def add_storage_key(self) -> None:
        await self._change(lambda chain: chain.with_new_storage(self._entropy))

    async def drop_storage_key(self) -> None:
        await self._change(Keychain.storage_dropped)

    async def _change(self, step: Callable[[Keychain], Keychain]) -> Keychain:
        in_force = self._custody.public

        def settled_step(chain: Keychain) -> Keychain:
            """What follows from the keys in force must not follow from those that the file still takes for them."""
            return step(chain.activated(in_force) if in_force in _publics(chain) else chain)

        async with self._changing:
            chain = await asyncio.to_thread(keyfile.change, self._path, self._unlock, settled_step, self._entropy)
            self._seen = self._stamp()
            self._take(chain)
            return chain

    def _take(self, chain: Keychain) -> None:
        """The file may be behind the ledger in which keys are in force, never before it."""
        in_force, self._filed = self._custody.public, chain.active.public()
        self._custody.replace(chain)
        self._custody.use(in_force)

    def _stamp(self) -> _Stamp | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size


def _publics(chain: Keychain) -> list[MemberKeys]:
    return [generation.public() for generation in chain.generations]
