"""Who may do what in etcd: each member writes its own entries, reads all, and nothing else."""

from __future__ import annotations

import grpc
import pytest
import pytest_asyncio
from etcd3aio import Etcd3Client, EtcdConnectionError, EtcdPermissionDeniedError

from consortium.devnet.certificates import Authority
from consortium.errors import ConfigurationError, LogUnavailable
from tests.faults.log_helpers import APPEND_S, NOBODY_ANSWERS_S, Writer, append, assert_log_holds, operator
from tests.fixtures.etcd import EPOCH, MEMBERS, NETWORK, opened_channel
from tests.readings import names, take

pytestmark = pytest.mark.processes


@pytest_asyncio.fixture
async def channel(etcd_cluster):
    async with opened_channel(etcd_cluster) as opened:
        yield opened


async def test_a_member_can_neither_write_nor_delete_anothers_entries(channel):
    await append(channel.log("suncoop"), 0)
    own = channel.cluster.settings("gridco", NETWORK, channel.name, EPOCH)
    disguised = channel.log("suncoop", certificate=own.certificate, key=own.key)
    for request in (disguised.append(1, b"forged", timeout_s=APPEND_S), disguised.trim(5)):
        with pytest.raises(ConfigurationError) as caught:
            await request
        assert "common name" in caught.value.hint
    assert names(await take(disguised, 1)) == [("suncoop", 0)]
    async with operator(channel) as kv:
        assert (await kv.get(channel.key("suncoop", 1))).count == 0


async def test_a_member_is_no_operator(channel):
    async with channel.cluster.client("gridco") as client:
        with pytest.raises(EtcdPermissionDeniedError):
            await client.auth.user_add("friend", no_password=True)
        with pytest.raises(EtcdPermissionDeniedError):
            await client.kv.put("/elsewhere", b"")


async def test_a_certificate_without_an_etcd_user_is_refused(channel):
    stranger = channel.cluster.authority.client("stranger")
    log = channel.log("gridco", certificate=stranger.certificate.read_bytes(), key=stranger.key.read_bytes())
    with pytest.raises(ConfigurationError):
        await log.append(0, b"", timeout_s=APPEND_S)
    with pytest.raises(ConfigurationError):
        await take(log, 1)


async def test_only_clients_with_a_client_certificate_of_the_consortium_get_in(channel, tmp_path):
    other = Authority(tmp_path).client("gridco")
    server = channel.cluster.authority.server("gridco")
    for files in (other, server):
        log = channel.log("gridco", certificate=files.certificate.read_bytes(), key=files.key.read_bytes())
        with pytest.raises(LogUnavailable):
            await log.append(0, b"", timeout_s=NOBODY_ANSWERS_S)
    ca = channel.cluster.authority.certificate.read_bytes()
    async with Etcd3Client(list(channel.cluster.endpoints), tls_server_name="localhost", ca_cert=ca) as nobody:
        with pytest.raises((EtcdConnectionError, TimeoutError, grpc.aio.AioRpcError)):
            await nobody.kv.get(channel.prefix, timeout=NOBODY_ANSWERS_S, max_attempts=1)


async def test_appends_go_on_while_roles_change(channel):
    async with Writer(channel.log("gridco"), "gridco") as writer:
        for epoch in range(EPOCH + 1, EPOCH + 6):
            await channel.cluster.open_channel(MEMBERS, NETWORK, channel.name, epoch)
            await writer.more(5)
    await assert_log_holds(channel, writer.acknowledged)
