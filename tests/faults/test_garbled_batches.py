"""Bad batches in the log, on real processes: every node comes to the same verdict, names it, and goes on.

The regulator's node is stopped, and its batches come from a hand that has its keys and its etcd certificate.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from consortium.model.records import SealedRecord
from tests.builders import broken_body, broken_header, broken_wraps
from tests.faults.support import (
    Hand,
    applied_up_to,
    audit,
    broken_network,
    consortium,
    log_key,
    metric,
    put_as_root,
    rows,
    same_ledger,
    same_roots,
    start_node,
    stop_node,
)
from tests.fixtures.network import MEMBERS, Network, reading, wait_until

pytestmark = pytest.mark.processes
MEMBER = "regulator"
OTHERS = tuple(name for name in MEMBERS if name != MEMBER)


@dataclass
class Written:
    """What was written: each bad batch's member and reason by position, and the batch with bad records: its position,
    the verdict on each record ('' for accepted) and the ids of the accepted ones.
    """

    refused: dict[int, tuple[str, str]]
    position: int
    verdicts: list[str]
    good: list[bytes]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def network():
    async with broken_network(heartbeat_s=1) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def written(network: Network) -> Written:
    first = await network.submit_as_meters(reading())
    await same_roots(network, 1)
    await stop_node(network, MEMBER)
    hand = Hand(network, MEMBER)
    refused = await write_bad_batches(network, hand)
    cases = bad_records(hand, bytes.fromhex(first["id"]))
    sequence = await hand.next_sequence()
    position = await hand.put(sequence, hand.batch(sequence, [record for record, _ in cases]))
    await applied_up_to(network, position, OTHERS)
    good = [record.header.id for record, verdict in cases if not verdict]
    return Written(refused, position, [verdict for _, verdict in cases], good)


async def write_bad_batches(network: Network, hand: Hand) -> dict[int, tuple[str, str]]:
    other, foreign = network.custody("gridco"), Hand(network, "gridco")
    honest = [hand.record(), hand.record()]
    bad = [
        ("malformed", lambda n: b"garbage"),
        ("malformed", lambda n: b""),
        ("malformed", lambda n: hand.batch(n, honest)[:-10]),
        ("malformed", lambda n: hand.batch(n, honest) + b"\0"),
        ("bad-signature", lambda n: with_flipped_signature(hand.batch(n, honest))),
        ("bad-signature", lambda n: hand.batch(n, honest, signer=other)),
        ("misplaced", lambda n: hand.batch(n + 1, honest)),
        ("misplaced", lambda n: hand.batch(n - 1, honest)),
        ("misplaced", lambda n: foreign.batch(n, [foreign.record()])),
        ("misplaced", lambda n: hand.batch(n, honest, epoch=2)),
        ("misplaced", lambda n: hand.batch(n, honest, network="another")),
        ("wrong-count", lambda n: hand.batch(n, honest, count=3)),
        ("wrong-root", lambda n: hand.batch(n, honest, root=bytes(32))),
        ("too-large", lambda n: hand.batch(n, [hand.sealed(b"x" * 400_000, "gridco")] * 3)),
    ]
    refused = {}
    for sequence, (reason, make) in enumerate(bad, await hand.next_sequence()):
        refused[await hand.put(sequence, make(sequence))] = (MEMBER, reason)
    intruder = hand.batch(0, honest, member="intruder")
    refused[await put_as_root(network, log_key(network, "intruder", 0), intruder)] = ("intruder", "unknown-member")
    refused[await put_as_root(network, log_key(network, "intruder", 7), b"garbage")] = ("intruder", "malformed")
    refused[await put_as_root(network, log_key(network, MEMBER, "no-number"), b"garbage")] = ("", "malformed")
    return refused


def with_flipped_signature(data: bytes) -> bytes:
    at = data.index(b"\x58\x40") + 10  # CBOR's prefix of 64 bytes: the signature
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def bad_records(hand: Hand, taken: bytes) -> list[tuple[SealedRecord, str]]:
    """Records for one batch, each with the verdict that it deserves."""
    first, last = hand.record(), hand.record()

    def changed(**fields) -> SealedRecord:
        record = hand.record()
        header = replace(record.header, **fields)
        return replace(record, header=header, header_bytes=header.encoded())

    return [
        (first, ""),
        (broken_body(hand.record()), "wrong-ciphertext"),
        (replace(hand.record(), bodies=()), "wrong-ciphertext"),
        (broken_wraps(hand.record()), "wrong-wraps"),
        (broken_header(hand.record()), "malformed-header"),
        (changed(author="gridco"), "wrong-author"),
        (changed(created_ms=first.header.created_ms + 3_600_000), "created-after-batch"),
        (changed(id=taken), "duplicate-id"),
        (last, ""),
        (last, "duplicate-id"),
    ]


def named(written: Written, heights: dict[int, int]) -> list[str]:
    """What an audit must say of each refused thing."""
    lines = [
        f"block {heights[at]}: batch of {member or 'nobody'}: {why}" for at, (member, why) in written.refused.items()
    ]
    block = heights[written.position]
    return lines + [
        f"block {block}, record {item}: .* of {MEMBER}: {reason}"
        for item, reason in enumerate(written.verdicts)
        if reason
    ]


async def heights_of(network: Network, member: str) -> dict[int, int]:
    return dict(await rows(network, member, "SELECT position, height FROM ledger.blocks"))


@pytest.mark.parametrize("member", OTHERS)
async def test_every_node_comes_to_the_verdicts_that_were_due(network, written, member):
    found = await rows(network, member, "SELECT position, member, refusal FROM ledger.blocks WHERE refusal <> ''")
    assert {position: (name, reason) for position, name, reason in found} == written.refused
    height = (await heights_of(network, member))[written.position]
    query = "SELECT item, reason FROM ledger.rejections WHERE height = %s ORDER BY item"
    assert await rows(network, member, query, height) == [(i, why) for i, why in enumerate(written.verdicts) if why]
    query = "SELECT id FROM ledger.records WHERE height = %s ORDER BY item"
    assert await rows(network, member, query, height) == [(record_id,) for record_id in written.good]


async def test_the_log_goes_on_and_the_member_itself_as_well(network, written):
    await network.submit_as_meters(reading())
    await start_node(network, MEMBER)
    answer = await network.submit_as_meters(reading("home-09@cityretail"), wait="witnessed")
    assert answer["state"] == "witnessed"
    query = "SELECT count(*) FROM ledger.blocks WHERE member = %s AND refusal = '' AND position > %s"

    async def goes_on() -> bool:
        return (await rows(network, "gridco", query, MEMBER, written.position))[0][0] > 0

    await wait_until(goes_on, "the regulator's node appends good batches again")
    await same_roots(network, answer["index"] + 1)
    await same_ledger(network)
    line = f'consortium_refused_batches_total{{member="{MEMBER}",reason="malformed"}}'
    assert await metric(network, "gridco", line) == 4


@pytest.mark.parametrize("source", ["database", "export"])
async def test_an_audit_names_what_was_refused_by_block_and_record(network, written, tmp_path, source):
    member = "suncoop" if source == "database" else "regulator"
    if source == "database":
        code, output = await audit(network, member)
    else:
        directory = tmp_path / "export"
        config = network.net.nodes[member].config
        code, output = await consortium("export", directory, "--config", config)
        assert code == 0, output
        code, output = await consortium("audit", directory, "--trust", network.net.trust_file)
    assert code == 0, output
    pattern = named(written, await heights_of(network, member))
    lines = [line for line in output.splitlines() if line.startswith("refused: ")]
    assert len(lines) == len(pattern), output
    for expected in pattern:
        assert any(re.search(f"{expected}$", line) for line in lines), (expected, output)
