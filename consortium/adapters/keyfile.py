"""The member's private keys in one sealed file: the default `KeyCustody`.

The file is JSON: version, how its key is unlocked (Argon2id parameters and salt, or "secret"), nonce, ciphertext. The
secrets are sealed by XChaCha20-Poly1305 with the version and the unlocking parameters as associated data, so that
nobody can weaken the parameters unseen. It is readable by its owner alone (mode 0600).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nacl import bindings
from nacl.exceptions import CryptoError

from consortium.adapters.keysecrets import Secrets
from consortium.adapters.unlock import SALT_BYTES, MountedSecret, Passphrase, Unlock, unlocking_key
from consortium.crypto import hints, notes, signing
from consortium.crypto.hashing import keyed
from consortium.crypto.notes import COSIGNATURE_V1, ED25519, NoteSignature, VerifierKey
from consortium.errors import ConfigurationError, KeysUnavailable, Malformed
from consortium.model.encoding import encode
from consortium.model.members import MemberKeys
from consortium.model.names import ID_BYTES
from consortium.ports.keys import PairKeys

__all__ = ["KeyFile", "MountedSecret", "Passphrase", "Unlock", "create", "open", "rewrap"]

Entropy = Callable[[int], bytes]
"""From a number of bytes to that many random bytes."""

VERSION = 1
BLIND_BYTES = 16
MAX_PAIRS = 4096
_NONCE_BYTES = 24
_MODE = 0o600


class KeyFile:
    """An opened key file. Implements `consortium.ports.KeyCustody`; shows nothing of itself but its public keys."""

    __slots__ = ("_blinding", "_encryption", "_log", "_pairs", "_public", "_signing", "_token", "_witness")

    def __init__(self, secrets: Secrets) -> None:
        # Expanded once: a signature then costs no second derivation of the public key.
        self._signing = signing.expand(secrets.signing)
        self._log = signing.expand(secrets.log)
        self._witness = signing.expand(secrets.witness)
        self._token = signing.expand(secrets.token)
        self._encryption = secrets.encryption
        self._blinding = keyed(b"", key=secrets.storage, person=b"consortium bkey")
        self._public = secrets.public()
        self._pairs: dict[bytes, PairKeys] = {}

    def __repr__(self) -> str:
        return f"KeyFile(signing={self._public.signing.hex()})"

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError("private keys are not pickled")

    @property
    def public(self) -> MemberKeys:
        """The public halves."""
        return self._public

    def sign_batch(self, message: bytes) -> bytes:
        """Ed25519 by the signing key."""
        return signing.sign(message, self._signing)

    def sign_checkpoint(self, text: str, origin: str) -> NoteSignature:
        """Note signature by the log key, under the origin's name."""
        return notes.sign_note(text, VerifierKey(origin, ED25519, self._public.log), self._log)

    def cosign(self, text: str, name: str, timestamp_s: int) -> NoteSignature:
        """Cosignature/v1 by the witness key, under the cosigner's name."""
        return notes.cosign(text, VerifierKey(name, COSIGNATURE_V1, self._public.witness), self._witness, timestamp_s)

    def sign_token(self, message: bytes) -> bytes:
        """Ed25519 by the token key."""
        return signing.sign(message, self._token)

    def pair(self, public: bytes) -> PairKeys:
        """The keys shared with the holder of an X25519 public key. Raises `Malformed` for a point of low order."""
        known = self._pairs.get(public)
        if known is None:
            if len(self._pairs) >= MAX_PAIRS:
                self._pairs.clear()
            known = self._pairs[public] = self._make_pair(public)
        return known

    def blind(self, tag: bytes) -> bytes:
        """A party's tag under a subkey of the storage key: 16 bytes, the same for the same tag."""
        return keyed(tag, key=self._blinding, person=b"consortium blind", size=BLIND_BYTES)

    def derive_id(self, cause: bytes) -> bytes:
        """The id of a record that follows from `cause`."""
        return keyed(cause, key=self._blinding, person=b"consortium derid", size=ID_BYTES)

    def _make_pair(self, public: bytes) -> PairKeys:
        try:
            pair = hints.pair_key(self._encryption, public)
        except (CryptoError, ValueError):
            raise Malformed("an encryption key is no usable X25519 key") from None
        return PairKeys(pair, hints.hint_key(pair))


def create(path: Path, unlock: Unlock, entropy: Entropy = os.urandom) -> KeyFile:
    """Make new keys and write their file. Raises `ConfigurationError` if a file stands there already."""
    secrets = Secrets.generate(entropy)
    _write(path, _seal(secrets, unlock, entropy), replace=False)
    return KeyFile(secrets)


def open(path: Path, unlock: Unlock) -> KeyFile:
    """Read a key file. Raises `KeysUnavailable`; a wrong passphrase and a damaged file give the same message."""
    return KeyFile(_unseal(_read(path), unlock))


def rewrap(path: Path, old: Unlock, new: Unlock, entropy: Entropy = os.urandom) -> None:
    """Seal the same keys under another passphrase or secret, in one atomic step. Raises `KeysUnavailable`."""
    _write(path, _seal(_unseal(_read(path), old), new, entropy), replace=True)


def _seal(secrets: Secrets, unlock: Unlock, entropy: Entropy) -> bytes:
    header = {"version": VERSION, "unlock": unlock.describe(entropy(SALT_BYTES))}
    nonce = entropy(_NONCE_BYTES)
    key = unlocking_key(unlock, header["unlock"])
    box = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(secrets.encoded(), encode(header), nonce, key)
    return (json.dumps({**header, "nonce": nonce.hex(), "box": box.hex()}, indent=2) + "\n").encode()


def _unseal(data: bytes, unlock: Unlock) -> Secrets:
    try:
        raw = json.loads(data)
        header = {"version": raw["version"], "unlock": raw["unlock"]}
        if set(raw) != {*header, "nonce", "box"} or header["version"] != VERSION:
            raise Malformed("not a key file of this version")
        nonce, box = bytes.fromhex(raw["nonce"]), bytes.fromhex(raw["box"])
        key = unlocking_key(unlock, header["unlock"])
        plain = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(box, encode(header), nonce, key)
        return Secrets.decode(plain)
    except (CryptoError, Malformed, ValueError, TypeError, KeyError, RecursionError):
        # `from None`: what went wrong inside may quote what it was given.
        raise KeysUnavailable(
            "the key file does not open: a wrong passphrase or secret, or a damaged file",
            hint="check which file and which passphrase or mounted secret the node was given",
        ) from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeysUnavailable(f"the key file {path} cannot be read: {error.strerror}") from None


def _write(path: Path, data: bytes, *, replace: bool) -> None:
    """All or nothing: a crash leaves the old file, or none, never half of one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        _write_durably(temporary, data)
        try:
            # A link, unlike a rename, refuses to take the place of a file that is there.
            os.replace(temporary, path) if replace else os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except FileExistsError:
        raise ConfigurationError(
            f"{path} exists already", hint="keys are never overwritten; move the file away first"
        ) from None
    except OSError as error:
        raise KeysUnavailable(f"the key file {path} cannot be written: {error.strerror}") from None


def _write_durably(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, _MODE)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, _MODE)
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
