"""Where entries stand in etcd: `/<network>/<channel>/<epoch>/log/<member>/<sequence as 16 digits>`."""

from __future__ import annotations

import re

from consortium.model.names import is_name

_ENTRY = re.compile(rb"([a-z0-9-]+)/([0-9]{16})")


def network_prefix(network: str) -> bytes:
    """All keys of a network; every member may read them."""
    return f"/{network}/".encode()


def log_prefix(network: str, channel: str, epoch: int) -> bytes:
    """All entries of a channel's epoch."""
    return f"/{network}/{channel}/{epoch}/log/".encode()


def member_prefix(log: bytes, member: str) -> bytes:
    """All entries of one member; only it may write them."""
    return log + member.encode() + b"/"


def entry_key(log: bytes, member: str, sequence: int) -> bytes:
    """The key of a batch. Digits are padded, so keys sort by sequence."""
    return member_prefix(log, member) + b"%016d" % sequence


def parse_key(log: bytes, key: bytes) -> tuple[str, int]:
    """Member and sequence of an entry; ('', 0) for a key that names none."""
    match = _ENTRY.fullmatch(key, len(log))
    if match is None or not key.startswith(log):
        return "", 0
    member = match[1].decode()
    return (member, int(match[2])) if is_name(member) else ("", 0)
