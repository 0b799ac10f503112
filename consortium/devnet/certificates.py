"""A devnet's certificate authority: one root for the whole consortium, keys on P-256, files that only the owner reads.

The kinds of certificate are kept apart by extended key usage and common name, because all come from one authority:

- client: common name is the member (or `root`), which is its etcd user and its name to other members' nodes;
- server: for 127.0.0.1, localhost and the member's name; cannot be used as a client;
- peer: between etcd members; its common name can be nobody's user, and etcd admits only that name as a peer.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PEER_NAME = "peer.etcd"
ROOT_NAME = "root"
SERVER_NAME = "localhost"
_VALID = datetime.timedelta(days=825)
# Clocks of machines that try a devnet differ a little.
_BACKDATED = datetime.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """Issues certificates into one directory. A second one on the same directory goes on with the same root."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory = directory
        self._files = self._at("ca")
        if not self._files.certificate.exists():
            self._create()
        self._certificate = x509.load_pem_x509_certificate(self._files.certificate.read_bytes())
        key = serialization.load_pem_private_key(self._files.key.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("the authority's key is not an elliptic curve key")
        self._key = key

    @property
    def certificate(self) -> Path:
        """The root certificate that everybody trusts."""
        return self._files.certificate

    def client(self, name: str) -> CertificateFiles:
        """For a member towards etcd and other members, or for etcd's user `root`."""
        return self._issue(f"{name}-client", name, [ExtendedKeyUsageOID.CLIENT_AUTH], [])

    def server(self, member: str) -> CertificateFiles:
        """For what a member serves: its node and its etcd member."""
        return self._issue(f"{member}-server", member, [ExtendedKeyUsageOID.SERVER_AUTH], [member])

    def peer(self, member: str) -> CertificateFiles:
        """For a member's etcd member towards the others."""
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        return self._issue(f"{member}-peer", PEER_NAME, usages, [member, PEER_NAME])

    def _create(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("consortium devnet CA")
        builder = _builder(name, name, key.public_key()).add_extension(x509.BasicConstraints(True, 0), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
        _write(self._files, builder.sign(key, hashes.SHA256()), key)

    def signed(self, request: bytes, *, server: bool) -> bytes:
        """The certificate (PEM) for a member's request (PEM): its key, and the name that it asks for. (A person would
        compare both with the member's own word.)
        """
        asked = x509.load_pem_x509_csr(request)
        key = asked.public_key()
        if not asked.is_signature_valid or not isinstance(key, ec.EllipticCurvePublicKey):
            raise ValueError("the request does not hold")
        name = str(asked.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        certificate = self._certify(name, key, [usage], [name] if server else [])
        return certificate.public_bytes(serialization.Encoding.PEM)

    def _issue(self, file: str, name: str, usages: list[x509.ObjectIdentifier], hosts: list[str]) -> CertificateFiles:
        files = self._at(file)
        if files.certificate.exists():
            return files
        key = ec.generate_private_key(ec.SECP256R1())
        _write(files, self._certify(name, key.public_key(), usages, hosts), key)
        return files

    def _certify(
        self, name: str, key: ec.EllipticCurvePublicKey, usages: list[x509.ObjectIdentifier], hosts: list[str]
    ) -> x509.Certificate:
        issuer = self._certificate.public_key()
        if not isinstance(issuer, ec.EllipticCurvePublicKey):
            raise TypeError("the authority's key is not an elliptic curve key")
        builder = _builder(_name(name), self._certificate.subject, key)
        builder = builder.add_extension(x509.BasicConstraints(False, None), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
        if hosts:
            builder = builder.add_extension(_alternative_names(hosts), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _at(self, file: str) -> CertificateFiles:
        return CertificateFiles(self._directory / f"{file}.pem", self._directory / f"{file}.key")


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - _BACKDATED,
        not_valid_after=now + _VALID,
    ).add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative_names(hosts: list[str]) -> x509.SubjectAlternativeName:
    names = [x509.DNSName(host) for host in (SERVER_NAME, *hosts)]
    return x509.SubjectAlternativeName([*names, x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])


def _write(files: CertificateFiles, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    """The key first: where there is a certificate, there is its key."""
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for path, content in (
        (files.key, secret),
        (files.certificate, certificate.public_bytes(serialization.Encoding.PEM)),
    ):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
