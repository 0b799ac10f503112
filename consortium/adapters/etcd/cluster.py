"""The etcd members of a consortium, as their operators see them: who votes, who learns, who answers.

Everything here acts as etcd's root. Nothing is done that could cost the cluster its majority: that is refused, with
what to do first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from etcd3aio import Etcd3Client, EtcdPermissionDeniedError, EtcdUnauthenticatedError
from etcd3aio.cluster import ClusterService

from consortium.adapters.etcd.users import ETCD_FAILURES
from consortium.errors import ConfigurationError, DefectError, LogUnavailable

_REQUEST_S = 10.0
_ANSWER_S = 2.0


@dataclass(frozen=True, slots=True)
class EtcdMember:
    """An etcd member. `name` is '' until it has started for the first time."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    learner: bool


@dataclass(frozen=True, slots=True)
class EtcdRoot:
    """How to reach the cluster as its root user: `host:port` endpoints, PEM files' content."""

    endpoints: tuple[str, ...]
    ca: bytes
    certificate: bytes
    key: bytes
    server_name: str = "localhost"

    def client(self, endpoints: Sequence[str] = ()) -> Etcd3Client:
        """A client over these endpoints, all by default; an async context manager."""
        return Etcd3Client(
            list(endpoints or self.endpoints),
            tls_server_name=self.server_name,
            ca_cert=self.ca,
            cert_key=self.key,
            cert_chain=self.certificate,
        )


class Cluster:
    """The members of the cluster that `root` reaches."""

    def __init__(self, root: EtcdRoot, client: Etcd3Client) -> None:
        self._root = root
        self._client = client

    async def members(self) -> list[EtcdMember]:
        """All, by name. Raises `LogUnavailable`, `ConfigurationError`."""
        answer = await self._asked(lambda: self._service.member_list(timeout=_REQUEST_S))
        found = [EtcdMember(m.ID, m.name, tuple(m.peerURLs), tuple(m.clientURLs), m.isLearner) for m in answer.members]
        return sorted(found, key=lambda member: (member.name, member.id))

    async def add_learner(self, peer_url: str) -> None:
        """Let an etcd member join that does not vote until it is promoted: so it can be slow, or stay away."""
        await self._asked(lambda: self._service.member_add([peer_url], is_learner=True, timeout=_REQUEST_S))

    async def promote(self, member: EtcdMember) -> bool:
        """Let a learner vote; False while it has not caught up with the leader."""
        try:
            await self._asked(lambda: self._service.member_promote(member.id, timeout=_REQUEST_S))
        except LogUnavailable:
            return False
        return True

    async def remove(self, member: EtcdMember) -> None:
        """Take a member out. Raises `ConfigurationError` if those that answer could not form a majority after it."""
        if not member.learner:
            await self._require_majority_without(member)
        await self._asked(lambda: self._service.member_remove(member.id, timeout=_REQUEST_S))

    async def answers(self, member: EtcdMember) -> bool:
        """Whether the member itself answers."""
        endpoints = [url.partition("://")[2] for url in member.client_urls]
        if not endpoints:
            return False
        async with self._root.client(endpoints) as client:
            if client.maintenance is None:
                return False
            try:
                await client.maintenance.status(timeout=_ANSWER_S, max_attempts=1)
            except ETCD_FAILURES:
                return False
        return True

    async def _require_majority_without(self, leaving: EtcdMember) -> None:
        others = [m for m in await self.members() if not m.learner and m.id != leaving.id]
        healthy = [m for m in others if await self.answers(m)]
        needed = len(others) // 2 + 1
        if not others or len(healthy) < needed:
            away = ", ".join(m.name or m.peer_urls[0] for m in others if m not in healthy) or "there is no other"
            raise ConfigurationError(
                f"etcd without {leaving.name} would have {len(healthy)} of the {needed} members that it needs",
                hint=f"bring these etcd members back first: {away}",
            )

    @property
    def _service(self) -> ClusterService:
        if self._client.cluster is None:
            raise DefectError("the etcd client is not connected")
        return self._client.cluster

    async def _asked(self, request: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await request()
        except ETCD_FAILURES as error:
            raise told_of(error) from error


def told_of(error: BaseException) -> ConfigurationError | LogUnavailable:
    """A failure of etcd's at what its root asked for, as one of ours."""
    if isinstance(error, EtcdPermissionDeniedError | EtcdUnauthenticatedError):
        return ConfigurationError(
            "etcd refuses this certificate as root's", hint="its common name must be etcd's user `root`"
        )
    cause = error if isinstance(error, grpc.aio.AioRpcError) else error.__cause__
    details = cause.details() if isinstance(cause, grpc.aio.AioRpcError) else str(error)
    return LogUnavailable(f"etcd did not do it: {details or type(error).__name__}")
