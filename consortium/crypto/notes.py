"""C2SP signed-note, tlog-checkpoint and tlog-cosignature: text that a person can read and any verifier can check."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from consortium.crypto import signing
from consortium.crypto.hashing import sha256
from consortium.errors import Malformed, ProofInvalid

ED25519 = 0x01
COSIGNATURE_V1 = 0x04
MAX_SIGNATURES = 128
_DASH = "\u2014 "


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A vkey: key name, signature type byte, 32-byte Ed25519 public key."""

    name: str
    kind: int
    public: bytes

    @property
    def id(self) -> bytes:
        """SHA-256(name || newline || type || key), first 4 bytes."""
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public)[:4]

    def __str__(self) -> str:
        material = base64.b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.id.hex()}+{material}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read a vkey. Raises `Malformed`."""
        parts = text.split("+", 2)
        if len(parts) != 3:
            raise Malformed("a vkey is name+id+key")
        name, key_id, material = parts
        raw = unbase64(material)
        if len(raw) != 33 or raw[0] not in (ED25519, COSIGNATURE_V1):
            raise Malformed("a vkey holds an Ed25519 key of type 0x01 or 0x04")
        key = cls(_key_name(name), raw[0], raw[1:])
        if key.id.hex() != key_id:
            raise Malformed("a vkey's id does not match its key")
        return key


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: key name, 4-byte key id, signature bytes."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        """The line with its newline."""
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A text (ending in a newline) and its signatures."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def __str__(self) -> str:
        return self.text + "\n" + "".join(s.line() for s in self.signatures)

    def with_signatures(self, more: Iterable[NoteSignature]) -> SignedNote:
        """The note with further signatures: one per (name, key id), the newer one wins."""
        merged = {(s.name, s.key_id): s for s in (*self.signatures, *more)}
        return SignedNote(self.text, tuple(merged.values()))


def parse_note(data: str) -> SignedNote:
    """A signed note. Raises `Malformed`."""
    if any((c < " " and c != "\n") or _is_surrogate(c) for c in data):
        raise Malformed("a note holds control characters, or is not valid UTF-8")
    text, blank, tail = data.rpartition("\n\n")
    if not blank or not tail.endswith("\n"):
        raise Malformed("a note is text, an empty line and signatures")
    return SignedNote(text + "\n", parse_signatures(tail))


def parse_signatures(text: str) -> tuple[NoteSignature, ...]:
    """Signature lines. Raises `Malformed`."""
    lines = text.split("\n")[:-1]
    if not lines or len(lines) > MAX_SIGNATURES:
        raise Malformed(f"a note has 1 to {MAX_SIGNATURES} signatures")
    signatures = []
    for line in lines:
        name, space, encoded = line.removeprefix(_DASH).partition(" ")
        raw = unbase64(encoded)
        if not line.startswith(_DASH) or not space or len(raw) < 5:
            raise Malformed("a signature line is '— name base64'")
        signatures.append(NoteSignature(_key_name(name), raw[:4], raw[4:]))
    return tuple(signatures)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The body of a checkpoint: origin, tree size, root (32 bytes). Extension lines are refused: we make none."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The note text."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read a note text. Raises `Malformed`."""
        lines = text.split("\n")
        if len(lines) != 4 or lines[3]:
            raise Malformed("a checkpoint has three lines")
        origin, size, root = lines[:3]
        raw = unbase64(root)
        if not origin or len(raw) != 32:
            raise Malformed("a checkpoint has an origin and a root of 32 bytes")
        return cls(origin, parse_decimal(size), raw)


def parse_decimal(text: str) -> int:
    """ASCII decimal without leading zeroes, below 2**63. Raises `Malformed`."""
    if not text.isascii() or not text.isdigit() or (text[0] == "0" and text != "0") or len(text) > 19:
        raise Malformed("a number is ASCII decimal without leading zeroes")
    value = int(text)
    if value >= 1 << 63:
        raise Malformed("a number is below 2**63")
    return value


def sign_note(text: str, key: VerifierKey, secret: bytes) -> NoteSignature:
    """A plain Ed25519 note signature (type 0x01); `secret` is expanded."""
    return NoteSignature(key.name, key.id, signing.sign(text.encode(), secret))


def cosign(text: str, key: VerifierKey, secret: bytes, timestamp_s: int) -> NoteSignature:
    """A cosignature/v1 (type 0x04) over a checkpoint at a POSIX time in seconds; `secret` is expanded."""
    signature = signing.sign(_cosigned_message(text, timestamp_s), secret)
    return NoteSignature(key.name, key.id, struct.pack(">Q", timestamp_s) + signature)


def verified_by(note: SignedNote, keys: Sequence[VerifierKey]) -> tuple[VerifierKey, ...]:
    """The known keys whose signature stands under the note and holds.

    Unknown signatures are ignored; one of a known key that fails condemns the note (signed-note). Two keys of one name
    can have one id of four bytes, by chance or by work: it then fails if it is neither's. Raises `ProofInvalid`.
    """
    found: list[VerifierKey] = []
    for signature in note.signatures:
        named = [k for k in keys if k.name == signature.name and k.id == signature.key_id]
        if not named:
            continue
        key = next((k for k in named if _holds(note.text, signature, k)), None)
        if key is None:
            raise ProofInvalid(f"the signature of {signature.name} does not verify")
        if key not in found:
            found.append(key)
    return tuple(found)


def timestamp_of(signature: NoteSignature) -> int:
    """The POSIX time inside a cosignature/v1."""
    return int(struct.unpack(">Q", signature.signature[:8])[0])


def _holds(text: str, signature: NoteSignature, key: VerifierKey) -> bool:
    if key.kind == ED25519:
        return signing.verify(text.encode(), signature.signature, key.public)
    if len(signature.signature) != 8 + signing.SIGNATURE_BYTES:
        return False
    timestamp = timestamp_of(signature)
    if timestamp >= 1 << 63:
        return False
    return signing.verify(_cosigned_message(text, timestamp), signature.signature[8:], key.public)


def _cosigned_message(text: str, timestamp_s: int) -> bytes:
    return f"cosignature/v1\ntime {timestamp_s}\n{text}".encode()


def _key_name(name: str) -> str:
    if not name or "+" in name or any(c.isspace() or _is_surrogate(c) for c in name):
        raise Malformed("a key name has no spaces and no plus")
    return name


def _is_surrogate(char: str) -> bool:
    """Text from JSON may hold lone surrogates, which have no UTF-8."""
    return "\ud800" <= char <= "\udfff"


def unbase64(text: str) -> bytes:
    """RFC 4648 section 4, in its one canonical form. Raises `Malformed`."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("not base64") from None
    if base64.b64encode(raw).decode() != text:
        raise Malformed("not canonical base64")
    return raw
