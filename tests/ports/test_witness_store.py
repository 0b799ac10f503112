"""What every `WitnessStore` and `AccountStore` owes (consortium.ports), over the fake and over Postgres."""

from __future__ import annotations

import asyncio

from consortium.crypto.notes import Checkpoint, NoteSignature, SignedNote
from consortium.ports.accounts import Account
from tests.builders import noise


def text(size: int, fork: int = 0) -> str:
    return Checkpoint("consortium.example/test", size, noise("root", size, fork)).text()


def signature(name: str, version: int = 0) -> NoteSignature:
    return NoteSignature(name, noise("key", name, size=4), noise("signature", name, version, size=72))


def note(size: int, *names: str, fork: int = 0) -> SignedNote:
    return SignedNote(text(size, fork), tuple(map(signature, names)))


async def test_an_empty_store_holds_no_note(store):
    assert await store.witness.latest() is None
    assert list(await store.witness.notes(0, 10)) == []
    assert await store.witness.cosigned_size() == 0
    assert await store.witness.member_sizes() == {}


async def test_signatures_under_one_text_are_merged(store):
    assert await store.witness.save(note(5, "alpha")) == note(5, "alpha")
    assert await store.witness.save(note(5, "bravo")) == note(5, "alpha", "bravo")
    assert await store.witness.save(note(5)) == note(5, "alpha", "bravo")
    assert await store.witness.latest() == note(5, "alpha", "bravo")


async def test_a_newer_signature_of_the_same_key_takes_the_place_of_the_older(store):
    await store.witness.save(note(5, "alpha", "bravo"))
    newer = SignedNote(text(5), (signature("alpha", 1),))
    expected = SignedNote(text(5), (signature("alpha", 1), signature("bravo")))
    assert await store.witness.save(newer) == expected
    assert list(await store.witness.notes(0, 10)) == [expected]


async def test_notes_saved_at_once_lose_no_signature(store):
    names = [f"member-{n}" for n in range(8)]
    await asyncio.gather(*(store.witness.save(note(9, name)) for name in names))
    stored = await store.witness.latest()
    assert sorted(s.name for s in stored.signatures) == names


async def test_a_note_without_signatures_can_be_kept(store):
    assert await store.witness.save(note(3)) == note(3)
    assert await store.witness.latest() == note(3)


async def test_latest_is_the_largest_tree_and_notes_come_by_size(store):
    for size in (7, 30, 0, 12):
        await store.witness.save(note(size, "alpha"))
    assert await store.witness.latest() == note(30, "alpha")
    assert list(await store.witness.notes(7, 10)) == [note(7, "alpha"), note(12, "alpha"), note(30, "alpha")]
    assert list(await store.witness.notes(1, 2)) == [note(7, "alpha"), note(12, "alpha")]


async def test_two_trees_of_one_size_are_both_kept(store):
    await store.witness.save(note(7, "alpha"))
    await store.witness.save(note(7, "bravo", fork=1))
    kept = await store.witness.notes(7, 10)
    assert sorted(map(str, kept)) == sorted(map(str, (note(7, "alpha"), note(7, "bravo", fork=1))))


async def test_pruning_keeps_the_newest_and_the_named(store):
    for size in (1, 2, 3, 4, 5, 6):
        await store.witness.save(note(size, "alpha"))
    await store.witness.prune({2, 99}, 3)
    assert [Checkpoint.parse(n.text).size for n in await store.witness.notes(0, 10)] == [2, 4, 5, 6]
    await store.witness.prune(set(), 10)
    assert len(await store.witness.notes(0, 10)) == 4
    await store.witness.prune({4}, 0)
    assert [Checkpoint.parse(n.text).size for n in await store.witness.notes(0, 10)] == [4]


async def test_the_cosigned_size_advances_only_from_what_it_is(store):
    assert not await store.witness.advance_cosigned(1, 5)
    assert await store.witness.advance_cosigned(0, 5)
    assert not await store.witness.advance_cosigned(0, 6)
    assert await store.witness.cosigned_size() == 5
    assert await store.witness.advance_cosigned(5, 5)
    assert await store.witness.advance_cosigned(5, 1 << 40)
    assert await store.witness.cosigned_size() == 1 << 40


async def test_of_many_that_advance_at_once_one_does(store):
    done = await asyncio.gather(*(store.witness.advance_cosigned(0, n) for n in range(1, 9)))
    assert done.count(True) == 1
    assert await store.witness.cosigned_size() == 1 + done.index(True)


async def test_what_a_cosigner_was_seen_at_never_goes_back(store):
    for name, size in (("alpha", 4), ("bravo", 9), ("alpha", 8), ("alpha", 6)):
        await store.witness.saw(name, size)
    assert await store.witness.member_sizes() == {"alpha": 8, "bravo": 9}


async def test_accounts_are_created_and_replaced(store):
    home = Account("home-01", "user", "$argon2id$...", b"", noise("own key"))
    assert await store.accounts.account("home-01") is None
    await store.accounts.put_account(home)
    assert await store.accounts.account("home-01") == home
    changed = Account("home-01", "user", "", noise("public"), b"", disabled=True)
    await store.accounts.put_account(changed)
    assert await store.accounts.account("home-01") == changed


async def test_users_are_listed_in_order_and_nobody_else(store):
    for name, kind in (("home-2", "user"), ("clerk", "staff"), ("home-10", "user"), ("meter", "machine")):
        await store.accounts.put_account(Account(name, kind))
    assert list(await store.accounts.users()) == ["home-10", "home-2"]
