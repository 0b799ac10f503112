"""An etcd cluster on this machine: one process per member, TLS with client certificates, a user per member.

What a production cluster needs is all here (certificates, users, roles, quota, compaction, every write on disk before
it is acknowledged); only the machines are missing.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from etcd3aio import Etcd3Client

from consortium.adapters.etcd.cluster import Cluster, EtcdRoot
from consortium.adapters.etcd.enforcing import Decided, Round, enforce
from consortium.adapters.etcd.settings import EtcdSettings
from consortium.devnet.certificates import ROOT_NAME, SERVER_NAME, Authority
from consortium.devnet.etcd_command import EtcdCommand
from consortium.devnet.etcd_users import ETCD_FAILURES, add_users, allow
from consortium.devnet.processes import Child, Processes, free_ports, stop_together
from consortium.errors import DefectError

QUOTA_BYTES = 2 << 30


class EtcdCluster:
    """One etcd process for each of `members`. Ports and data directories stay the same for the object's life."""

    def __init__(
        self,
        processes: Processes,
        directory: Path,
        authority: Authority,
        members: Sequence[str],
        *,
        quota_bytes: int = QUOTA_BYTES,
    ) -> None:
        self.members = tuple(members)
        self.quota_bytes = quota_bytes
        self._processes = processes
        self._directory = directory
        self.authority = authority
        ports = free_ports(2 * len(self.members))
        self._clients = dict(zip(self.members, ports[: len(self.members)], strict=True))
        self._peers = dict(zip(self.members, ports[len(self.members) :], strict=True))
        self._children: dict[str, Child] = {}
        self._joined: set[str] = set()

    @property
    def endpoints(self) -> tuple[str, ...]:
        """`host:port` of every member's client side."""
        return tuple(self.endpoint(member) for member in self.members)

    def endpoint(self, member: str) -> str:
        return f"127.0.0.1:{self._clients[member]}"

    def peer_url(self, member: str) -> str:
        """Where the other etcd members reach it."""
        return f"https://127.0.0.1:{self._peers[member]}"

    def child(self, member: str) -> Child:
        """The member's process, running or not."""
        return self._children[member]

    # --- its life ----------------------------------------------------------------------------------------------

    async def start(self, timeout_s: float = 60.0) -> None:
        """Start every member that does not run, and wait until all are healthy. Raises `ChildError`."""
        for member in self.members:
            if member not in self._children or not self._children[member].running:
                self._launch(member)
        await self.wait_healthy(timeout_s=timeout_s)

    async def wait_healthy(self, members: Sequence[str] | None = None, timeout_s: float = 60.0) -> None:
        """Wait until each of `members` (all by default) answers a linearizable read. Raises `ChildError`."""
        for member in self.members if members is None else members:

            async def healthy(member: str = member) -> bool:
                return await self._answers(member)

            await self._children[member].wait_until(healthy, "healthy", timeout_s)

    def make_room(self, member: str) -> None:
        """Ports for a newcomer; it is started by `start_newcomer`, once the cluster was told of it."""
        if member not in self._peers:
            self._clients[member], self._peers[member] = free_ports(2)
        self._joined.add(member)

    def start_newcomer(self, member: str) -> None:
        """Start a newcomer, on an empty folder: what it had in an earlier membership is of no use any more."""
        shutil.rmtree(self._directory / member, ignore_errors=True)
        self.members = (*self.members, member)
        self._launch(member)

    def dismiss(self, member: str) -> None:
        """The cluster has taken it out: end its process and ask it nothing any more."""
        if member in self._children:
            self._children[member].stop()
        self.members = tuple(name for name in self.members if name != member)

    async def restart_one_by_one(self) -> None:
        """So that every open connection ends, and the cluster keeps its majority meanwhile."""
        for member in self.members:
            self._children[member].stop()
            await self.restart(member)

    def kill(self, member: str) -> None:
        """SIGKILL."""
        self._children[member].kill()

    async def restart(self, member: str, timeout_s: float = 60.0) -> None:
        """Start a member again that was stopped or killed, on its data, and wait until it is healthy."""
        if self._children[member].running:
            raise DefectError(f"etcd of {member} is running")
        self._launch(member)
        await self.wait_healthy([member], timeout_s)

    def stop(self, timeout_s: float = 3.0) -> None:
        """SIGTERM to all that run, SIGKILL after `timeout_s`: nothing acknowledged is lost by either.

        Members that stop together may each wait for another one to lead.
        """
        stop_together(self._children.values(), timeout_s)

    # --- who may do what ---------------------------------------------------------------------------------------

    def root(self, endpoints: Sequence[str] = ()) -> Etcd3Client:
        """A client as etcd's root user: for the cluster's operators, and for tests that tamper."""
        return self.client(ROOT_NAME, endpoints)

    async def enforce(self, decided: Decided, joining: Mapping[str, str]) -> Round:
        """One round of what `consortium etcd enforce` does. Raises `ConfigurationError`, `LogUnavailable`."""
        files = self.authority.client(ROOT_NAME)
        ca, certificate, key = (
            path.read_bytes() for path in (self.authority.certificate, files.certificate, files.key)
        )
        root = EtcdRoot(self.endpoints, ca, certificate, key, SERVER_NAME)
        async with root.client() as client:
            return await enforce(client, Cluster(root, client), decided, joining)

    def client(self, name: str, endpoints: Sequence[str] = ()) -> Etcd3Client:
        """A plain etcd client with that name's certificate, over all endpoints by default; an async context manager."""
        files = self.authority.client(name)
        return Etcd3Client(
            list(endpoints or self.endpoints),
            tls_server_name=SERVER_NAME,
            ca_cert=self.authority.certificate.read_bytes(),
            cert_key=files.key.read_bytes(),
            cert_chain=files.certificate.read_bytes(),
        )

    async def set_up_users(self, members: Sequence[str], network: str) -> None:
        """A user for each of `members`, also for those that run no etcd; all may read the network; then demand it.

        Repeating it changes nothing.
        """
        async with self.root() as client:
            await add_users(client, members, network)

    async def open_channel(self, members: Sequence[str], network: str, channel: str, epoch: int) -> None:
        """Let each of `members` write its own entries of a channel's epoch, and nobody else's."""
        async with self.root() as client:
            await allow(client, members, network, channel, epoch)

    def settings(self, member: str, network: str, channel: str, epoch: int) -> EtcdSettings:
        """What `member` needs to use the channel's log, over all endpoints."""
        files = self.authority.client(member)
        return EtcdSettings(
            endpoints=self.endpoints,
            ca=self.authority.certificate.read_bytes(),
            certificate=files.certificate.read_bytes(),
            key=files.key.read_bytes(),
            network=network,
            channel=channel,
            epoch=epoch,
            member=member,
            quota_bytes=self.quota_bytes,
            server_name=SERVER_NAME,
        )

    # --- inside ------------------------------------------------------------------------------------------------

    async def _answers(self, member: str) -> bool:
        async with self.root([self.endpoint(member)]) as client:
            if client.kv is None:
                return False
            try:
                await client.kv.get("health", timeout=1.0, max_attempts=1)
            except ETCD_FAILURES:
                return False
            return True

    def _launch(self, member: str) -> None:
        command = EtcdCommand(
            name=member,
            client=self.endpoint(member),
            peers={name: f"127.0.0.1:{self._peers[name]}" for name in self.members},
            data=self._directory / member,
            token=self._directory.name,
            quota_bytes=self.quota_bytes,
            authority=self.authority,
            joins=member in self._joined,
        )
        self._children[member] = self._processes.start(f"etcd-{member}", command.arguments(), env=command.environment())
