"""A home that keeps its own key, on running nodes and by the SDK: every member seals to it, its node opens nothing."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from consortium.client.ownkey import OwnKey
from consortium.client.records import Records
from consortium.client.session import Session
from consortium.crypto.trust import parse_policy
from consortium.errors import InvalidRequest, KeysUnavailable, NotFound
from consortium.model.names import Party
from tests.fixtures.network import ABSENT, new_id, reading, wait_until

pytestmark = pytest.mark.processes
HOME = "home-02@suncoop"


@pytest.fixture
async def session(network):
    """The home, signed in by the SDK."""
    person = network.net.person("home-02")
    with httpx.Client(base_url=network.net.nodes["suncoop"].url, trust_env=False, timeout=60.0) as http:
        yield await asyncio.to_thread(Session.with_password, http, person.name, person.password)


@pytest.fixture
async def records(network, session):
    """Its records, with a key of its own; the node keeps the key again at the end."""
    own = OwnKey(bytes(range(1, 33)))
    found = Records(session, Party.parse(HOME), own)
    await asyncio.to_thread(found.keep_key, own)
    yield found
    await asyncio.to_thread(found.give_back, own)


async def submitted(network) -> str:
    answer = await network.submit_as_meters(reading(HOME))
    assert answer["state"] == "accepted"
    return str(answer["id"])


async def test_the_node_lists_and_the_device_opens(network, session, records):
    id = await submitted(network)
    shown = await asyncio.to_thread(records.get, id)
    assert (shown["type"], shown["data"]) == ("sealed", {})
    listed = {row["id"]: row for row in await asyncio.to_thread(lambda: list(records.all()))}
    assert listed[id]["type"] == "sealed"
    opened = await asyncio.to_thread(records.open, id)
    assert (opened.type, opened.data["load_wh"], opened.data["subject"]) == ("reading", 1521, HOME)
    trust = parse_policy(network.net.trust_file.read_text())
    assert (await asyncio.to_thread(records.check, opened, trust)).header.id.hex() == id
    other = Records(session, Party.parse(HOME), OwnKey(b"o" * 32))
    with pytest.raises(KeysUnavailable):
        await asyncio.to_thread(other.open, id)
    read = await (await network.client("suncoop-metering")).get(f"/v1/records/{id}")
    assert read.json()["data"]["load_wh"] == 1521  # the member is a party itself


async def test_other_members_seal_to_it_as_well(network, records):
    """A contract that cityretail proposes: its node knows the key from the ledger."""
    client = await network.client("cityretail-staff")

    async def sealed():
        proposal = {
            "id": new_id(), "kind": "supply", "provider": "cityretail", "customer": HOME, "proposer": "cityretail",
            "from": "2031-01-01T00:00:00Z", "to": "2031-02-01T00:00:00Z",
            "terms": {"tariff": {"type": "fixed", "price": 240}, "feed_in": 50, "notice_days": 14},
            "currency": "USD",
        }  # fmt: skip
        answer = await client.post("/v1/contracts", json=proposal)
        assert answer.status_code == 200, answer.text
        try:
            return await asyncio.to_thread(records.open, proposal["id"])
        except NotFound:
            return None  # cityretail's node had not read the key yet

    opened = await wait_until(sealed, "cityretail seals to the home's own key")
    assert opened.header.author == "cityretail"
    assert opened.type == "contract"


async def test_by_mandate_the_node_opens_what_it_names(network, records):
    await asyncio.to_thread(records.keep_key, records._own, ["reading"])
    id = await submitted(network)
    assert (await asyncio.to_thread(records.get, id))["data"]["load_wh"] == 1521
    assert (await asyncio.to_thread(records.open, id)).data["load_wh"] == 1521
    answer = (await (await network.client("home-02")).get("/v1/me/key")).json()
    assert answer["mandate"] == ["reading"]
    await asyncio.to_thread(records.keep_key, records._own)
    ended = await submitted(network)
    assert (await asyncio.to_thread(records.get, ended))["type"] == "sealed"


async def test_after_it_is_given_back_the_node_opens_what_comes(network, records):
    before = await submitted(network)
    await asyncio.to_thread(records.give_back, records._own)
    after = await submitted(network)
    assert (await asyncio.to_thread(records.get, before))["type"] == "sealed"
    assert (await asyncio.to_thread(records.get, after))["data"]["load_wh"] == 1521
    await asyncio.to_thread(records.keep_key, records._own)


async def test_nobody_else_gets_what_is_sealed(network, records):
    id = await submitted(network)
    for who in ("home-01", "home-09", "suncoop-staff", "suncoop-metering", "suncoop-admin", "regulator-officer"):
        client = await network.client(who)
        answers = [await client.get(f"/v1/records/{one}/sealed") for one in (id, ABSENT)]
        assert [answer.status_code for answer in answers] == [404, 404], who
        assert answers[0].content == answers[1].content
    assert (await (await network.client("", at="suncoop")).get(f"/v1/records/{id}/sealed")).status_code == 401


async def test_nobody_registers_a_key_without_holding_it(network, session, records):
    thief = OwnKey(b"t" * 32)
    body = {"key": thief.public.hex(), "answer": "00" * 32}
    home = await network.client("home-02")
    assert (await home.put("/v1/me/key", json=body)).status_code == 422
    assert (await home.put("/v1/me/key", json={"key": None, "answer": "00" * 32})).status_code == 422
    for who in ("suncoop-staff", "suncoop-admin", "suncoop-meters"):
        client = await network.client(who)
        for method, path, sent in (
            ("GET", "/v1/me/key", None),
            ("POST", "/v1/me/key/challenge", {"key": thief.public.hex()}),
            ("PUT", "/v1/me/key", body),
        ):
            assert (await client.request(method, path, json=sent)).status_code == 403, (who, path)
    with pytest.raises(InvalidRequest):
        await asyncio.to_thread(records.keep_key, records._own, ["no-such-type"])
    shown = (await home.get("/v1/me/key")).json()
    assert shown["key"] == records._own.public.hex()


async def test_a_session_of_the_sdk_renews_itself_and_ends(network, session):
    before = session.tokens
    session.tokens = type(before)(before.token, 0.0, before.refresh, before.key, before.device)
    assert (await asyncio.to_thread(session.json, "GET", "/v1/me/sessions"))["sessions"][0]["bound"]
    assert session.tokens.refresh != before.refresh
    await asyncio.to_thread(session.sign_out)
