"""Many records over one request: NDJSON in, an answer per line out, in order."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.fixtures.network import fresh_day, hour_of, new_id, reading, wait_until

pytestmark = pytest.mark.processes

STREAM = "/v1/records/stream"


def line(record):
    return json.dumps(record).encode()


async def stream(network, body, who="suncoop-meters", **params):
    response = await (await network.client(who)).post(STREAM, content=body, params=params)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("application/x-ndjson")
    assert response.text.endswith("\n")
    return [json.loads(answer) for answer in response.text.splitlines()]


async def test_an_answer_a_line_in_order_with_bad_lines_among_good_ones(network):
    good = [reading() for _ in range(4)]
    body = b"\n".join(
        [
            line(good[0]),
            b"",
            b"no json",
            line(good[1]),
            b"   \r",
            line(reading(load_wh=-1)),
            b"[]",
            line(reading("home-99@suncoop")),
            line(good[2]) + b"\r",
            line(good[3]),
        ]
    )
    answers = await stream(network, body)
    shown = [answer.get("state") or (answer["line"], answer["type"].rpartition(":")[2]) for answer in answers]
    assert shown == [
        "accepted",
        (3, "invalid-request"),
        "accepted",
        (6, "invalid-request"),
        (7, "invalid-request"),
        (8, "unknown-party"),
        "accepted",
        "accepted",
    ]
    assert [answer["id"] for answer in answers if "id" in answer] == [record["id"] for record in good]
    assert [answer["status"] for answer in answers if "line" in answer] == [422] * 4


async def test_blank_lines_alone_and_nothing_at_all_have_no_answer(network):
    client = await network.client("suncoop-meters")
    for body in (b"", b"\n", b"\n \n\r\n"):
        response = await client.post(STREAM, content=body)
        assert (response.status_code, response.content) == (200, b"")


async def test_a_line_that_is_too_long_has_an_answer_and_the_others_go_on(network):
    good = [reading() for _ in range(3)]
    for long in (70_000, 3_000_000):
        body = b"\n".join([line(good[0]), b"x" * long, line(good[1]), b'{"id":"' + b"y" * long, line(good[2])])
        answers = await stream(network, body)
        assert [answer.get("status", answer.get("state")) for answer in answers] == [
            "accepted",
            413,
            "accepted",
            413,
            "accepted",
        ]
        assert [answer["line"] for answer in answers if "line" in answer] == [2, 4]
        assert answers[1]["type"] == "urn:consortium:problem:too-large"


async def test_chunks_that_cut_lines_anywhere(network):
    records = [reading() for _ in range(5)]
    body = b"\n".join(line(record) for record in records) + b"\n"

    async def crumbs():
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    assert [answer["id"] for answer in await stream(network, crumbs())] == [record["id"] for record in records]


async def test_the_same_id_on_many_lines_is_one_record(network):
    record = reading()
    answers = await stream(network, b"\n".join([line(record)] * 4))
    assert len(answers) == 4
    assert all(answer == answers[0] for answer in answers)
    changed = {**record, "data": {**record["data"], "load_wh": 7}}
    answers = await stream(network, b"\n".join([line(record), line(changed), line(record)]))
    assert [answer.get("status", answer.get("state")) for answer in answers] == ["accepted", 409, "accepted"]


@pytest.mark.parametrize("wait", ["ordered", "witnessed"])
async def test_each_line_waits_for_what_was_asked(network, wait):
    answers = await stream(network, b"\n".join(line(reading()) for _ in range(3)), wait=wait)
    assert [answer["state"] for answer in answers] == [wait] * 3


async def test_a_user_may_submit_no_line_and_nobody_gets_a_stream(network):
    answers = await stream(network, line(reading()) + b"\n" + line(reading()), who="home-01")
    assert [answer["status"] for answer in answers] == [403, 403]
    response = await (await network.client("", at="suncoop")).post(STREAM, content=line(reading()))
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"


# --- by socket: how the bytes travel is the point ------------------------------------------------------------


class Wire:
    """An HTTP/1.1 connection by hand; a body of known length, or a chunked one."""

    def __init__(self, network, reader, writer):
        self._network, self.reader, self.writer = network, reader, writer

    @classmethod
    async def open(cls, network, framing):
        node = network.net.nodes["suncoop"]
        wire = cls(network, *await asyncio.open_connection("127.0.0.1", node.port))
        head = [
            f"POST {STREAM} HTTP/1.1",
            "Host: node",
            f"Authorization: Bearer {network.tokens['suncoop-staff']}",
            "Connection: close",
            framing,
        ]
        wire.writer.write("\r\n".join([*head, "", ""]).encode())
        return wire

    async def chunk(self, data):
        self.writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await self.writer.drain()

    async def head(self):
        return await self.reader.readuntil(b"\r\n\r\n")

    async def next_chunk(self):
        size = int(await self.reader.readline(), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def rest(self):
        parts = []
        while part := await self.next_chunk():
            parts.append(part)
        return b"".join(parts)

    def close(self):
        self.writer.close()


async def test_three_thousand_lines_of_a_client_that_sends_all_before_it_reads(network):
    day = fresh_day()
    records = [reading("home-03@suncoop", start=hour_of(day, n % 24), load_wh=n) for n in range(3000)]
    body = b"\n".join(line(record) for record in records)
    wire = await Wire.open(network, f"Content-Length: {len(body)}")
    async with asyncio.timeout(60):
        wire.writer.write(body)
        await wire.writer.drain()
        assert b" 200 " in await wire.head()
        answers = [json.loads(answer) for answer in (await wire.rest()).splitlines()]
    wire.close()
    assert [answer["id"] for answer in answers] == [record["id"] for record in records]
    assert {answer["state"] for answer in answers} == {"accepted"}
    indexes = [answer["index"] for answer in answers]
    assert len(set(indexes)) == 3000
    assert indexes == sorted(indexes)
    home = await network.client("home-03")
    seen, after = [], -1
    while after is not None:
        params = {"from": hour_of(day, 0), "to": hour_of(day, 24), "limit": 500, "after": after}
        page = (await home.get("/v1/records", params=params)).json()
        seen += [record["data"]["load_wh"] for record in page["records"]]
        after = page["next"]
    assert seen == list(range(3000))


async def test_answers_come_while_the_body_is_still_open(network):
    wire = await Wire.open(network, "Transfer-Encoding: chunked")
    async with asyncio.timeout(20):
        for number in range(3):
            record = reading()
            await wire.chunk(line(record) + b"\n")
            if number == 0:
                assert b" 200 " in await wire.head()
            assert json.loads(await wire.next_chunk())["id"] == record["id"]
        await wire.chunk(b"")
        assert await wire.next_chunk() == b""
    wire.close()


async def test_a_client_that_goes_away_harms_nobody_and_its_ids_tell_what_became_of_it(network):
    record, after = reading(), new_id()
    wire = await Wire.open(network, "Transfer-Encoding: chunked")
    await wire.chunk(line(record) + b"\n" + b'{"id": "' + after.encode())
    wire.writer.transport.abort()
    client = await network.client("suncoop-meters")

    async def taken():
        return (await client.get(f"/v1/records/{record['id']}/header")).status_code == 200

    await wait_until(taken, "the line that arrived is a record")
    assert (await client.get(f"/v1/records/{after}/header")).status_code == 404
    assert (await network.submit_as_meters(reading()))["state"] == "accepted"
    assert "Traceback" not in network.log_text("suncoop")
