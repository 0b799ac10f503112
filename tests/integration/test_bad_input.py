"""Bad input over HTTP: each a problem with a stable type, nothing stored, nothing of the input repeated anywhere."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.fixtures.network import ABSENT, MEMBERS, reading

pytestmark = pytest.mark.processes

PREFIX = "urn:consortium:problem:"
SECRET = "sentinel7f3a"
"""Stands in the bad part of each input; it must come back nowhere."""
PARTIES = ("suncoop", "gridco")


def data(**changed):
    return json.dumps(reading(**changed)).encode()


def without(field):
    record = reading()
    del record["data"][field]
    return json.dumps(record).encode()


def top(**changed):
    return json.dumps({**reading(), **changed}).encode()


def raw(load):
    """A reading whose load is written just so."""
    return data(load_wh=0).replace(b'"load_wh": 0', b'"load_wh": ' + load)


def next_hour():
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    return start.isoformat()


INVALID, UNKNOWN, LARGE = (422, "invalid-request"), (422, "unknown-party"), (413, "too-large")
CASES = {
    # name: body, (status, type), field
    "no body": (b"", INVALID, None),
    "no JSON": (b'{"id": "' + SECRET.encode(), INVALID, None),
    "no UTF-8": (b'{"type": "\xff\xfe' + SECRET.encode() + b'"}', INVALID, None),
    "half a surrogate": (b'{"type": "\\ud800' + SECRET.encode() + b'", "data": {}}', INVALID, None),
    "two values": (top() + b" " + top(), INVALID, None),
    "an array": (b'["' + SECRET.encode() + b'"]', INVALID, None),
    "null": (b"null", INVALID, None),
    "nested deep": (b"[" * 60_000, INVALID, None),
    "NaN": (raw(b"NaN"), INVALID, None),
    "infinite": (raw(b"Infinity"), INVALID, None),
    "a number of 6,000 digits": (raw(b"9" * 6000), INVALID, None),
    "no type": (json.dumps({"data": reading()["data"]}).encode(), INVALID, "type"),
    "no data": (json.dumps({"type": "reading"}).encode(), INVALID, "data"),
    "unknown type": (top(type=SECRET), INVALID, "type"),
    "type is a number": (top(type=1), INVALID, "type"),
    "unknown field": (top(**{SECRET: SECRET}), INVALID, None),
    "unknown field of the reading": (data(**{SECRET: SECRET}), INVALID, "data"),
    "data is text": (top(data=SECRET), INVALID, "data"),
    "data is null": (top(data=None), INVALID, "data"),
    "id too short": (top(id=SECRET), INVALID, "id"),
    "id in capitals": (top(id="A" * 32), INVALID, "id"),
    "id is a number": (top(id=7), INVALID, "id"),
    "kWh": (json.dumps({**reading(), "data": {**reading()["data"], "load_kwh": 1}}).encode(), INVALID, "data"),
    "load is a float": (data(load_wh=1.5), INVALID, "data.load_wh"),
    "load is a whole float": (data(load_wh=1.0), INVALID, "data.load_wh"),
    "load is text": (data(load_wh=SECRET), INVALID, "data.load_wh"),
    "load is a number as text": (data(load_wh="12"), INVALID, "data.load_wh"),
    "load is true": (data(load_wh=True), INVALID, "data.load_wh"),
    "load is null": (data(load_wh=None), INVALID, "data.load_wh"),
    "load is missing": (without("load_wh"), INVALID, "data.load_wh"),
    "load is negative": (data(load_wh=-1), INVALID, "data.load_wh"),
    "load is absurd": (data(load_wh=1_000_001), INVALID, "data.load_wh"),
    "load is beyond 64 bits": (data(load_wh=10**30), INVALID, "data.load_wh"),
    "load is absurd for a quarter": (data(load_wh=250_001, interval_s=900), INVALID, "data.load_wh"),
    "pv is negative": (data(pv_wh=-5), INVALID, "data.pv_wh"),
    "pv is absurd": (data(pv_wh=2_000_000), INVALID, "data.pv_wh"),
    "unknown quality": (data(quality=SECRET), INVALID, "data.quality"),
    "interval of a minute": (data(interval_s=60), INVALID, "data.interval_s"),
    "interval is a float": (data(interval_s=3600.0), INVALID, "data.interval_s"),
    "interval is text": (data(interval_s="3600"), INVALID, "data.interval_s"),
    "start is misaligned": (data(start="2017-06-15T10:20:00-08:00"), INVALID, "data.interval_start"),
    "start is a microsecond late": (data(start="2017-06-15T10:00:00.000001-08:00"), INVALID, "data.interval_start"),
    "start has no offset": (data(start="2017-06-15T10:00:00"), INVALID, "data.interval_start"),
    "start is a date": (data(start="2017-06-15"), INVALID, "data.interval_start"),
    "start is seconds as text": (data(start="1497549600"), INVALID, "data.interval_start"),
    "start is a number": (data(interval_start=1497549600), INVALID, "data.interval_start"),
    "start is no time": (data(start=SECRET), INVALID, "data.interval_start"),
    "start is no day": (data(start="2017-06-31T10:00:00Z"), INVALID, "data.interval_start"),
    "start is missing": (without("interval_start"), INVALID, "data.interval_start"),
    "the coming hour": (data(start=next_hour()), INVALID, "data.interval_start"),
    "in the future": (data(start="2999-01-01T00:00:00Z"), INVALID, "data.interval_start"),
    "at the end of time": (data(start="9999-12-31T23:00:00-14:00"), INVALID, "data.interval_start"),
    "before there were meters": (data(start="1999-12-31T23:00:00Z"), INVALID, "data.interval_start"),
    "at the beginning of time": (data(start="0001-01-01T00:00:00+14:00"), INVALID, "data.interval_start"),
    "subject is missing": (without("subject"), INVALID, "data.subject"),
    "subject is no party": (data(subject=SECRET.upper()), INVALID, "data.subject"),
    "subject is a member": (data(subject="suncoop"), INVALID, "data.subject"),
    "subject has a NUL": (data(subject="home-01\0@suncoop"), INVALID, "data.subject"),
    "unknown home": (data(subject=f"{SECRET}@suncoop"), UNKNOWN, "data.subject"),
    "unknown member": (data(subject=f"home-01@{SECRET}"), UNKNOWN, "data.subject"),
    "another member's home": (data(subject="home-09@cityretail"), UNKNOWN, "data.subject"),
    "staff is no home": (data(subject="suncoop-staff@suncoop"), UNKNOWN, "data.subject"),
    "too large": (data(quality=SECRET * 6000), LARGE, None),
}


def is_problem(response, expected, field=None):
    status, slug = expected
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (body["type"], body["status"]) == (PREFIX + slug, status)
    assert body["title"]
    if field is not None:
        assert body["field"] == field
    assert set(body) <= {"type", "title", "status", "detail", "hint", "field"}
    assert SECRET not in response.text
    assert SECRET.upper() not in response.text


@pytest.fixture
async def nothing_stored(network):
    """Holds the rows of the author and of another party against what they were, and looks into every log file."""
    before = await network.counts(PARTIES)
    yield
    assert await network.counts(PARTIES) == before
    for member in MEMBERS:
        text = network.log_text(member)
        assert SECRET not in text
        assert SECRET.upper() not in text
        assert "Traceback" not in text


@pytest.mark.parametrize("case", CASES)
async def test_a_bad_submission_is_a_problem_and_nothing_is_stored(network, nothing_stored, case):
    body, expected, field = CASES[case]
    client = await network.client("suncoop-meters")
    for path in ("/v1/records", "/v1/records?wait=applied"):  # the short way to the route, and FastAPI's
        is_problem(await client.post(path, content=body), expected, field)


async def test_bad_lines_of_a_stream_are_the_same_problems(network, nothing_stored):
    cases = {name: case for name, case in CASES.items() if case[0]}
    body = b"\n".join(case[0] for case in cases.values())
    response = await (await network.client("suncoop-meters")).post("/v1/records/stream", content=body)
    assert response.status_code == 200
    assert SECRET not in response.text
    answers = [json.loads(line) for line in response.text.splitlines()]
    assert len(answers) == len(cases)
    for number, (answer, (name, case)) in enumerate(zip(answers, cases.items(), strict=True), 1):
        assert (answer["line"], answer["status"], answer["type"]) == (number, case[1][0], PREFIX + case[1][1]), name


@pytest.mark.parametrize("size", [65_537, 10_000_000])
@pytest.mark.parametrize("chunked", [False, True])
async def test_an_oversize_body_is_refused_however_it_comes(network, nothing_stored, size, chunked):
    body = data(quality=SECRET)
    body += b" " * (size - len(body))

    async def chunks():
        for start in range(0, size, 50_000):
            yield body[start : start + 50_000]

    client = await network.client("suncoop-meters")
    response = await client.post("/v1/records", content=chunks() if chunked else body)
    is_problem(response, LARGE)
    assert (await client.get("/healthz")).status_code == 200


async def test_a_body_of_the_greatest_size_is_taken(network):
    body = data()
    body += b" " * (65_536 - len(body))
    response = await (await network.client("suncoop-meters")).post("/v1/records", content=body)
    assert response.json()["state"] == "accepted"


async def test_an_id_that_was_used_for_other_content_is_a_conflict(network):
    record = reading()
    await network.submit_as_meters(record)
    before = await network.counts(PARTIES)
    client = await network.client("suncoop-meters")
    response = await client.post("/v1/records", content=data(id=record["id"], load_wh=3))
    is_problem(response, (409, "id-conflict"))
    assert await network.counts(PARTIES) == before


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (f"/v1/records?wait={SECRET}", "wait"),
        (f"/v1/records?timeout_s={SECRET}", "timeout_s"),
        ("/v1/records?timeout_s=0", "timeout_s"),
        ("/v1/records?timeout_s=61", "timeout_s"),
        ("/v1/records?timeout_s=nan", "timeout_s"),
        ("/v1/records?timeout_s=inf", "timeout_s"),
        (f"/v1/records/stream?wait={SECRET}", "wait"),
    ],
)
async def test_bad_parameters_of_a_submission(network, nothing_stored, path, field):
    is_problem(await (await network.client("suncoop-meters")).post(path, content=data()), INVALID, field)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (f"limit={SECRET}", "limit"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        (f"after={SECRET}", "after"),
        ("after=-2", "after"),
        ("after=99999999999999999999", "after"),
        ("type=%00", "type"),
        ("type=%ff", "type"),
        ("type=" + "x" * 65, "type"),
        (f"from={SECRET}", "from"),
        ("from=2017-06-15", "from"),
        ("from=2017-06-15T10:00:00", "from"),
        ("from=1497549600", "from"),
        ("to=2017-06-15T10:00:00", "to"),
        ("to=2017-13-15T10:00:00Z", "to"),
    ],
)
async def test_bad_parameters_of_a_list(network, query, field):
    is_problem(await (await network.client("home-01")).get(f"/v1/records?{query}"), INVALID, field)


@pytest.mark.parametrize(
    "query", ["from=0001-01-01T00:00:00%2B14:00", "to=9999-12-31T23:59:59-14:00", f"after={2**63 - 1}"]
)
async def test_extreme_parameters_of_a_list_are_answered(network, query):
    assert (await (await network.client("home-01")).get(f"/v1/records?{query}")).status_code == 200


@pytest.mark.parametrize("part", ["", "/header", "/receipt"])
@pytest.mark.parametrize("record_id", [SECRET, "0" * 31, "0" * 33, "G" * 32, "A" * 32, "%00" * 16])
async def test_a_malformed_id_is_a_bad_request(network, record_id, part):
    is_problem(await (await network.client("home-01")).get(f"/v1/records/{record_id}{part}"), INVALID, "id")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        f"/{SECRET}",
        "/v1",
        "/v1/",
        "/v1/records/",
        f"/v1/records/{ABSENT}/payload",
        "/v2/records",
        "/v1/peer/status",
    ],
)
async def test_an_unknown_path_is_a_problem(network, path):
    for client in (await network.client("home-01"), await network.client("", at="suncoop")):
        for method in ("GET", "POST", "DELETE"):
            is_problem(await client.request(method, path), (404, "no-such-path"))


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/records", {"GET", "POST"}),
        ("DELETE", f"/v1/records/{ABSENT}", {"GET"}),
        ("PATCH", f"/v1/records/{ABSENT}", {"GET"}),
        ("POST", "/v1/status", {"GET"}),
        ("GET", "/v1/auth/login", {"POST"}),
        ("OPTIONS", "/v1/records/stream", {"POST"}),
    ],
)
async def test_an_unknown_method_is_a_problem_that_names_the_others(network, method, path, allowed):
    response = await (await network.client("suncoop-staff")).request(method, path)
    is_problem(response, (405, "method-not-allowed"))
    assert set(response.headers["allow"].replace(" ", "").split(",")) & allowed


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("login", {"name": "home-01", "password": SECRET}, (401, "not-authenticated")),
        ("login", {"name": f"{SECRET}\0", "password": SECRET}, (401, "not-authenticated")),
        ("login", {"name": "home-01", "password": "x", SECRET: SECRET}, INVALID),
        ("login", {"name": "home-01"}, INVALID),
        ("login", SECRET, INVALID),
        ("challenge", {"name": [SECRET]}, INVALID),
        ("answer", {"challenge": SECRET, "signature": "0" * 128}, (401, "not-authenticated")),
        ("answer", {"challenge": SECRET, "signature": SECRET}, INVALID),
    ],
)
async def test_bad_logins(network, path, body, expected):
    is_problem(await (await network.client("", at="suncoop")).post(f"/v1/auth/{path}", json=body), expected)
    for member in MEMBERS:
        assert SECRET not in network.log_text(member)


@pytest.mark.parametrize("path", ["/v1/auth/login", "/v1/auth/challenge", "/v1/auth/answer", "/v1/nothing"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_an_oversize_body_of_any_other_request_is_refused_before_it_is_read(network, path, chunked):
    body = json.dumps({"name": SECRET * 100_000, "password": "x"}).encode()

    async def chunks():
        for start in range(0, len(body), 50_000):
            yield body[start : start + 50_000]

    nobody = await network.client("", at="suncoop")
    headers = {"Content-Type": "application/json"}
    is_problem(await nobody.post(path, content=chunks() if chunked else body, headers=headers), LARGE)
