"""A fourth member joins a running network of three, trades, is removed, and comes back: on real processes.

The others go on ordering all the while; every node is restarted in between; one of the three is away during the whole
of the admission and the removal, while the log is trimmed. In the order of the story: each test goes on from where the
one before it stopped.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from etcd3aio import EtcdPermissionDeniedError, prefix_range_end

from consortium.adapters import keyfile
from consortium.adapters.clock import SystemClock, set_clock
from consortium.adapters.keysecrets import What
from consortium.adapters.peers import HttpPeers, mutual_tls
from consortium.adapters.tokens.peers import PeerTokens
from consortium.adapters.unlock import MountedSecret
from consortium.audit.invitation import verify
from consortium.crypto.merkle import EMPTY_ROOT
from consortium.crypto.notes import Checkpoint, SignedNote
from consortium.devnet import wind
from consortium.devnet.calls import Calls
from consortium.devnet.join import Newcomer
from consortium.devnet.network import Devnet, MemberPlan
from consortium.devnet.postgres import EmbeddedPostgres
from consortium.devnet.processes import Processes
from consortium.energy.metering import to_ms
from consortium.errors import PeerUnavailable
from consortium.ledger.witnessing import trust_file
from tests.builders import make_genesis
from tests.faults.support import (
    Hand,
    applied_up_to,
    audit,
    consortium,
    log_entries,
    log_key,
    rows,
    same_ledger,
    same_roots,
    stop_node,
)
from tests.fixtures.network import ABSENT, SETTINGS, Network, reading, short_directory, wait_until

pytestmark = pytest.mark.processes
FIRST, NEW, AWAY = ("cityretail", "gridco", "suncoop"), "windfarm", "cityretail"
VOTERS = ("gridco", "suncoop")
HOME = "home-01"
PLANS = (
    MemberPlan("cityretail", ("retailer",)),
    MemberPlan("gridco", ("grid-operator", "utility")),
    MemberPlan("suncoop", ("cooperative",), users=(HOME,)),
)
TRIMMING = {"trim_keep_batches": 20, "trim_interval_s": 0.5, "trim_away_s": 60}
READY_S = 180.0
DAY = datetime(2017, 6, 15, tzinfo=UTC)


def a_reading(load_wh: int = 100) -> dict:
    return reading(f"{HOME}@suncoop", start="2017-06-10T10:00:00Z", load_wh=load_wh)


class Submitting:
    """A home's meter that never stops: every submission must be taken, whatever happens to the members."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.taken = 0

    async def __aenter__(self) -> Submitting:
        self._task = asyncio.create_task(self._submit())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            await self.some_more()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _submit(self) -> None:
        while True:
            await self._network.submit_as_meters(a_reading(self.taken))
            self.taken += 1
            await asyncio.sleep(0.5)

    async def some_more(self, count: int = 3) -> None:
        """Wait until so many more have been taken."""
        goal = self.taken + count

        async def reached() -> bool:
            if self._task.done():
                self._task.result()
            return self.taken >= goal

        await wait_until(reached, f"{goal} submissions are taken", 60)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def network():
    async with short_directory() as directory:
        postgres, clock = EmbeddedPostgres(directory / "postgres"), directory / "clock"
        set_clock(clock, to_ms(DAY - timedelta(hours=2)))
        try:
            postgres.start()
            with Processes(directory / "processes") as processes:
                settings = {**SETTINGS, **TRIMMING, "heartbeat_s": 0.5, "clock_file": str(clock)}
                net = Devnet(directory, processes, postgres, PLANS, settings=settings)
                await net.prepare()
                await net.start()
                async with AsyncExitStack() as clients:
                    running = Network(net, clients)
                    await running.sign_in_all()
                    yield running
                for child in processes.children:
                    child.kill()
        finally:
            postgres.stop()


@pytest.fixture(scope="module")
def newcomer(network: Network) -> Newcomer:
    return Newcomer(network.net, network.tokens)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def invitation(network: Network, newcomer: Newcomer) -> Path:
    await newcomer.prepare()
    await network.submit_as_meters(a_reading(), wait="witnessed")
    return await newcomer.invited_by("gridco")


async def state_of(network: Network, member: str) -> str:
    """What its node says of itself to anybody who may ask; '' while it does not answer."""
    async with httpx.AsyncClient(base_url=network.net.nodes[member].url, trust_env=False) as http:
        try:
            return str((await http.get("/readyz", timeout=30.0)).text)
        except httpx.TransportError:
            return ""


async def restart(network: Network, member: str) -> None:
    await stop_node(network, member)
    network.net.launch(member)
    await network.net.wait_ready(member, READY_S)


async def no_member(network: Network) -> None:
    async def says() -> bool:
        return "does not name windfarm" in await state_of(network, NEW)

    await wait_until(says, "the node of windfarm says that it is no member's", READY_S)


def own_keys(network: Network):
    return network.custody(NEW).public


# --- coming ----------------------------------------------------------------------------------------------------------


def copied(invitation: Path, to: Path) -> Path:
    shutil.copytree(invitation, to)
    return to


async def test_an_invitation_is_checked_whole_before_any_of_it_is_taken(network, newcomer, invitation, tmp_path):
    digest = network.net.genesis.digest().hex()
    checked = verify(invitation, digest)
    assert checked.sound
    assert len(checked.lines) == 6
    assert not verify(invitation, "0" * 64).sound
    forged = copied(invitation, tmp_path / "forged")
    blocks = forged / "ledger" / "blocks" / "000001.cbor"
    data = bytearray(blocks.read_bytes())
    data[len(data) // 2] ^= 1
    blocks.write_bytes(data)
    assert not verify(forged, digest).sound
    said = json.loads((invitation / "invitation.json").read_text())
    stranger = make_genesis(3)
    for number, (field, value) in enumerate(
        [("height", said["height"] + 1), ("root", "0" * 64), ("trust", trust_file(stranger)),
         ("checkpoint", said["checkpoint"].replace("\n\n", "\n\n\u2014 x AAAAAAAA\n", 1)),
         ("genesis", stranger.to_json())]
    ):  # fmt: skip
        claim = copied(invitation, tmp_path / f"claim-{number}")
        (claim / "invitation.json").write_text(json.dumps({**said, field: value}))
        assert not verify(claim, digest).sound, field
    command = ["join", "import", forged, "--genesis-digest", digest, "--config", network.net.nodes[NEW].config]
    code, printed = await consortium(*command)
    assert code == 4, printed
    assert "FAILS" in printed
    assert await rows(network, NEW, "SELECT count(*) FROM ledger.blocks") == [(0,)]


async def test_before_it_is_admitted_its_node_gets_nothing_and_writes_nothing(network, newcomer, invitation):
    await newcomer.take_over(invitation)
    network.net.launch(NEW)
    await no_member(network)
    await newcomer.sign_in()
    client = await network.client(f"{NEW}-staff")
    response = await client.post("/v1/records", json=a_reading())
    assert response.status_code in (403, 422, 503)
    tokens = PeerTokens(network.custody(NEW), SystemClock(), genesis=network.net.genesis, member=NEW)
    assert await refused_at_the_door(network, tokens)
    assert await log_entries(network, NEW) == []


async def refused_at_the_door(network: Network, tokens: PeerTokens) -> bool:
    """Whether another member's node refuses the member, with its own certificate and token, in one and the same way."""
    files = network.net.authority.client(NEW)
    tls = mutual_tls(network.net.authority.certificate, files.certificate, files.key)
    peers = HttpPeers({"gridco": network.net.nodes["gridco"].peer_url}, tokens, tls)
    try:
        answers = []
        for ask in (peers.status("gridco"), peers.blocks("gridco", 1, 1), peers.payload("gridco", bytes(16))):
            with pytest.raises(PeerUnavailable, match="401"):
                await ask
            answers.append(True)
        text = Checkpoint(network.net.genesis.origin, 0, EMPTY_ROOT).text()
        note = SignedNote(text, (network.custody(NEW).sign_checkpoint(text, network.net.genesis.origin),))
        status, _ = await peers.add_checkpoint("gridco", f"old 0\n\n{note}")
        return status == 403
    finally:
        await peers.close()


async def test_it_is_admitted_and_let_in_while_the_others_go_on_and_one_is_away(network, newcomer):
    await stop_node(network, AWAY)
    async with Submitting(network) as submitting:
        await newcomer.admitted_by(VOTERS, own_keys(network))
        await newcomer.let_in()
        await network.net.wait_ready(NEW, READY_S)  # its node had waited, and finds out by itself
        network.net.write_config(NEW)  # from now on with its own etcd
        for member in (NEW, "gridco"):
            await restart(network, member)
            await same_roots(network, 1, (*VOTERS, NEW))
    await restart(network, "suncoop")  # whose meters those are
    await same_roots(network, submitting.taken, (*VOTERS, NEW))

    async def heard() -> bool:
        return set((await network.status("gridco"))["peers"]) >= {NEW, "suncoop"}

    await wait_until(heard, "gridco hears of both")
    await same_ledger(network, (*VOTERS, NEW))
    async with network.net.etcd.root() as client:
        found = {m.name: m.isLearner for m in (await client.cluster.member_list()).members}
    assert found == dict.fromkeys((*FIRST, NEW), False)


async def test_it_sells_an_hour_of_wind_to_a_home_and_nobody_else_learns_of_it(network, newcomer):
    sale = wind.Sale(NEW, f"{HOME}@suncoop", "gridco", DAY, "pt-0001", "sierra-crest", supplier="suncoop")
    async with Calls(network.net, network.tokens, (*VOTERS, NEW)) as calls:
        contract = await wind.sell(calls, sale, lambda at: set_clock(network.net.directory / "clock", to_ms(at) + 1000))
        own = await wind.seen_by(calls, NEW, contract)
        assert len(own) == 3, "what was agreed, and two statements"
        assert set(await wind.seen_by(calls, f"{HOME}@suncoop", contract)) == set(own)
        seen_by_the_grid = await wind.seen_by(calls, "gridco", contract)
        assert set(seen_by_the_grid) == set(own)
        for record in own:  # the grid operator's part: energy, and not what it costs
            data = (await calls.get("gridco", f"/v1/records/{record}"))["data"]
            assert set(data) == {"physical"}
    # Who is no party holds nothing of it, not even as ciphertext (it was away, and is asked once it is back).
    newcomer.sold = own


# --- going -----------------------------------------------------------------------------------------------------------


async def test_from_its_removal_on_nobody_takes_what_it_writes(network, newcomer):
    async with Submitting(network):
        await newcomer.removed_by(VOTERS)
        await no_member(network)
        await stop_node(network, NEW)
        # Not yet shut out of etcd: it appends, with numbers of its own choice.
        hand = Hand(network, NEW)
        sequence = await hand.next_sequence()
        for number in (sequence, sequence + 7):
            position = await hand.put(number, hand.batch(number))
        await applied_up_to(network, position, VOTERS)
        query = "SELECT DISTINCT refusal FROM ledger.blocks WHERE member = %s AND sequence >= %s"
        for member in VOTERS:
            assert await rows(network, member, query, NEW, sequence) == [("unknown-member",)]
    assert await refused_at_the_door(network, network_tokens(network))


def network_tokens(network: Network) -> PeerTokens:
    return PeerTokens(network.custody(NEW), SystemClock(), genesis=network.net.genesis, member=NEW)


async def probe(network: Network, *clients) -> list[list[bytes]]:
    """Watches by these clients over keys that are in no log, all begun; what each has seen, as it grows."""
    prefix = f"/{network.net.genesis.network}/probe/"
    seen: list[list[bytes]] = [[] for _ in clients]

    async def watch(client, found: list[bytes]) -> None:
        async for answer in client.watch.watch(prefix, prefix_range_end(prefix.encode()), 1):
            found += [event.kv.value for event in answer.events]

    network.probes += [asyncio.create_task(watch(client, found)) for client, found in zip(clients, seen, strict=True)]
    await put_probe(network, b"begun", *seen)
    return seen


async def put_probe(network: Network, value: bytes, *seen: list[bytes]) -> None:
    """Put a key as root, and wait until these have seen it."""
    async with network.net.etcd.root() as client:
        await client.kv.put(f"/{network.net.genesis.network}/probe/key", value)

    async def everybody() -> bool:
        return all(value in found for found in seen)

    await wait_until(everybody, f"all see {value!r}", 60)


async def test_etcd_refuses_what_it_writes_and_reads_and_a_restart_ends_what_it_watches(network, newcomer):
    etcd, network.probes = network.net.etcd, []
    async with Submitting(network), etcd.client(NEW, [etcd.endpoint("gridco")]) as own, etcd.client("gridco") as other:
        (watched,) = await probe(network, own)
        await newcomer.enforce({})
        with pytest.raises(EtcdPermissionDeniedError):
            await own.kv.put(log_key(network, NEW, 10_000), b"", max_attempts=1)
        with pytest.raises(EtcdPermissionDeniedError):
            await own.kv.get(log_key(network, "gridco", 0), max_attempts=1)
        await put_probe(network, b"etcd asks for rights when a watch begins", watched)
        etcd.dismiss(NEW)
        await etcd.restart_one_by_one()
        (others,) = await probe(network, other)
        await put_probe(network, b"afterwards", others)
        assert b"afterwards" not in watched
        async with etcd.root() as client:
            assert sorted(m.name for m in (await client.cluster.member_list()).members) == sorted(FIRST)
        for task in network.probes:
            task.cancel()
        await asyncio.gather(*network.probes, return_exceptions=True)


async def test_nobody_waits_for_it(network, newcomer):
    """The log is trimmed, and checkpoints are cosigned, without it."""
    await network.submit_as_meters(a_reading(), wait="witnessed")
    before = (await rows(network, "gridco", "SELECT max(sequence) FROM ledger.blocks WHERE member = 'suncoop'"))[0][0]

    async def trimmed() -> bool:
        found = [int(key.rpartition(b"/")[2]) for key, _ in await log_entries(network, "suncoop")]
        return min(found) > before

    await wait_until(trimmed, "the log begins after its removal", 60)


async def test_what_it_had_stays_readable_and_provable(network, newcomer, tmp_path):
    network.net.launch(NEW)
    await no_member(network)
    await newcomer.sign_in()
    async with Calls(network.net, network.tokens, (NEW,)) as calls:
        client = calls._clients[NEW]
        auth = network.net.auth(network.tokens[f"{NEW}-staff"])
        for number, record in enumerate(newcomer.sold):
            response = await client.get(f"/v1/records/{record}", auth=auth)
            assert response.status_code == 200, response.text
            proof = tmp_path / f"{number}.tlog-proof"
            proof.write_text((await client.get(f"/v1/records/{record}/receipt", auth=auth)).text)
            code, printed = await consortium(
                "receipt", "verify", proof, "--trust", network.net.trust_file, "--id", record
            )
            assert code == 0, printed
        absent = await client.get(f"/v1/records/{ABSENT}", auth=auth)
        assert absent.status_code == 404


async def test_who_is_no_party_holds_nothing_of_it(network, newcomer):
    network.net.launch(AWAY)
    await network.net.wait_ready(AWAY, READY_S)
    await same_roots(network, 10, FIRST)
    query = "SELECT count(*) FROM node.held JOIN ledger.records USING (tree_index) WHERE id = ANY(%s)"
    sold = [bytes.fromhex(record) for record in newcomer.sold]
    counts = {member: await rows(network, member, query, sold) for member in (*FIRST, NEW)}
    assert counts == {AWAY: [(0,)], "gridco": [(3,)], "suncoop": [(3,)], NEW: [(3,)]}


async def test_who_was_away_all_the_while_catches_up_and_every_ledger_audits(network, newcomer, tmp_path):
    await same_ledger(network, FIRST)
    for member in (*FIRST, NEW):
        code, printed = await audit(network, member)
        assert code == 0, printed
    exported = tmp_path / "exported"
    code, printed = await consortium("export", exported, "--config", network.net.nodes[AWAY].config)
    assert code == 0, printed
    code, printed = await consortium("audit", exported, "--genesis", network.net.genesis_file)
    assert code == 0, printed
    assert "unknown-member" in printed


async def test_it_comes_back_with_new_keys_and_its_numbers_go_on(network, newcomer):
    directory = network.net.nodes[NEW].directory
    secret = MountedSecret.read(directory / "secret")
    await stop_node(network, NEW)
    chain = keyfile.change(directory / "keys.sealed", secret, lambda chain: chain.with_next(What.SIGNING, os.urandom))
    keys = chain.generations[-1].public()
    last = (await rows(network, "gridco", "SELECT max(sequence) FROM ledger.blocks WHERE member = %s", NEW))[0][0]
    async with Submitting(network):
        await newcomer.admitted_by(FIRST, keys)
        await newcomer.let_in()
        await newcomer.start()
    for person in network.net.people:
        network.renew(person.name, network.tokens[person.name])  # its people signed in anew
    await same_roots(network, 10, (*FIRST, NEW))
    query = "SELECT sequence, refusal FROM ledger.blocks WHERE member = %s AND sequence > %s ORDER BY sequence"

    async def went_on() -> bool:
        found = await rows(network, AWAY, query, NEW, last)
        return found[:2] == [(last + 1, ""), (last + 2, "")]

    await wait_until(went_on, "its numbers go on where they stopped")
    for member in (*FIRST, NEW):
        await restart(network, member)
        await same_roots(network, 10, (*FIRST, NEW))
    await same_ledger(network, (*FIRST, NEW))
