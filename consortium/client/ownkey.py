"""A user's own encryption key: made on their device, kept in a file under a passphrase, never sent anywhere."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from nacl import bindings
from nacl.exceptions import CryptoError

from consortium.adapters.unlock import SALT_BYTES, Passphrase, unlocking_key
from consortium.errors import ConfigurationError, KeysUnavailable, Malformed
from consortium.model.encoding import encode

VERSION = 1
KEY_BYTES = 32
_NONCE_BYTES = 24
_MODE = 0o600


class OwnKey:
    """An X25519 key pair."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.public: bytes = bindings.crypto_scalarmult_base(secret)

    def __repr__(self) -> str:
        return f"OwnKey({self.public.hex()})"

    @property
    def secret(self) -> bytes:
        """The private half, for opening here."""
        return self._secret

    @classmethod
    def create(cls, file: Path, passphrase: Passphrase, entropy: Callable[[int], bytes] = os.urandom) -> OwnKey:
        """A new one, in a new file. Raises `ConfigurationError` if a file stands there already."""
        secret = entropy(KEY_BYTES)
        sealed = _seal(secret, passphrase, entropy)
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _MODE)
        except OSError as error:
            raise ConfigurationError(
                f"{file} cannot be made: {error.strerror}", hint="keys are never overwritten"
            ) from None
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(sealed)
            opened.flush()
            os.fsync(descriptor)
        return cls(secret)

    @classmethod
    def open(cls, file: Path, passphrase: Passphrase) -> OwnKey:
        """From its file. Raises `KeysUnavailable`; a wrong passphrase and a damaged file give the same message."""
        try:
            return cls(_unseal(file.read_bytes(), passphrase))
        except OSError as error:
            raise KeysUnavailable(f"{file} cannot be read: {error.strerror}") from None


def _seal(secret: bytes, passphrase: Passphrase, entropy: Callable[[int], bytes]) -> bytes:
    header = {"version": VERSION, "purpose": "user-key", "unlock": passphrase.describe(entropy(SALT_BYTES))}
    nonce = entropy(_NONCE_BYTES)
    key = unlocking_key(passphrase, header["unlock"])
    box = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(secret, encode(header), nonce, key)
    return (json.dumps({**header, "nonce": nonce.hex(), "box": box.hex()}, indent=2) + "\n").encode()


def _unseal(data: bytes, passphrase: Passphrase) -> bytes:
    try:
        raw = json.loads(data)
        header = {name: raw[name] for name in ("version", "purpose", "unlock")}
        if header["version"] != VERSION or header["purpose"] != "user-key":
            raise Malformed("not a file of a user's key")
        key = unlocking_key(passphrase, header["unlock"])
        box, nonce = bytes.fromhex(raw["box"]), bytes.fromhex(raw["nonce"])
        secret = bytes(bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(box, encode(header), nonce, key))
        if len(secret) != KEY_BYTES:
            raise Malformed("a key has 32 bytes")
        return secret
    except (CryptoError, Malformed, ValueError, TypeError, KeyError, RecursionError):
        # `from None`: what went wrong inside may quote what it was given.
        raise KeysUnavailable("the key file does not open: a wrong passphrase, or a damaged file") from None
