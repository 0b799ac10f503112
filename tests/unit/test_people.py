"""A member's people: what an administrator may do, what none may do alone, and what nobody else may do at all."""

from __future__ import annotations

import asyncio

import pytest

from consortium.adapters.tokens.passwords import require_good
from consortium.crypto import signing
from consortium.errors import Forbidden, InvalidRequest, NotAuthenticated, NotFound
from consortium.ports.accounts import KINDS, Account
from consortium.ports.callers import Caller
from tests.unit.test_sessions import World, refuses

PUBLIC = signing.public_key(bytes(range(32)))
NEW = "a phrase of my very own"
NONE: frozenset[str] = frozenset()


def admin(name="adam"):
    return Caller(name, "suncoop", "administrator")


@pytest.fixture
async def world():
    made = World()
    for account in (
        Account("adam", "administrator", "", PUBLIC),
        Account("alice", "staff", "", PUBLIC, duties=frozenset({"billing"})),
    ):
        await made.stores.accounts.put_account(account)
    return made


@pytest.fixture
def people(world):
    return world.desk.people


async def second_administrator(people, name="eve"):
    invited = await people.invite(admin(), name, "administrator", NONE)
    await people.accept(invited.code, public_key=PUBLIC)
    return admin(name)


async def test_from_invitation_to_signing_in(world, people):
    invited = await people.invite(admin(), "home-11", "user", NONE)
    assert not invited.needs_two
    assert invited.code not in repr(invited)
    await refuses(world.logins.login("home-11", ""))
    made = await people.accept(invited.code.upper() + "\n", NEW)
    assert (made.name, made.kind) == ("home-11", "user")
    assert NEW not in repr(made.password_hash)
    assert (await world.logins.login("home-11", NEW)).kind == "user"


async def test_the_code_is_kept_as_a_digest(world, people):
    invited = await people.invite(admin(), "home-11", "user", NONE)
    assert invited.code.encode() not in repr(await world.stores.invitations.invitations()).encode()


async def test_a_code_serves_once_and_ends(world, people):
    first, late = [(await people.invite(admin(), name, "user", NONE)).code for name in ("home-11", "home-12")]
    await people.accept(first, NEW)
    await refuses(people.accept(first, NEW))
    world.clock.turn(3 * 86_400)
    await refuses(people.accept(late, NEW))
    await refuses(people.accept("nonsense", NEW))


async def test_two_at_once_with_one_code(people):
    code = (await people.invite(admin(), "home-11", "user", NONE)).code
    done = await asyncio.gather(*(people.accept(code, f"{NEW} {n}") for n in range(4)), return_exceptions=True)
    assert sorted(isinstance(one, NotAuthenticated) for one in done) == [False, True, True, True]


async def test_a_new_invitation_voids_the_old(people):
    old = (await people.invite(admin(), "home-11", "user", NONE)).code
    new = (await people.invite(admin(), "home-11", "user", NONE)).code
    await refuses(people.accept(old, NEW))
    await people.withdraw(admin(), "home-11")
    await refuses(people.accept(new, NEW))


async def test_who_signs_registers_a_key_and_who_does_not_a_password(people):
    staff = (await people.invite(admin(), "bob", "staff", frozenset({"metering"}))).code
    with pytest.raises(InvalidRequest):
        await people.accept(staff, NEW)
    with pytest.raises(InvalidRequest):
        await people.accept(staff)
    made = await people.accept(staff, public_key=PUBLIC)  # the mistake did not cost the code
    assert (made.duties, made.password_hash) == (frozenset({"metering"}), "")


@pytest.mark.parametrize(
    "bad",
    ["", "short", "elevenchars", "password1234", "PASSWORD1234", "aaaaaaaaaaaaaaaa", "123456789012", "abababababab"],
)
def test_bad_passwords(bad):
    with pytest.raises(InvalidRequest) as caught:
        require_good(bad)
    assert not bad or bad not in str(caught.value)


@pytest.mark.parametrize(
    "good", ["twelve chars", "no rules of composition", "äöü ÄÖÜ éèê", "日本語の合言葉はここにある"]
)
def test_good_passwords(good):
    require_good(good.ljust(12, "!"))


async def test_a_bad_password_does_not_cost_the_code(people):
    code = (await people.invite(admin(), "home-11", "user", NONE)).code
    with pytest.raises(InvalidRequest):
        await people.accept(code, "short")
    assert await people.accept(code, NEW)


@pytest.mark.parametrize("kind", sorted(KINDS - {"administrator"} | {"peer"}))
async def test_nobody_but_administrators(world, people, kind):
    who = Caller("alice", "suncoop", kind, frozenset({"operations"}))
    attempts = [
        people.all(who),
        people.invite(who, "home-11", "user", NONE),
        people.confirm(who, "home-11"),
        people.withdraw(who, "home-11"),
        people.set_disabled(who, "home-01", True),
        people.set_duties(who, "alice", frozenset({"metering"})),
        people.reset(who, "home-01", second_factor=True),
        people.revoke(who, "home-01"),
    ]
    before = dict(world.stores.accounts.by_name)
    words = set()
    for attempt in attempts:
        with pytest.raises(Forbidden) as caught:
            await attempt
        words.add(str(caught.value))
    assert len(words) == 1
    assert world.stores.accounts.by_name == before


async def test_an_administrator_does_not_change_their_own_account(world, people):
    before = dict(world.stores.accounts.by_name)
    for attempt in (
        people.set_disabled(admin(), "adam", True),
        people.set_disabled(admin(), "adam", False),
        people.set_duties(admin(), "adam", frozenset({"billing"})),
        people.reset(admin(), "adam", second_factor=True),
    ):
        with pytest.raises(Forbidden):
            await attempt
    with pytest.raises(InvalidRequest):  # nor by inviting themself anew
        await people.invite(admin(), "adam", "staff", frozenset({"billing"}))
    assert world.stores.accounts.by_name == before


async def test_the_second_administrator_is_made_by_the_first_the_third_by_two(people):
    eve = await second_administrator(people)
    invited = await people.invite(admin(), "mallory", "administrator", NONE)
    assert invited.needs_two
    await refuses(people.accept(invited.code, public_key=PUBLIC))
    with pytest.raises(NotFound):
        await people.confirm(admin(), "mallory")
    await refuses(people.accept(invited.code, public_key=PUBLIC))
    await people.confirm(eve, "mallory")
    assert (await people.accept(invited.code, public_key=PUBLIC)).kind == "administrator"


async def test_nobody_becomes_an_officer_alone_nor_takes_over_one(world, people):
    """Who could would read whatever the members granted, under somebody else's name."""
    eve = await second_administrator(people)
    invited = await people.invite(admin(), "olga", "officer", NONE)
    assert invited.needs_two
    await refuses(people.accept(invited.code, public_key=PUBLIC))
    await people.confirm(eve, "olga")
    assert (await people.accept(invited.code, public_key=PUBLIC)).kind == "officer"
    back = await people.reset(admin(), "olga", second_factor=False)
    assert back.needs_two
    with pytest.raises(NotFound):
        await people.confirm(admin(), "olga")
    await refuses(people.accept(back.code, public_key=PUBLIC))
    await people.confirm(eve, "olga")
    assert (await people.accept(back.code, public_key=PUBLIC)).name == "olga"


async def test_shutting_the_other_one_makes_nobody_the_first_again(people):
    await second_administrator(people)
    await people.set_disabled(admin(), "eve", True)
    assert (await people.invite(admin(), "mallory", "administrator", NONE)).needs_two


async def test_two_invitations_at_once_are_not_both_the_first(people):
    made = await asyncio.gather(
        *(people.invite(admin(), name, "administrator", NONE) for name in ("ann", "ben", "cem"))
    )
    assert sorted(invited.needs_two for invited in made) == [False, True, True]


async def test_a_confirmed_invitation_that_is_given_anew_is_not_confirmed(people):
    eve = await second_administrator(people)
    await people.invite(admin(), "mallory", "administrator", NONE)
    await people.confirm(eve, "mallory")
    again = await people.invite(admin(), "mallory", "administrator", NONE)
    await refuses(people.accept(again.code, public_key=PUBLIC))


async def test_an_invitation_is_not_turned_into_an_administrators(people):
    """By confirming one that needs no confirmation, or by inviting a user and confirming."""
    eve = await second_administrator(people)
    await people.invite(admin(), "home-11", "user", NONE)
    with pytest.raises(NotFound):
        await people.confirm(eve, "home-11")


async def test_an_administrator_is_not_taken_over_by_another(people):
    await second_administrator(people)
    with pytest.raises(Forbidden):
        await people.reset(admin(), "eve", second_factor=True)


async def test_reset_voids_everything_and_leads_back(world, people):
    issued = await world.login()
    factor = await world.desk.factors.enrol("home-01")
    assert factor
    back = await people.reset(admin(), "home-01", second_factor=False)
    world.clock.turn(3)
    assert not await world.stands(issued)
    await refuses(world.refresh(issued))
    await refuses(world.login())
    await people.accept(back.code, NEW)
    assert (await world.logins.login("home-01", NEW)).kind == "user"
    await refuses(world.login())
    await refuses(people.accept(back.code, NEW))


async def test_reset_opens_no_shut_account(world, people):
    back = await people.reset(admin(), "home-01", second_factor=False)
    await people.set_disabled(admin(), "home-01", True)
    await people.accept(back.code, NEW)
    await refuses(world.logins.login("home-01", NEW))


async def test_a_reset_keeps_the_second_factor_unless_said(world, people):
    import pyotp

    made = await world.desk.factors.enrol("home-01")
    assert await world.desk.factors.confirm("home-01", pyotp.TOTP(made.secret).at(world.clock.now_ms() // 1000))
    await people.accept((await people.reset(admin(), "home-01", second_factor=False)).code, NEW)
    await refuses(world.logins.login("home-01", NEW))
    await people.accept((await people.reset(admin(), "home-01", second_factor=True)).code, NEW)
    assert await world.logins.login("home-01", NEW)


async def test_shutting_ends_sessions_and_opening_lets_in_again(world, people):
    issued = await world.login()
    await people.set_disabled(admin(), "home-01", True)
    world.clock.turn(3)
    assert not await world.stands(issued)
    await refuses(world.login())
    await people.set_disabled(admin(), "home-01", False)
    assert not await world.stands(issued)
    await refuses(world.refresh(issued))
    assert await world.login()


async def test_revoking_signs_out_and_leaves_the_account(world, people):
    issued = await world.login()
    await people.revoke(admin(), "home-01")
    world.clock.turn(3)
    assert not await world.stands(issued)
    assert await world.login()


async def test_duties_reach_the_caller(world, people):
    from tests.desks import issued

    token = issued(world.desk, "alice", "staff").token
    assert (await world.desk.verifier.verify(token)).duties == {"billing"}
    await people.set_duties(admin(), "alice", frozenset({"metering", "trading"}))
    world.clock.turn(3)
    assert (await world.desk.verifier.verify(token)).duties == {"metering", "trading"}


@pytest.mark.parametrize(
    ("name", "kind", "duties"),
    [
        ("Home", "user", NONE),
        ("home-01", "user", NONE),
        ("home-11", "peer", NONE),
        ("home-11", "auditor", NONE),
        ("home-11", "user", frozenset({"billing"})),
        ("home-11", "administrator", frozenset({"billing"})),
        ("home-11", "staff", frozenset({"everything"})),
    ],
)
async def test_what_cannot_be_invited(people, name, kind, duties):
    with pytest.raises(InvalidRequest):
        await people.invite(admin(), name, kind, duties)


async def test_who_is_not_there(people):
    for attempt in (
        people.set_disabled(admin(), "nobody", True),
        people.reset(admin(), "nobody", second_factor=False),
        people.revoke(admin(), "nobody"),
    ):
        with pytest.raises(NotFound):
            await attempt


async def test_all_are_listed_without_what_they_sign_in_with(people):
    await people.invite(admin(), "home-11", "user", NONE)
    accounts, invitations = await people.all(admin())
    assert [a.name for a in accounts] == ["adam", "alice", "home-01", "home-02"]
    assert [i.account for i in invitations] == ["home-11"]
