"""A member that gives two parties different plaintexts of one record, on real processes.

The record is one ciphertext that decrypts, tag and all, under two keys (see `tests.dishonest`), in a batch that is
properly signed. Beside it stand records that are committed to soundly and say nonsense.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from consortium.crypto.sealing import Recipient
from consortium.model.encoding import encode
from consortium.model.names import Party
from consortium.model.records import SealedRecord
from tests.dishonest import two_faced
from tests.faults.support import (
    SUBJECT,
    Hand,
    applied_up_to,
    broken_network,
    metric,
    same_ledger,
    same_roots,
    start_node,
    stop_node,
)
from tests.fixtures.network import Network, reading

pytestmark = pytest.mark.processes
AUTHOR = "regulator"
FIELDS = {
    "type": "reading",
    "v": 1,
    "subject": SUBJECT,
    "start_ms": 1_497_520_800_000,
    "interval_s": 3600,
    "load_wh": 830,
    "pv_wh": 700,
    "quality": "measured",
}
NONSENSE = {
    "no CBOR": b"\xff",
    "no map": encode([1, 2]),
    "a type that no database takes": encode({**FIELDS, "type": "re\0ding"}),
    "a time beyond all calendars": encode({**FIELDS, "start_ms": 1 << 62}),
    "a time before all calendars": encode({**FIELDS, "start_ms": -(1 << 62)}),
    "bytes where a text belongs": encode({**FIELDS, "quality": b"\xff"}),
    "a reading of nothing": encode({"type": "reading", "start_ms": 0}),
}
UNCOMMITTED = "a sound reading that is not what was committed to"


@dataclass
class Sent:
    """Ids in hex: the record with two faces, the sound one beside it, one of a type that nobody knows, the nonsense."""

    two_faced: str
    sound: str
    unknown: str
    nonsense: dict[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def network():
    async with broken_network() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sent(network: Network) -> Sent:
    await network.submit_as_meters(reading())
    await same_roots(network, 1)
    await stop_node(network, AUTHOR)
    hand = Hand(network, AUTHOR)
    false = two_faced(AUTHOR, os.urandom(16), [to(hand, "gridco")], [to(hand, SUBJECT)], beginning_of_a_reading())
    sound, unknown = hand.record(), hand.sealed(encode({**FIELDS, "type": "trade", "x": b"\xff"}), SUBJECT)
    nonsense = {what: hand.sealed(payload, SUBJECT) for what, payload in NONSENSE.items()}
    nonsense[UNCOMMITTED] = committed_to_another(hand.sealed(encode(FIELDS), SUBJECT))
    records = [false.record, *nonsense.values(), unknown, sound]
    sequence = await hand.next_sequence()
    position = await hand.put(sequence, hand.batch(sequence, records))
    await applied_up_to(network, position, ["gridco", "suncoop", "cityretail"])
    await network.submit_as_meters(reading())  # suncoop has indexed all that was before
    ids = {what: record.header.id.hex() for what, record in nonsense.items()}
    return Sent(false.record.header.id.hex(), sound.header.id.hex(), unknown.header.id.hex(), ids)


def to(hand: Hand, party: str) -> Recipient:
    member = hand.genesis.member(Party.parse(party).member)
    keys = hand.keys.pair(member.keys.encryption)
    return Recipient(Party.parse(party), keys.pair, keys.hint)


def committed_to_another(record: SealedRecord) -> SealedRecord:
    """The record under a header that commits to some other plaintext."""
    header = record.header
    header = replace(header, sections=(replace(header.sections[0], commitment=os.urandom(32)),))
    return replace(record, header=header, header_bytes=header.encoded())


def beginning_of_a_reading() -> bytes:
    """A reading up to where 128 bytes of noise follow, as a last field that readers do not know."""
    noise = bytes(128)
    for length in range(1, 64):
        whole = encode({**FIELDS, "x" * length: noise})
        if len(whole) == 252 and whole.endswith(noise):
            return whole[: -len(noise)]
    raise AssertionError("no such field fills the reading up")


async def test_the_first_reader_sees_what_was_committed_to(network, sent):
    client = await network.client("gridco-staff")
    response = await client.get(f"/v1/records/{sent.two_faced}")
    assert response.status_code == 200, response.text
    assert response.json()["author"] == AUTHOR
    assert response.json()["data"]["load_wh"] == FIELDS["load_wh"]


async def test_the_second_reader_is_told_who_is_dishonest(network, sent):
    client = await network.client("home-01")
    response = await client.get(f"/v1/records/{sent.two_faced}")
    assert response.status_code == 502
    problem = response.json()
    assert problem["type"] == "urn:consortium:problem:commitment-mismatch"
    assert problem["author"] == AUTHOR
    assert AUTHOR in problem["detail"]
    assert sent.two_faced in problem["detail"]
    lines = [line for line in network.log_text("suncoop").splitlines() if "commitment mismatch" in line]
    assert any(sent.two_faced in line and AUTHOR in line for line in lines)


async def test_each_is_counted_once_at_the_node_that_found_it(network, sent):
    line = f'consortium_commitment_mismatches_total{{author="{AUTHOR}"}}'
    assert await metric(network, "suncoop", line) == 1 + len(NONSENSE) + 1
    assert await metric(network, "gridco", line) == 0


@pytest.mark.parametrize("what", [*NONSENSE, UNCOMMITTED])
async def test_nonsense_is_an_error_that_names_its_author(network, sent, what):
    client = await network.client("home-01")
    response = await client.get(f"/v1/records/{sent.nonsense[what]}")
    assert response.status_code == 502, response.text
    assert response.json()["author"] == AUTHOR


async def test_listing_leaves_them_out_and_shows_the_others(network, sent):
    client = await network.client("home-01")
    found = {record["id"] for record in (await client.get("/v1/records")).json()["records"]}
    assert {sent.sound, sent.unknown} < found
    assert found.isdisjoint({sent.two_faced, *sent.nonsense.values()})
    assert len(found) == 4


async def test_a_reader_of_nothing_learns_nothing(network, sent):
    client = await network.client("home-02")
    refused = await client.get(f"/v1/records/{sent.two_faced}")
    absent = await client.get(f"/v1/records/{'0' * 32}")
    assert (refused.status_code, refused.content) == (404, absent.content)


async def test_all_nodes_go_on_and_stand_on_one_ledger(network, sent):
    await start_node(network, AUTHOR)
    await stop_node(network, "suncoop")
    await start_node(network, "suncoop")
    answer = await network.submit_as_meters(reading(), wait="witnessed")
    assert answer["state"] == "witnessed"
    await same_roots(network, answer["index"] + 1)
    await same_ledger(network)
