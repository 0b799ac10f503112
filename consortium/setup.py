"""Setting up a member: its sealed keys, its certificate requests, and the part of the genesis that names it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from consortium.adapters import keyfile
from consortium.adapters.keyfile import KeyFile
from consortium.adapters.unlock import Unlock
from consortium.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """What was made."""

    keys: KeyFile
    key_file: Path
    public_file: Path


def create_node_files(directory: Path, member: str, unlock: Unlock) -> NodeFiles:
    """Make a member's files in `directory`; refuses to replace keys that are there.

    Raises `ConfigurationError`.
    """
    key_file, public_file = directory / "keys.sealed", directory / "public.json"
    if key_file.exists():
        raise ConfigurationError(f"{key_file} exists", hint="keys are never overwritten; use another folder")
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        keys = keyfile.create(key_file, unlock)
        for purpose in ("client", "server"):
            _request_certificate(directory, member, purpose)
        entry = {"name": member, "roles": [], "keys": keys.public.as_dict()}
        public_file.write_text(json.dumps(entry, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot write to {directory}: {error.strerror}") from error
    return NodeFiles(keys, key_file, public_file)


def _request_certificate(directory: Path, member: str, purpose: str) -> None:
    """A P-256 key and a request (CSR) that the consortium's authority turns into a certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    descriptor = os.open(directory / f"{purpose}.key.pem", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, member)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if purpose == "server":
        names = [x509.DNSName("localhost"), x509.DNSName(member)]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    request = builder.sign(key, hashes.SHA256())
    (directory / f"{purpose}.csr.pem").write_bytes(request.public_bytes(serialization.Encoding.PEM))
