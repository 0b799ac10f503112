"""Tokens: only a token that holds in every respect makes a caller; whatever else comes is refused in one way."""

from __future__ import annotations

import base64
import json

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consortium.adapters.tokens import compact, node, verifier
from consortium.adapters.tokens.desk import Desk
from consortium.adapters.tokens.peers import PeerTokens
from consortium.errors import NotAuthenticated
from consortium.model.members import Genesis, Member
from consortium.ports.accounts import Account
from consortium.ports.callers import Caller
from tests.callers import (
    NOW_S,
    FakeClock,
    claims_of,
    custody_of,
    forge,
    forge_hs256,
    kid_of,
    private_key,
    secrets_of,
    the_refusal,
)
from tests.desks import STANDING, desk_of, issued, stores_of

MEMBERS = ("cityretail", "gridco", "suncoop")
GENESIS = Genesis(
    "voltnet", "main", 1, "voltnet.example/main", tuple(Member(m, (), custody_of(m).public) for m in MEMBERS)
)
ISSUER = "https://suncoop.voltnet"
HOME = Caller("home-01", "suncoop", "user")


class World:
    """A node of suncoop, and whatever others would have."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.stores = stores_of(
            Account("home-01", "user"), Account("alice", "staff"), Account("gone", "user", disabled=True)
        )
        self.accounts = self.stores.accounts
        self.peers = self.peers_of("suncoop")
        self.desk = self.desk_of("suncoop")
        self.tokens, self.verifier = self.desk.tokens, self.desk.verifier

    def desk_of(self, member: str) -> Desk:
        return desk_of(self.stores, self.clock, self.peers_of(member), member=member)

    def peers_of(self, member: str) -> PeerTokens:
        return PeerTokens(custody_of(member), self.clock, genesis=GENESIS, member=member)

    async def refuses(self, token: str) -> None:
        with pytest.raises(NotAuthenticated) as caught:
            await self.verifier.verify(token)
        the_refusal(caught)


@pytest.fixture
def world():
    return World()


async def test_what_was_verified_is_verified_again_when_members_or_keys_have_changed(world):
    """A revoked key, or a removed member, is refused at once: not when what is remembered ends."""
    token = world.peers_of("gridco").issue("suncoop")
    assert (await world.verifier.verify(token)).member == "gridco"
    world.verifier._peers._membership = Genesis("voltnet", "main", 1, GENESIS.origin, GENESIS.members[:1])
    world.verifier.forget()
    await world.refuses(token)


# --- the node's own --------------------------------------------------------------------------------------------


async def test_a_token_of_this_node_makes_its_caller(world):
    made = issued(world.desk, "home-01", "user")
    assert await world.verifier.verify(made.token) == HOME
    assert (made.kind, made.expires_s) == ("user", NOW_S + 900)
    assert made.token not in repr(made)


async def test_what_a_token_says(world):
    token = issued(world.desk, "home-01", "user").token
    claims = claims_of(token)
    nonce = claims.pop("jti")
    assert claims == {
        "iss": ISSUER,
        "aud": "voltnet/suncoop",
        "sub": "home-01",
        "kind": "user",
        "member": "suncoop",
        "sid": STANDING.hex(),
        "iat": NOW_S,
        "nbf": NOW_S,
        "exp": NOW_S + 900,
    }
    assert len(nonce) == 32
    assert nonce != claims_of(issued(world.desk, "home-01", "user").token)["jti"]


async def test_anybody_can_check_it_with_the_published_keys(world):
    """PyJWT from the JWK set alone: the way of somebody who does not have this code."""
    token = issued(world.desk, "home-01", "user").token
    key = jwt.PyJWKSet.from_dict(world.tokens.jwks())[kid_of(token)]
    options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    assert jwt.decode(token, key, algorithms=["EdDSA"], audience="voltnet/suncoop", options=options)["sub"] == "home-01"


def test_the_key_id_is_the_thumbprint_of_rfc_8037():
    """Its appendix A.3."""
    public = base64.urlsafe_b64decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
    assert compact.key_id(public) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@pytest.mark.parametrize(("seconds", "holds"), [(899, True), (904, True), (905, False), (86_400, False)])
async def test_it_expires(world, seconds, holds):
    token = issued(world.desk, "home-01", "user").token
    world.clock.turn(seconds)
    if holds:
        assert await world.verifier.verify(token) == HOME
    else:
        await world.refuses(token)


async def test_it_expires_though_it_was_verified_before(world):
    token = issued(world.desk, "home-01", "user").token
    for _ in range(4):
        assert await world.verifier.verify(token) == HOME
        world.clock.turn(299)
    assert world.clock.now_ms() // 1000 > NOW_S + 905
    await world.refuses(token)


@pytest.mark.parametrize("claim", ["nbf", "iat"])
@pytest.mark.parametrize(("ahead", "holds"), [(5, True), (6, False), (3600, False)])
async def test_it_is_not_yet_valid(world, claim, ahead, holds):
    good = issued(world.desk, "home-01", "user").token
    token = forge({**claims_of(good), claim: NOW_S + ahead}, private_key("suncoop"), kid=kid_of(good))
    if holds:
        assert await world.verifier.verify(token) == HOME
    else:
        await world.refuses(token)


async def test_forging_as_the_helper_does_would_work_with_the_right_key(world):
    """So that the refusals below come from what they change, and from nothing else."""
    good = issued(world.desk, "home-01", "user").token
    assert await world.verifier.verify(forge(claims_of(good), private_key("suncoop"), kid=kid_of(good))) == HOME


async def test_another_key_under_the_same_kid(world):
    good = issued(world.desk, "home-01", "user").token
    await world.refuses(forge(claims_of(good), private_key("thief"), kid=kid_of(good)))


@pytest.mark.parametrize("kid", ["another", "", None])
async def test_an_unknown_kid(world, kid):
    good = issued(world.desk, "home-01", "user").token
    await world.refuses(forge(claims_of(good), private_key("suncoop"), kid=kid))


async def test_a_changed_payload_or_signature(world):
    token = issued(world.desk, "home-01", "user").token
    header, _, signature = token.split(".")
    other = forge({**claims_of(token), "sub": "alice", "kind": "staff"}, private_key("thief")).split(".")[1]
    await world.refuses(f"{header}.{other}.{signature}")
    await world.refuses(f"{token[:-4]}{'AAAA' if token[-4:] != 'AAAA' else 'BBBB'}")
    await world.refuses(f"{header}.{other}.")


async def test_alg_none(world):
    good = issued(world.desk, "home-01", "user").token
    await world.refuses(forge(claims_of(good), None, algorithm="none", kid=kid_of(good)))
    payload = good.split(".")[1]
    for name in ("none", "None", "NONE", "", None, [], {"EdDSA": 1}, "eddsa", "Ed25519"):
        header = base64.urlsafe_b64encode(json.dumps({"alg": name, "kid": kid_of(good)}).encode()).decode().rstrip("=")
        for signature in ("", good.split(".")[2]):
            await world.refuses(f"{header}.{payload}.{signature}")


async def test_hs256_with_the_public_key_as_its_secret(world):
    """The classic confusion: what everybody knows, taken for a shared secret."""
    good = issued(world.desk, "home-01", "user").token
    public = private_key("suncoop").public_key()
    raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    key = world.tokens.jwks()["keys"][0]
    for secret in (raw, raw.hex().encode(), key["x"].encode(), json.dumps(key).encode(), pem, b""):
        await world.refuses(forge_hs256(claims_of(good), secret, kid_of(good)))


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "voltnet/gridco"},
        {"aud": "othernet/suncoop"},
        {"aud": ["voltnet/suncoop", "voltnet/gridco"]},
        {"aud": "voltnet/peer/suncoop"},
        {"aud": ""},
        {"iss": "https://gridco.voltnet"},
        {"iss": "https://suncoop.voltnet/"},
        {"iss": "gridco"},
        {"iss": ""},
        {"iss": ["https://suncoop.voltnet"]},
        {"iss": 7},
        {"member": "gridco"},
        {"kind": "staff"},
        {"kind": "peer"},
        {"kind": ""},
        {"kind": None},
        {"sub": "alice"},
        {"sub": "nobody"},
        {"sub": ""},
        {"sub": 7},
        {"exp": NOW_S - 60},
        {"exp": str(NOW_S + 60)},
        {"exp": True},
        {"iat": True},
        {"nbf": False},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"iat": "yesterday"},
        {"nbf": [1]},
    ],
    ids=str,
)
async def test_each_claim_counts(world, change):
    """Signed by the right key, so that nothing but the claim stands against it."""
    good = issued(world.desk, "home-01", "user").token
    await world.refuses(forge_raw({**claims_of(good), **change}, kid_of(good)))


def forge_raw(claims, kid):
    """As `forge`, for claims that PyJWT would not sign."""
    return compact.sign(claims, kid, custody_of("suncoop").sign_token)


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "kind", "member", "iat", "nbf", "exp", "jti"])
async def test_no_claim_may_be_missing(world, claim):
    good = issued(world.desk, "home-01", "user").token
    claims = claims_of(good)
    del claims[claim]
    await world.refuses(forge_raw(claims, kid_of(good)))


async def test_a_token_of_another_members_node(world):
    await world.refuses(issued(world.desk_of("gridco"), "home-01", "user").token)


async def test_a_disabled_account_is_refused_within_seconds(world):
    token = issued(world.desk, "home-01", "user").token
    assert await world.verifier.verify(token) == HOME
    await world.accounts.put_account(Account("home-01", "user", disabled=True))
    world.clock.turn(verifier.ACCOUNT_MS / 1000)
    await world.refuses(token)
    await world.accounts.put_account(Account("home-01", "user"))
    world.clock.turn(verifier.ACCOUNT_MS / 1000)
    assert await world.verifier.verify(token) == HOME


async def test_a_token_for_an_account_that_is_disabled_or_unknown_or_of_another_kind(world):
    for name, kind in (("gone", "user"), ("nobody", "user"), ("home-01", "staff"), ("alice", "user")):
        await world.refuses(issued(world.desk, name, kind).token)


async def test_a_changed_kind_ends_old_tokens(world):
    token = issued(world.desk, "alice", "staff").token
    assert (await world.verifier.verify(token)).kind == "staff"
    await world.accounts.put_account(Account("alice", "officer"))
    world.clock.turn(verifier.ACCOUNT_MS / 1000)
    await world.refuses(token)


@pytest.mark.parametrize(
    "token", ["", ".", "..", "...", "a.b.c", "Bearer x", "é.é.é", "\ud800", "e30.e30.e30", "x" * 9000]
)
async def test_what_is_no_token(world, token):
    await world.refuses(token)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_no_damaged_token_makes_a_caller_and_none_makes_another_error(world, data):
    token = issued(world.desk, "home-01", "user").token
    at = data.draw(st.integers(0, len(token) - 1))
    insert = data.draw(st.text(max_size=3))
    cut = data.draw(st.integers(0, 3))
    damaged = token[:at] + insert + token[at + cut :]
    if damaged != token:
        await world.refuses(damaged)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_no_odd_json_makes_another_error(world, data):
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
    values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=2), max_leaves=4)
    keys = st.sampled_from(["alg", "kid", "typ", "crit", "b64", "iss", "aud", "sub", "exp", "iat", "nbf", "jti", "x"])
    parts = []
    for base in ({"alg": "EdDSA"}, {"iss": data.draw(st.sampled_from([ISSUER, "gridco"]))}):
        raw = json.dumps({**base, **data.draw(st.dictionaries(keys, values, max_size=4))})
        parts.append(base64.urlsafe_b64encode(raw.encode()).decode().rstrip("="))
    await world.refuses(".".join([*parts, "AAAA"]))


async def test_a_verified_token_is_not_verified_again_for_a_while(world, monkeypatch):
    token = issued(world.desk, "home-01", "user").token
    calls = []
    real = node.compact.verify
    monkeypatch.setattr(node.compact, "verify", lambda *args: calls.append(1) or real(*args))
    for _ in range(5):
        assert await world.verifier.verify(token) == HOME
    assert (len(calls), world.accounts.asked) == (1, 1)
    world.clock.turn(verifier.TOKEN_MS / 1000)
    assert await world.verifier.verify(token) == HOME
    assert len(calls) == 2


async def test_memories_are_bounded(world):
    world.verifier._tokens._bound = world.verifier._known._bound = 3
    for _ in range(10):
        await world.verifier.verify(issued(world.desk, "home-01", "user").token)
    assert len(world.verifier._tokens._entries) == 3
    await world.verifier.verify(issued(world.desk, "home-01", "user").token)


async def test_a_refused_token_is_not_remembered_as_good(world):
    good = issued(world.desk, "home-01", "user").token
    bad = forge(claims_of(good), private_key("thief"), kid=kid_of(good))
    for _ in range(2):
        await world.refuses(bad)


# --- peers -----------------------------------------------------------------------------------------------------


async def test_a_peers_token_makes_a_peer(world):
    token = world.peers_of("gridco").issue("suncoop")
    assert await world.verifier.verify(token) == Caller("gridco", "gridco", "peer")
    assert world.accounts.asked == 0


async def test_a_peers_token_lives_a_minute(world):
    token = world.peers_of("gridco").issue("suncoop")
    claims = claims_of(token)
    assert claims["exp"] - claims["iat"] == 60
    world.clock.turn(64)
    assert (await world.verifier.verify(token)).kind == "peer"
    world.clock.turn(1)
    await world.refuses(token)


async def test_a_peers_token_is_used_again_for_half_of_its_life(world):
    peers = world.peers_of("gridco")
    first = peers.issue("suncoop")
    world.clock.turn(30)
    assert peers.issue("suncoop") == first
    assert peers.issue("cityretail") != first
    world.clock.turn(1)
    second = peers.issue("suncoop")
    assert second != first
    assert (await world.verifier.verify(second)).name == "gridco"


async def test_a_peers_token_by_another_members_key(world):
    """cityretail, itself a member, poses as gridco: with its own kid, and with gridco's."""
    good = world.peers_of("gridco").issue("suncoop")
    for kid in (kid_of(good), compact.key_id(custody_of("cityretail").public.token), None):
        await world.refuses(forge(claims_of(good), private_key("cityretail"), kid=kid))
    assert (await world.verifier.verify(good)).name == "gridco"


async def test_a_peers_token_under_another_kid(world):
    claims = claims_of(world.peers_of("gridco").issue("suncoop"))
    for kid in (compact.key_id(custody_of("cityretail").public.token), "gridco", None):
        await world.refuses(forge(claims, private_key("gridco"), kid=kid))


async def test_a_peers_token_for_another_member(world):
    await world.refuses(world.peers_of("gridco").issue("cityretail"))


@pytest.mark.parametrize(
    "change",
    [
        {"exp": NOW_S + 61},
        {"exp": NOW_S + 86_400},
        {"iat": NOW_S - 3600},
        {"aud": "voltnet/suncoop"},
        {"aud": "othernet/peer/suncoop"},
        {"aud": ["voltnet/peer/suncoop"]},
        {"iss": "cityretail"},
        {"iss": "suncoop"},
        {"iss": "stranger"},
    ],
    ids=str,
)
async def test_each_claim_of_a_peers_token_counts(world, change):
    good = world.peers_of("gridco").issue("suncoop")
    assert (await world.verifier.verify(forge(claims_of(good), private_key("gridco"), kid=kid_of(good)))).kind == "peer"
    await world.refuses(forge({**claims_of(good), **change}, private_key("gridco"), kid=kid_of(good)))


async def test_this_node_is_no_peer_of_itself(world):
    await world.refuses(world.peers.issue("suncoop"))


async def test_a_peer_cannot_make_a_token_of_this_nodes_people(world):
    """Right claims, but gridco's key under the issuer of suncoop's node, and its kid."""
    good = issued(world.desk, "alice", "staff").token
    await world.refuses(forge(claims_of(good), private_key("gridco"), kid=kid_of(good)))
    gridco = compact.key_id(custody_of("gridco").public.token)
    await world.refuses(forge(claims_of(good), private_key("gridco"), kid=gridco))
    assert secrets_of("gridco").token != secrets_of("suncoop").token
