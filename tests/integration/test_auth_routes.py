"""Signing in over HTTP, and the one dependency by which every route learns who asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace

import httpx
import jwt
import pytest
from fastapi import FastAPI

from consortium.adapters.tokens.desk import Desk
from consortium.adapters.tokens.logins import CHALLENGE_CONTEXT
from consortium.adapters.tokens.passwords import hash_password
from consortium.adapters.tokens.peers import PeerTokens
from consortium.client.dpop import TokenAuth
from consortium.crypto import signing
from consortium.model.members import Genesis, Member
from consortium.ports.accounts import Account
from consortium.web import problems
from consortium.web.callers import CallerDep
from consortium.web.routes import auth
from tests.callers import NOW_S, FakeClock, custody_of, private_key
from tests.desks import CHEAP, desk_of, issued, key_of, stores_of

SEED = bytes(range(32))
PASSWORD = "correct horse battery staple"
MEMBERS = ("gridco", "suncoop")
GENESIS = Genesis("voltnet", "main", 1, "voltnet.example", tuple(Member(m, (), custody_of(m).public) for m in MEMBERS))


@dataclass
class World:
    clock: FakeClock
    desk: Desk
    client: httpx.AsyncClient

    async def whoami(self, **headers):
        return await self.client.get("/whoami", headers=headers)


def make_app(clock: FakeClock) -> tuple[FastAPI, Desk]:
    stores = stores_of(
        Account("home-01", "user", hash_password(PASSWORD, CHEAP)),
        Account("gateway-1", "machine", "", signing.public_key(SEED)),
    )
    peers = PeerTokens(custody_of("suncoop"), clock, genesis=GENESIS, member="suncoop")
    desk = desk_of(stores, clock, peers)
    app = FastAPI()
    app.state.services = SimpleNamespace(verifier=desk.verifier, logins=desk.logins, jwks=desk.tokens.jwks)
    app.include_router(auth.router)
    problems.install(app)

    @app.get("/whoami")
    async def whoami(caller: CallerDep) -> dict[str, str]:
        return {"name": caller.name, "member": caller.member, "kind": caller.kind}

    return app, desk


@pytest.fixture
async def world():
    clock = FakeClock()
    app, desk = make_app(clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://node") as client:
        yield World(clock, desk, client)


async def login(world, **change):
    return await world.client.post("/v1/auth/login", json={"name": "home-01", "password": PASSWORD} | change)


def refused_alike(response):
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["www-authenticate"] == "Bearer"
    body = response.json()
    assert (body["type"], body["detail"]) == ("urn:consortium:problem:not-authenticated", "not authenticated")


async def test_a_password_gives_a_token_that_says_who_asks(world):
    answer = await login(world)
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"token", "expires_at", "kind", "scheme", "refresh", "session_ends_at", "device"}
    assert datetime.fromisoformat(body["expires_at"]) == datetime.fromtimestamp(NOW_S + 900, UTC)
    assert answer.headers["cache-control"] == "no-store"
    who = await world.whoami(authorization=f"Bearer {body['token']}")
    assert who.json() == {"name": "home-01", "member": "suncoop", "kind": "user"}


@pytest.mark.parametrize(
    "change", [{"password": "wrong"}, {"name": "nobody"}, {"name": "gateway-1"}, {"name": "Home-01"}, {"name": "é"}]
)
async def test_a_refused_login_looks_the_same_whatever_the_reason(world, change):
    answer = await login(world, **change)
    refused_alike(answer)
    assert answer.content == (await login(world, password="wrong too")).content


async def test_a_signed_challenge_gives_a_token_once(world):
    made = await world.client.post("/v1/auth/challenge", json={"name": "gateway-1"})
    assert made.status_code == 200
    assert made.headers["cache-control"] == "no-store"
    challenge = made.json()["challenge"]
    signature = signing.sign(CHALLENGE_CONTEXT + challenge.encode(), signing.expand(SEED)).hex()
    body = {"challenge": challenge, "signature": signature}
    key = key_of(world.clock)
    proved = {"DPoP": key.proof("POST", "http://node/v1/auth/answer")}
    answer = await world.client.post("/v1/auth/answer", json=body, headers=proved)
    assert (answer.json()["kind"], answer.json()["scheme"]) == ("machine", "DPoP")
    who = await world.client.get("/whoami", auth=TokenAuth(answer.json()["token"], key))
    assert who.json() == {"name": "gateway-1", "member": "suncoop", "kind": "machine"}
    refused_alike(await world.client.post("/v1/auth/answer", json=body))


async def test_an_unknown_name_gets_a_challenge_and_no_token(world):
    made = await world.client.post("/v1/auth/challenge", json={"name": "nobody"})
    assert made.status_code == 200
    body = {"challenge": made.json()["challenge"], "signature": "00" * 64}
    refused_alike(await world.client.post("/v1/auth/answer", json=body))


async def test_the_published_keys_verify_a_token(world):
    keys = await world.client.get("/v1/auth/jwks")
    assert keys.headers["cache-control"] == "public, max-age=300"
    token = (await login(world)).json()["token"]
    key = jwt.PyJWKSet.from_dict(keys.json())[jwt.get_unverified_header(token)["kid"]]
    options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    assert jwt.decode(token, key, algorithms=["EdDSA"], audience="voltnet/suncoop", options=options)["sub"] == "home-01"
    assert set(keys.json()["keys"][0]) == {"kty", "crv", "x", "kid", "use", "alg"}


async def test_without_a_good_header_there_is_no_caller(world):
    token = issued(world.desk, "home-01", "user").token
    assert (await world.whoami(authorization=f"bearer {token}")).status_code == 200
    bad = [f"Basic {token}", token, f"Bearer{token}", "Bearer ", "Bearer", "", f"Bearer {token}x", f"Bearer {token} x"]
    for value in bad:
        refused_alike(await world.whoami(authorization=value))
    refused_alike(await world.whoami())
    refused_alike(await world.whoami(cookie=f"token={token}; Authorization=Bearer {token}"))


async def test_a_token_in_the_url_or_twice_does_not_count(world):
    token = issued(world.desk, "home-01", "user").token
    for name in ("token", "access_token", "authorization"):
        refused_alike(await world.client.get("/whoami", params={name: token}))
        refused_alike(await world.client.get("/whoami", params={name: f"Bearer {token}"}))
    twice = [("authorization", f"Bearer {token}"), ("authorization", f"Bearer {token}")]
    refused_alike(await world.client.get("/whoami", headers=twice))


async def test_expired_forged_and_foreign_tokens(world):
    token = issued(world.desk, "home-01", "user").token
    claims = jwt.decode(token, options={"verify_signature": False})
    kid = {"kid": jwt.get_unverified_header(token)["kid"]}
    bad = [
        jwt.encode(claims, private_key("thief"), algorithm="EdDSA", headers=kid),
        jwt.encode(claims, None, algorithm="none", headers=kid),
        jwt.encode({**claims, "aud": "voltnet/gridco"}, private_key("suncoop"), algorithm="EdDSA", headers=kid),
        jwt.encode({**claims, "iss": "https://gridco.voltnet"}, private_key("suncoop"), algorithm="EdDSA", headers=kid),
    ]
    for one in bad:
        refused_alike(await world.whoami(authorization=f"Bearer {one}"))
    assert (await world.whoami(authorization=f"Bearer {token}")).status_code == 200
    world.clock.turn(905)
    refused_alike(await world.whoami(authorization=f"Bearer {token}"))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("login", {"name": "home-01"}),
        ("login", {"name": "home-01", "password": "hunter2-secret", "otp": "hunter2-secret"}),
        ("login", {"name": "", "password": "hunter2-secret"}),
        ("login", {"name": "home-01", "password": ["hunter2-secret"]}),
        ("login", {"name": "home-01", "password": "hunter2-secret" * 100}),
        ("login", {"name": ["home-01"], "password": "hunter2-secret"}),
        ("login", ["hunter2-secret"]),
        ("challenge", {}),
        ("challenge", {"name": "a" * 65}),
        ("answer", {"challenge": "c", "signature": "hunter2-secret"}),
        ("answer", {"challenge": "c", "signature": "0" * 127}),
        ("answer", {"challenge": "c" * 5000, "signature": "0" * 128}),
    ],
)
async def test_bad_requests_are_refused_without_an_echo_of_what_was_sent(world, path, body):
    answer = await world.client.post(f"/v1/auth/{path}", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert "hunter2" not in answer.text


async def test_broken_json(world):
    answer = await world.client.post(
        "/v1/auth/login", content=b'{"password": "hunter2', headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422
    assert "hunter2" not in answer.text


async def test_the_api_description_has_examples_and_the_bearer_scheme(world):
    described = (await world.client.get("/openapi.json")).json()
    assert described["components"]["securitySchemes"]["HTTPBearer"]["bearerFormat"] == "JWT"
    assert described["paths"]["/whoami"]["get"]["security"] == [{"HTTPBearer": []}]
    for name in ("LoginRequest", "TokenResponse", "ChallengeRequest", "ChallengeResponse", "AnswerRequest"):
        model = described["components"]["schemas"][name]
        assert model["additionalProperties"] is False
        assert all(field.get("examples") for field in model["properties"].values()), name
