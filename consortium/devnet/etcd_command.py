"""How an etcd member is started: 3.4 up to 3.6."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from consortium.devnet.certificates import PEER_NAME, Authority
from consortium.devnet.processes import environment
from consortium.errors import ConfigurationError

_PLACES = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin")
_RETAINED_REVISIONS = 1000


def find_etcd() -> str:
    """The etcd program. Raises `ConfigurationError`."""
    found = shutil.which("etcd")
    for place in _PLACES:
        found = found or shutil.which("etcd", path=place)
    if found is None:
        raise ConfigurationError(
            f"etcd is not installed: there is no such program on PATH, nor in {', '.join(_PLACES)}",
            hint="install it: `apt-get install etcd-server` on Debian and Ubuntu, `brew install etcd` on macOS",
        )
    return found


@dataclass(frozen=True, slots=True)
class EtcdCommand:
    """One member: `client` and each of `peers` (by member, itself included) are `host:port`.

    It is one of a cluster's first members, or `joins` one that runs and was told of it.
    """

    name: str
    client: str
    peers: Mapping[str, str]
    data: Path
    token: str
    quota_bytes: int
    authority: Authority
    joins: bool = False

    def environment(self) -> dict[str, str]:
        """Without settings that etcd would take from it; and etcd refuses to run on arm64 unless it is told so."""
        arm = platform.machine() in {"aarch64", "arm64"}
        return environment(without="ETCD_", **({"ETCD_UNSUPPORTED_ARCH": "arm64"} if arm else {}))

    def arguments(self) -> list[str]:
        """The command line; makes the data directory. Raises `ConfigurationError` if etcd is not installed."""
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        return [
            find_etcd(),
            *self._addresses(),
            *self._certificates(),
            f"--name={self.name}",
            f"--data-dir={self.data}",
            f"--initial-cluster-token={self.token}",
            f"--initial-cluster-state={'existing' if self.joins else 'new'}",
            f"--quota-backend-bytes={self.quota_bytes}",
            "--auto-compaction-mode=revision",
            f"--auto-compaction-retention={_RETAINED_REVISIONS}",
            # The JSON gateway would call etcd with the server's certificate, in nobody's name.
            "--enable-grpc-gateway=false",
            "--logger=zap",
            "--log-outputs=stderr",
        ]

    def _addresses(self) -> list[str]:
        client, peer = f"https://{self.client}", f"https://{self.peers[self.name]}"
        return [
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster={','.join(f'{name}=https://{address}' for name, address in self.peers.items())}",
        ]

    def _certificates(self) -> list[str]:
        server, peer = self.authority.server(self.name), self.authority.peer(self.name)
        return [
            "--client-cert-auth",
            f"--trusted-ca-file={self.authority.certificate}",
            f"--cert-file={server.certificate}",
            f"--key-file={server.key}",
            "--peer-client-cert-auth",
            f"--peer-trusted-ca-file={self.authority.certificate}",
            f"--peer-cert-file={peer.certificate}",
            f"--peer-key-file={peer.key}",
            f"--peer-cert-allowed-cn={PEER_NAME}",
        ]
