"""DPoP: a token that is bound to a key is worth nothing without a fresh proof of it, for this very request."""

from __future__ import annotations

import base64
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consortium.adapters.tokens import compact, dpop
from consortium.adapters.tokens.peers import PeerTokens
from consortium.crypto import signing
from consortium.crypto.hashing import sha256
from consortium.errors import NotAuthenticated
from consortium.model.members import Genesis, Member
from consortium.ports.accounts import Account
from consortium.ports.callers import Proof
from tests.callers import NOW_S, FakeClock, custody_of, the_refusal
from tests.desks import ORIGIN, desk_of, issued, key_of, proof, stores_of

GENESIS = Genesis("voltnet", "main", 1, "voltnet.example", (Member("suncoop", (), custody_of("suncoop").public),))
PATH = "/v1/records"


class World:
    """suncoop's node; the officer's token is bound to the key of a client."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.stores = stores_of(
            Account("olga", "officer"),
            Account("home-01", "user"),
            Account("alice", "staff"),
            Account("adam", "administrator"),
        )
        self.start()
        self.key = key_of(self.clock)
        self.token = issued(self.desk, "olga", "officer", self.key.thumbprint).token

    def start(self) -> None:
        """A new process of the node."""
        peers = PeerTokens(custody_of("suncoop"), self.clock, genesis=GENESIS, member="suncoop")
        self.desk = desk_of(self.stores, self.clock, peers)

    def proof(self, **changed) -> Proof:
        return proof(changed.pop("key", self.key), **{"method": "POST", "path": PATH, "token": self.token} | changed)

    async def accepts(self, given: Proof | None, token: str = "") -> bool:
        return (await self.desk.verifier.verify(token or self.token, given)).name == "olga"

    async def refuses(self, given: Proof | None, token: str = "") -> None:
        with pytest.raises(NotAuthenticated) as caught:
            await self.desk.verifier.verify(token or self.token, given)
        the_refusal(caught)


@pytest.fixture
def world():
    return World()


def signed(claims, header, key, algorithm="EdDSA"):
    """A proof of anybody's making."""
    return jwt.encode(claims, key, algorithm=algorithm, headers=header)


def parts(world, **changed):
    now = world.clock.now_ms() // 1000
    ath = base64.urlsafe_b64encode(sha256(world.token.encode())).rstrip(b"=").decode()
    claims = {"jti": "one", "htm": "POST", "htu": ORIGIN + PATH, "iat": now, "ath": ath, **changed}
    return {name: value for name, value in claims.items() if value is not None}


async def test_with_a_proof_of_its_key_the_token_is_good(world):
    assert await world.accepts(world.proof())
    assert await world.accepts(world.proof())


async def test_a_stolen_token_alone_is_worth_nothing(world):
    await world.refuses(None)
    for text in ("", "x", "a.b.c", "é.é.é", "e30.e30.e30", "x" * 5000, "\ud800", "." * 10):
        await world.refuses(Proof(text, "POST", PATH))


async def test_a_proof_is_of_one_key_method_place_and_token(world):
    good = world.proof()
    other = issued(world.desk, "olga", "officer", key_of(world.clock, "other").thumbprint).token
    bad = [
        world.proof(key=key_of(world.clock, "thief")),
        Proof(good.text, "GET", PATH),
        Proof(good.text, "POST", PATH + "/x"),
        world.proof(origin="http://elsewhere"),
        world.proof(origin="https://node"),
        world.proof(token=""),
        world.proof(token=other),
    ]
    for given in bad:
        await world.refuses(given)
    await world.refuses(world.proof(token=other), other)
    assert await world.accepts(good)


async def test_a_proof_serves_once(world):
    given = world.proof()
    assert await world.accepts(given)
    await world.refuses(given)
    world.clock.turn(59)
    await world.refuses(given)


async def test_what_was_used_is_remembered_as_long_as_it_could_serve(world):
    """However the memory turns meanwhile."""
    for pause in (0, 30, 7, 64, 1, 66):
        world.clock.turn(pause)
        given = world.proof()
        assert await world.accepts(given)
        for _ in range(13):
            world.clock.turn(5)
            await world.refuses(given)


@pytest.mark.parametrize(("age", "holds"), [(0, True), (60, True), (61, False), (3600, False), (-5, True), (-6, False)])
async def test_a_proof_is_young(world, age, holds):
    world.clock.turn(100_000)
    world.token = issued(world.desk, "olga", "officer", world.key.thumbprint).token
    made = dpop_at(world, world.clock.now_ms() // 1000 - age)
    await (world.accepts(made) if holds else world.refuses(made))


def dpop_at(world, issued_s):
    claims = parts(world, iat=issued_s)
    key = Ed25519PrivateKey.from_private_bytes(world.key.seed)
    return Proof(signed(claims, {"typ": dpop.TYPE, "jwk": world.key._jwk}, key), "POST", PATH)


async def test_none_from_before_the_process_is_taken(world):
    """It may have been used then; nobody remembers."""
    given = world.proof()
    assert await world.accepts(given)
    world.clock.turn(1)
    world.start()
    await world.refuses(given)
    assert await world.accepts(world.proof())


async def test_a_clock_that_was_set_back_refuses_nobody_for_long(world, monkeypatch):
    monkeypatch.setattr(dpop, "MAX_USED", 3)
    world.start()
    world.clock.turn(-3600)
    for _ in range(4):
        for _ in range(3):
            world.token = issued(world.desk, "olga", "officer", world.key.thumbprint).token
            assert await world.accepts(world.proof())
        world.clock.turn(67)


async def test_the_memory_is_bounded_and_refuses_when_it_is_full(world, monkeypatch):
    monkeypatch.setattr(dpop, "MAX_USED", 3)
    world.start()
    for _ in range(3):
        assert await world.accepts(world.proof())
    await world.refuses(world.proof())
    world.clock.turn(66)
    assert await world.accepts(world.proof())


async def test_es256_by_the_book_of_pyjwt(world):
    """Proof, thumbprint and token hash by other code than the project's."""
    private = ec.generate_private_key(ec.SECP256R1())
    jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(private.public_key()))
    canonical = json.dumps({name: jwk[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":"))
    thumbprint = base64.urlsafe_b64encode(sha256(canonical.encode())).rstrip(b"=").decode()
    world.token = issued(world.desk, "olga", "officer", thumbprint).token
    text = signed(parts(world), {"typ": "dpop+jwt", "jwk": jwk}, private, "ES256")
    assert await world.accepts(Proof(text, "POST", PATH))


def test_the_thumbprint_of_rfc_8037():
    """Its appendix A."""
    seed = base64.urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    assert key_of(FakeClock()).thumbprint != (found := dpop_key(seed).thumbprint)
    assert found == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def dpop_key(seed):
    return type(key_of(FakeClock()))(seed)


async def test_odd_proofs_are_refused(world):
    key = Ed25519PrivateKey.from_private_bytes(world.key.seed)
    jwk = {"crv": "Ed25519", "kty": "OKP", "x": world.key._jwk["x"]}
    private = rsa.generate_private_key(65537, 2048)
    rsa_jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key()))
    good = {"typ": "dpop+jwt", "jwk": jwk}
    odd = {
        "no typ": signed(parts(world), {"jwk": jwk}, key),
        "another typ": signed(parts(world), {"typ": "JWT", "jwk": jwk}, key),
        "no key": signed(parts(world), {"typ": "dpop+jwt"}, key),
        "a key that is none": signed(parts(world), {**good, "jwk": "x"}, key),
        "a private key": signed(parts(world), {**good, "jwk": {**jwk, "d": "AAAA"}}, key),
        "a short key": signed(parts(world), {**good, "jwk": {**jwk, "x": "AAAA"}}, key),
        "a key of odd types": signed(parts(world), {**good, "jwk": {**jwk, "x": 5}}, key),
        "another curve": signed(parts(world), {**good, "jwk": {**jwk, "crv": "X25519"}}, key),
        "RSA": signed(parts(world), {"typ": "dpop+jwt", "jwk": rsa_jwk}, private, "RS256"),
        "none": signed(parts(world), good, None, "none"),
        "a shared secret": signed(parts(world), good, world.key._jwk["x"].encode(), "HS256"),
        "another's signature": signed(parts(world), good, Ed25519PrivateKey.generate()),
        **{
            f"no {name}": signed(parts(world, **{name: None}), good, key)
            for name in ("jti", "htm", "htu", "iat", "ath")
        },
        "an empty jti": signed(parts(world, jti=""), good, key),
        "a long jti": signed(parts(world, jti="x" * 1000), good, key),
        "an odd ath": signed(parts(world, ath=["x"]), good, key),
        "an odd htu": signed(parts(world, htu=["x"]), good, key),
        "an htu that is none": signed(parts(world, htu="http://[x"), good, key),
        "an odd iat": signed(parts(world, iat="now"), good, key),
        "an endless iat": signed(parts(world, iat=1e400), good, key),
    }
    for text in odd.values():
        await world.refuses(Proof(text, "POST", PATH))
    assert await world.accepts(Proof(signed(parts(world, htu=ORIGIN + PATH + "?a=1#b"), good, key), "POST", PATH))


async def test_an_unbound_token_is_no_dpop_token(world):
    """RFC 9449 section 7.1: the scheme says that the token is bound."""
    token = issued(world.desk, "home-01", "user").token
    assert (await world.desk.verifier.verify(token)).name == "home-01"
    await world.refuses(world.proof(token=token), token)


@pytest.mark.parametrize(("name", "kind"), [("olga", "officer"), ("adam", "administrator")])
async def test_kinds_that_need_a_key_have_no_token_without_one(world, name, kind):
    await world.refuses(None, issued(world.desk, name, kind).token)


async def test_a_binding_of_another_kind_is_not_ignored(world):
    """`cnf` of RFC 8705 (a certificate): nobody checks it here, so nobody gets in by it."""
    header = jwt.get_unverified_header(world.token)
    claims = jwt.decode(world.token, options={"verify_signature": False}) | {"sub": "alice", "kind": "staff"}
    for confirmation in ({"x5t#S256": "x"}, {}, "x", {"jkt": ""}, {"jkt": 5}, {"jkt": "x", "x5t#S256": "x"}):
        token = compact.sign({**claims, "cnf": confirmation}, header["kid"], custody_of("suncoop").sign_token)
        await world.refuses(None, token)


async def test_a_second_binding_beside_the_key_is_not_ignored(world):
    header = jwt.get_unverified_header(world.token)
    claims = jwt.decode(world.token, options={"verify_signature": False})
    both = {"jkt": world.key.thumbprint, "x5t#S256": "x"}
    token = compact.sign({**claims, "cnf": both}, header["kid"], custody_of("suncoop").sign_token)
    await world.refuses(world.proof(token=token), token)


def test_a_key_shows_nothing_of_itself():
    key = key_of(FakeClock(NOW_S))
    assert key.seed.hex() not in repr(key)
    assert signing.public_key(key.seed)
