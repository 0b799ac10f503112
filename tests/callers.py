"""Doubles for tests about callers: a clock to turn, accounts in memory, keys from a word, tokens by PyJWT itself."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consortium.adapters.keyfile import KeyFile
from consortium.adapters.keysecrets import Secrets
from consortium.errors import NotAuthenticated
from consortium.ports.accounts import DUTIES, Account
from consortium.ports.callers import Caller

NOW_S = 1_497_484_800


def asking(name: str, member: str, kind: str) -> Caller:
    """A caller; staff with all duties."""
    return Caller(name, member, kind, DUTIES if kind == "staff" else frozenset())


class FakeClock:
    """Stands still until it is turned."""

    def __init__(self, now_s: int = NOW_S) -> None:
        self.ms = now_s * 1000

    def now_ms(self) -> int:
        return self.ms

    def turn(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)


class MemoryAccounts:
    """An `AccountStore` in memory; counts the questions."""

    def __init__(self, *accounts: Account) -> None:
        self.by_name = {account.name: account for account in accounts}
        self.asked = 0

    async def account(self, name: str) -> Account | None:
        self.asked += 1
        await asyncio.sleep(0)  # a real store lets others run here
        return self.by_name.get(name)

    async def put_account(self, account: Account) -> None:
        self.by_name[account.name] = account

    async def add_account(self, account: Account) -> bool:
        return self.by_name.setdefault(account.name, account) is account

    async def revoke(self, name: str, now_ms: int) -> None:
        self.by_name[name] = replace(self.by_name[name], revoked_ms=now_ms)

    async def set_own_key(self, name: str, key: bytes, mandate: frozenset[str], now_ms: int) -> Account | None:
        known = self.by_name.get(name)
        if known is None or known.kind != "user":
            return None
        changed = replace(known, own_key=key, mandate=mandate, key_ms=now_ms, key_sequence=known.key_sequence + 1)
        self.by_name[name] = changed
        return changed

    async def all_accounts(self) -> Sequence[Account]:
        return [self.by_name[name] for name in sorted(self.by_name)]

    async def users(self) -> Sequence[str]:
        return sorted(name for name, account in self.by_name.items() if account.kind == "user")


def secrets_of(word: str) -> Secrets:
    """Keys that follow from a word."""
    count = 0

    def entropy(size: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_128(f"{word}/{count}".encode()).digest(size)

    return Secrets.generate(entropy)


def custody_of(word: str) -> KeyFile:
    """An opened key file of such keys."""
    return KeyFile(secrets_of(word))


def private_key(word: str) -> Ed25519PrivateKey:
    """The token key of `word`, as a thief would have it."""
    return Ed25519PrivateKey.from_private_bytes(secrets_of(word).token)


def forge(claims: Mapping[str, Any], key: Any, *, algorithm: str = "EdDSA", kid: str | None = None) -> str:
    """A token of anybody's making, by PyJWT's own signer."""
    return jwt.encode(dict(claims), key, algorithm=algorithm, headers={"kid": kid} if kid else None)


def forge_hs256(claims: Mapping[str, Any], secret: bytes, kid: str) -> str:
    """A token under a shared secret, made by hand: PyJWT does not take a public key for one, an attacker does."""

    def part(raw: bytes) -> bytes:
        return base64.urlsafe_b64encode(raw).rstrip(b"=")

    head = part(json.dumps({"alg": "HS256", "typ": "JWT", "kid": kid}).encode())
    signed = head + b"." + part(json.dumps(claims).encode())
    return (signed + b"." + part(hmac.new(secret, signed, hashlib.sha256).digest())).decode()


def claims_of(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def kid_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def the_refusal(caught: pytest.ExceptionInfo[NotAuthenticated]) -> None:
    """It says what every refusal says, and gives nothing away by its cause."""
    assert str(caught.value) == "not authenticated"
    assert caught.value.__cause__ is None
