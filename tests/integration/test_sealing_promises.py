"""Who holds what, on real data: ciphertext and wraps only at the parties, plaintext nowhere at rest."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from consortium.adapters.etcd.log import EtcdLog
from consortium.energy.metering import Reading
from consortium.model.encoding import decode
from consortium.ports.log import Appended
from tests.fixtures.network import reading

pytestmark = pytest.mark.processes

STRANGERS = ("regulator", "cityretail")
PARTIES = ("suncoop", "gridco")
LOAD_WH = 717_171
"""A number that stands in no other test's readings."""


@pytest.fixture(scope="module")
async def sealed(network):
    """A reading of home-03, applied on every node."""
    record = reading("home-03@suncoop", load_wh=LOAD_WH, pv_wh=323_232)
    answer = await network.submit_as_meters(record, "witnessed")
    await network.agreed(answer["index"] + 1)
    return record, answer


async def held(network, member, index):
    async with network.database(member) as conn:
        query = "SELECT bodies, wraps FROM node.held WHERE tree_index = %s"
        return await (await conn.execute(query, [index])).fetchone()


async def test_parties_hold_ciphertext_and_wraps_and_others_hold_neither(network, sealed):
    record, answer = sealed
    for member in PARTIES:
        bodies, wraps = await held(network, member, answer["index"])
        assert len(bodies) > 0
        assert len(wraps) > 0
    for member in STRANGERS:
        assert await held(network, member, answer["index"]) is None
        async with network.database(member) as conn:
            for table in ("node.entries", "node.missing"):
                query = f"SELECT count(*) FROM {table} WHERE tree_index = %s"
                assert (await (await conn.execute(query, [answer["index"]])).fetchone())[0] == 0, (member, table)
            query = "SELECT count(*) FROM ledger.records WHERE id = %s"
            assert (await (await conn.execute(query, [bytes.fromhex(record["id"])])).fetchone())[0] == 1


async def test_no_byte_of_the_payload_is_in_a_strangers_database(network, sealed):
    record, answer = sealed
    raw_bodies, wraps = await held(network, "suncoop", answer["index"])
    body = decode(raw_bodies)[0]
    for member in PARTIES:
        dump = await network.dump(member)
        assert body in dump  # else the search below would prove nothing
        assert wraps in dump
    for member in STRANGERS:
        dump = await network.dump(member)
        assert bytes.fromhex(record["id"]) in dump
        assert body not in dump
        for start in range(0, len(body) - 16, 16):
            assert body[start : start + 16] not in dump
        for start in range(0, len(wraps) - 16, 16):
            assert wraps[start : start + 16] not in dump


def traces(record):
    """The plaintext, and what of it would give it away alone."""
    content = Reading.model_validate(record["data"])
    return {
        "payload": content.plaintext(),
        "subject": b"home-03@suncoop",
        "load, binary": LOAD_WH.to_bytes(4, "big"),
        "load, text": str(LOAD_WH).encode(),
    }


async def test_the_plaintext_is_at_rest_in_nobodys_database(network, sealed):
    for member in (*PARTIES, *STRANGERS):
        dump = await network.dump(member)
        for name, trace in traces(sealed[0]).items():
            assert trace not in dump, (member, name)
    for member in (*STRANGERS, "gridco"):
        assert b"home-03" not in await network.dump(member)


async def test_the_plaintext_is_not_in_the_log_nor_who_trades_with_whom(network, sealed):
    record, answer = sealed
    net = network.net
    log = EtcdLog(net.etcd.settings("regulator", net.genesis.network, net.genesis.channel, net.genesis.epoch))
    values = []
    try:
        async with asyncio.timeout(30), aclosing(log.read(0, {})) as events:
            async for event in events:
                if isinstance(event, Appended):
                    values.append(event.entry.data)
                    if event.entry.position >= answer["position"]:
                        break
    finally:
        await log.close()
    assert any(bytes.fromhex(record["id"]) in value for value in values)
    for name, trace in traces(record).items():
        assert not any(trace in value for value in values), name
    entry = next(value for value in values if bytes.fromhex(record["id"]) in value)
    for name in (b"home-03", b"gridco", b"cityretail"):
        assert name not in entry


async def test_the_plaintext_is_in_no_log_file(network, sealed):
    for member in (*PARTIES, *STRANGERS):
        text = network.log_text(member)
        assert str(LOAD_WH) not in text
        assert "home-03" not in text
