"""One gRPC channel to all etcd members, and the rule by which a failed request is asked again.

Every request of the log may be repeated without harm (see `EtcdLog.append`), so whatever does not say clearly that
repeating is useless is repeated: a lost answer, a dead or hanging member, a cluster between two leaders. The channel
asks the members in turn, so the next attempt goes to another one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar, cast

import grpc
from etcd3aio import EtcdError, EtcdPermissionDeniedError, EtcdUnauthenticatedError, prefix_range_end
from etcd3aio.connections import ConnectionManager
from etcd3aio.kv import KVService
from etcd3aio.maintenance import MaintenanceService
from etcd3aio.watch import WatchService

from consortium.adapters.etcd.settings import EtcdSettings
from consortium.errors import ConfigurationError, DefectError, LogUnavailable

T = TypeVar("T")

FAILURES = (EtcdError, grpc.aio.AioRpcError, TimeoutError)
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
REQUEST_TIMEOUT_S = 10.0
_UNLIMITED = -1


class Compacted(Exception):
    """The revision that was asked for is no longer kept."""


class Services:
    """The etcd services over one channel. Made inside a running event loop, to which gRPC binds the channel."""

    def __init__(self, settings: EtcdSettings) -> None:
        manager = ConnectionManager(settings.endpoints)
        manager.grpc_options += [
            ("grpc.max_receive_message_length", _UNLIMITED),
            ("grpc.max_send_message_length", _UNLIMITED),
            # gRPC's own defaults wait up to two minutes before a member that came back is tried again.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 2_000),
            ("grpc.max_reconnect_backoff_ms", 2_000),
        ]
        self.channel = manager.get_channel(
            ca_cert=settings.ca,
            cert_key=settings.key,
            cert_chain=settings.certificate,
            tls_server_name=settings.server_name,
        )
        self.kv = KVService(self.channel, max_attempts=1)
        self.maintenance = MaintenanceService(self.channel, max_attempts=1)
        self.watches = WatchService(
            self.channel, reconnect_backoff_seconds=0.1, max_reconnect_backoff_seconds=LONGEST_PAUSE_S
        )


class Connection:
    """Requests to the cluster, repeated until they are answered or their time is up."""

    def __init__(self, settings: EtcdSettings) -> None:
        self._settings = settings
        self._services: Services | None = None
        self._former: list[Services] = []
        self._closed = False
        self.renewals = 0

    def renew(self, certificate: bytes, key: bytes) -> None:
        """Show this certificate (PEM) from now on. What is under way goes on over the channel that it began on."""
        self._settings = replace(self._settings, certificate=certificate, key=key)
        if self._services is not None:
            self._former.append(self._services)
        self._services = None
        self.renewals += 1

    async def call(self, what: str, request: Callable[[Services, float], Awaitable[T]], *, timeout_s: float) -> T:
        """The answer to `request(services, deadline in seconds)`, which must bear repetition.

        Raises `LogUnavailable` when `timeout_s` is over or the store is full, `ConfigurationError` when the cluster
        refuses this member, `Compacted`.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        # Several attempts must fit into the caller's time, or a hanging member would use up all of it.
        attempt_s = min(self._settings.attempt_s, max(timeout_s / 4, 0.05))
        pause_s = FIRST_PAUSE_S
        last = "no attempt was made"
        while (left_s := end - loop.time()) > 0:
            try:
                return await request(self._open(), min(attempt_s, left_s))
            except FAILURES as failure:
                last = _transient(what, failure)
            await asyncio.sleep(max(0.0, min(pause_s, end - loop.time())))
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        raise LogUnavailable(
            f"etcd gave no answer to {what} within {timeout_s:g} s: {last}",
            hint="are a majority of the etcd members up, and do their certificates come from the consortium's CA?",
        )

    def watch(self, prefix: bytes, start_revision: int) -> AsyncGenerator[Any, None]:
        """etcd3aio's own watch over all keys of a prefix."""
        watch = self._open().watches.watch(prefix, prefix_range_end(prefix), start_revision)
        return cast("AsyncGenerator[Any, None]", watch)

    async def close(self) -> None:
        """Close the channel; requests that are under way fail."""
        self._closed = True
        for services in filter(None, (self._services, *self._former)):
            await services.channel.close()
        self._services = None
        self._former.clear()

    def _open(self) -> Services:
        if self._closed:
            raise DefectError("the log is used after it was closed")
        if self._services is None:
            self._services = Services(self._settings)
        return self._services


def _transient(what: str, failure: BaseException) -> str:
    """What to say of a failure that is worth another attempt. Raises for one that is not."""
    cause = failure if isinstance(failure, grpc.aio.AioRpcError) else failure.__cause__
    details = (cause.details() or "") if isinstance(cause, grpc.aio.AioRpcError) else str(failure)
    if isinstance(failure, EtcdPermissionDeniedError | EtcdUnauthenticatedError) or "user name" in details:
        raise ConfigurationError(
            f"etcd refuses {what}: {details}",
            hint="the client certificate's common name must be the member's etcd user, with a role for its own prefix",
        ) from failure
    if "database space exceeded" in details:
        raise LogUnavailable(
            f"etcd refuses {what}: its store has reached the quota (NOSPACE alarm)",
            hint="trim the log, compact and defragment every etcd member, then `etcdctl alarm disarm`",
        ) from failure
    if "request is too large" in details:
        raise ConfigurationError(
            f"etcd refuses {what}: the request is too large",
            hint="every etcd member's --max-request-bytes must be at its default of 1.5 MiB or more",
        ) from failure
    if "has been compacted" in details:
        raise Compacted(details) from failure
    return details or type(failure).__name__
