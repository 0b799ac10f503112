"""After a trading day no secret stands anywhere in plain: not in a node's database, in its folder, its log, or the
order. What must be a file of its own for a node to start at all is readable by its owner alone.

The needles are the real ones: what every payload says, opened with the members' real keys; the private keys out of the
key files; passwords, tokens and codes as they were handed out.
"""

from __future__ import annotations

import base64
import dataclasses
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from psycopg.conninfo import conninfo_to_dict

from consortium.adapters import keyfile
from consortium.adapters.postgres.rows import HELD, held_of
from consortium.adapters.unlock import MountedSecret
from consortium.bootstrap import open_stores
from consortium.devnet.network import Person
from consortium.devnet.network import _account as account_of
from consortium.pipeline.opening import Opener
from tests.fixtures.network import MEMBERS, Network, wait_until

pytestmark = pytest.mark.processes

WINDOW = 20
"""So many bytes of a payload in a row are no accident."""
Needles = dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Handed:
    """What the node of suncoop handed out to people, each once and in plain."""

    login: dict = field(repr=False)
    enrolled: dict = field(repr=False)
    invited: dict = field(repr=False)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def network(trading_day) -> Network:
    await trading_day.network.agreed()
    return trading_day.network


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def handed(network: Network) -> AsyncIterator[Handed]:
    """A session, a second factor and an invitation, of somebody whom no other file knows of."""
    person = Person("vault-home", "user", "suncoop", password=secrets.token_urlsafe(18))
    async with open_stores(network.net.nodes["suncoop"].database_url) as stores:
        await stores.accounts.put_account(account_of(person))
    network.net.people.append(person)
    async with httpx.AsyncClient(base_url=network.net.nodes["suncoop"].url, trust_env=False) as client:
        signed_in = await client.post("/v1/auth/login", json={"name": person.name, "password": person.password})
        login = signed_in.json()
        bearer = {"authorization": f"Bearer {login['token']}"}
        enrolled = (await client.post("/v1/me/second-factor", headers=bearer)).json()
    admin = await network.client("suncoop-admin")
    invited = (await admin.post("/v1/accounts", json={"name": "vault-guest", "kind": "user"})).json()
    yield Handed(login, enrolled, invited)
    network.net.people.remove(person)


def both(name: str, value: bytes) -> Needles:
    """A secret, and the two ways in which it would be written as text."""
    return {name: value, f"{name}, hex": value.hex().encode(), f"{name}, base64": base64.b64encode(value).rstrip(b"=")}


def keys_of(network: Network, member: str) -> Needles:
    """A member's private keys, what seals them, and its database passwords."""
    directory = network.net.nodes[member].directory
    found: Needles = {f"{member}'s mounted secret": (directory / "secret").read_bytes().strip()}
    for place, secret in private_keys(directory):
        found |= both(f"{member}'s {place}", secret)
    for role in ("owner", "node", "reader"):
        url = getattr(network.net.nodes[member].databases, role)
        found[f"password of {member}'s {role}"] = str(conninfo_to_dict(url)["password"]).encode()
    return found


def private_keys(directory: Path) -> Iterator[tuple[str, bytes]]:
    """Every secret of 32 bytes in a member's key file."""
    chain = keyfile._unseal((directory / "keys.sealed").read_bytes(), MountedSecret.read(directory / "secret"))
    for number, generation in enumerate(chain.generations):
        for one in dataclasses.fields(generation):
            value = getattr(generation, one.name)
            if isinstance(value, bytes):
                yield f"{one.name} key {number}", value
    yield from ((f"storage key {number}", storage.key) for number, storage in enumerate(chain.storage))
    yield "derivation key", chain.derivation


def peoples(network: Network, handed: Handed) -> Needles:
    """Passwords, seeds and tokens of people, and what was handed out."""
    found: Needles = {}
    for person in network.net.people:
        if person.password:
            found[f"password of {person.name}"] = person.password.encode()
        if person.seed:
            found |= both(f"key of {person.name}", person.seed)
    for name, token in network.tokens.items():
        found[f"signature of {name}'s token"] = token.rpartition(".")[2].encode()
    found["the session's token"] = handed.login["token"].rpartition(".")[2].encode()
    found |= both("the refresh token", bytes.fromhex(handed.login["refresh"]))
    secret = handed.enrolled["secret"]
    found |= {
        "second factor": secret.encode(),
        "second factor, raw": base64.b32decode(secret + "=" * (-len(secret) % 8)),
    }
    found |= {f"recovery code {n}": code.encode() for n, code in enumerate(handed.enrolled["recovery_codes"])}
    found["invitation"] = handed.invited["code"].encode()
    return found


async def payloads(network: Network, member: str) -> Needles:
    """A piece out of the middle of every section that the member's keys open."""
    opener = Opener(network.net.genesis, network.custody(member))
    async with network.database(member) as conn:
        rows = await (await conn.execute(HELD + "ORDER BY tree_index")).fetchall()
    found: Needles = {}
    for held in held_of(rows):
        for number, text in enumerate(opener.open_all(held).sections):
            if text is not None and len(text) >= WINDOW:
                start = (len(text) - WINDOW) // 2
                found[f"record {held.index}, section {number}"] = text[start : start + WINDOW]
    return found


def caught(needles: Needles, *haystacks: bytes) -> list[str]:
    return [name for name, needle in needles.items() if any(needle in hay for hay in haystacks)]


async def test_no_secret_is_in_any_nodes_database(network: Network, handed: Handed):
    everybodys = peoples(network, handed)
    for member in MEMBERS:
        everybodys |= keys_of(network, member)
    for member in MEMBERS:
        dump = await network.dump(member)
        assert b"home-01" in dump or member != "suncoop"  # an account's name stands in plain: the search works
        assert caught(everybodys, dump) == [], member


async def test_no_payload_is_in_any_nodes_database(network: Network):
    for member in MEMBERS:
        needles = await payloads(network, member)
        assert len(needles) > 100 or member == "regulator"
        dump = await network.dump(member)
        assert caught(needles, dump) == [], member


async def test_the_search_finds_what_is_there(network: Network, handed: Handed):
    """A secret that does stand in the database, in a table that a colleague adds tomorrow, is found."""
    code = handed.invited["code"].encode()
    async with network.database("suncoop") as conn:
        await conn.execute("CREATE TABLE node.forgotten AS SELECT %s::bytea AS code", [code])
        try:
            assert caught({"invitation": code}, await network.dump("suncoop")) == ["invitation"]
        finally:
            await conn.execute("DROP TABLE node.forgotten")


async def test_no_secret_is_in_the_order_or_in_a_log(network: Network, handed: Handed):
    needles = peoples(network, handed)
    for member in MEMBERS:
        needles |= keys_of(network, member)
    some = dict(list((await payloads(network, "suncoop")).items())[:50])
    root = network.net.directory
    files = [path for folder in ("etcd", "processes") for path in (root / folder).rglob("*") if path.is_file()]
    assert any("etcd" in path.parts and path.suffix == ".wal" for path in files)
    for path in files:
        data = path.read_bytes().rstrip(b"\0")  # etcd makes its files long before it fills them
        if b"PRIVATE KEY" not in data:
            assert caught(needles | some, data) == [], path


def mine(network: Network) -> list[Path]:
    """All files of the network but the servers' own data."""
    root = network.net.directory
    return [
        path
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink() and path.relative_to(root).parts[:2] != ("postgres", "data")
        and not {"member", "data"} & set(path.relative_to(root).parts)
    ]  # fmt: skip


async def test_files_with_secrets_are_few_and_their_owners_alone(network: Network, handed: Handed):
    needles = peoples(network, handed)
    for member in MEMBERS:
        needles |= keys_of(network, member)
    with_secrets: set[str] = set()
    for path in mine(network):
        data = path.read_bytes()
        if caught(needles, data) or b"PRIVATE KEY" in data:
            with_secrets.add(path.suffix if b"PRIVATE KEY" in data else path.name)
            assert path.stat().st_mode & 0o077 == 0, path
    assert with_secrets - {".pem", ".key"} == {"secret", "node.toml"}


async def test_a_nodes_settings_hold_no_more_rights_than_it_needs(network: Network):
    for member in MEMBERS:
        node = network.net.nodes[member]
        text = node.config.read_text()
        assert str(conninfo_to_dict(node.databases.owner)["password"]) not in text
        assert str(conninfo_to_dict(node.databases.node)["password"]) in text


async def test_the_nodes_connections_are_of_the_two_roles_and_read_only_where_they_answer(network: Network):
    """On the running nodes: nobody is connected as the owner but us."""
    import psycopg

    async def roles() -> set[str]:
        async with await psycopg.AsyncConnection.connect(network.net.postgres.admin_url) as conn:
            query = "SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name LIKE 'consortium-%'"
            return {name for (name,) in await (await conn.execute(query)).fetchall()}

    wanted = {f"consortium_{member}_{role}" for member in MEMBERS for role in ("node", "reader")}

    async def settled() -> bool:
        return await roles() == wanted

    await wait_until(settled, "only the nodes' roles are connected")
