"""Accounts over HTTP: who may what, in words and statuses; the policies stand before, the rules of `People` behind."""

from __future__ import annotations

from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI

from consortium.adapters.policyfiles import load_policies
from consortium.adapters.tokens.passwords import hash_password
from consortium.adapters.tokens.peers import PeerTokens
from consortium.client.dpop import TokenAuth
from consortium.config import Settings
from consortium.crypto import signing
from consortium.model.members import Genesis, Member
from consortium.pipeline.access import Access
from consortium.ports.accounts import Account
from consortium.web import problems
from consortium.web.routes import accounts, auth, own
from tests.callers import FakeClock, custody_of
from tests.desks import CHEAP, desk_of, issued, key_of, stores_of

GENESIS = Genesis("voltnet", "main", 1, "voltnet.example", (Member("suncoop", (), custody_of("suncoop").public),))
PUBLIC = signing.public_key(bytes(range(32)))
PASSWORD, NEW = "correct horse battery staple", "a phrase of my very own"
POLICIES = Settings.model_fields["policies"].default
PEOPLE = {
    "adam": "administrator",
    "alice": "staff",
    "olga": "officer",
    "meters": "machine",
    "tax": "service",
    "home-01": "user",
}


class World:
    """suncoop's node with its people, each with a token."""

    def __init__(self, http: httpx.AsyncClient, app: FastAPI) -> None:
        self.clock = FakeClock()
        made = [Account(name, kind, hash_password(PASSWORD, CHEAP) if kind == "user" else "", PUBLIC)
                for name, kind in PEOPLE.items()]  # fmt: skip
        self.stores = stores_of(*made)
        peers = PeerTokens(custody_of("suncoop"), self.clock, genesis=GENESIS, member="suncoop")
        self.desk = desk_of(self.stores, self.clock, peers)
        self.http = http
        app.state.services = SimpleNamespace(
            verifier=self.desk.verifier,
            logins=self.desk.logins,
            sessions=self.desk.sessions,
            factors=self.desk.factors,
            people=self.desk.people,
            access=Access(load_policies(POLICIES), "suncoop"),
        )

    async def ask(self, who: str, method: str, path: str, **arguments) -> httpx.Response:
        key = key_of(self.clock, who)
        token = issued(self.desk, who, (await self.stores.accounts.account(who)).kind, key.thumbprint).token
        return await self.http.request(method, path, auth=TokenAuth(token, key), **arguments)


@pytest.fixture
async def world():
    app = FastAPI()
    for part in (auth, accounts, own):
        app.include_router(part.router)
    problems.install(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://node") as http:
        yield World(http, app)


async def test_an_invitation_from_end_to_end(world):
    invited = (await world.ask("adam", "POST", "/v1/accounts", json={"name": "home-11", "kind": "user"})).json()
    listed = (await world.ask("adam", "GET", "/v1/accounts")).json()
    assert [row["name"] for row in listed["invitations"]] == ["home-11"]
    assert invited["code"] not in str(listed)
    accepted = await world.http.post("/v1/auth/accept", json={"code": invited["code"], "password": NEW})
    assert accepted.json() == {"name": "home-11", "kind": "user", "duties": [], "state": "active"}
    login = await world.http.post("/v1/auth/login", json={"name": "home-11", "password": NEW})
    assert login.status_code == 200
    again = await world.http.post("/v1/auth/accept", json={"code": invited["code"], "password": NEW})
    assert again.status_code == 401


CALLS = (
    ("GET", "/v1/accounts", None),
    ("POST", "/v1/accounts", {"name": "home-12", "kind": "user"}),
    ("POST", "/v1/accounts", {"name": "mallory", "kind": "administrator"}),
    ("POST", "/v1/accounts/{}/confirm", None),
    ("DELETE", "/v1/accounts/{}/invitation", None),
    ("POST", "/v1/accounts/{}/disable", None),
    ("POST", "/v1/accounts/{}/enable", None),
    ("PUT", "/v1/accounts/{}/duties", {"duties": ["billing"]}),
    ("POST", "/v1/accounts/{}/reset", {}),
    ("POST", "/v1/accounts/{}/revoke", None),
)


@pytest.mark.parametrize("who", sorted(set(PEOPLE) - {"adam"}))
async def test_nobody_else_learns_who_there_is(world, who):
    """The same refusal for an account that is there, one that is not, and one's own."""
    before, refusals = dict(world.stores.accounts.by_name), set()
    for method, path, body in CALLS:
        for name in ("home-01", "nobody", who):
            answer = await world.ask(who, method, path.format(name), json=body)
            assert answer.status_code == 403, path
            refusals.add(answer.content)
    assert len(refusals) == 1
    assert world.stores.accounts.by_name == before
    assert not await world.stores.invitations.invitations()


async def test_not_even_with_a_body_that_is_wrong(world):
    answer = await world.ask("home-01", "POST", "/v1/accounts", json={"name": 5, "surprise": "x"})
    assert answer.status_code in (403, 422)
    assert "surprise" not in answer.text


async def test_an_administrator_grants_themself_nothing(world):
    before = dict(world.stores.accounts.by_name)
    for method, path, body in CALLS[4:]:
        answer = await world.ask("adam", method, path.format("adam"), json=body)
        assert answer.status_code == 403, path
    again = await world.ask(
        "adam", "POST", "/v1/accounts", json={"name": "adam", "kind": "staff", "duties": ["billing"]}
    )
    assert again.status_code in (403, 422)
    assert world.stores.accounts.by_name == before


async def test_an_administrators_token_without_its_key(world):
    key = key_of(world.clock, "adam")
    token = issued(world.desk, "adam", "administrator", key.thumbprint).token
    for headers in (
        {"Authorization": f"Bearer {token}"},
        {"Authorization": f"DPoP {token}"},
        {"Authorization": f"DPoP {token}", "DPoP": key.proof("POST", "http://node/v1/accounts", token)},
        {"Authorization": f"DPoP {token}", "DPoP": key.proof("GET", "http://node/v1/accounts")},
    ):
        assert (await world.http.get("/v1/accounts", headers=headers)).status_code == 401
    proofs = [("Authorization", f"DPoP {token}")] + [
        ("DPoP", key.proof("GET", "http://node/v1/accounts", token)) for _ in range(2)
    ]
    assert (await world.http.get("/v1/accounts", headers=proofs)).status_code == 401
    good = {"Authorization": f"DPoP {token}", "DPoP": key.proof("GET", "http://node/v1/accounts", token)}
    assert (await world.http.get("/v1/accounts?x=1", headers=good)).status_code == 200
    assert (await world.http.get("/v1/accounts", headers=good)).status_code == 401


async def test_refresh_and_logout(world):
    body = {"name": "home-01", "password": PASSWORD}
    first = (await world.http.post("/v1/auth/login", json=body)).json()
    second = await world.http.post("/v1/auth/refresh", json={"refresh": first["refresh"]})
    assert second.headers["cache-control"] == "no-store"
    assert (await world.http.post("/v1/auth/refresh", json={"refresh": first["refresh"]})).status_code == 401
    assert (await world.http.post("/v1/auth/refresh", json={"refresh": second.json()["refresh"]})).status_code == 401
    for text in ("0" * 64, first["refresh"]):
        assert (await world.http.post("/v1/auth/logout", json={"refresh": text})).status_code == 204
    odd = await world.http.post("/v1/auth/refresh", json={"refresh": "z" * 64})
    assert odd.status_code == 422
    assert "zzz" not in odd.text


async def test_own_sessions(world):
    body = {"name": "home-01", "password": PASSWORD}
    tokens = [(await world.http.post("/v1/auth/login", json=body)).json() for _ in range(2)]
    mine = {"Authorization": f"Bearer {tokens[0]['token']}"}
    listed = (await world.http.get("/v1/me/sessions", headers=mine)).json()["sessions"]
    assert len(listed) == 2
    assert not listed[0]["bound"]
    other = await world.ask("alice", "DELETE", f"/v1/me/sessions/{listed[0]['id']}")
    absent = await world.ask("alice", "DELETE", f"/v1/me/sessions/{'0' * 32}")
    assert (other.status_code, other.content) == (404, absent.content)
    assert (await world.http.delete("/v1/me/sessions", headers=mine)).status_code == 204
    world.clock.turn(3)
    assert (await world.http.get("/v1/me/sessions", headers=mine)).status_code == 401


async def test_a_second_factor_over_http(world):
    import pyotp

    made = (await world.ask("home-01", "POST", "/v1/me/second-factor")).json()
    code = pyotp.TOTP(made["secret"]).at(world.clock.now_ms() // 1000)
    assert made["uri"].startswith("otpauth://totp/")
    assert (await world.ask("home-01", "POST", "/v1/me/second-factor/confirm", json={"code": code})).status_code == 204
    body = {"name": "home-01", "password": PASSWORD}
    assert (await world.http.post("/v1/auth/login", json=body)).status_code == 401
    recovery = {**body, "code": made["recovery_codes"][0]}
    assert (await world.http.post("/v1/auth/login", json=recovery)).status_code == 200
    assert (
        await world.ask("home-01", "POST", "/v1/me/second-factor/remove", json={"code": "000000"})
    ).status_code == 422


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Consortium-Purpose": "x" * 101}, 422),
        ({"Consortium-Purpose": "x" * 100}, 200),
        ({"Consortium-Purpose": "t\u00e4x".encode("latin-1")}, 422),
        ({"Consortium-Behalf": "home-01@suncoop"}, 200),
        ({"Consortium-Behalf": "nonsense!"}, 422),
        ([("Consortium-Behalf", "home-01@suncoop"), ("Consortium-Behalf", "home-02@suncoop")], 422),
    ],
)
async def test_what_a_request_claims(world, headers, status):
    answer = await world.ask("home-01", "GET", "/v1/me/sessions", headers=headers)
    assert answer.status_code == status
    assert "nonsense" not in answer.text
