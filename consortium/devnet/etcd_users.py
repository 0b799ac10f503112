"""etcd's users and roles for a consortium: all read the whole network, each writes only its own entries."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

import grpc
from etcd3aio import Etcd3Client, EtcdError, PermissionType, prefix_range_end
from etcd3aio.auth import AuthService

from consortium.adapters.etcd.keys import log_prefix, member_prefix, network_prefix
from consortium.devnet.certificates import ROOT_NAME
from consortium.errors import DefectError

ETCD_FAILURES = (EtcdError, grpc.aio.AioRpcError, TimeoutError)
_REQUEST_S = 10.0


async def add_users(client: Etcd3Client, members: Sequence[str], network: str) -> None:
    """Root, a user and a role for each member, then demand authentication. Users have no password: only certificates.

    Repeating it changes nothing. `client` acts as root.
    """
    auth = _auth(client)
    readable = network_prefix(network)
    for name in (ROOT_NAME, *members):
        await _unless_done(auth.user_add(name, no_password=True, timeout=_REQUEST_S))
        await _unless_done(auth.role_add(name, timeout=_REQUEST_S))
        await _unless_done(auth.user_grant_role(name, name, timeout=_REQUEST_S))
    for name in members:
        await auth.role_grant_permission(name, readable, prefix_range_end(readable), timeout=_REQUEST_S)
    await auth.auth_enable(timeout=_REQUEST_S)


async def allow(client: Etcd3Client, members: Sequence[str], network: str, channel: str, epoch: int) -> None:
    """Let each member write under its own prefix of a channel's epoch. `client` acts as root."""
    auth = _auth(client)
    for member in members:
        prefix = member_prefix(log_prefix(network, channel, epoch), member)
        await auth.role_grant_permission(
            member, prefix, prefix_range_end(prefix), perm_type=PermissionType.READWRITE, timeout=_REQUEST_S
        )


def _auth(client: Etcd3Client) -> AuthService:
    if client.auth is None:
        raise DefectError("the etcd client is not connected")
    return client.auth


async def _unless_done(step: Awaitable[object]) -> None:
    try:
        await step
    except grpc.aio.AioRpcError as error:
        if "already" not in (error.details() or ""):
            raise
