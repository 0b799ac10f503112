"""Records over HTTP, on running nodes: submit with each wait, read one's own write, list, header."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from consortium.model.records import parse_header
from tests.fixtures.network import ABSENT, fresh_day, hour_of, reading, wait_until

pytestmark = pytest.mark.processes


@pytest.mark.parametrize(
    ("wait", "state", "known"),
    [
        ("ordered", "ordered", {"position"}),
        ("applied", "accepted", {"position", "height", "item", "index"}),
        ("witnessed", "witnessed", {"position", "height", "item", "index"}),
    ],
)
async def test_the_answer_names_the_state_that_it_waited_for(network, wait, state, known):
    record = reading()
    answer = await network.submit_as_meters(record, wait)
    assert answer["state"] == state
    assert answer["id"] == record["id"]
    assert set(answer) == {"id", "state"} | known
    if wait == "witnessed":
        assert (await network.status("suncoop"))["witnessed_size"] > answer["index"]


async def test_a_submitter_who_names_no_wait_and_no_id_can_read_at_once(network):
    client = await network.client("suncoop-staff")
    record = reading()
    del record["id"]
    answer = (await client.post("/v1/records", json=record)).json()
    assert answer["state"] == "accepted"
    assert len(bytes.fromhex(answer["id"])) == 16
    assert (await client.get(f"/v1/records/{answer['id']}")).status_code == 200


async def test_the_home_and_its_member_read_the_write_at_once(network):
    day = fresh_day()
    home, staff = await network.client("home-01"), await network.client("suncoop-staff")
    for hour in range(10):
        record = reading(start=hour_of(day, hour), load_wh=100 + hour, pv_wh=hour)
        answer = await network.submit_as_meters(record)
        for reader in (home, staff):
            found = await reader.get(f"/v1/records/{record['id']}")
            assert found.status_code == 200, found.text
            assert found.json()["index"] == answer["index"]
        listed = await home.get("/v1/records", params={"from": hour_of(day, hour), "to": hour_of(day, hour + 1)})
        assert [row["id"] for row in listed.json()["records"]] == [record["id"]]


async def test_what_was_submitted_is_what_is_read_with_its_time_in_utc(network):
    sent = reading("home-09@cityretail", start="2017-06-15T10:30:00+05:30", interval_s=1800, quality="estimated")
    before = datetime.now(UTC)
    answer = await network.submit_as_meters(sent)
    found = (await (await network.client("home-09")).get(f"/v1/records/{sent['id']}")).json()
    created = datetime.fromisoformat(found.pop("created"))
    assert before - timedelta(milliseconds=1) <= created <= datetime.now(UTC)
    assert found == {
        "id": sent["id"],
        "type": "reading",
        "author": "cityretail",
        "index": answer["index"],
        "data": {**sent["data"], "interval_start": "2017-06-15T05:00:00Z"},
        "withheld": [],
    }


async def test_the_grid_operator_reads_readings_of_every_member_and_nobody_else_does(network):
    ours, theirs = reading("home-02@suncoop"), reading("home-10@cityretail")
    for record in (ours, theirs):
        await network.submit_as_meters(record, "witnessed")
    grid = await network.client("gridco-staff")
    for record in (ours, theirs):

        async def readable(record=record):
            return (await grid.get(f"/v1/records/{record['id']}")).status_code == 200

        await wait_until(readable, "gridco's staff reads the record")
    await network.agreed()
    for stranger, record in (("cityretail-staff", ours), ("suncoop-staff", theirs), ("regulator-staff", ours)):
        assert (await (await network.client(stranger)).get(f"/v1/records/{record['id']}")).status_code == 404


@pytest.fixture(scope="module")
async def day_of_six(network):
    """Six hours of home-02 and one of home-03 on a day of their own; the records by hour."""
    day = fresh_day()
    records = [reading("home-02@suncoop", start=hour_of(day, hour), load_wh=hour) for hour in range(6)]
    for record in records:
        await network.submit_as_meters(record)
    await network.submit_as_meters(reading("home-03@suncoop", start=hour_of(day, 2)))
    return day, [record["id"] for record in records]


async def ids(client, **params):
    response = await client.get("/v1/records", params=params)
    assert response.status_code == 200, response.text
    return [record["id"] for record in response.json()["records"]]


async def test_a_period_includes_its_start_and_not_its_end(network, day_of_six):
    day, records = day_of_six
    home = await network.client("home-02")
    assert await ids(home, **{"from": hour_of(day, 1), "to": hour_of(day, 4)}) == records[1:4]
    assert await ids(home, **{"from": hour_of(day, 5), "to": hour_of(day, 30)}) == records[5:]
    assert await ids(home, **{"from": hour_of(day, 6), "to": hour_of(day, 30)}) == []


async def test_a_period_is_an_instant_whatever_its_offset(network, day_of_six):
    day, records = day_of_six
    home = await network.client("home-02")
    written = [
        f"{day:%Y-%m-%d}T02:00:00Z",
        f"{day:%Y-%m-%d}T07:30:00+05:30",
        f"{day - timedelta(days=1):%Y-%m-%d}T18:00:00-08:00",
        f"{day:%Y-%m-%d}t02:00:00.000z",
    ]
    for start in written:
        assert await ids(home, **{"from": start, "to": hour_of(day, 4)}) == records[2:4], start


async def test_a_type_narrows_the_list(network, day_of_six):
    day, records = day_of_six
    period = {"from": hour_of(day, 0), "to": hour_of(day, 24)}
    home = await network.client("home-02")
    assert await ids(home, type="reading", **period) == records
    assert await ids(home, type="trade", **period) == []


async def test_pages_follow_the_cursor_to_the_end(network, day_of_six):
    day, records = day_of_six
    home = await network.client("home-02")
    params = {"from": hour_of(day, 0), "to": hour_of(day, 24), "limit": 4, "type": "reading"}
    first = (await home.get("/v1/records", params=params)).json()
    assert [record["id"] for record in first["records"]] == records[:4]
    assert first["next"] == first["records"][-1]["index"]
    second = (await home.get("/v1/records", params={**params, "after": first["next"]})).json()
    assert [record["id"] for record in second["records"]] == records[4:]
    assert second["next"] is None
    seen, after = [], -1
    while after is not None:
        page = (await home.get("/v1/records", params={**params, "limit": 1, "after": after})).json()
        seen += [record["id"] for record in page["records"]]
        after = page["next"]
    assert seen == records


async def test_a_home_lists_its_own_and_its_member_lists_all_of_its_homes(network, day_of_six):
    day, records = day_of_six
    period = {"from": hour_of(day, 0), "to": hour_of(day, 24)}
    assert not set(await ids(await network.client("home-01"), **period)) & set(records)
    assert await ids(await network.client("home-09"), **period) == []
    staff = await ids(await network.client("suncoop-staff"), **period)
    assert staff[:6] == records
    assert len(staff) == 7


async def test_every_member_shows_the_same_header_and_no_more_than_the_header(network):
    record = reading("home-03@suncoop", load_wh=31_337)
    answer = await network.submit_as_meters(record)
    await network.agreed(answer["index"] + 1)
    shown = []
    for reader in ("suncoop-staff", "cityretail-staff", "gridco-staff", "regulator-officer", "home-09"):
        response = await (await network.client(reader)).get(f"/v1/records/{record['id']}/header")
        assert response.status_code == 200, response.text
        shown.append(response.json())
    assert all(header == shown[0] for header in shown)
    header = parse_header(bytes.fromhex(shown[0]["header"]))
    assert header.id.hex() == shown[0]["id"] == record["id"]
    assert shown[0]["author"] == header.author == "suncoop"
    assert (shown[0]["state"], shown[0]["kind"], shown[0]["index"]) == ("accepted", "sealed", answer["index"])
    assert (shown[0]["height"], shown[0]["item"]) == (answer["height"], answer["item"])
    assert shown[0]["size_classes"] == [header.sections[0].size_class]
    assert "home-03" not in response.text
    assert "31337" not in response.text


async def test_the_header_of_no_record_is_not_found(network):
    response = await (await network.client("home-01")).get(f"/v1/records/{ABSENT}/header")
    assert response.status_code == 404
    assert response.json()["type"] == "urn:consortium:problem:not-found"
