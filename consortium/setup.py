"""Setting up a member: its sealed keys, its certificate requests, and the part of the genesis that names it."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Mapping
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
    _write_request(directory / f"{purpose}.key.pem", directory / f"{purpose}.csr.pem", member, purpose)


def renew_certificate_requests(member: str, files: Mapping[str, tuple[Path, Path]]) -> list[Path]:
    """New keys and requests beside the certificates and keys of the purposes `client` and `server`; the requests.

    What is in use stays as it is. Raises `ConfigurationError`.
    """
    requests = []
    for purpose, (certificate, key) in files.items():
        request = certificate.with_name(f"{certificate.name}.csr")
        try:
            _write_request(_next(key), request, member, purpose)
        except OSError as error:
            raise ConfigurationError(f"cannot write to {key.parent}: {error.strerror}") from error
        requests.append(request)
    return requests


def finish_certificates(files: Mapping[str, tuple[Path, Path]]) -> list[Path]:
    """Put new certificates, and their keys, in place. Raises `ConfigurationError`: then all is as it was."""
    for certificate, key in files.values():
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(str(_next(certificate)), str(_next(key)))
        except OSError as error:
            raise ConfigurationError(
                f"{_next(certificate)} is no certificate for the key that was made for it",
                hint="the authority signs *.csr; its answer goes beside it, to the certificate's name with .next",
            ) from error
    # One after the other: a node looks again until both fit together.
    for certificate, key in files.values():
        os.replace(_next(key), key)
        os.replace(_next(certificate), certificate)
    return [certificate for certificate, _ in files.values()]


def _next(path: Path) -> Path:
    return path.with_name(f"{path.name}.next")


def _write_request(key_file: Path, request_file: Path, member: str, purpose: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, member)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if purpose == "server":
        names = [x509.DNSName("localhost"), x509.DNSName(member)]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    request = builder.sign(key, hashes.SHA256())
    request_file.write_bytes(request.public_bytes(serialization.Encoding.PEM))
