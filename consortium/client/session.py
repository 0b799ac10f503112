"""Signing in at a node, and staying signed in: tokens are renewed by themselves, bound to a key of this device.

Use: `Session.with_password(httpx.Client(base_url=...), name, password)`, then `json("GET", "/v1/records")`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import httpx

from consortium.client.dpop import DpopKey, TokenAuth
from consortium.client.problems import checked, unreachable
from consortium.crypto import signing
from consortium.errors import InvalidRequest, NotAuthenticated

LOGIN_CONTEXT = b"consortium/login/v1\n"
EARLY_S = 30
"""A token is renewed this long before it ends."""
_FILE_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a sign-in gave: the token (until `expires_s`), what renews it, and the seed of the key it is bound to."""

    token: str = field(repr=False)
    expires_s: float
    refresh: str = field(repr=False)
    key: str = field(repr=False)
    device: str = field(default="", repr=False)


class Session:
    """Somebody signed in at the node that `http` points to. Failures are the project's errors."""

    def __init__(
        self, http: httpx.Client, tokens: Tokens, *, file: Path | None = None, now_s: Callable[[], float] = time.time
    ) -> None:
        self._http, self.tokens, self._file, self._now_s = http, tokens, file, now_s
        self._key = DpopKey(bytes.fromhex(tokens.key), now_s)

    @classmethod
    def with_password(
        cls,
        http: httpx.Client,
        name: str,
        password: str,
        *,
        code: str = "",
        device: str = "",
        now_s: Callable[[], float] = time.time,
    ) -> Self:
        """By a user's password, and a code of their second factor if they have one. Raises `NotAuthenticated`."""
        body = {"name": name, "password": password, "code": code, "device": device}
        return cls._signed_in(http, "/v1/auth/login", body, now_s)

    @classmethod
    def with_key(
        cls, http: httpx.Client, name: str, seed: bytes, *, code: str = "", now_s: Callable[[], float] = time.time
    ) -> Self:
        """By an account's Ed25519 key, of which `seed` is the seed. Raises `NotAuthenticated`."""
        asked = _call(http, "POST", "/v1/auth/challenge", json={"name": name}).json()
        challenge = str(asked["challenge"])
        signature = signing.sign(LOGIN_CONTEXT + challenge.encode(), signing.expand(seed))
        body = {"challenge": challenge, "signature": signature.hex(), "code": code}
        return cls._signed_in(http, "/v1/auth/answer", body, now_s)

    @classmethod
    def _signed_in(cls, http: httpx.Client, path: str, body: dict[str, str], now_s: Callable[[], float]) -> Self:
        key = DpopKey(now_s=now_s)
        return cls(http, _ask(http, path, body, key), now_s=now_s)

    @classmethod
    def load(cls, http: httpx.Client, file: Path) -> Self:
        """One that was saved. Raises `InvalidRequest`."""
        try:
            return cls(http, Tokens(**json.loads(file.read_text("utf-8"))), file=file)
        except (OSError, ValueError, TypeError):
            raise InvalidRequest(f"{file} holds no session", hint="sign in: consortium account sign-in") from None

    def save(self, file: Path) -> None:
        """Keep it for later, readable by its owner alone; it is kept up to date from now on."""
        self._file = file
        temporary = file.with_name(f".{file.name}.{os.getpid()}.new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, _FILE_MODE)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(json.dumps(asdict(self.tokens)))
        temporary.replace(file)

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """A good response; the token is renewed first if it is about to end."""
        return _call(self._http, method, path, auth=self.auth(), **arguments)

    def auth(self) -> TokenAuth:
        """For requests of one's own; the token is renewed first if it is about to end."""
        if self._now_s() > self.tokens.expires_s - EARLY_S:
            self.renew()
        return TokenAuth(self.tokens.token, self._key)

    def json(self, method: str, path: str, **arguments: Any) -> Any:
        """The JSON of a good response."""
        return self.request(method, path, **arguments).json()

    def renew(self) -> None:
        """The next tokens. Raises `NotAuthenticated` when the session has ended: sign in again."""
        tokens = _ask(self._http, "/v1/auth/refresh", {"refresh": self.tokens.refresh}, self._key)
        self.tokens = Tokens(tokens.token, tokens.expires_s, tokens.refresh, tokens.key, self.tokens.device)
        if self._file is not None:
            self.save(self._file)

    def sign_out(self) -> None:
        """End it, and remove its file."""
        _call(self._http, "POST", "/v1/auth/logout", json={"refresh": self.tokens.refresh})
        if self._file is not None:
            self._file.unlink(missing_ok=True)


def _ask(http: httpx.Client, path: str, body: dict[str, str], key: DpopKey) -> Tokens:
    url = str(http.base_url).rstrip("/") + path
    answer = _call(http, "POST", path, json=body, headers={"DPoP": key.proof("POST", url)}).json()
    if answer["scheme"] != "DPoP":
        raise NotAuthenticated("the node bound its token to no key")
    expires_s = datetime.fromisoformat(answer["expires_at"]).timestamp()
    return Tokens(answer["token"], expires_s, answer["refresh"], key.seed.hex(), answer["device"])


def _call(http: httpx.Client, method: str, path: str, **arguments: Any) -> httpx.Response:
    try:
        return checked(http.request(method, path, **arguments))
    except httpx.HTTPError as error:
        raise unreachable(error) from error
