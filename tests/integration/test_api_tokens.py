"""Tokens that are no good, on running nodes: the same refusal for each, nothing stored, no token in any log."""

from __future__ import annotations

import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consortium.adapters.tokens import compact
from consortium.client.dpop import DpopKey
from consortium.crypto import signing
from tests.callers import claims_of, forge, forge_hs256, kid_of
from tests.fixtures.network import reading, wait_until

pytestmark = pytest.mark.processes


def signed(network, **changed):
    """A token of suncoop's staff under suncoop's real key, with some claims changed; None leaves one out."""
    token = network.tokens["suncoop-staff"]
    claims = {name: value for name, value in {**claims_of(token), **changed}.items() if value is not None}
    return compact.sign(claims, kid_of(token), network.custody("suncoop").sign_token)


def bad_tokens(network):
    token = network.tokens["suncoop-staff"]
    claims, kid, now = claims_of(token), kid_of(token), int(time.time())
    thief = Ed25519PrivateKey.generate()
    public = network.custody("suncoop").public.token
    head, body, signature = token.split(".")
    foreign = network.tokens["cityretail-staff"]
    return {
        "expired": signed(network, iat=now - 7200, nbf=now - 7200, exp=now - 3600),
        "not yet": signed(network, iat=now + 600, nbf=now + 600, exp=now + 1200),
        "without an end": signed(network, exp=None),
        "wrong audience": signed(network, aud="demo/gridco"),
        "several audiences": signed(network, aud=["demo/suncoop", "demo/gridco"]),
        "no audience": signed(network, aud=None),
        "wrong issuer": signed(network, iss="https://gridco.demo"),
        "a peer's issuer": signed(network, iss="gridco"),
        "unknown issuer": signed(network, iss="https://elsewhere.example"),
        "no such account": signed(network, sub="nobody-here"),
        "another kind than the account's": signed(network, kind="officer"),
        "without a session": signed(network, sid=None),
        "of no session": signed(network, sid="00" * 16),
        "of an odd session": signed(network, sid="x"),
        "bound to a key": signed(network, cnf={"jkt": "x" * 43}),
        "bound in a way that nobody checks": signed(network, cnf={"x5t#S256": "x" * 43}),
        "a machine's without its key": network.tokens["suncoop-meters"],
        "an administrator's without their key": network.tokens["suncoop-admin"],
        "kind peer": signed(network, kind="peer"),
        "another member": signed(network, member="gridco"),
        "forged": forge(claims, thief, kid=kid),
        "forged, own kid": forge(claims, thief, kid="thief"),
        "alg none": forge(claims, None, algorithm="none", kid=kid),
        "alg none, by hand": f"eyJhbGciOiJub25lIn0.{body}.",
        "HS256 with the public key": forge_hs256(claims, public, kid),
        "signature cut off": f"{head}.{body}.",
        "signature of another": f"{head}.{body}.{foreign.split('.')[2]}",
        "claims of another": f"{head}.{claims_of_other(network)}.{signature}",
        "of another member's staff": foreign,
        "of another member's user": network.tokens["home-09"],
        "a peer's for another node": network.peer_token("gridco", "cityretail"),
        "a challenge": "challenge",
        "no token": "sentinel7f3a",
        "too long": "a" * 9000,
        "empty": "",
    }


def claims_of_other(network):
    return network.tokens["suncoop-meters"].split(".")[1]


async def requests(network, token):
    """Each action with a token."""
    record = reading()
    async with network.bearer(token, "suncoop") as client:
        yield await client.post("/v1/records", json=record)
        yield await client.post("/v1/records/stream", json=record)
        for path in ("", f"/{record['id']}", f"/{record['id']}/header", f"/{record['id']}/receipt"):
            yield await client.get(f"/v1/records{path}")
        yield await client.get("/v1/status")
        yield await client.get("/v1/log/tile/entries/000")


async def test_every_bad_token_gets_one_refusal_and_leaves_nothing(network):
    tokens = bad_tokens(network)
    asked = await (await network.client("", at="suncoop")).post("/v1/auth/challenge", json={"name": "suncoop-staff"})
    tokens["a challenge"] = asked.json()["challenge"]
    before = await network.size_without_reads()
    refusals = set()
    for name, token in tokens.items():
        async for response in requests(network, token):
            assert response.status_code == 401, (name, response.request.url)
            assert response.headers["content-type"] == "application/problem+json"
            assert response.headers["www-authenticate"] == "Bearer"
            assert not token or token not in response.text
            refusals.add(response.content)
    assert len(refusals) == 1
    assert await network.size_without_reads() == before
    log = network.log_text("suncoop")
    for name, token in tokens.items():
        for part in token.split("."):
            assert len(part) < 12 or part not in log, name


async def test_a_peers_token_is_good_for_nothing_at_the_api(network):
    before = await network.size_without_reads()
    token = network.peer_token("gridco", "suncoop")
    async for response in requests(network, token):
        if response.status_code == 200:  # a stream: each line has the refusal
            assert response.json()["status"] == 403
        else:
            assert response.status_code in (403, 404), response.request.url
            assert response.headers["content-type"] == "application/problem+json"
        assert token not in response.text
    assert await network.size_without_reads() == before


async def test_the_good_tokens_beside_them_are_good(network):
    for token in (network.tokens["suncoop-staff"], signed(network), signed(network, jti="another")):
        async with network.client_with(token, "suncoop") as client:
            assert (await client.get("/v1/status")).status_code == 200


async def test_a_token_in_a_url_or_a_cookie_does_not_count(network):
    token = network.tokens["suncoop-staff"]
    nobody = await network.client("", at="suncoop")
    for name in ("token", "access_token", "authorization"):
        assert (await nobody.get("/v1/status", params={name: token})).status_code == 401
    assert (await nobody.get("/v1/status", headers={"Cookie": f"token={token}"})).status_code == 401
    assert token not in network.log_text("suncoop")


async def test_a_shut_account_loses_its_token_within_seconds(network):
    token = network.tokens["home-03"]
    async with network.client_with(token, "suncoop") as client, network.database("suncoop") as database:
        assert (await client.get("/v1/status")).status_code == 200
        await database.execute("UPDATE node.accounts SET disabled = true WHERE name = 'home-03'")
        try:

            async def refused():
                return (await client.get("/v1/status")).status_code == 401

            await wait_until(refused, "the shut account is refused")
        finally:
            await database.execute("UPDATE node.accounts SET disabled = false WHERE name = 'home-03'")

        async def back():
            return (await client.get("/v1/status")).status_code == 200

        await wait_until(back, "the opened account is good again")


# --- bound tokens ----------------------------------------------------------------------------------------------


async def test_a_proof_on_the_short_way_is_of_one_request(network):
    """POST /v1/records goes past FastAPI: the same checks stand there."""
    token = network.tokens["suncoop-meters"]
    key, url = network.net.dpop_keys[token], network.net.nodes["suncoop"].url
    fresh, stranger = reading(), DpopKey()
    bound = {"Authorization": f"DPoP {token}"}
    async with network.bearer("", "suncoop") as client:
        good = key.proof("POST", f"{url}/v1/records", token)
        bad = [
            {**bound},
            {**bound, "DPoP": ""},
            {**bound, "DPoP": key.proof("POST", f"{url}/v1/records/stream", token)},
            {**bound, "DPoP": key.proof("GET", f"{url}/v1/records", token)},
            {**bound, "DPoP": key.proof("POST", "http://elsewhere/v1/records", token)},
            {**bound, "DPoP": key.proof("POST", f"{url}/v1/records")},
            {**bound, "DPoP": stranger.proof("POST", f"{url}/v1/records", token)},
            {"Authorization": f"Bearer {token}", "DPoP": good},
        ]
        refusals = set()
        for headers in bad:
            for path in ("/v1/records", "/v1/records?wait=applied"):
                response = await client.post(path, json=fresh, headers=headers)
                assert response.status_code == 401
                refusals.add(response.content)
        assert len(refusals) == 1
        taken = await client.post("/v1/records", json=fresh, headers={**bound, "DPoP": good})
        assert taken.json()["state"] == "accepted"
        replayed = await client.post("/v1/records", json=reading(), headers={**bound, "DPoP": good})
        assert (replayed.status_code, replayed.content) == (401, refusals.pop())
    assert good.split(".")[2] not in network.log_text("suncoop")


@pytest.mark.parametrize("who", ["suncoop-meters", "suncoop-admin", "regulator-officer"])
async def test_who_needs_a_key_gets_no_token_without_one(network, who):
    person = network.net.person(who)
    async with network.bearer("", person.member) as client:
        asked = (await client.post("/v1/auth/challenge", json={"name": who})).json()["challenge"]
        signature = signing.sign(b"consortium/login/v1\n" + asked.encode(), signing.expand(person.seed)).hex()
        answer = await client.post("/v1/auth/answer", json={"challenge": asked, "signature": signature})
    assert answer.status_code == 401


async def test_signing_out_everywhere_ends_tokens_within_seconds(network):
    person = network.net.person("home-03")
    token = await network.net.sign_in(person)
    async with network.client_with(token, "suncoop") as client:
        assert (await client.get("/v1/status")).status_code == 200
        admin = await network.client("suncoop-admin")
        assert (await admin.post("/v1/accounts/home-03/revoke")).status_code == 204

        async def refused():
            return (await client.get("/v1/status")).status_code == 401

        await wait_until(refused, "the revoked token is refused")
    network.renew("home-03", await network.net.sign_in(person))
    assert (await (await network.client("home-03")).get("/v1/status")).status_code == 200
