"""Logins: who proves themselves gets a token; everybody else gets one refusal, at one cost."""

from __future__ import annotations

import asyncio
import threading

import pytest

from consortium.adapters.tokens import passwords, throttle
from consortium.adapters.tokens.desk import Desk
from consortium.adapters.tokens.logins import CHALLENGE_CONTEXT
from consortium.adapters.tokens.node import IssuedToken
from consortium.adapters.tokens.passwords import hash_password
from consortium.adapters.tokens.peers import PeerTokens
from consortium.adapters.tokens.throttle import Throttle
from consortium.crypto import signing
from consortium.errors import NotAuthenticated
from consortium.model.members import Genesis, Member
from consortium.ports.accounts import Account
from tests.callers import FakeClock, claims_of, custody_of, kid_of, the_refusal
from tests.desks import CHEAP, desk_of, issued, key_of, proof, stores_of

GENESIS = Genesis("voltnet", "main", 1, "voltnet.example", (Member("suncoop", (), custody_of("suncoop").public),))
SEED = bytes(range(32))
PUBLIC = signing.public_key(SEED)
RIGHT = "Sonne über Jülich"


def sign(challenge: str, seed: bytes = SEED, context: bytes = CHALLENGE_CONTEXT) -> bytes:
    return signing.sign(context + challenge.encode(), signing.expand(seed))


class World:
    """suncoop's logins."""

    def __init__(self, keys: str = "suncoop") -> None:
        self.clock = FakeClock()
        stored = hash_password(RIGHT, CHEAP)
        self.stores = stores_of(
            Account("home-01", "user", stored),
            Account("home-02", "user", hash_password("another", CHEAP), public_key=PUBLIC),
            Account("home-03", "user"),
            Account("gone", "user", stored, disabled=True),
            Account("alice", "staff", stored, PUBLIC),
            Account("gateway-1", "machine", "", PUBLIC),
            Account("officer", "officer", "", PUBLIC),
            Account("bob", "staff", "", signing.public_key(bytes([7]) * 32)),
            Account("keyless", "staff"),
            Account("left", "staff", "", PUBLIC, disabled=True),
        )
        self.accounts = self.stores.accounts
        self.keys = keys
        self.desk = self.start()
        self.tokens, self.logins = self.desk.tokens, self.desk.logins

    def start(self) -> Desk:
        """A new process of the same node."""
        peers = PeerTokens(custody_of(self.keys), self.clock, genesis=GENESIS, member="suncoop")
        return desk_of(self.stores, self.clock, peers, keys=self.keys)

    async def answer(self, challenge: str, signature: bytes) -> IssuedToken:
        """As a client with a key for its tokens."""
        given = proof(key_of(self.clock), "POST", "/v1/auth/answer")
        return await self.logins.answer(challenge, signature, proof=given)


@pytest.fixture
def world():
    return World()


async def refuses(attempt):
    with pytest.raises(NotAuthenticated) as caught:
        await attempt
    the_refusal(caught)


# --- passwords -------------------------------------------------------------------------------------------------


async def test_the_right_password_gives_a_token(world):
    issued = await world.logins.login("home-01", RIGHT)
    assert world.tokens.verify(issued.token).name == "home-01"
    assert issued.kind == "user"


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("home-01", "another"),
        ("home-01", ""),
        ("home-01", RIGHT + " "),
        ("home-01", RIGHT.lower()),
        ("home-02", RIGHT),
        ("home-03", ""),
        ("home-03", RIGHT),
        ("nobody", RIGHT),
        ("nobody", ""),
        ("", ""),
        ("gone", RIGHT),
        ("alice", RIGHT),
        ("home-01", "\ud800"),
    ],
)
async def test_anything_else_is_refused(world, name, password):
    await refuses(world.logins.login(name, password))


async def test_accents_may_be_composed_in_either_way(world):
    assert await world.logins.login("home-01", "Sonne u\u0308ber Ju\u0308lich")


async def test_a_broken_stored_hash_matches_nothing(world):
    for broken in ("x", "$argon2id$", RIGHT, "\ud800"):
        await world.accounts.put_account(Account("home-03", "user", broken))
        await refuses(world.logins.login("home-03", RIGHT))
        world.clock.turn(60)


async def test_every_refusal_costs_one_hash_of_the_same_price(world, monkeypatch):
    """Work is counted, not time: each attempt verifies one Argon2id hash of the same parameters."""
    work = []
    real = passwords.matches
    monkeypatch.setattr(passwords, "matches", lambda stored, text: work.append(stored[:30]) or real(stored, text))
    for name in ("home-01", "home-03", "nobody", "gone", "alice"):
        await refuses(world.logins.login(name, "wrong"))
    assert len(work) == 5
    assert len({entry.rsplit("$", 1)[0] for entry in work}) == 1


async def test_hashing_does_not_hold_up_the_loop(world, monkeypatch):
    """The hash here ends only when the loop goes on meanwhile: in the loop's own thread it would give up."""
    begun, going_on = threading.Event(), threading.Event()
    monkeypatch.setattr(passwords, "matches", lambda *_: begun.set() or going_on.wait(5))
    attempt = asyncio.create_task(world.logins.login("home-01", RIGHT))
    while not begun.is_set() and not attempt.done():  # noqa: ASYNC110 - set by another thread
        await asyncio.sleep(0.001)
    going_on.set()
    assert (await attempt).kind == "user"


async def test_few_hashes_at_a_time(world, monkeypatch):
    lock, now, most = threading.Lock(), 0, 0

    def slow(*_):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        threading.Event().wait(0.01)
        with lock:
            now -= 1
        return False

    monkeypatch.setattr(passwords, "matches", slow)
    await asyncio.gather(*(world.logins.login(f"n-{n}", "x") for n in range(12)), return_exceptions=True)
    assert most <= passwords.PARALLEL


# --- throttle --------------------------------------------------------------------------------------------------


async def test_after_five_failures_even_the_right_password_waits(world):
    for _ in range(5):
        await refuses(world.logins.login("home-01", "wrong"))
    await refuses(world.logins.login("home-01", RIGHT))
    assert (await world.logins.login("home-02", "another")).kind == "user"
    world.clock.turn(29.999)
    await refuses(world.logins.login("home-01", RIGHT))
    world.clock.turn(0.001)
    assert (await world.logins.login("home-01", RIGHT)).kind == "user"


async def test_success_ends_the_count(world):
    for _ in range(3):
        for _ in range(4):
            await refuses(world.logins.login("home-01", "wrong"))
        assert await world.logins.login("home-01", RIGHT)


async def test_after_the_delay_one_failure_brings_it_back(world):
    for _ in range(5):
        await refuses(world.logins.login("home-01", "wrong"))
    world.clock.turn(30)
    await refuses(world.logins.login("home-01", "wrong"))
    await refuses(world.logins.login("home-01", RIGHT))


async def test_guessing_in_parallel_gains_nothing(world, monkeypatch):
    tried = []
    monkeypatch.setattr(passwords, "matches", lambda _, text: tried.append(text) is not None)
    guesses = [world.logins.login("home-01", f"guess-{n}") for n in range(50)]
    await asyncio.gather(*guesses, return_exceptions=True)
    assert len(tried) == throttle.FAILURES


async def test_unknown_names_are_throttled_alike(world, monkeypatch):
    tried = []
    monkeypatch.setattr(passwords, "matches", lambda _, text: tried.append(text) is not None)
    for _ in range(8):
        await refuses(world.logins.login("nobody", "x"))
    assert len(tried) == throttle.FAILURES


def test_the_throttle_is_bounded(monkeypatch):
    monkeypatch.setattr(throttle, "MAX_NAMES", 3)
    counts = Throttle()
    for number in range(10):
        assert counts.enter(f"n-{number}", 0)
    assert len(counts._counts) == 3


def test_a_clock_that_was_set_back_locks_nobody_out():
    counts = Throttle()
    for _ in range(5):
        assert counts.enter("home-01", 1_000_000)
    assert not counts.enter("home-01", 1_000_000)
    assert counts.enter("home-01", 0)


# --- signed challenges -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kind"), [("alice", "staff"), ("gateway-1", "machine"), ("officer", "officer")])
async def test_a_signed_challenge_gives_a_token(world, name, kind):
    made = await world.logins.challenge(name)
    issued = await world.answer(made.challenge, sign(made.challenge))
    verified = world.tokens.verify(issued.token)
    assert (verified.name, verified.kind, issued.kind) == (name, kind, kind)


@pytest.mark.parametrize("name", ["bob", "keyless", "left", "nobody", "home-02", "home-01"])
async def test_other_accounts_are_refused(world, name):
    """By another's key, without a key, disabled, unknown, or a user, who has a password."""
    made = await world.logins.challenge(name)
    await refuses(world.answer(made.challenge, sign(made.challenge)))
    await refuses(world.answer(made.challenge, sign(made.challenge, bytes(32))))


async def test_what_is_signed_is_the_challenge_in_its_context(world):
    made = (await world.logins.challenge("alice")).challenge
    wrong = [
        sign(made, context=b""),
        sign(made, context=b"consortium/batch/v1\n"),
        sign((await world.logins.challenge("alice")).challenge),
        sign(made, bytes(32)),
        bytes(64),
        b"",
        sign(made)[:-1],
    ]
    for signature in wrong:
        await refuses(world.answer(made, signature))
    assert await world.answer(made, sign(made))


async def test_a_challenge_is_good_for_one_answer(world):
    made = (await world.logins.challenge("alice")).challenge
    assert await world.answer(made, sign(made))
    await refuses(world.answer(made, sign(made)))


async def test_two_answers_at_once_give_one_token(world):
    made = (await world.logins.challenge("alice")).challenge
    answers = await asyncio.gather(*(world.answer(made, sign(made)) for _ in range(5)), return_exceptions=True)
    assert sorted(isinstance(a, NotAuthenticated) for a in answers) == [False, True, True, True, True]


async def test_a_challenge_lives_a_minute(world):
    early, late = [(await world.logins.challenge("alice")) for _ in range(2)]
    assert early.expires_s * 1000 == world.clock.now_ms() + 60_000
    world.clock.turn(60)
    assert await world.answer(early.challenge, sign(early.challenge))
    world.clock.turn(5)
    await refuses(world.answer(late.challenge, sign(late.challenge)))


async def test_used_challenges_are_forgotten_when_they_are_over(world, monkeypatch):
    monkeypatch.setattr("consortium.adapters.tokens.challenges.MAX_USED", 3)
    for _ in range(3):
        made = (await world.logins.challenge("alice")).challenge
        assert await world.answer(made, sign(made))
    full = (await world.logins.challenge("alice")).challenge
    await refuses(world.answer(full, sign(full)))
    await refuses(world.answer(made, sign(made)))
    world.clock.turn(66)
    fresh = (await world.logins.challenge("alice")).challenge
    assert await world.answer(fresh, sign(fresh))


async def test_a_challenge_of_an_earlier_process_is_void(world):
    """It may have been answered then; nobody remembers."""
    made = (await world.logins.challenge("alice")).challenge
    restarted = world.start()
    await refuses(restarted.logins.answer(made, sign(made)))


async def test_a_challenge_that_this_node_did_not_make(world):
    thief = World("thief")
    made = (await thief.logins.challenge("alice")).challenge
    await refuses(world.answer(made, sign(made)))
    for text in ("", "x", "a.b.c", "é"):
        await refuses(world.answer(text, sign(text)))


async def test_a_challenge_is_no_token_and_a_token_no_challenge(world):
    made = (await world.logins.challenge("alice")).challenge
    with pytest.raises(NotAuthenticated):
        world.tokens.verify(made)
    token = issued(world.desk, "alice", "staff").token
    await refuses(world.answer(token, sign(token)))


async def test_an_unknown_name_gets_a_challenge_like_any_other(world):
    known, unknown = await world.logins.challenge("alice"), await world.logins.challenge("aleph")
    assert set(claims_of(known.challenge)) == set(claims_of(unknown.challenge))
    assert len(known.challenge) == len(unknown.challenge)
    assert kid_of(known.challenge) == kid_of(unknown.challenge)
    assert known.expires_s == unknown.expires_s
    assert world.accounts.asked == 0
