"""The two ways to unlock a key file: a passphrase (Argon2id, RFC 9106) or 32 random bytes mounted as a file."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nacl.pwhash import argon2id

from consortium.crypto.hashing import keyed
from consortium.errors import KeysUnavailable, Malformed

SECRET_BYTES = 32
SALT_BYTES: int = argon2id.SALTBYTES
# Whoever can write the file must not be able to make the node take all memory or an hour.
_MAX_OPSLIMIT = 32
_MAX_MEMLIMIT = 2 << 30


@dataclass(frozen=True, slots=True)
class Passphrase:
    """A passphrase; `opslimit` (passes) and `memlimit` (bytes) count when a file is written, else the file's do."""

    text: str = field(repr=False)
    opslimit: int = argon2id.OPSLIMIT_MODERATE
    memlimit: int = argon2id.MEMLIMIT_MODERATE

    def describe(self, salt: bytes) -> dict[str, Any]:
        """What the file says in clear about its unlocking."""
        return {"kind": "argon2id", "opslimit": self.opslimit, "memlimit": self.memlimit, "salt": salt.hex()}


@dataclass(frozen=True, slots=True)
class MountedSecret:
    """32 random bytes that the platform mounts (a Kubernetes or systemd secret)."""

    secret: bytes = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> MountedSecret:
        """From a file of 32 raw bytes, or of 64 hex digits with or without a newline. Raises `KeysUnavailable`."""
        try:
            data = path.read_bytes()
            secret = data if len(data) == SECRET_BYTES else bytes.fromhex(data.decode("ascii").strip())
        except OSError as error:
            raise KeysUnavailable(f"the mounted secret {path} cannot be read: {error.strerror}") from None
        except ValueError:
            secret = b""
        if len(secret) != SECRET_BYTES:
            raise KeysUnavailable(f"the mounted secret {path} is not 32 bytes, raw or as 64 hex digits")
        return cls(secret)

    def describe(self, salt: bytes) -> dict[str, Any]:
        """What the file says in clear about its unlocking."""
        return {"kind": "secret", "salt": salt.hex()}


Unlock = Passphrase | MountedSecret


def unlocking_key(unlock: Unlock, description: Any) -> bytes:
    """The 32-byte key of a file with that description. Raises `Malformed`, or what its wrong types raise."""
    salt = bytes.fromhex(description["salt"])
    if len(salt) != SALT_BYTES:
        raise Malformed("a salt has 16 bytes")
    match unlock:
        case Passphrase() if set(description) == {"kind", "opslimit", "memlimit", "salt"}:
            return _stretch(unlock.text, salt, description["opslimit"], description["memlimit"])
        case MountedSecret() if set(description) == {"kind", "salt"} and len(unlock.secret) == SECRET_BYTES:
            return keyed(b"", key=unlock.secret, person=b"consortium kfile", salt=salt)
    raise Malformed("the file is not unlocked in this way")


def _stretch(text: str, salt: bytes, opslimit: Any, memlimit: Any) -> bytes:
    if type(opslimit) is not int or type(memlimit) is not int:
        raise Malformed("the limits are numbers")
    if opslimit > _MAX_OPSLIMIT or memlimit > _MAX_MEMLIMIT:
        raise Malformed("the limits are out of range")
    # One form for one text: keyboards differ in how they compose an accent.
    password = unicodedata.normalize("NFC", text).encode()
    return bytes(argon2id.kdf(SECRET_BYTES, password, salt, opslimit=opslimit, memlimit=memlimit))
