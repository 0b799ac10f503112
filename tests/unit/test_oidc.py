"""Tokens of an OIDC issuer, its keys served by a real HTTP server on this machine."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from consortium.adapters.tokens import jwks
from consortium.adapters.tokens.oidc import OidcSettings, OidcTokens
from consortium.adapters.tokens.peers import PeerTokens
from consortium.errors import ConfigurationError, NotAuthenticated
from consortium.model.members import Genesis, Member
from consortium.ports.accounts import Account
from consortium.ports.callers import Caller
from tests.callers import NOW_S, FakeClock, custody_of, forge, forge_hs256, the_refusal
from tests.desks import desk_of, stores_of

RSA = rsa.generate_private_key(65537, 2048)
RSA_NEXT = rsa.generate_private_key(65537, 2048)
RSA_WEAK = rsa.generate_private_key(65537, 1024)
P256, P384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
ED = ed25519.Ed25519PrivateKey.generate()
KEYS = "/keys"
DISCOVERY = "/.well-known/openid-configuration"
AUDIENCE = "voltnet"
GENESIS = Genesis("voltnet", "main", 1, "voltnet.example", (Member("suncoop", (), custody_of("suncoop").public),))


def published(key, kid, **more):
    """A private key's public half as an issuer publishes it."""
    algorithm = {rsa.RSAPrivateKey: "RS256", ec.EllipticCurvePrivateKey: "ES256"}.get(
        next((t for t in (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey) if isinstance(key, t)), None), "EdDSA"
    )
    raw = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {key: value for key, value in raw.items() if key != "key_ops"} | {"kid": kid} | more


TOO_LARGE = json.dumps({"keys": [published(RSA, "one")]}).encode() + b" " * jwks.MAX_DOCUMENT_BYTES


class Issuer:
    """An HTTP server that answers what `documents` says, and counts."""

    def __init__(self) -> None:
        self.documents: dict[str, tuple[int, bytes]] = {}
        self.asked: list[str] = []
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.asked.append(self.path)
                status, body = issuer.documents.get(self.path, (404, b""))
                self.send_response(status)
                if status == 302:
                    self.send_header("location", KEYS)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.serve(DISCOVERY, {"issuer": self.url, "jwks_uri": self.url + KEYS})

    def serve(self, path, document, status=200):
        self.documents[path] = status, document if isinstance(document, bytes) else json.dumps(document).encode()

    def publish(self, *keys):
        self.serve(KEYS, {"keys": list(keys)})

    def fetches(self):
        return self.asked.count(KEYS)

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def issuer():
    server = Issuer()
    yield server
    server.close()


class World:
    """A node of suncoop that trusts the issuer."""

    def __init__(self, issuer: Issuer, http: httpx.AsyncClient, **settings) -> None:
        self.issuer = issuer
        self.clock = FakeClock()
        self.stores = stores_of(
            Account("alice", "staff"), Account("home-01", "user"), Account("gone", "staff", disabled=True)
        )
        self.accounts = self.stores.accounts
        self.settings = OidcSettings(issuer.url, AUDIENCE, **settings)
        oidc = OidcTokens(self.settings, self.clock, http, member="suncoop")
        peers = PeerTokens(custody_of("suncoop"), self.clock, genesis=GENESIS, member="suncoop")
        self.verifier = desk_of(self.stores, self.clock, peers, [oidc]).verifier

    def claims(self, **change):
        now_s = self.clock.now_ms() // 1000
        base = {"iss": self.issuer.url, "aud": AUDIENCE, "sub": "alice", "iat": now_s, "exp": now_s + 600}
        return {name: value for name, value in (base | change).items() if value is not None}

    def token(self, key=RSA, kid="one", algorithm="RS256", **change):
        return forge(self.claims(**change), key, algorithm=algorithm, kid=kid)

    async def refuses(self, token):
        with pytest.raises(NotAuthenticated) as caught:
            await self.verifier.verify(token)
        the_refusal(caught)


@pytest.fixture
async def http():
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


@pytest.fixture
def world(issuer, http):
    issuer.publish(published(RSA, "one"))
    return World(issuer, http)


ALICE = Caller("alice", "suncoop", "staff")


async def test_a_token_of_the_issuer_makes_the_caller_that_the_account_says(world):
    assert await world.verifier.verify(world.token()) == ALICE
    assert world.issuer.asked == [DISCOVERY, KEYS]


async def test_keys_by_a_given_address_need_no_discovery(issuer, http):
    issuer.publish(published(RSA, "one"))
    world = World(issuer, http, jwks_uri=issuer.url + KEYS)
    assert await world.verifier.verify(world.token()) == ALICE
    assert issuer.asked == [KEYS]


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (P256, "ES256"), (ED, "EdDSA")])
async def test_the_pinned_algorithms(world, key, algorithm):
    world.issuer.publish(published(key, "one"))
    assert await world.verifier.verify(world.token(key, algorithm=algorithm)) == ALICE


async def test_an_algorithm_that_is_not_pinned(issuer, http):
    issuer.publish(published(RSA, "one"), published(ED, "two"))
    world = World(issuer, http, algorithms=("EdDSA",))
    for algorithm in ("RS256", "PS256", "RS512"):
        await world.refuses(world.token(algorithm=algorithm))
    assert issuer.asked == []
    assert await world.verifier.verify(world.token(ED, "two", "EdDSA")) == ALICE


async def test_alg_none_and_hs256_with_what_is_published(world):
    await world.refuses(forge(world.claims(), None, algorithm="none", kid="one"))
    public = published(RSA, "one")
    pem = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for secret in (json.dumps(public).encode(), public["n"].encode(), pem):
        await world.refuses(forge_hs256(world.claims(), secret, "one"))


async def test_a_symmetric_key_in_the_set_is_no_key(world):
    secret = b"s" * 32
    k = jwt.utils.base64url_encode(secret).decode()
    world.issuer.publish({"kty": "oct", "k": k, "kid": "one"}, published(RSA, "two"))
    await world.refuses(forge_hs256(world.claims(), secret, "one"))
    assert await world.verifier.verify(world.token(kid="two")) == ALICE


@pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits")
async def test_keys_for_other_uses_are_no_keys(world):
    world.issuer.publish(
        published(RSA, "one", use="enc"),
        published(RSA, "two", alg="RS512"),
        published(P384, "three"),
        published(RSA_WEAK, "four"),
        {"kty": "RSA", "kid": "five"},
        "six",
        published(RSA, "seven", use="sig", alg="RS256"),
    )
    for kid in ("one", "two"):
        await world.refuses(world.token(kid=kid))
    await world.refuses(world.token(P256, "three", "ES256"))
    await world.refuses(world.token(RSA_WEAK, "four"))
    await world.refuses(world.token(kid="five"))
    assert await world.verifier.verify(world.token(kid="seven")) == ALICE


async def test_another_key_and_another_issuers_claims(world):
    await world.refuses(world.token(RSA_NEXT))
    assert await world.verifier.verify(world.token()) == ALICE


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "somebody-else"},
        {"aud": ["somebody-else"]},
        {"aud": None},
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"exp": NOW_S - 60},
        {"exp": None},
        {"iat": NOW_S + 60},
        {"iat": None},
        {"nbf": NOW_S + 60},
        {"sub": "nobody"},
        {"sub": "gone"},
        {"sub": "Alice"},
        {"sub": "alice@suncoop"},
        {"sub": None},
    ],
    ids=str,
)
async def test_each_claim_counts(world, change):
    assert await world.verifier.verify(world.token()) == ALICE
    await world.refuses(world.token(**change))


async def test_what_is_no_name_is_not_even_looked_up(world):
    await world.refuses(world.token(sub="Alice"))
    assert world.accounts.asked == 0


async def test_an_audience_among_several_and_fractions_of_seconds_are_fine(world):
    token = world.token(aud=["account", AUDIENCE], exp=NOW_S + 60.5, iat=NOW_S - 0.5)
    assert await world.verifier.verify(token) == ALICE


async def test_the_account_comes_from_the_claim_and_the_kind_from_the_account(issuer, http):
    issuer.publish(published(RSA, "one"))
    world = World(issuer, http, account_claim="preferred_username")
    token = world.token(sub="b7f1", preferred_username="home-01", kind="staff", member="gridco")
    assert await world.verifier.verify(token) == Caller("home-01", "suncoop", "user")
    await world.refuses(world.token(sub="alice"))


async def test_a_new_key_is_fetched_and_fetching_is_rare(world):
    assert await world.verifier.verify(world.token()) == ALICE
    assert world.issuer.fetches() == 1
    world.issuer.publish(published(RSA, "one"), published(RSA_NEXT, "two"))
    rotated = world.token(RSA_NEXT, "two")
    for _ in range(5):  # the node asked a moment ago, and does not ask again for anybody's unknown kid
        await world.refuses(rotated)
    assert world.issuer.fetches() == 1
    world.clock.turn(30)
    assert await world.verifier.verify(rotated) == ALICE
    assert await world.verifier.verify(world.token(exp=NOW_S + 900)) == ALICE
    assert world.issuer.fetches() == 2


async def test_unknown_kids_cost_one_fetch_in_a_while(world):
    for number in range(20):
        await world.refuses(world.token(kid=f"guess-{number}"))
    assert world.issuer.fetches() == 1
    world.clock.turn(30)
    for number in range(20):
        await world.refuses(world.token(kid=f"guess-{number}"))
    assert world.issuer.fetches() == 2


async def test_a_withdrawn_key_is_noticed(world):
    token = world.token(exp=NOW_S + 86_400)
    assert await world.verifier.verify(token) == ALICE
    world.issuer.publish(published(RSA_NEXT, "two"))
    world.clock.turn(jwks.LIFETIME_MS / 1000)
    await world.refuses(token)
    assert await world.verifier.verify(world.token(RSA_NEXT, "two")) == ALICE


async def test_while_the_issuer_is_away_its_last_keys_hold_for_an_hour(world):
    assert await world.verifier.verify(world.token()) == ALICE
    world.issuer.serve(KEYS, b"", status=503)
    world.clock.turn(jwks.LIFETIME_MS / 1000)
    assert await world.verifier.verify(world.token()) == ALICE
    world.clock.turn((jwks.MAX_AGE_MS - jwks.LIFETIME_MS) / 1000)
    await world.refuses(world.token())
    world.issuer.publish(published(RSA, "one"))
    world.clock.turn(30)
    assert await world.verifier.verify(world.token()) == ALICE


@pytest.mark.parametrize(
    "document",
    [b"", b"{", b"[]", b'{"keys": 7}', b'{"keys": [1]}', b"[" * 60_000, b'{"keys": []}', TOO_LARGE],
    ids=lambda raw: repr(raw[:12]),
)
async def test_what_is_no_key_set(world, document):
    world.issuer.serve(KEYS, document)
    await world.refuses(world.token())
    world.issuer.publish(published(RSA, "one"))
    world.clock.turn(30)
    assert await world.verifier.verify(world.token()) == ALICE


async def test_a_redirect_is_not_followed(world):
    world.issuer.serve("/moved", b"", status=302)
    world.issuer.serve(DISCOVERY, {"issuer": world.issuer.url, "jwks_uri": world.issuer.url + "/moved"})
    await world.refuses(world.token())
    assert KEYS not in world.issuer.asked


@pytest.mark.parametrize(
    "document", [{"issuer": "https://elsewhere.example", "jwks_uri": "SELF"}, {"jwks_uri": "SELF"}, {"issuer": "SELF"}]
)
async def test_a_discovery_document_must_be_the_issuers(world, document):
    filled = {
        key: (world.issuer.url + (KEYS if key == "jwks_uri" else "")) if value == "SELF" else value
        for key, value in document.items()
    }
    world.issuer.serve(DISCOVERY, filled)
    await world.refuses(world.token())
    assert KEYS not in world.issuer.asked


async def test_an_issuer_that_is_not_there(issuer, http):
    world = World(issuer, http, jwks_uri="http://127.0.0.1:9/keys")
    await world.refuses(world.token())


@pytest.mark.parametrize(
    "settings",
    [
        {"algorithms": ("HS256",)},
        {"algorithms": ("RS256", "none")},
        {"algorithms": ()},
        {"jwks_uri": "http://keys.example/jwks"},
        {"jwks_uri": "file:///etc/passwd"},
        {"issuer": "http://idp.example"},
        {"issuer": ""},
        {"audience": ""},
        {"account_claim": ""},
    ],
    ids=str,
)
def test_unsafe_settings_are_refused(settings):
    with pytest.raises(ConfigurationError):
        OidcSettings(**({"issuer": "https://idp.example", "audience": AUDIENCE} | settings))


async def test_an_issuer_cannot_have_the_nodes_name(http):
    clock = FakeClock()
    peers = PeerTokens(custody_of("suncoop"), clock, genesis=GENESIS, member="suncoop")
    oidc = OidcTokens(OidcSettings("https://suncoop.voltnet", AUDIENCE), clock, http, member="suncoop")
    with pytest.raises(ConfigurationError, match="same name"):
        desk_of(stores_of(), clock, peers, [oidc])
