"""Second factor: TOTP (RFC 6238) by `pyotp`, with recovery codes; each code serves once."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass, field

import pyotp

from consortium.adapters.tokens.throttle import Throttle
from consortium.crypto.hashing import sha256
from consortium.errors import InvalidRequest
from consortium.ports.clock import Clock
from consortium.ports.keys import KeyCustody
from consortium.ports.sessions import SecondFactor, SecondFactorStore

STEP_S = 30
DIGITS = 6
AROUND = 1
"""Steps before and after the present one whose code is taken: clocks differ, and people type."""
RECOVERY_CODES = 10
_SECRET_BYTES = 20  # RFC 4226 section 4, R6


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What the account's owner keeps: the secret (base32, and as a URI for an app), and the recovery codes."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)
    codes: tuple[str, ...] = field(repr=False)


class SecondFactors:
    """Enrols and checks. `issuer` is the name that an app shows."""

    def __init__(
        self,
        store: SecondFactorStore,
        custody: KeyCustody,
        clock: Clock,
        *,
        issuer: str,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._store, self._custody, self._clock = store, custody, clock
        self._issuer = issuer
        self._entropy = entropy
        self._throttle = Throttle()

    async def enrol(self, account: str) -> Enrolment:
        """A new secret; it counts once `confirm` has seen a code of it. Raises `InvalidRequest` if one counts."""
        raw = self._entropy(_SECRET_BYTES)
        secret = base64.b32encode(raw).decode()
        codes = tuple(_code(self._entropy(10)) for _ in range(RECOVERY_CODES))
        sealed = self._custody.seal_at_rest(context(account), raw)
        if not await self._store.put_factor(SecondFactor(account, sealed), [_digest(code) for code in codes]):
            raise InvalidRequest("this account has a second factor", hint="remove it first")
        uri = pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=self._issuer)
        return Enrolment(secret, uri, codes)

    async def confirm(self, account: str, code: str) -> bool:
        """Whether the code is right; the factor counts from then on."""
        return self._may_try(account) and self._right(
            account, await self._is_totp(await self._store.factor(account), code)
        )

    async def needed(self, account: str) -> SecondFactor | None:
        """The factor that counts, if there is one."""
        factor = await self._store.factor(account)
        return factor if factor is not None and factor.confirmed else None

    async def passes(self, factor: SecondFactor, code: str) -> bool:
        """Whether a code of the app, or a recovery code, is right; it is used up.

        Only who has proved the first factor may ask: then no stranger can use up the attempts.
        """
        if not code or not self._may_try(factor.account):
            return False
        totp = await self._is_totp(factor, code)
        return self._right(factor.account, totp or await self._store.use_code(factor.account, _digest(code)))

    async def require(self, account: str, code: str) -> None:
        """Raises `InvalidRequest` if the account has a second factor and `code` is none of it."""
        factor = await self.needed(account)
        if factor is not None and not await self.passes(factor, code):
            raise InvalidRequest("a code of the second factor is needed", field="code")

    async def take_off(self, account: str, code: str) -> bool:
        """Whether the code is right; the factor is gone then."""
        factor = await self.needed(account)
        if factor is None or not await self.passes(factor, code):
            return False
        await self._store.remove_factor(account)
        return True

    async def remove(self, account: str) -> None:
        """Without a second factor from now on."""
        await self._store.remove_factor(account)

    def _may_try(self, account: str) -> bool:
        return self._throttle.enter(account, self._clock.now_ms())

    def _right(self, account: str, right: bool) -> bool:
        if right:
            self._throttle.succeeded(account)
        return right

    async def _is_totp(self, factor: SecondFactor | None, code: str) -> bool:
        if factor is None or len(code) != DIGITS or not (code.isascii() and code.isdigit()):
            return False
        secret = self._custody.open_at_rest(context(factor.account), factor.sealed)
        totp = pyotp.TOTP(base64.b32encode(secret).decode(), digits=DIGITS, interval=STEP_S)
        now = self._clock.now_ms() // 1000 // STEP_S
        for step in range(now - AROUND, now + AROUND + 1):
            if pyotp.utils.strings_equal(totp.generate_otp(step), code):
                # RFC 6238 section 5.2: a code that was used is not taken again, nor any before it.
                return await self._store.use_step(factor.account, step)
        return False


def context(account: str) -> bytes:
    """What a sealed secret is bound to: its account."""
    return b"consortium/v1/second-factor" + account.encode()


def _code(raw: bytes) -> str:
    """80 bits as four groups of four letters and digits."""
    text = base64.b32encode(raw).decode().lower()
    return "-".join(text[at : at + 4] for at in range(0, 16, 4))


def _digest(code: str) -> bytes:
    return sha256(code.strip().lower().encode(errors="surrogatepass"))
