"""Sessions: refresh tokens serve once, a second use ends the session, and what was ended is refused within seconds."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from consortium.adapters.tokens.passwords import hash_password
from consortium.adapters.tokens.peers import PeerTokens
from consortium.errors import NotAuthenticated
from consortium.model.members import Genesis, Member
from consortium.ports.accounts import Account
from tests.callers import FakeClock, claims_of, custody_of, the_refusal
from tests.desks import CHEAP, desk_of, key_of, proof, stores_of

GENESIS = Genesis("voltnet", "main", 1, "voltnet.example", (Member("suncoop", (), custody_of("suncoop").public),))
PASSWORD = "correct horse battery staple"


class World:
    """suncoop's desk."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        hashed = hash_password(PASSWORD, CHEAP)
        self.stores = stores_of(Account("home-01", "user", hashed), Account("home-02", "user", hashed))
        peers = PeerTokens(custody_of("suncoop"), self.clock, genesis=GENESIS, member="suncoop")
        self.desk = desk_of(self.stores, self.clock, peers)
        self.logins, self.sessions = self.desk.logins, self.desk.sessions

    async def login(self, name="home-01", **more):
        return await self.logins.login(name, PASSWORD, **more)

    async def refresh(self, issued, **more):
        return await self.logins.refresh(bytes.fromhex(issued.refresh), **more)

    async def stands(self, issued) -> bool:
        try:
            return bool(await self.desk.verifier.verify(issued.token))
        except NotAuthenticated:
            return False


@pytest.fixture
def world():
    return World()


async def refuses(attempt):
    with pytest.raises(NotAuthenticated) as caught:
        await attempt
    the_refusal(caught)


async def test_a_refresh_token_gives_the_next_of_the_same_session(world):
    first = await world.login()
    world.clock.turn(600)
    second = await world.refresh(first)
    assert claims_of(first.token)["sid"] == claims_of(second.token)["sid"]
    assert second.refresh != first.refresh
    assert second.expires_s == first.expires_s + 600
    assert await world.stands(first)
    assert await world.stands(second)
    assert first.refresh not in repr(first)


async def test_a_second_use_ends_the_whole_session(world):
    """A thief's copy and the owner's: whoever comes second shows that there are two."""
    first, elsewhere = await world.login(), await world.login()
    second = await world.refresh(first)
    third = await world.refresh(second)
    await refuses(world.refresh(first))
    await refuses(world.refresh(third))
    world.clock.turn(3)
    assert not await world.stands(third)
    assert not await world.stands(first)
    assert await world.stands(elsewhere)
    assert await world.refresh(elsewhere)


async def test_two_at_once_do_not_both_get_tokens(world):
    first = await world.login()
    answers = await asyncio.gather(*(world.refresh(first) for _ in range(4)), return_exceptions=True)
    assert sum(not isinstance(answer, Exception) for answer in answers) <= 1


async def test_refresh_tokens_that_are_none(world):
    for text in (b"", b"x", bytes(32), bytes(64)):
        await refuses(world.logins.refresh(text))


async def test_a_session_ends_whatever_is_renewed(world):
    issued = await world.login()
    for _ in range(48):
        world.clock.turn(890)
        issued = await world.refresh(issued)
    assert issued.until_s == claims_of(issued.token)["exp"] == issued.expires_s
    world.clock.turn(900)
    await refuses(world.refresh(issued))
    assert not await world.stands(issued)


async def test_signing_out_ends_one_session(world):
    here, there = await world.login(), await world.login()
    assert await world.stands(here)
    await world.logins.logout(bytes.fromhex(here.refresh))
    world.clock.turn(3)
    assert not await world.stands(here)
    assert await world.stands(there)
    await refuses(world.refresh(here))
    await world.logins.logout(bytes(32))


async def test_signing_out_everywhere(world):
    here, there, other = await world.login(), await world.login(), await world.login("home-02")
    await world.sessions.end_all("home-01")
    world.clock.turn(3)
    assert [await world.stands(one) for one in (here, there, other)] == [False, False, True]
    await refuses(world.refresh(there))
    assert await world.login()


async def test_ones_own_sessions_and_nobody_elses(world):
    await world.login()
    world.clock.turn(10)
    await world.login()
    other = await world.login("home-02")
    listed = await world.sessions.of("home-01")
    assert [s.created_ms for s in listed] == sorted((s.created_ms for s in listed), reverse=True)
    assert len(listed) == 2
    theirs = bytes.fromhex(claims_of(other.token)["sid"])
    assert not await world.sessions.end("home-01", theirs)
    assert await world.sessions.end("home-01", listed[0].id)
    assert not await world.sessions.end("home-01", listed[0].id)
    assert [s.id for s in await world.sessions.of("home-01")] == [listed[1].id]
    assert await world.stands(other)


async def test_a_shut_account_renews_nothing(world):
    issued = await world.login()
    account = await world.stores.accounts.account("home-01")
    await world.stores.accounts.put_account(replace(account, disabled=True))
    await refuses(world.refresh(issued))


async def test_a_bound_session_is_renewed_with_its_key_alone(world):
    key, path = key_of(world.clock), "/v1/auth/refresh"
    issued = await world.login(proof=proof(key, "POST", "/v1/auth/login"))
    assert issued.scheme == "DPoP"
    assert claims_of(issued.token)["cnf"] == {"jkt": key.thumbprint}
    await refuses(world.refresh(issued))
    await refuses(world.refresh(issued, proof=proof(key_of(world.clock, "thief"), "POST", path)))
    again = await world.refresh(issued, proof=proof(key, "POST", path))
    assert claims_of(again.token)["cnf"] == {"jkt": key.thumbprint}
    assert not await world.stands(again)  # as a bearer's


@pytest.mark.parametrize("kind", ["officer", "machine", "administrator"])
async def test_kinds_that_need_a_key_open_no_session_without_one(world, kind):
    account = Account("olga", kind)
    await world.stores.accounts.put_account(account)
    await refuses(world.sessions.open(account, ""))
    assert (await world.sessions.open(account, key_of(world.clock).thumbprint)).scheme == "DPoP"


async def test_a_bad_proof_is_not_ignored_at_sign_in(world):
    await refuses(world.login(proof=proof(key_of(world.clock), "GET", "/v1/auth/login", origin="http://elsewhere")))


async def test_a_known_device_is_not_locked_out_by_strangers(world):
    known = (await world.login()).device
    for _ in range(5):
        await refuses(world.logins.login("home-01", "wrong"))
    await refuses(world.login())
    assert (await world.login(device=known)).device == known
    other = (await world.login("home-02")).device
    for device in (other, "x", world.desk.tokens.issue("home-01", "user", session=bytes(16)).token):
        await refuses(world.login(device=device))


async def test_a_known_device_is_throttled_itself(world):
    known = (await world.login()).device
    for _ in range(5):
        await refuses(world.logins.login("home-01", "wrong", device=known))
    await refuses(world.login(device=known))
    assert await world.login()


async def test_delays_grow_and_are_bounded(world):
    """Guesses of a day at one name: fewer than a hundred, and a pause always ends."""
    tried = 0
    for _ in range(24 * 3600 // 10):
        before = world.desk.logins._throttle._counts.get(("home-01", ""), (0, 0))[0]
        if world.logins._throttle.enter("home-01", world.clock.now_ms()):
            tried += 1
            assert world.desk.logins._throttle._counts["home-01", ""][0] == before + 1
        world.clock.turn(10)
    assert 90 < tried < 110
    world.clock.turn(15 * 60)
    assert await world.login()
