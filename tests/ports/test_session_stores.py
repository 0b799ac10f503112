"""What `SessionStore`, `SecondFactorStore` and `InvitationStore` promise, over the fakes and over Postgres."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from consortium.adapters.postgres.accounts import PostgresAccounts
from consortium.adapters.postgres.sessions import PostgresInvitations, PostgresSecondFactors, PostgresSessions
from consortium.ports.accounts import Account, AccountStore
from consortium.ports.sessions import (
    Invitation,
    InvitationStore,
    SecondFactor,
    SecondFactorStore,
    Session,
    SessionStore,
)
from tests.callers import MemoryAccounts
from tests.fakes.sessions import MemoryInvitations, MemorySecondFactors, MemorySessions


class Stores(NamedTuple):
    """What is kept of people."""

    accounts: AccountStore
    sessions: SessionStore
    factors: SecondFactorStore
    invitations: InvitationStore


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.processes)])
def empty(request: pytest.FixtureRequest) -> Stores:
    if request.param == "memory":
        return Stores(MemoryAccounts(), MemorySessions(), MemorySecondFactors(), MemoryInvitations())
    database: Any = request.getfixturevalue("database")
    return Stores(
        PostgresAccounts(database),
        PostgresSessions(database),
        PostgresSecondFactors(database),
        PostgresInvitations(database),
    )


@pytest.fixture
async def desk(empty: Stores) -> Stores:
    for name in ("ann", "ben"):
        await empty.accounts.put_account(Account(name, "user"))
    return empty


def session(number, account="ann", *, key="", created=1000, until=10_000):
    return Session(bytes([number]) * 16, account, key, created, created, until)


def digest(number):
    return bytes([number]) * 32


async def test_accounts_are_added_once_and_listed(desk):
    assert await desk.accounts.add_account(Account("cem", "staff", duties=frozenset({"billing", "metering"})))
    assert not await desk.accounts.add_account(Account("cem", "administrator"))
    assert [a.name for a in await desk.accounts.all_accounts()] == ["ann", "ben", "cem"]
    assert (await desk.accounts.account("cem")).duties == {"billing", "metering"}
    await desk.accounts.revoke("cem", 77)
    assert [a.revoked_ms for a in await desk.accounts.all_accounts()] == [0, 0, 77]
    assert (await desk.accounts.account("cem")).kind == "staff"


async def test_own_keys_are_counted(desk):
    first = await desk.accounts.set_own_key("ann", digest(1), frozenset({"reading", "contract"}), 500)
    assert (first.own_key, first.mandate, first.key_sequence, first.key_ms) == (
        digest(1),
        {"reading", "contract"},
        1,
        500,
    )
    assert await desk.accounts.account("ann") == first
    second = await desk.accounts.set_own_key("ann", b"", frozenset(), 600)
    assert (second.own_key, second.mandate, second.key_sequence) == (b"", frozenset(), 2)
    await desk.accounts.put_account(Account("cem", "staff"))
    for name in ("cem", "nobody"):
        assert await desk.accounts.set_own_key(name, digest(1), frozenset(), 500) is None


async def test_a_session_stands_until_its_end(desk):
    await desk.sessions.open_session(session(1), digest(1))
    assert [await desk.sessions.stands(bytes([1]) * 16, at) for at in (1000, 9_999, 10_000)] == [True, True, False]
    assert not await desk.sessions.stands(bytes(16), 1000)


async def test_a_refresh_token_is_exchanged_once(desk):
    await desk.sessions.open_session(session(1), digest(1))
    assert await desk.sessions.rotate(digest(1), digest(2), "", 2000) == replace(session(1), seen_ms=2000)
    assert await desk.sessions.rotate(digest(2), digest(3), "", 3000)
    assert await desk.sessions.stands(bytes([1]) * 16, 3000)
    assert await desk.sessions.rotate(digest(1), digest(4), "", 3000) is None
    assert not await desk.sessions.stands(bytes([1]) * 16, 3000)
    assert await desk.sessions.rotate(digest(3), digest(5), "", 3000) is None
    assert await desk.sessions.rotate(digest(9), digest(6), "", 3000) is None


async def test_the_key_must_be_that_of_the_session(desk):
    await desk.sessions.open_session(session(1, key="mine"), digest(1))
    for key in ("", "other"):
        assert await desk.sessions.rotate(digest(1), digest(2), key, 2000) is None
    assert await desk.sessions.stands(bytes([1]) * 16, 2000)
    assert await desk.sessions.rotate(digest(1), digest(2), "mine", 2000)


async def test_of_several_exchanges_at_once_at_most_one_is_served(desk):
    await desk.sessions.open_session(session(1), digest(1))
    done = await asyncio.gather(*(desk.sessions.rotate(digest(1), digest(n), "", 2000) for n in range(2, 8)))
    assert sum(one is not None for one in done) == 1
    assert not await desk.sessions.stands(bytes([1]) * 16, 2000)


async def test_sessions_are_their_accounts(desk):
    for number, (account, created) in enumerate([("ann", 1000), ("ann", 1500), ("ben", 1200)], 1):
        await desk.sessions.open_session(session(number, account, created=created), digest(number))
    assert [s.id[0] for s in await desk.sessions.sessions("ann", 2000)] == [2, 1]
    assert not await desk.sessions.end_session("ben", bytes([1]) * 16, 2000)
    assert await desk.sessions.end_session("ann", bytes([1]) * 16, 2000)
    assert not await desk.sessions.end_session("ann", bytes([1]) * 16, 2000)
    assert [s.id[0] for s in await desk.sessions.sessions("ann", 2000)] == [2]
    await desk.sessions.end_sessions("ann", 2000)
    assert await desk.sessions.sessions("ann", 2000) == []
    assert [s.id[0] for s in await desk.sessions.sessions("ben", 2000)] == [3]


async def test_a_session_ends_by_any_refresh_token_it_had(desk):
    await desk.sessions.open_session(session(1), digest(1))
    await desk.sessions.rotate(digest(1), digest(2), "", 2000)
    await desk.sessions.end_by_refresh(digest(9), 2000)
    assert await desk.sessions.stands(bytes([1]) * 16, 2000)
    await desk.sessions.end_by_refresh(digest(1), 2000)
    assert not await desk.sessions.stands(bytes([1]) * 16, 2000)


async def test_sessions_that_are_over_are_forgotten_at_the_next(desk):
    await desk.sessions.open_session(session(1, until=5000), digest(1))
    await desk.sessions.open_session(session(2, created=6000), digest(2))
    assert not await desk.sessions.stands(bytes([1]) * 16, 1000)
    assert await desk.sessions.stands(bytes([2]) * 16, 6000)


async def test_a_factor_is_confirmed_by_its_first_step(desk):
    assert await desk.factors.factor("ann") is None
    assert await desk.factors.put_factor(SecondFactor("ann", b"one"), [digest(1)])
    assert await desk.factors.put_factor(SecondFactor("ann", b"two"), [digest(2), digest(3)])
    assert not await desk.factors.use_code("ann", digest(2))
    assert await desk.factors.use_step("ann", 7)
    assert await desk.factors.factor("ann") == SecondFactor("ann", b"two", True, 7)
    assert not await desk.factors.put_factor(SecondFactor("ann", b"three"), [])
    assert [await desk.factors.use_step("ann", step) for step in (7, 6, 8)] == [False, False, True]
    assert not await desk.factors.use_step("ben", 8)
    assert not await desk.factors.use_code("ann", digest(1))
    assert not await desk.factors.use_code("ben", digest(2))
    assert [await desk.factors.use_code("ann", digest(n)) for n in (2, 2, 3)] == [True, False, True]
    await desk.factors.remove_factor("ann")
    assert await desk.factors.factor("ann") is None


async def test_of_several_with_one_code_one_gets_in(desk):
    await desk.factors.put_factor(SecondFactor("ann", b"one"), [digest(1)])
    assert sorted(await asyncio.gather(*(desk.factors.use_step("ann", 5) for _ in range(5)))) == [False] * 4 + [True]
    assert sorted(await asyncio.gather(*(desk.factors.use_code("ann", digest(1)) for _ in range(5)))) == [
        *[False] * 4,
        True,
    ]


def invitation(number, account="cem", **changed):
    return replace(Invitation(digest(number), account, "staff", frozenset({"billing"}), "adam", 5000), **changed)


async def test_invitations_are_taken_once(desk):
    await desk.invitations.put_invitation(invitation(1))
    await desk.invitations.put_invitation(invitation(2, "dan", recovers=True))
    assert await desk.invitations.invitations() == [invitation(1), invitation(2, "dan", recovers=True)]
    assert await desk.invitations.invitation("cem") == invitation(1)
    assert await desk.invitations.find_invitation(digest(1), 5000) is None
    assert await desk.invitations.take_invitation(digest(1), 5000) is None
    assert (await desk.invitations.find_invitation(digest(1), 4999)) == invitation(1)
    done = await asyncio.gather(*(desk.invitations.take_invitation(digest(1), 4999) for _ in range(4)))
    assert [one for one in done if one] == [invitation(1)]
    await desk.invitations.drop_invitation("dan")
    assert await desk.invitations.invitations() == []


async def test_a_new_invitation_replaces_the_old(desk):
    await desk.invitations.put_invitation(invitation(1, needs_two=True, confirmed_by="eve"))
    await desk.invitations.put_invitation(invitation(2, needs_two=True))
    assert await desk.invitations.take_invitation(digest(1), 1000) is None
    assert await desk.invitations.take_invitation(digest(2), 1000) is None


async def test_where_two_are_needed_two_it_takes(desk):
    await desk.invitations.put_invitation(invitation(1, needs_two=True))
    await desk.invitations.put_invitation(invitation(2, "dan"))
    assert await desk.invitations.take_invitation(digest(1), 1000) is None
    assert not await desk.invitations.confirm_invitation("cem", "adam")
    assert not await desk.invitations.confirm_invitation("dan", "eve")
    assert await desk.invitations.confirm_invitation("cem", "eve")
    assert not await desk.invitations.confirm_invitation("cem", "eve")
    assert (await desk.invitations.take_invitation(digest(1), 1000)).confirmed_by == "eve"
