"""Password hashes: Argon2id (RFC 9106) in libsodium's text form, which carries its own parameters and salt."""

from __future__ import annotations

import asyncio
import unicodedata
from dataclasses import dataclass

from nacl import pwhash
from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id

from consortium.errors import NotReady

PARALLEL = 2
"""Hashes at a time: each takes its memory, and a flood of logins must not take all of it."""
MAX_WAITING = 64
"""Checks that wait for their turn; further ones are refused, whoever asks, rather than answered minutes later."""


@dataclass(frozen=True, slots=True)
class PasswordCost:
    """Argon2id passes and bytes of memory; the defaults take 64 MiB and about 70 ms."""

    opslimit: int = argon2id.OPSLIMIT_INTERACTIVE
    memlimit: int = argon2id.MEMLIMIT_INTERACTIVE


def hash_password(password: str, cost: PasswordCost | None = None) -> str:
    """The hash that an account keeps."""
    cost = cost or PasswordCost()
    return bytes(argon2id.str(_plain(password), opslimit=cost.opslimit, memlimit=cost.memlimit)).decode()


def matches(stored: str, password: str) -> bool:
    """Whether the password is the stored hash's. What is no hash matches nothing."""
    try:
        return bool(pwhash.verify(stored.encode(), _plain(password)))
    except (CryptoError, ValueError):
        return False


class PasswordCheck:
    """`matches` in a thread, a few at a time, at the same cost whether there is a hash to compare with or not."""

    def __init__(self, cost: PasswordCost | None = None) -> None:
        self._nobody = hash_password("", cost)
        self._gate = asyncio.Semaphore(PARALLEL)
        self._waiting = 0

    async def check(self, stored: str | None, password: str) -> bool:
        """Whether it matches. `stored` is None or '' where there is no account: a dummy hash is then compared.

        Raises `NotReady` while too many wait.
        """
        if self._waiting >= MAX_WAITING:
            raise NotReady("too many sign in at once", hint="try again in some seconds")
        self._waiting += 1
        try:
            async with self._gate:
                matching = await asyncio.to_thread(matches, stored or self._nobody, password)
        finally:
            self._waiting -= 1
        return matching and bool(stored)


def _plain(password: str) -> bytes:
    # One form for one text (RFC 8265 section 4.2): keyboards differ in how they compose an accent.
    return unicodedata.normalize("NFC", password).encode(errors="surrogatepass")
