"""etcd's users and roles for a consortium: all members read the whole network, each writes only its own entries.

A member's etcd user has its name, no password (only a client certificate with that common name opens it), and one
role of the same name. Everything here acts as etcd's root and may be repeated.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

import grpc
from etcd3aio import Etcd3Client, EtcdError, PermissionType, prefix_range_end
from etcd3aio.auth import AuthService

from consortium.adapters.etcd.keys import log_prefix, member_prefix, network_prefix
from consortium.errors import DefectError

ETCD_FAILURES = (EtcdError, grpc.aio.AioRpcError, TimeoutError)
ROOT = "root"
_REQUEST_S = 10.0


async def add_users(client: Etcd3Client, members: Sequence[str], network: str) -> None:
    """Root, a user and a role for each member who may read the network, then demand authentication."""
    auth = auth_of(client)
    for name in (ROOT, *members):
        await _add_user(auth, name)
    for name in members:
        await _let_read(auth, name, network)
    await auth.auth_enable(timeout=_REQUEST_S)


async def allow(client: Etcd3Client, members: Sequence[str], network: str, channel: str, epoch: int) -> None:
    """Let each member write under its own prefix of a channel's epoch."""
    for member in members:
        await _let_write(auth_of(client), member, network, channel, epoch)


async def admit_user(client: Etcd3Client, member: str, network: str, channel: str, epoch: int) -> None:
    """A user for a member that was admitted: it reads the network, and writes its own entries of the channel."""
    auth = auth_of(client)
    await _add_user(auth, member)
    await _let_read(auth, member, network)
    await _let_write(auth, member, network, channel, epoch)


async def revoke_user(client: Etcd3Client, member: str) -> None:
    """No user and no role of that name any more: every request with its certificate is refused from now on.

    A watch that it has open goes on until its connection ends (etcd asks for rights when a watch begins, not after):
    restart the etcd members one after the other.
    """
    auth = auth_of(client)
    await _unless_done(auth.user_delete(member, timeout=_REQUEST_S))
    await _unless_done(auth.role_delete(member, timeout=_REQUEST_S))


async def users(client: Etcd3Client) -> frozenset[str]:
    """The names of all users, root's too."""
    return frozenset((await auth_of(client).user_list(timeout=_REQUEST_S)).users)


def auth_of(client: Etcd3Client) -> AuthService:
    """The client's service for users and roles. Raises `DefectError` for a client that is not connected."""
    if client.auth is None:
        raise DefectError("the etcd client is not connected")
    return client.auth


async def _add_user(auth: AuthService, name: str) -> None:
    await _unless_done(auth.user_add(name, no_password=True, timeout=_REQUEST_S))
    await _unless_done(auth.role_add(name, timeout=_REQUEST_S))
    await _unless_done(auth.user_grant_role(name, name, timeout=_REQUEST_S))


async def _let_read(auth: AuthService, name: str, network: str) -> None:
    readable = network_prefix(network)
    await auth.role_grant_permission(name, readable, prefix_range_end(readable), timeout=_REQUEST_S)


async def _let_write(auth: AuthService, member: str, network: str, channel: str, epoch: int) -> None:
    prefix = member_prefix(log_prefix(network, channel, epoch), member)
    await auth.role_grant_permission(
        member, prefix, prefix_range_end(prefix), perm_type=PermissionType.READWRITE, timeout=_REQUEST_S
    )


async def _unless_done(step: Awaitable[object]) -> None:
    try:
        await step
    except ETCD_FAILURES as error:
        cause = error if isinstance(error, grpc.aio.AioRpcError) else error.__cause__
        details = (cause.details() or "") if isinstance(cause, grpc.aio.AioRpcError) else str(error)
        if not any(word in details for word in ("already", "user name not found", "role name not found")):
            raise
