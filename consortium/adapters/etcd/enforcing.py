"""Makes etcd do what the ledger decided: users of members that came, none of members that went; their etcd members too.

Safe to repeat, and meant to be: each round does what can be done now, and says what is left to wait for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from etcd3aio import Etcd3Client

from consortium.adapters.etcd.cluster import Cluster, EtcdMember, told_of
from consortium.adapters.etcd.users import ETCD_FAILURES, admit_user, revoke_user, users
from consortium.ledger.governance.state import Governance


@dataclass(frozen=True, slots=True)
class Decided:
    """What the ledger says: the log's place, the members of now, and those that are none any more."""

    network: str
    channel: str
    epoch: int
    members: tuple[str, ...]
    removed: tuple[str, ...]


def decided(governance: Governance) -> Decided:
    """What the ledger says of members, in etcd's terms."""
    return Decided(
        governance.network,
        governance.channel,
        governance.epoch,
        tuple(member.name for member in governance.members),
        tuple(sorted(s.name for s in governance.standings.values() if s.removed is not None)),
    )


@dataclass(slots=True)
class Round:
    """What one round did, and what it waits for, as sentences."""

    done: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)


async def enforce(client: Etcd3Client, cluster: Cluster, decided: Decided, joining: Mapping[str, str]) -> Round:
    """One round, as etcd's root. `joining`: by member the peer URL (`https://host:2380`) of the etcd that it brings.

    Raises `ConfigurationError` where a step would cost the cluster its majority, `LogUnavailable`.
    """
    told = Round()
    try:
        await _users(client, decided, told)
    except ETCD_FAILURES as error:
        raise told_of(error) from error
    members = await cluster.members()
    for member in members:
        if member.name in decided.removed and member.name not in decided.members:
            await cluster.remove(member)
            told.done.append(f"the etcd member of {member.name} is out of the cluster")
    for name, peer_url in sorted(joining.items()):
        if name in decided.members:
            await join(cluster, members, name, peer_url, told)
        else:
            told.waiting.append(f"{name} is no member of the ledger: its etcd stays outside")
    return told


async def _users(client: Etcd3Client, decided: Decided, told: Round) -> None:
    """Rights are taken before they are given."""
    known = await users(client)
    for name in sorted(known & set(decided.removed) - set(decided.members)):
        await revoke_user(client, name)
        told.done.append(f"{name} has no user and no role: etcd refuses what it writes and reads")
        told.waiting.append(f"a watch that {name} has open ends when the etcd members are restarted, one by one")
    for name in decided.members:  # also of those that it knows: the last round may have been broken off
        await admit_user(client, name, decided.network, decided.channel, decided.epoch)
        if name not in known:
            told.done.append(f"{name} has a user: it reads the network and writes its own entries")


async def join(cluster: Cluster, members: list[EtcdMember], name: str, peer_url: str, told: Round) -> None:
    """One step on the way of an etcd member: learner, started, promoted."""
    found = next((m for m in members if peer_url in m.peer_urls), None)
    if found is None:
        await cluster.add_learner(peer_url)
        told.done.append(f"the etcd member of {name} may join as a learner")
        told.waiting.append(
            f"start it with --initial-cluster-state=existing --initial-cluster={line(members, name, peer_url)}"
        )
    elif not found.learner:
        return
    elif not found.name or not await cluster.answers(found):
        told.waiting.append(f"the etcd member of {name} has not started")
    elif await cluster.promote(found):
        told.done.append(f"the etcd member of {name} votes")
    else:
        told.waiting.append(f"the etcd member of {name} is still catching up")


def line(members: list[EtcdMember], name: str, peer_url: str) -> str:
    """The `--initial-cluster` of a newcomer."""
    known = {m.name: m.peer_urls[0] for m in members if m.name and m.peer_urls}
    return ",".join(f"{each}={url}" for each, url in {**known, name: peer_url}.items())
