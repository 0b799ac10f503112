"""Keys that change in a running consortium, by the commands: no record is lost or refused, nobody alarms, old records
open and verify; what a thief signs afterwards is refused; a node that is killed in the midst comes up right.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from cryptography import x509

from consortium.crypto.receipts import parse_receipt, verify_receipt
from consortium.errors import ProofInvalid
from consortium.ledger.witnessing import trust_policy
from tests.faults.support import Hand, audit, broken_network, rows
from tests.fixtures.network import MEMBERS, Network, reading, wait_until

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]
SETTINGS = {"check_interval_s": 1, "key_grace_s": 0, "heartbeat_s": 1}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def network():
    async with broken_network(**SETTINGS) as running:
        yield running


async def command(network: Network, who: str, *words: str, code: int = 0) -> str:
    """`consortium ...` with a person's token; what it printed."""
    token = network.tokens[who]
    env = {"PATH": os.environ["PATH"], "CONSORTIUM_TOKEN": token, "COLUMNS": "200", "NO_COLOR": "1"}
    line = [sys.executable, "-m", "consortium", *words]
    done = await asyncio.to_thread(subprocess.run, line, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


async def rotated(network: Network, member: str, what: str) -> dict[str, Any]:
    client = await network.client(f"{member}-admin")
    response = await client.post("/v1/node/keys/rotations", json={"what": what})
    assert response.status_code == 200, response.text
    return dict(response.json())


async def keys_of(network: Network, member: str) -> dict[str, Any]:
    client = await network.client(f"{member}-admin")
    response = await client.get("/v1/node/keys")
    assert response.status_code == 200, response.text
    return dict(response.json())


async def signed_in(network: Network) -> None:
    for person in network.net.people:
        network.renew(person.name, await network.net.sign_in(person))


async def refusals(network: Network) -> list[tuple[Any, ...]]:
    return await rows(network, "gridco", "SELECT height, member, refusal FROM ledger.blocks WHERE refusal <> ''")


async def calm(network: Network) -> None:
    """All stand at one block, and nobody has anything to say."""
    await network.agreed()

    async def silent() -> bool:  # etcd's alarm comes and goes under load; one of tampering never goes
        return not any([(await network.status(member))["alarms"] for member in MEMBERS])

    await wait_until(silent, "no alarm stands")


async def load_of(network: Network, record: str) -> int:
    client = await network.client("suncoop-metering")
    response = await client.get(f"/v1/records/{record}")
    assert response.status_code == 200, response.text
    return int(response.json()["data"]["load_wh"])


async def test_all_keys_change_under_load(network: Network) -> None:
    stop, written = asyncio.Event(), {}

    async def writing(subject: str, first: int) -> None:
        load = first
        while not stop.is_set():
            answer = await network.submit_as_meters(reading(subject, load_wh=load))
            assert answer["state"] == "accepted", answer
            written[answer["id"]] = load
            load += 1

    tasks = [asyncio.create_task(writing("home-01@suncoop", n * 1000)) for n in range(1, 4)]
    tasks.append(asyncio.create_task(writing("home-09@cityretail", 9000)))
    for member, what in (("suncoop", "signing"), ("suncoop", "encryption"), ("cityretail", "all"), ("gridco", "all")):
        answer = await rotated(network, member, what)
        assert answer["state"] == "accepted", answer
        count = len(written)

        async def more(goal: int = count + 10) -> bool:
            return len(written) >= goal or any(task.done() for task in tasks)

        await wait_until(more, "writing goes on")
    stop.set()
    await asyncio.gather(*tasks)
    assert await refusals(network) == []
    mine = {record: load for record, load in written.items() if load < 9000}
    assert {record: await load_of(network, record) for record in mine} == mine
    await calm(network)


async def test_who_is_no_administrator_learns_nothing_of_keys(network: Network) -> None:
    for who in ("suncoop-staff", "suncoop-meters", "home-01"):
        client = await network.client(who)
        for response in (
            await client.get("/v1/node/keys"),
            await client.post("/v1/node/keys/rotations", json={"what": "all"}),
            await client.post("/v1/node/keys/retirement"),
        ):
            assert response.status_code == 403, response.text
            assert "5f" not in response.text


async def test_an_old_record_proves_itself_by_the_new_trust_file(network: Network, tmp_path: Path) -> None:
    old = (await network.submit_as_meters(reading(load_wh=1)))["id"]
    before = trust_policy(network.net.genesis)
    await rotated(network, "suncoop", "signing")
    await network.agreed()
    home = await network.client("home-01")

    async def receipt() -> str | None:
        response = await home.get(f"/v1/records/{old}/receipt")
        return response.text if response.status_code == 200 else None

    text = await wait_until(receipt, "a receipt")
    trust = (await home.get("/v1/log/trust")).text
    (tmp_path / "receipt").write_text(text)
    (tmp_path / "trust").write_text(trust)
    out = await command(
        network, "suncoop-staff", "receipt", "verify", str(tmp_path / "receipt"), "--trust", str(tmp_path / "trust")
    )
    assert old in out
    with pytest.raises(ProofInvalid):
        verify_receipt(parse_receipt(text), before)


async def test_the_whole_ledger_audits_live_and_as_an_export(network: Network, tmp_path: Path) -> None:
    config = network.net.nodes["gridco"].config
    code, found = await audit(network, "gridco")
    assert (code, "everything holds" in found) == (0, True), found
    await command(network, "gridco-admin", "export", str(tmp_path / "x"), "--config", str(config))
    found = await command(
        network, "gridco-admin", "audit", str(tmp_path / "x"), "--genesis", str(network.net.genesis_file)
    )
    assert "everything holds" in found


async def test_a_node_that_is_killed_in_the_midst_comes_up_with_the_keys_that_the_ledger_names(
    network: Network,
) -> None:
    for wait_ms in (0, 30, 100):
        asking = asyncio.create_task(rotated(network, "suncoop", "all"))
        await asyncio.sleep(wait_ms / 1000)
        network.net.nodes["suncoop"].kill()
        await asyncio.gather(asking, return_exceptions=True)
        network.net.launch("suncoop")
        await network.net.wait_ready("suncoop")
        await signed_in(network)
        assert (await network.submit_as_meters(reading(load_wh=2)))["state"] == "accepted"
        assert (await keys_of(network, "suncoop"))["held"]
    assert await refusals(network) == []
    await calm(network)


async def test_old_keys_are_destroyed_and_old_records_stay_readable(network: Network) -> None:
    old = (await network.submit_as_meters(reading(load_wh=77)))["id"]
    await rotated(network, "suncoop", "encryption")
    await network.submit_as_meters(reading(load_wh=78))
    await network.submit_as_meters(reading("home-09@cityretail", load_wh=78))
    await network.agreed()

    async def may() -> bool:
        return (await keys_of(network, "suncoop"))["retire"] == ""

    await wait_until(may, "old keys may be retired", 60)
    client = await network.client("suncoop-admin")
    assert (await client.post("/v1/node/keys/retirement")).json()["retiring"]

    async def done() -> bool:
        return not (await keys_of(network, "suncoop"))["retiring"]

    await wait_until(done, "old keys are retired", 60)
    states = [generation.state for generation in network.custody("suncoop").chain.generations]
    assert set(states) <= {"active", "next"}
    assert await load_of(network, old) == 77
    assert (await rows(network, "suncoop", "SELECT count(*) FROM node.rewraps"))[0][0] > 0
    await network.restart_node("suncoop")
    await signed_in(network)
    assert await load_of(network, old) == 77
    await calm(network)


async def test_a_new_storage_key_and_everything_at_rest_under_it(network: Network) -> None:
    before = await rows(network, "suncoop", "SELECT sealed FROM node.rewraps ORDER BY 1")
    old = network.custody("suncoop").chain.storage
    await rotated(network, "suncoop", "storage")

    async def done() -> bool:
        return (await keys_of(network, "suncoop"))["storage"] == ["active"]

    await wait_until(done, "all is sealed anew", 60)
    after = await rows(network, "suncoop", "SELECT sealed FROM node.rewraps ORDER BY 1")
    assert len(after) == len(before)
    assert not set(after) & set(before)
    assert not set(old) & set(network.custody("suncoop").chain.storage)
    record = (await network.submit_as_meters(reading(load_wh=5)))["id"]
    assert await load_of(network, record) == 5


def shown_at(port: int, ca: Path, client: tuple[Path, Path]) -> int:
    """The serial number of the certificate that a node's peer door shows."""
    context = ssl.create_default_context(cafile=str(ca))
    context.load_cert_chain(str(client[0]), str(client[1]))
    raw = socket.create_connection(("127.0.0.1", port), 5)
    with raw, context.wrap_socket(raw, server_hostname="localhost") as tls:
        return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"").serial_number


async def test_certificates_change_without_a_pause(network: Network) -> None:
    node, authority = network.net.nodes["suncoop"], network.net.authority
    client, server = authority.client("suncoop"), authority.server("suncoop")
    pair = client.certificate, client.key
    before = await asyncio.to_thread(shown_at, node.peer_port, authority.certificate, pair)
    await command(network, "suncoop-admin", "keys", "rotate", "tls", "--config", str(node.config))
    assert await asyncio.to_thread(shown_at, node.peer_port, authority.certificate, pair) == before
    for files, is_server in ((client, False), (server, True)):
        request = files.certificate.with_name(files.certificate.name + ".csr").read_bytes()
        signed = authority.signed(request, server=is_server)
        files.certificate.with_name(files.certificate.name + ".next").write_bytes(signed)
    await command(network, "suncoop-admin", "keys", "rotate", "tls", "--finish", "--config", str(node.config))

    async def shown() -> bool:
        record = await network.submit_as_meters(reading(load_wh=6))
        assert record["state"] == "accepted"
        return await asyncio.to_thread(shown_at, node.peer_port, authority.certificate, pair) != before

    await wait_until(shown, "the new certificate is shown", 30)
    await network.agreed()
    await calm(network)


async def test_a_stolen_key_is_revoked_and_what_it_signs_afterwards_is_refused(
    network: Network, tmp_path: Path
) -> None:
    thief = Hand(network, "suncoop")
    token = network.peer_token("suncoop", "gridco")
    door = httpx.AsyncClient(
        base_url=network.net.nodes["gridco"].peer_url,
        verify=ssl_of(network, "suncoop"),
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
    )
    async with door:
        assert (await door.get("/v1/peer/status")).status_code == 200
        old = (await network.submit_as_meters(reading(load_wh=88)))["id"]
        new = str(tmp_path / "new.json")
        config = str(network.net.nodes["suncoop"].config)
        await command(network, "suncoop-admin", "keys", "prepare", new, "--config", config)
        with open(new) as file:  # noqa: ASYNC230
            terms = json.load(file)
        body = {"kind": "revoke-keys", "terms": terms, "reason": "a theft"}
        asked = await (await network.client("gridco-admin")).post("/v1/governance/proposals", json=body)
        assert asked.json()["state"] == "accepted", asked.text
        proposal = asked.json()["id"]
        for member in ("gridco", "cityretail"):
            voter = await network.client(f"{member}-admin")
            voted = await voter.post("/v1/governance/ballots", json={"proposal": proposal, "yes": True})
            assert voted.json()["state"] == "accepted", voted.text
        await signed_in(network)  # tokens of the node by the stolen key ended with it
        await network.agreed()
        assert (await door.get("/v1/peer/status")).status_code == 401
    assert (await network.submit_as_meters(reading(load_wh=3)))["state"] == "accepted", "the node took the new ones"
    network.net.nodes["suncoop"].kill()
    await thief.put(await thief.next_sequence(), thief.batch(await thief.next_sequence(), [thief.record()]))

    async def refused() -> bool:
        return [row[1:] for row in await refusals(network)][-1:] == [("suncoop", "bad-signature")]

    await wait_until(refused, "the forged batch is refused")
    network.net.launch("suncoop")
    await network.net.wait_ready("suncoop")
    await signed_in(network)
    assert await load_of(network, old) == 88
    assert (await network.submit_as_meters(reading(load_wh=3)))["state"] == "accepted"
    await calm(network)


def ssl_of(network: Network, member: str) -> ssl.SSLContext:
    authority = network.net.authority
    context = ssl.create_default_context(cafile=str(authority.certificate))
    files = authority.client(member)
    context.load_cert_chain(str(files.certificate), str(files.key))
    return context
