"""Password hashes: Argon2id (RFC 9106) in libsodium's text form, which carries its own parameters and salt."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from nacl import pwhash
from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id

from consortium.errors import InvalidRequest, NotReady

PARALLEL = 2
"""Hashes at a time: each takes its memory, and a flood of logins must not take all of it."""
MAX_WAITING = 64
"""Checks that wait for their turn; further ones are refused, whoever asks, rather than answered minutes later."""

MIN_CHARS = 12
_COMMON = frozenset(
    {
        "123456789012", "1234567890123", "12345678901234", "123123123123", "121212121212", "qwertyuiop12",
        "qwertyuiop123", "qwertyuiopas", "qwertyuiop[]", "1q2w3e4r5t6y", "1qaz2wsx3edc", "q1w2e3r4t5y6",
        "qazwsxedcrfv", "asdfghjkl123", "password1234", "password12345", "password123456", "passwordpassword",
        "passw0rd1234", "p@ssw0rd1234", "administrator", "administrator1", "iloveyou1234", "iloveyouforever",
        "letmeinletmein", "welcome12345", "welcome123456", "changemenow1", "changeme1234", "abcdefghijkl",
        "abcd12345678", "abc123abc123", "consortium12", "consortium123", "consortium1234",
        "electricity1", "electricity123", "monkeymonkey", "dragondragon", "sunshine1234",
    }
)  # fmt: skip
"""Refused whatever their case: long enough, and among the first that anybody tries (NIST SP 800-63B 5.1.1.2)."""


@dataclass(frozen=True, slots=True)
class PasswordCost:
    """Argon2id passes and bytes of memory; the defaults take 64 MiB and about 70 ms."""

    opslimit: int = argon2id.OPSLIMIT_INTERACTIVE
    memlimit: int = argon2id.MEMLIMIT_INTERACTIVE


def hash_password(password: str, cost: PasswordCost | None = None) -> str:
    """The hash that an account keeps."""
    cost = cost or PasswordCost()
    return bytes(argon2id.str(_plain(password), opslimit=cost.opslimit, memlimit=cost.memlimit)).decode()


def require_good(password: str) -> None:
    """Length and a list of what everybody tries; no rules of composition (NIST SP 800-63B section 5.1.1.2).

    Raises `InvalidRequest`, which does not quote it.
    """
    text = unicodedata.normalize("NFC", password)
    if len(text) < MIN_CHARS:
        raise InvalidRequest(f"a password has at least {MIN_CHARS} characters", field="password")
    if text.casefold() in _COMMON or len(set(text.casefold())) < 4:
        raise InvalidRequest("this password is among the first that anybody tries", field="password")


def matches(stored: str, password: str) -> bool:
    """Whether the password is the stored hash's. What is no hash matches nothing."""
    try:
        return bool(pwhash.verify(stored.encode(), _plain(password)))
    except (CryptoError, ValueError):
        return False


class PasswordCheck:
    """`matches` in a thread, a few at a time, at the same cost whether there is a hash to compare with or not."""

    def __init__(self, cost: PasswordCost | None = None) -> None:
        self._cost = cost
        self._nobody = hash_password("", cost)
        self._gate = asyncio.Semaphore(PARALLEL)
        self._waiting = 0

    async def check(self, stored: str | None, password: str) -> bool:
        """Whether it matches. `stored` is None or '' where there is no account: a dummy hash is then compared.

        Raises `NotReady` while too many wait.
        """
        async with self._turn():
            matching = await asyncio.to_thread(matches, stored or self._nobody, password)
        return matching and bool(stored)

    async def hash(self, password: str) -> str:
        """The hash that an account keeps. Raises `NotReady` while too many wait."""
        async with self._turn():
            return await asyncio.to_thread(hash_password, password, self._cost)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._waiting >= MAX_WAITING:
            raise NotReady("too many sign in at once", hint="try again in some seconds")
        self._waiting += 1
        try:
            async with self._gate:
                yield
        finally:
            self._waiting -= 1


def _plain(password: str) -> bytes:
    # One form for one text (RFC 8265 section 4.2): keyboards differ in how they compose an accent.
    return unicodedata.normalize("NFC", password).encode(errors="surrogatepass")
