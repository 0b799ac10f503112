"""`OrderingLog` on etcd: one key per batch, put in a transaction that demands that the key does not exist yet.

That demand makes an append repeatable: if an answer was lost, the same transaction finds the key, and if it holds the
same bytes the first one had succeeded. The entry's position is the revision of its put. No lock and no lease orders
anything. `reading` delivers the entries.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from etcd3aio.kv import KVService

from consortium.adapters.etcd.connection import REQUEST_TIMEOUT_S, Connection
from consortium.adapters.etcd.delivery import Delivery
from consortium.adapters.etcd.keys import entry_key, log_prefix
from consortium.adapters.etcd.listing import Newest
from consortium.adapters.etcd.reading import Reading
from consortium.adapters.etcd.settings import EtcdSettings
from consortium.errors import Tampering
from consortium.ports.log import LogEvent, LogUsage


class EtcdLog:
    """One member's access to one channel's log; see `consortium.ports.OrderingLog` for the contract.

    Beyond it, every method raises `ConfigurationError` if the cluster refuses this member.
    """

    def __init__(self, settings: EtcdSettings) -> None:
        self._settings = settings
        self._connection = Connection(settings)
        self._prefix = log_prefix(settings.network, settings.channel, settings.epoch)
        self._newest = Newest(self._connection, self._prefix)

    async def append(self, sequence: int, data: bytes, *, timeout_s: float) -> int:
        key = entry_key(self._prefix, self._settings.member, sequence)
        absent = [KVService.txn_compare_create_revision(key, 0)]
        put, get = [KVService.txn_op_put(key, data)], [KVService.txn_op_get(key)]
        answer = await self._connection.call(
            "an append",
            lambda services, limit_s: services.kv.txn(absent, put, get, timeout=limit_s),
            timeout_s=timeout_s,
        )
        if answer.succeeded:
            return int(answer.header.revision)
        return self._standing(sequence, data, answer.responses[0].response_range.kvs[0])

    def read(self, after: int, next_sequences: Mapping[str, int]) -> AsyncGenerator[LogEvent, None]:
        settings = self._settings
        reading = Reading(
            self._connection,
            self._prefix,
            self._newest,
            Delivery(after, next_sequences),
            poll_s=settings.poll_s,
            fetches=settings.fetches,
        )
        return reading.events()

    async def head(self, *, timeout_s: float) -> int:
        return await self._newest.position(timeout_s=timeout_s)

    async def trim(self, below: int) -> int:
        first, end = (entry_key(self._prefix, self._settings.member, sequence) for sequence in (0, below))
        answer = await self._connection.call(
            "a trim",
            lambda services, limit_s: services.kv.delete(first, end, timeout=limit_s),
            timeout_s=REQUEST_TIMEOUT_S,
        )
        return int(answer.deleted)

    async def usage(self) -> LogUsage:
        """Size of one etcd member's file, free pages included: that is what etcd holds against the quota."""
        answer = await self._connection.call(
            "a status",
            lambda services, limit_s: services.maintenance.status(timeout=limit_s),
            timeout_s=REQUEST_TIMEOUT_S,
        )
        return LogUsage(int(answer.dbSize), self._settings.quota_bytes)

    def renew(self, certificate: bytes, key: bytes) -> None:
        """Show this client certificate (PEM) from now on; nothing is interrupted."""
        self._connection.renew(certificate, key)

    async def close(self) -> None:
        await self._connection.close()

    def _standing(self, sequence: int, data: bytes, kv: Any) -> int:
        """The position of an entry that stood already."""
        if kv.version > 1 or kv.value != data:
            raise Tampering(
                f"the log holds other bytes as batch {sequence} of {self._settings.member}",
                hint="somebody else writes with this member's certificate, or the node lost its own store",
            )
        return int(kv.mod_revision)
