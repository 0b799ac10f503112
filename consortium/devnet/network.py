"""A whole consortium on this machine: authority, etcd, Postgres, genesis, and one node process per member.

Everything that a member has is its own: keys, certificates, database, role, settings, log. Only the machine is shared.
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from consortium.adapters.policyfiles import read_policy_texts
from consortium.adapters.postgres.migrate import upgrade
from consortium.adapters.postgres.roles import DatabaseUrls
from consortium.adapters.tokens.logins import CHALLENGE_CONTEXT
from consortium.adapters.tokens.passwords import hash_password
from consortium.adapters.tokens.sessions import BOUND_KINDS
from consortium.adapters.unlock import MountedSecret
from consortium.bootstrap import open_stores
from consortium.client.dpop import DpopKey, TokenAuth
from consortium.config import POLICIES
from consortium.crypto import signing
from consortium.devnet.certificates import SERVER_NAME, Authority
from consortium.devnet.etcd import EtcdCluster
from consortium.devnet.postgres import PostgresServer
from consortium.devnet.processes import Child, Processes, environment, free_ports
from consortium.errors import DefectError, OperatorError
from consortium.ledger import witnessing
from consortium.ledger.governance.constitution import constitution
from consortium.model.members import Genesis, Member
from consortium.model.policyset import policy_set_digest
from consortium.ports.accounts import DUTIES, Account
from consortium.setup import create_node_files

_READY_S = 60.0


@dataclass(frozen=True, slots=True)
class MemberPlan:
    """A member to be: its roles, whether it runs an etcd member, and the homes that are its users."""

    name: str
    roles: tuple[str, ...]
    votes: bool = True
    users: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Person:
    """An account of the devnet, with what it signs in with: a password, or the seed of its key."""

    name: str
    kind: str
    member: str
    password: str = field(default="", repr=False)
    seed: bytes = field(default=b"", repr=False)
    duties: frozenset[str] = frozenset()

    @property
    def party(self) -> str:
        """As a party: `home-01@suncoop`."""
        return f"{self.name}@{self.member}"


@dataclass(slots=True)
class NodeHandle:
    """One member's node: where it is, and its process."""

    member: str
    directory: Path
    port: int
    peer_port: int
    databases: DatabaseUrls = field(repr=False)
    child: Child | None = None

    @property
    def database_url(self) -> str:
        """The database as its owner: for looking in, and for faults; the node itself has less rights."""
        return self.databases.owner

    @property
    def url(self) -> str:
        """The API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def peer_url(self) -> str:
        """The door for other members' nodes."""
        return f"https://127.0.0.1:{self.peer_port}"

    @property
    def config(self) -> Path:
        """The node's settings."""
        return self.directory / "node.toml"

    def kill(self) -> None:
        """SIGKILL."""
        if self.child is not None:
            self.child.kill()


class Devnet:
    """Built by `prepare`, started by `start`; ending the `processes` ends it."""

    def __init__(
        self,
        directory: Path,
        processes: Processes,
        postgres: PostgresServer,
        plans: Sequence[MemberPlan],
        *,
        network: str = "demo",
        channel: str = "main",
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.directory = directory
        self.processes = processes
        self.postgres = postgres
        self.plans = tuple(sorted(plans, key=lambda plan: plan.name))
        self.authority = Authority(directory / "certificates")
        voters = [plan.name for plan in self.plans if plan.votes]
        self.etcd = EtcdCluster(processes, directory / "etcd", self.authority, voters)
        self.nodes: dict[str, NodeHandle] = {}
        self.people: list[Person] = []
        self.dpop_keys: dict[str, DpopKey | None] = {}
        self._network = network
        self._channel = channel
        self._settings = dict(settings or {})
        self._policies = Path(str(self._settings.get("policies", POLICIES)))
        self._genesis: Genesis | None = None

    @property
    def genesis(self) -> Genesis:
        """The genesis, once prepared."""
        if self._genesis is None:
            raise DefectError("the devnet is not prepared")
        return self._genesis

    @property
    def genesis_file(self) -> Path:
        """What every node starts from."""
        return self.directory / "genesis.json"

    @property
    def trust_file(self) -> Path:
        """The trust file for receipts."""
        return self.directory / "trust.policy"

    async def prepare(self) -> None:
        """Keys, genesis, etcd with its users, databases with their accounts, settings."""
        await self.etcd.start()
        names = [plan.name for plan in self.plans]
        await self.etcd.set_up_users(names, self._network)
        await self.etcd.open_channel(names, self._network, self._channel, 1)
        members = tuple(self._make_member(plan) for plan in self.plans)
        origin = f"{self._network}.consortium.example/{self._channel}/1"
        begun = constitution(policy_set_digest(*read_policy_texts(self._policies)))
        self._genesis = Genesis(self._network, self._channel, 1, origin, members, begun)
        self.genesis_file.write_text(self._genesis.to_json(), "utf-8")
        self.trust_file.write_text(witnessing.trust_file(self._genesis), "utf-8")
        for node in self.nodes.values():
            self._write_config(node)
        for plan in self.plans:
            await self._make_people(plan)

    async def add_member(self, plan: MemberPlan) -> Member:
        """Make a member of which nobody knows yet: keys, database, people, settings, ports for its etcd."""
        member = self._make_member(plan)
        self.plans = (*self.plans, plan)
        if plan.votes:
            self.etcd.make_room(plan.name)
        self.write_config(plan.name)
        await self._make_people(plan)
        return member

    def write_config(self, member: str) -> None:
        """Write a node's settings anew, with the addresses of now; it reads them when it starts."""
        self._write_config(self.nodes[member])

    def _make_member(self, plan: MemberPlan) -> Member:
        directory = self.directory / plan.name
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        secret = directory / "secret"
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_hex(32) + "\n")
        made = create_node_files(directory, plan.name, MountedSecret.read(secret))
        databases = self.postgres.create_database(plan.name, fresh=True)
        upgrade(databases.owner, databases.roles)
        port, peer_port = free_ports(2)
        self.nodes[plan.name] = NodeHandle(plan.name, directory, port, peer_port, databases)
        return Member(plan.name, tuple(sorted(plan.roles)), made.keys.public)

    async def _make_people(self, plan: MemberPlan) -> None:
        people = [_signer(plan.name, "staff", "staff", DUTIES), _signer(plan.name, "admin", "administrator")]
        people += [_signer(plan.name, duty, "staff", frozenset({duty})) for duty in ("billing", "metering")]
        if plan.users:
            people.append(_signer(plan.name, "meters", "machine"))
        if "compliance" in plan.roles:
            people.append(_signer(plan.name, "officer", "officer"))
        people += [Person(name, "user", plan.name, password=secrets.token_urlsafe(18)) for name in plan.users]
        async with open_stores(self.nodes[plan.name].database_url) as stores:
            for person in people:
                await stores.accounts.put_account(_account(person))
        self.people += people

    def _write_config(self, node: NodeHandle) -> None:
        client, server = self.authority.client(node.member), self.authority.server(node.member)
        values: dict[str, object] = {
            "member": node.member,
            "genesis": str(self.genesis_file.resolve()),
            "key_file": str((node.directory / "keys.sealed").resolve()),
            "key_secret_file": str((node.directory / "secret").resolve()),
            "database_url": node.databases.node,
            "database_reader_url": node.databases.reader,
            "port": node.port,
            "peer_port": node.peer_port,
            "peer_urls": {other.member: other.peer_url for other in self.nodes.values()},
            "peer_cert_file": str(server.certificate.resolve()),
            "peer_key_file": str(server.key.resolve()),
            "ca_file": str(self.authority.certificate.resolve()),
            "cert_file": str(client.certificate.resolve()),
            "cert_key_file": str(client.key.resolve()),
            "etcd_endpoints": list(self.etcd.endpoints),
            "etcd_server_name": SERVER_NAME,
            **self._settings,
        }
        node.config.touch(mode=0o600)
        node.config.write_text("".join(f"{name} = {_toml(value)}\n" for name, value in values.items()), "utf-8")

    async def start(self, members: Sequence[str] | None = None) -> None:
        """Start the nodes (all by default) and wait until they are ready. Raises `ChildError`."""
        names = list(self.nodes) if members is None else list(members)
        for name in names:
            self.launch(name)
        for name in names:
            await self.wait_ready(name)

    def launch(self, member: str) -> None:
        """Start a node's process without waiting."""
        node = self.nodes[member]
        command = [sys.executable, "-m", "consortium", "node", "run", "--config", str(node.config)]
        node.child = self.processes.start(f"node-{member}", command, env=environment(without="CONSORTIUM_"))

    async def wait_ready(self, member: str, timeout_s: float = _READY_S) -> None:
        """Wait until a node takes records."""
        node = self.nodes[member]
        if node.child is None:
            raise DefectError(f"the node of {member} was not started")
        async with httpx.AsyncClient(base_url=node.url, trust_env=False, timeout=5.0) as http:

            async def ready() -> bool:
                try:
                    return (await http.get("/readyz")).status_code == 200
                except httpx.HTTPError:
                    return False

            await node.child.wait_until(ready, "ready", timeout_s)

    def person(self, name: str) -> Person:
        """The account of that name."""
        found = next((person for person in self.people if person.name == name), None)
        if found is None:
            raise DefectError(f"nobody is called {name}")
        return found

    async def sign_in(self, person: Person) -> str:
        """A token, by the API: password or signed challenge. `auth` sends it, with its key where it needs one."""
        url = self.nodes[person.member].url
        key = DpopKey() if person.kind in BOUND_KINDS else None
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30.0) as http:
            path, body = "/v1/auth/login", {"name": person.name, "password": person.password}
            if not person.password:
                asked = await http.post("/v1/auth/challenge", json={"name": person.name})
                path, body = "/v1/auth/answer", _signed(str(asked.json()["challenge"]), person.seed)
            headers = {"DPoP": key.proof("POST", url + path)} if key else {}
            response = await http.post(path, json=body, headers=headers)
        if response.status_code != 200:
            raise OperatorError(f"{person.name} cannot sign in: {response.status_code}")
        token = str(response.json()["token"])
        self.dpop_keys[token] = key
        return token

    def auth(self, token: str) -> TokenAuth:
        """How a token goes on requests: with a proof of its key, if `sign_in` gave it one."""
        return TokenAuth(token, self.dpop_keys.get(token))


def _signed(challenge: str, seed: bytes) -> dict[str, str]:
    signature = signing.sign(CHALLENGE_CONTEXT + challenge.encode(), signing.expand(seed))
    return {"challenge": challenge, "signature": signature.hex()}


def _signer(member: str, name: str, kind: str, duties: frozenset[str] = frozenset()) -> Person:
    """Somebody of a member who signs in with a key."""
    return Person(f"{member}-{name}", kind, member, seed=secrets.token_bytes(32), duties=duties)


def _account(person: Person) -> Account:
    return Account(
        person.name,
        person.kind,
        hash_password(person.password) if person.password else "",
        signing.public_key(person.seed) if person.seed else b"",
        duties=person.duties,
    )


def _toml(value: object) -> str:
    """A TOML value; strings and lists are written as JSON, which TOML reads as well."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + " }"
    return json.dumps(value)
