"""Failures as problems: what nobody foresaw is answered too, and its words reach neither the caller nor the log."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict
from starlette.requests import ClientDisconnect

from consortium import errors
from consortium.web import problems

SECRET = "sentinel7f3a"


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    known: int = 0


@pytest.fixture
def app():
    app = FastAPI()
    problems.install(app)

    @app.get("/unforeseen")
    async def unforeseen():
        raise ValueError(SECRET)

    @app.get("/gone")
    async def gone():
        raise ClientDisconnect

    @app.get("/midway")
    async def midway():
        async def pieces():
            yield b"begun"
            raise ValueError(SECRET)

        return StreamingResponse(pieces())

    @app.get("/failure/{name}")
    async def failure(name: str):
        raise getattr(errors, name)("what happened", hint="what to do")

    @app.post("/body")
    async def body(body: Body):
        return {}

    return app


@pytest.fixture
async def client(app):
    # It raises what the app raises, as a server would log it.
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://node") as made:
        yield made


async def test_an_unforeseen_failure_says_nothing_and_is_not_raised_again(client, capsys):
    response = await client.get("/unforeseen")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == "urn:consortium:problem:internal"
    shown = capsys.readouterr()
    assert SECRET not in response.text + shown.out + shown.err
    assert "ValueError" in shown.out + shown.err
    assert "test_problems.py" in shown.out + shown.err


async def test_a_failure_midway_leaves_the_answer_open_and_is_not_raised_again(app, capsys):
    """A server cuts the connection when an app returns before its answer is whole."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/midway", "query_string": b"", "headers": []}
    await app({**scope, "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1"}, receive, send)
    assert [message.get("body") for message in sent] == [None, b"begun"]
    assert sent[-1]["more_body"]
    shown = capsys.readouterr()
    assert SECRET not in shown.out + shown.err
    assert "ValueError" in shown.out + shown.err


async def test_a_client_that_went_away_is_no_failure(app, client, capsys):
    with pytest.raises(AssertionError):  # the transport misses its answer
        await client.get("/gone")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "status", "slug"),
    [
        ("NotFound", 404, "not-found"),
        ("LogUnavailable", 503, "ordering-unavailable"),
        ("ConfigurationError", 500, "internal"),
        ("Malformed", 502, "peer-error"),
        ("DefectError", 500, "internal"),
    ],
)
async def test_a_failure_is_the_problem_of_its_nearest_family(client, name, status, slug):
    response = await client.get(f"/failure/{name}")
    assert (response.status_code, response.json()["type"]) == (status, f"urn:consortium:problem:{slug}")
    assert (response.json()["detail"], response.json()["hint"]) == ("what happened", "what to do")
    assert ("retry-after" in response.headers) == (status == 503)


@pytest.mark.parametrize(
    ("sent", "field"), [({SECRET: 1}, None), ({"known": SECRET}, "known"), ([SECRET], None), (SECRET, None)]
)
async def test_a_bad_body_is_not_repeated(client, sent, field):
    response = await client.post("/body", json=sent)
    assert response.status_code == 422
    assert response.json().get("field") == field
    assert SECRET not in response.text


@pytest.mark.parametrize("sent", [b"\xff\xfe" + SECRET.encode(), b"{" + SECRET.encode(), b""])
async def test_a_body_that_is_no_text_or_no_json_is_one_kind_of_problem(client, sent):
    response = await client.post("/body", content=sent, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["type"]) == (422, "urn:consortium:problem:invalid-request")
    assert SECRET not in response.text


async def test_paths_and_methods_that_there_are_not(client):
    response = await client.get(f"/{SECRET}")
    assert (response.status_code, response.json()["type"]) == (404, "urn:consortium:problem:no-such-path")
    assert SECRET not in response.text
    response = await client.delete("/body")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert response.json()["type"] == "urn:consortium:problem:method-not-allowed"


def test_documented_problems_are_those_that_are_answered():
    found = problems.documented(errors.InvalidRequest, errors.UnknownParty, errors.NotReady)
    assert set(found) == {422, 503, "default"}
    examples = found[422]["content"]["application/problem+json"]["examples"]
    assert set(examples) == {"invalid-request", "unknown-party"}
    for error in (errors.InvalidRequest("x"), errors.UnknownParty("x")):
        status, body = problems.problem_of(error)
        slug = body["type"].rpartition(":")[2]
        assert examples[slug]["value"] == {"type": body["type"], "title": body["title"], "status": status}
