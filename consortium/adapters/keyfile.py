"""The member's private keys in one sealed file: the default `KeyCustody`.

The file is JSON: version, how its key is unlocked (Argon2id parameters and salt, or "secret"), nonce, ciphertext. The
secrets are sealed by XChaCha20-Poly1305 with the version and the unlocking parameters as associated data, so that
nobody can weaken the parameters unseen. It is readable by its owner alone (mode 0600). Version 2 holds generations of
keys (`keysecrets`); files of version 1, with one, open as well, and become version 2 at their first change.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nacl import bindings
from nacl.exceptions import CryptoError

from consortium.adapters.keysecrets import KEY_BYTES, Entropy, Keychain, Secrets
from consortium.adapters.unlock import SALT_BYTES, MountedSecret, Passphrase, Unlock, unlocking_key
from consortium.crypto import hints, notes, signing
from consortium.crypto.hashing import keyed
from consortium.crypto.notes import COSIGNATURE_V1, ED25519, NoteSignature, VerifierKey
from consortium.errors import ConfigurationError, KeysUnavailable, Malformed
from consortium.model.encoding import encode
from consortium.model.members import MemberKeys
from consortium.model.names import ID_BYTES
from consortium.ports.keys import PairKeys

__all__ = ["KeyFile", "MountedSecret", "Passphrase", "Unlock", "change", "create", "open", "rewrap"]

VERSION = 2
BLIND_BYTES = 16
MAX_PAIRS = 4096
_NONCE_BYTES = 24
_MODE = 0o600


class KeyFile:
    """An opened key file. Implements `consortium.ports.keys.KeyCustody`; shows nothing of itself but its public keys.

    `replace` gives it the secrets that a change of the file made.
    """

    __slots__ = (
        "_at_rest", "_boxes", "_derivation", "_destroyed", "_encryption", "_log", "_newest", "_pairs", "_public",
        "_publics", "_signing", "_tokens", "_witness", "chain",
    )  # fmt: skip

    def __init__(self, secrets: Secrets | Keychain) -> None:
        self.replace(Keychain.of(secrets) if isinstance(secrets, Secrets) else secrets)

    def __repr__(self) -> str:
        return f"KeyFile(signing={self._public.signing.hex()})"

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError("private keys are not pickled")

    def replace(self, chain: Keychain) -> None:
        """Go on with these secrets."""
        self.chain = chain
        active = chain.active
        # Expanded once: a signature then costs no second derivation of the public key.
        self._signing = signing.expand(active.signing)
        self._log = signing.expand(active.log)
        self._witness = signing.expand(active.witness)
        self._public = active.public()
        self._publics = tuple(g.public() for g in chain.generations)
        pairs = zip(self._publics, chain.generations, strict=True)
        self._tokens = {keys.token: signing.expand(g.token) for keys, g in pairs}
        self._encryption = tuple(dict.fromkeys(g.encryption for g in reversed(chain.generations)))
        self._newest = active.encryption
        self._derivation = chain.derivation
        self._at_rest = tuple(keyed(b"", key=s.key, person=b"consortium arest") for s in reversed(chain.storage))
        self._pairs: dict[tuple[bytes, bytes], PairKeys] = {}
        self._destroyed: dict[bytes, list[bytes]] = {}
        for public, hint in chain.hints:
            self._destroyed.setdefault(public, []).append(hint)
        self._boxes: dict[bytes, list[PairKeys]] = {}
        for public, pair in chain.boxes:
            self._boxes.setdefault(public, []).append(PairKeys(pair, hints.hint_key(pair)))

    @property
    def public(self) -> MemberKeys:
        """The public halves of the generation in force."""
        return self._public

    @property
    def generations(self) -> tuple[MemberKeys, ...]:
        """The public halves of all, oldest first."""
        return self._publics

    def use(self, keys: MemberKeys) -> bool:
        """Go on with the generation that the ledger names; whether the file holds it."""
        if keys not in self._publics:
            return False
        if keys != self._public:
            self.replace(self.chain.activated(keys))
        return True

    def sign_batch(self, message: bytes) -> bytes:
        """Ed25519 by the signing key."""
        return signing.sign(message, self._signing)

    def sign_checkpoint(self, text: str, origin: str) -> NoteSignature:
        """Note signature by the log key, under the origin's name."""
        return notes.sign_note(text, VerifierKey(origin, ED25519, self._public.log), self._log)

    def cosign(self, text: str, name: str, timestamp_s: int) -> NoteSignature:
        """Cosignature/v1 by the witness key, under the cosigner's name."""
        return notes.cosign(text, VerifierKey(name, COSIGNATURE_V1, self._public.witness), self._witness, timestamp_s)

    def sign_token(self, message: bytes, public: bytes | None = None) -> bytes:
        """Ed25519 by the token key in force, or by that of a public half that is held."""
        return signing.sign(message, self._tokens[public or self._public.token])

    def pair(self, public: bytes) -> PairKeys:
        """The keys shared with the holder of an X25519 public key. Raises `Malformed` for a point of low order."""
        return self._pair(self._newest, public)

    def pairs(self, public: bytes) -> tuple[PairKeys, ...]:
        """The same for each own encryption key that is not destroyed, newest first."""
        return (*[self._pair(secret, public) for secret in self._encryption], *self._boxes.get(public, ()))

    def hints(self, public: bytes) -> tuple[bytes, ...]:
        """The hint keys shared with the holder of a public key, those of destroyed keys too, newest first."""
        return (*[pair.hint for pair in self.pairs(public)], *self._destroyed.get(public, ()))

    def blind(self, tag: bytes) -> bytes:
        """A party's tag under a key that outlives rotations: 16 bytes, the same for the same tag."""
        return keyed(tag, key=self._derivation, person=b"consortium blind", size=BLIND_BYTES)

    def derive_id(self, cause: bytes) -> bytes:
        """The id of a record that follows from `cause`."""
        return keyed(cause, key=self._derivation, person=b"consortium derid", size=ID_BYTES)

    def seal_at_rest(self, context: bytes, plaintext: bytes) -> bytes:
        """XChaCha20-Poly1305 under a subkey of the newest storage key, a random nonce first."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, context, nonce, self._at_rest[0])

    def open_at_rest(self, context: bytes, sealed: bytes) -> bytes:
        """The inverse, under any storage key. Raises `KeysUnavailable`."""
        for key in self._at_rest:
            if (plaintext := _opened(context, sealed, key)) is not None:
                return plaintext
        raise KeysUnavailable(
            "something that the node sealed at rest does not open",
            hint="the database belongs to another key file, or a row was changed behind the node's back",
        )

    def reseal_at_rest(self, context: bytes, sealed: bytes) -> bytes | None:
        """The same under the newest storage key; None if it is. Raises `KeysUnavailable`."""
        if _opened(context, sealed, self._at_rest[0]) is not None:
            return None
        return self.seal_at_rest(context, self.open_at_rest(context, sealed))

    def _pair(self, secret: bytes, public: bytes) -> PairKeys:
        known = self._pairs.get((secret, public))
        if known is None:
            if len(self._pairs) >= MAX_PAIRS:
                self._pairs.clear()
            known = self._pairs[secret, public] = _make_pair(secret, public)
        return known


def _make_pair(secret: bytes, public: bytes) -> PairKeys:
    try:
        pair = hints.pair_key(secret, public)
    except (CryptoError, ValueError):
        raise Malformed("an encryption key is no usable X25519 key") from None
    return PairKeys(pair, hints.hint_key(pair))


def _opened(context: bytes, sealed: bytes, key: bytes) -> bytes | None:
    nonce, box = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        return bytes(bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(box, context, nonce, key))
    except (CryptoError, ValueError):
        return None


def create(path: Path, unlock: Unlock, entropy: Entropy = os.urandom) -> KeyFile:
    """Make new keys and write their file. Raises `ConfigurationError` if a file stands there already."""
    chain = Keychain.of(Secrets.generate(entropy), entropy(KEY_BYTES))
    _write(path, _seal(chain, unlock, entropy), replace=False)
    return KeyFile(chain)


def open(path: Path, unlock: Unlock) -> KeyFile:
    """Read a key file. Raises `KeysUnavailable`; a wrong passphrase and a damaged file give the same message."""
    return KeyFile(_unseal(_read(path), unlock))


def rewrap(path: Path, old: Unlock, new: Unlock, entropy: Entropy = os.urandom) -> None:
    """Seal the same keys under another passphrase or secret, in one atomic step. Raises `KeysUnavailable`."""
    with _alone(path):
        _write(path, _seal(_unseal(_read(path), old), new, entropy), replace=True)


def change(path: Path, unlock: Unlock, step: Callable[[Keychain], Keychain], entropy: Entropy = os.urandom) -> Keychain:
    """Change what the file holds, in one atomic step, nobody else in between; what it holds then.

    Raises `KeysUnavailable`, and what `step` raises. What a change leaves out is gone from the file; what the file
    system keeps of the bytes that were there before is another matter (docs/operations.md, "Keys").
    """
    with _alone(path):
        before = _unseal(_read(path), unlock)
        after = step(before)
        if after != before:
            _write(path, _seal(after, unlock, entropy), replace=True)
        return after


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock of the file's folder: the node and a command may want to change the file at once."""
    try:
        descriptor = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise KeysUnavailable(f"the key file {path} cannot be read: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _seal(chain: Keychain, unlock: Unlock, entropy: Entropy) -> bytes:
    header = {"version": VERSION, "unlock": unlock.describe(entropy(SALT_BYTES))}
    nonce = entropy(_NONCE_BYTES)
    key = unlocking_key(unlock, header["unlock"])
    box = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(chain.encoded(), encode(header), nonce, key)
    return (json.dumps({**header, "nonce": nonce.hex(), "box": box.hex()}, indent=2) + "\n").encode()


def _unseal(data: bytes, unlock: Unlock) -> Keychain:
    try:
        raw = json.loads(data)
        header = {"version": raw["version"], "unlock": raw["unlock"]}
        version = header["version"]
        if set(raw) != {*header, "nonce", "box"} or type(version) is not int or not 1 <= version <= VERSION:
            raise Malformed("not a key file of this version")
        nonce, box = bytes.fromhex(raw["nonce"]), bytes.fromhex(raw["box"])
        key = unlocking_key(unlock, header["unlock"])
        plain = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(box, encode(header), nonce, key)
        return Keychain.decode(version, plain)
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
