"""The second factor: needed once it is confirmed, each code serves once, guessing is slowed down."""

from __future__ import annotations

import pyotp
import pytest

from consortium.adapters.tokens import secondfactor
from consortium.errors import InvalidRequest, KeysUnavailable, NotAuthenticated
from consortium.ports.sessions import SecondFactor
from tests.callers import NOW_S, custody_of
from tests.unit.test_sessions import World, refuses


@pytest.fixture
def world():
    return World()


async def enrolled(world, name="home-01"):
    made = await world.desk.factors.enrol(name)
    assert await world.desk.factors.confirm(name, code(world, made))
    world.clock.turn(60)
    return made


def code(world, made, steps=0):
    return pyotp.TOTP(made.secret).at(world.clock.now_ms() // 1000 + 30 * steps)


def test_the_codes_are_those_of_rfc_6238():
    """Its appendix B, cut to six digits."""
    assert pyotp.TOTP("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").at(1111111109) == "081804"


async def test_it_counts_once_it_is_confirmed(world):
    made = await world.desk.factors.enrol("home-01")
    assert await world.login()
    assert not await world.desk.factors.confirm("home-01", "000000" if code(world, made) != "000000" else "111111")
    assert await world.login()
    assert await world.desk.factors.confirm("home-01", code(world, made))
    await refuses(world.login())
    world.clock.turn(30)
    assert await world.login(code=code(world, made))
    assert await world.login("home-02")


async def test_a_code_serves_once_and_none_before_it(world):
    made = await enrolled(world)
    now, before = code(world, made), code(world, made, -1)
    assert await world.login(code=now)
    await refuses(world.login(code=now))
    await refuses(world.login(code=before))


@pytest.mark.parametrize(("steps", "holds"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
async def test_clocks_may_differ_by_a_step(world, steps, holds):
    made = await enrolled(world)
    given = code(world, made, steps)
    if holds:
        assert await world.login(code=given)
    else:
        await refuses(world.login(code=given))


async def test_without_the_password_a_code_is_worth_nothing(world):
    made = await enrolled(world)
    await refuses(world.logins.login("home-01", "wrong", code=code(world, made)))
    assert await world.login(code=code(world, made))


async def test_anothers_code_is_worth_nothing(world):
    await enrolled(world)
    theirs = await enrolled(world, "home-02")
    await refuses(world.login(code=code(world, theirs)))


@pytest.mark.parametrize("odd", ["", "12345", "1234567", "abcdef", "\u0661\u0662\u0663\u0664\u0665\u0666", "\ud800"])
async def test_odd_codes(world, odd):
    await enrolled(world)
    await refuses(world.login(code=odd))


async def test_guessing_codes_is_slowed_down_and_by_nobody_else(world):
    made = await enrolled(world)
    wrong = [c for c in ("000000", "111111", "222222") if c != code(world, made)]
    for n in range(5):
        await refuses(world.login(code=wrong[n % 2]))
    await refuses(world.login(code=code(world, made)))
    world.clock.turn(30)
    assert await world.login(code=code(world, made))
    for _ in range(20):  # a stranger, who does not have the password, uses no attempt up
        await refuses(world.logins.login("home-01", "wrong", code="000000"))
    world.clock.turn(900)
    assert await world.login(code=code(world, made))


async def test_guessing_codes_is_slowed_down_whatever_the_first_factor(world):
    """By a signed challenge nothing else would slow it down."""
    made = await enrolled(world)
    factor = await world.desk.factors.needed("home-01")
    good = {code(world, made, steps) for steps in (-1, 0, 1)}
    wrong = next(c for c in ("000000", "111111", "222222", "333333") if c not in good)
    for _ in range(5):
        assert not await world.desk.factors.passes(factor, wrong)
    assert not await world.desk.factors.passes(factor, code(world, made))
    world.clock.turn(30)
    assert await world.desk.factors.passes(factor, code(world, made))


async def test_a_recovery_code_serves_once(world):
    made = await enrolled(world)
    assert len(set(made.codes)) == secondfactor.RECOVERY_CODES
    assert await world.login(code=made.codes[0].upper())
    await refuses(world.login(code=made.codes[0]))
    assert await world.login(code=made.codes[1])


async def test_recovery_codes_count_no_sooner_than_the_factor(world):
    made = await world.desk.factors.enrol("home-01")
    assert not await world.stores.factors.use_code("home-01", secondfactor._digest(made.codes[0]))


async def test_one_that_counts_is_not_replaced_by_whoever_has_a_token(world):
    made = await enrolled(world)
    with pytest.raises(InvalidRequest):
        await world.desk.factors.enrol("home-01")
    assert not await world.desk.factors.take_off("home-01", "")
    assert not await world.desk.factors.take_off("home-02", code(world, made))
    await refuses(world.login())
    assert await world.desk.factors.take_off("home-01", code(world, made))
    assert await world.login()


async def test_the_secret_is_sealed_at_rest_and_bound_to_its_account(world):
    made = await enrolled(world)
    stored = await world.stores.factors.factor("home-01")
    assert pyotp.TOTP(made.secret).byte_secret() not in stored.sealed
    assert made.secret not in repr(made)
    assert all(c not in repr(made) for c in made.codes)
    await world.stores.factors.remove_factor("home-02")
    await world.stores.factors.put_factor(SecondFactor("home-02", stored.sealed), [])
    with pytest.raises(KeysUnavailable):  # a row moved to another account by who can write the database
        await world.desk.factors.confirm("home-02", code(world, made))


def test_sealing_at_rest_is_by_key_and_context():
    custody, other = custody_of("suncoop"), custody_of("gridco")
    sealed = custody.seal_at_rest(b"a", b"secret")
    assert custody.open_at_rest(b"a", sealed) == b"secret"
    assert custody.seal_at_rest(b"a", b"secret") != sealed
    for who, context, box in (
        (custody, b"b", sealed),
        (other, b"a", sealed),
        (custody, b"a", sealed[:-1]),
        (custody, b"a", b""),
        (custody, b"a", bytes([sealed[0] ^ 1]) + sealed[1:]),
    ):
        with pytest.raises(KeysUnavailable):
            who.open_at_rest(context, box)


async def test_by_a_signed_challenge_as_well(world):
    """Covered by the same step: a wrong code there is refused in the same words."""
    from consortium.crypto import signing
    from consortium.ports.accounts import Account

    seed = bytes(range(32))
    await world.stores.accounts.put_account(Account("alice", "staff", "", signing.public_key(seed)))
    made = await enrolled(world, "alice")

    async def answer(given):
        challenge = (await world.logins.challenge("alice")).challenge
        signature = signing.sign(b"consortium/login/v1\n" + challenge.encode(), signing.expand(seed))
        return await world.logins.answer(challenge, signature, code=given)

    with pytest.raises(NotAuthenticated):
        await answer("")
    assert (await answer(code(world, made))).kind == "staff"
    assert NOW_S
