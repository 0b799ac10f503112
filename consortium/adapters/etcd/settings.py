"""What the ordering log needs to know of its etcd cluster."""

from __future__ import annotations

from dataclasses import dataclass, field

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class EtcdSettings:
    """A cluster, the identity of one member in it, and one channel's log.

    `endpoints` are `host:port`; `ca`, `certificate` and `key` are PEM, and the certificate's common name is the etcd
    user. gRPC checks one name for all endpoints: `server_name` must stand in every server certificate.
    `quota_bytes` is the cluster's `--quota-backend-bytes`. `attempt_s` is the longest that one endpoint may take over
    a request before another one is asked; `poll_s` how often a reading checks that its watch is alive;
    `fetches` how many values (each under 1 MiB, 1.5 MiB at most) a catching-up reading holds at once.
    """

    endpoints: tuple[str, ...]
    ca: bytes
    certificate: bytes
    key: bytes = field(repr=False)
    network: str
    channel: str
    epoch: int
    member: str
    quota_bytes: int
    server_name: str = "localhost"
    attempt_s: float = 2.0
    poll_s: float = 3.0
    fetches: int = 8
