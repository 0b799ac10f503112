"""The author's id is the idempotency key: same content, same answer, one record; other content, 409."""

from __future__ import annotations

import asyncio

import pytest

from tests.fixtures.network import new_id, reading

pytestmark = pytest.mark.processes


async def post(network, who, record, **params):
    return await (await network.client(who)).post("/v1/records", json=record, params=params)


async def times_stored(network, member, record_id):
    """How often the ledger of a member has the id: accepted and rejected."""
    async with network.database(member) as conn:
        counts = []
        for table in ("records", "rejections"):
            query = f"SELECT count(*) FROM ledger.{table} WHERE id = %s"
            counts.append((await (await conn.execute(query, [bytes.fromhex(record_id)])).fetchone())[0])
        return tuple(counts)


def refused(response):
    assert response.status_code == 409, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == "urn:consortium:problem:id-conflict"


async def test_the_same_submission_again_has_the_same_answer_and_is_one_record(network):
    record = reading()
    first = await post(network, "suncoop-meters", record)
    again = await post(network, "suncoop-meters", record)
    by_staff = await post(network, "suncoop-staff", record)
    assert first.status_code == again.status_code == by_staff.status_code == 200
    assert first.json() == again.json() == by_staff.json()
    assert await times_stored(network, "suncoop", record["id"]) == (1, 0)


async def test_the_same_content_written_otherwise_is_the_same(network):
    record = reading(start="2017-06-15T10:00:00-08:00")
    first = await post(network, "suncoop-meters", record)
    data = {**record["data"], "interval_start": "2017-06-15T18:00:00Z", "quality": "measured"}
    assert (await post(network, "suncoop-meters", {**record, "data": data})).json() == first.json()


async def test_twenty_at_once_are_one_record(network):
    record = reading()
    answers = await asyncio.gather(*(post(network, "suncoop-meters", record) for _ in range(20)))
    assert [answer.status_code for answer in answers] == [200] * 20
    assert len({answer.content for answer in answers}) == 1
    assert await times_stored(network, "suncoop", record["id"]) == (1, 0)


async def test_two_waits_at_once_are_one_record(network):
    record = reading()
    ordered, applied, witnessed = await asyncio.gather(
        *(post(network, "suncoop-meters", record, wait=wait) for wait in ("ordered", "applied", "witnessed"))
    )
    assert [answer.json()["state"] for answer in (ordered, applied, witnessed)] == ["ordered", "accepted", "witnessed"]
    assert ordered.json()["position"] == applied.json()["position"] == witnessed.json()["position"]
    assert applied.json()["index"] == witnessed.json()["index"]
    assert await times_stored(network, "suncoop", record["id"]) == (1, 0)
    assert (await post(network, "suncoop-meters", record, wait="ordered")).json() == ordered.json()


async def test_a_caller_whose_time_limit_passed_asks_again_and_it_is_one_record(network):
    record = reading()
    first = await post(network, "suncoop-meters", record, timeout_s=0.0001)
    assert first.status_code in (503, 504), first.text
    assert first.headers["content-type"] == "application/problem+json"
    assert (await post(network, "suncoop-meters", record)).json()["state"] == "accepted"
    assert await times_stored(network, "suncoop", record["id"]) == (1, 0)


async def test_other_content_is_refused(network):
    record = reading()
    first = await post(network, "suncoop-meters", record)
    for changed in (
        {"load_wh": record["data"]["load_wh"] + 1},
        {"subject": "home-02@suncoop"},
        {"interval_start": "2017-06-15T11:00:00-08:00"},
        {"quality": "estimated"},
    ):
        other = {**record, "data": {**record["data"], **changed}}
        refused(await post(network, "suncoop-meters", other))
    assert (await post(network, "suncoop-meters", record)).json() == first.json()
    assert await times_stored(network, "suncoop", record["id"]) == (1, 0)


async def test_of_two_contents_at_once_one_is_taken(network):
    record_id = new_id()
    records = [reading(id=record_id, load_wh=n) for n in range(8)]
    answers = await asyncio.gather(*(post(network, "suncoop-meters", record) for record in records))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    taken = next(r for r, answer in zip(records, answers, strict=True) if answer.status_code == 200)
    found = await (await network.client("suncoop-staff")).get(f"/v1/records/{record_id}")
    assert found.json()["data"]["load_wh"] == taken["data"]["load_wh"]
    assert await times_stored(network, "suncoop", record_id) == (1, 0)


async def test_after_a_restart_the_answers_are_the_same(network):
    record = reading("home-09@cityretail")
    first = await post(network, "cityretail-meters", record)
    await network.restart_node("cityretail")
    again = await post(network, "cityretail-meters", record)
    assert again.status_code == 200, again.text
    assert again.json() == first.json()
    refused(await post(network, "cityretail-meters", {**record, "data": {**record["data"], "load_wh": 1}}))
    assert await times_stored(network, "cityretail", record["id"]) == (1, 0)


async def test_an_id_that_another_member_used_is_taken(network):
    record = reading("home-01@suncoop")
    answer = (await post(network, "suncoop-meters", record)).json()
    await network.agreed(answer["index"] + 1)
    refused(await post(network, "cityretail-meters", reading("home-09@cityretail", id=record["id"])))
    assert await times_stored(network, "cityretail", record["id"]) == (1, 0)


async def test_an_id_that_two_members_use_at_once_is_one_record_everywhere(network):
    for _ in range(5):
        record_id = new_id()
        ours, theirs = await asyncio.gather(
            post(network, "suncoop-meters", reading("home-01@suncoop", id=record_id)),
            post(network, "cityretail-meters", reading("home-09@cityretail", id=record_id)),
        )
        states = [a.json()["state"] if a.status_code == 200 else a.status_code for a in (ours, theirs)]
        assert states.count("accepted") == 1, states
        assert {"accepted"} < set(states) <= {"accepted", "rejected", 409}, states
        await network.agreed()
        stored = {await times_stored(network, member, record_id) for member in ("suncoop", "cityretail", "regulator")}
        assert len(stored) == 1
        accepted, rejected = stored.pop()
        assert (accepted, rejected) == (1, states.count("rejected"))
