"""A key file through time: new generations, which of them is in force, storage keys, and what is destroyed for good."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import replace

import pytest
from nacl import bindings
from nacl.bindings import crypto_generichash_blake2b_salt_personal as generichash_blake2b_salt_personal
from nacl.exceptions import CryptoError

from consortium.adapters import keyfile
from consortium.adapters.keyfile import KeyFile, MountedSecret
from consortium.adapters.keysecrets import KEY_BYTES, Keychain, Secrets, State, What
from consortium.adapters.unlock import unlocking_key
from consortium.crypto import signing
from consortium.crypto.sealing import sealed_box
from consortium.errors import KeysUnavailable, Malformed, NotYet
from consortium.model.encoding import encode
from tests.callers import custody_of, secrets_of

SECRET = MountedSecret(bytes(range(32)))
CONTEXT = b"some table/some row"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.json"


def rotated(path, what):
    return keyfile.change(path, SECRET, lambda chain: chain.with_next(what, os.urandom))


def secrets_in(path):
    """Everything of 32 bytes that the opened file holds."""
    chain = keyfile.open(path, SECRET).chain
    fields = ("signing", "log", "witness", "token", "encryption")
    return {getattr(g, f) for g in chain.generations for f in fields} | {s.key for s in chain.storage}


def write_version_1(path, secrets):
    """A file as the first release wrote it."""
    header = {"version": 1, "unlock": SECRET.describe(bytes(16))}
    plain = encode([getattr(secrets, name) for name in Secrets.__slots__])
    key = unlocking_key(SECRET, header["unlock"])
    box = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, encode(header), bytes(24), key)
    path.write_text(json.dumps({**header, "nonce": bytes(24).hex(), "box": box.hex()}))


def test_a_file_of_version_1_opens_and_gives_what_it_gave(path):
    secrets = secrets_of("suncoop")
    write_version_1(path, secrets)
    opened, known = keyfile.open(path, SECRET), custody_of("suncoop")
    assert opened.public == known.public
    assert (opened.blind(b"t"), opened.derive_id(b"c")) == (known.blind(b"t"), known.derive_id(b"c"))
    assert opened.open_at_rest(CONTEXT, known.seal_at_rest(CONTEXT, b"x")) == b"x"
    rotated(path, What.ALL)
    assert json.loads(path.read_text())["version"] == 2
    changed = keyfile.open(path, SECRET)
    assert changed.public == known.public, "what is new is not in force yet"
    assert (changed.blind(b"t"), changed.derive_id(b"c")) == (known.blind(b"t"), known.derive_id(b"c"))


@pytest.mark.parametrize(
    ("what", "new"),
    [
        (What.SIGNING, {"signing", "log", "witness", "token"}),
        (What.ENCRYPTION, {"encryption"}),
        (What.ALL, {"signing", "log", "witness", "token", "encryption"}),
    ],
)
def test_a_new_generation_changes_what_was_asked_for(path, what, new):
    before = keyfile.create(path, SECRET).public
    rotated(path, what)
    after = keyfile.open(path, SECRET).generations[-1]
    assert {name for name in before.__slots__ if getattr(before, name) != getattr(after, name)} == new


def test_the_ledger_says_which_generation_signs_and_seals(path):
    before = keyfile.create(path, SECRET).public
    other = custody_of("gridco")
    rotated(path, What.ALL)
    keys = keyfile.open(path, SECRET)
    old_pair = keys.pair(other.public.encryption)
    following = keys.generations[-1]
    assert signing.verify(b"m", keys.sign_batch(b"m"), before.signing)
    assert keys.use(following)
    assert keys.public == following
    assert signing.verify(b"m", keys.sign_batch(b"m"), following.signing)
    assert not signing.verify(b"m", keys.sign_batch(b"m"), before.signing)
    assert signing.verify(b"m", keys.sign_token(b"m"), following.token)
    assert keys.pair(other.public.encryption) == other.pair(following.encryption)
    assert keys.pairs(other.public.encryption) == (keys.pair(other.public.encryption), old_pair)


def test_keys_that_the_file_does_not_hold_change_nothing(path):
    keys = keyfile.create(path, SECRET)
    before = keys.public
    assert not keys.use(custody_of("thief").public)
    assert not keys.use(replace(before, signing=custody_of("thief").public.signing))
    assert keys.public == before


def test_it_never_goes_back_to_older_keys(path):
    """A ledger that was restored from a backup names the old ones until it has caught up; a thief may have them."""
    old = keyfile.create(path, SECRET).public
    rotated(path, What.SIGNING)
    keys = keyfile.open(path, SECRET)
    new = keys.generations[-1]
    assert keys.use(new)
    assert keys.use(old)
    assert keys.public == new


def test_which_is_in_force_is_kept(path):
    keyfile.create(path, SECRET)
    new = rotated(path, What.ALL).generations[-1].public()
    keyfile.change(path, SECRET, lambda chain: chain.activated(new))
    opened = keyfile.open(path, SECRET)
    assert opened.public == new
    assert [g.state for g in opened.chain.generations] == [State.OLD, State.ACTIVE]


def test_retired_secrets_are_gone_from_the_file(path):
    other = custody_of("gridco")
    old_hint = keyfile.create(path, SECRET).pair(other.public.encryption).hint
    before = secrets_in(path)
    new = rotated(path, What.ALL).generations[-1].public()
    keyfile.change(path, SECRET, lambda chain: chain.activated(new).retired([other.public.encryption]))
    opened = keyfile.open(path, SECRET)
    assert opened.generations == (new,)
    assert opened.hints(other.public.encryption) == (opened.pair(other.public.encryption).hint, old_hint)
    assert len(opened.pairs(custody_of("gridco").public.encryption)) == 1
    assert secrets_in(path) & before == {opened.chain.storage[0].key}


def test_a_box_on_the_ledger_opens_after_its_key_was_destroyed_and_no_other_does(path):
    """Shares of escrow keys cannot be wrapped anew."""
    public = keyfile.create(path, SECRET).public.encryption
    kept, lost = (sealed_box(b"a share", public, os.urandom) for _ in range(2))
    new = rotated(path, What.ENCRYPTION).generations[-1].public()
    keyfile.change(path, SECRET, lambda chain: chain.activated(new).retired([], [kept[:32]]))
    opened = keyfile.open(path, SECRET)

    def shares(box):
        nonce = generichash_blake2b_salt_personal(box[:32] + public, digest_size=24)
        found = []
        for pair in opened.pairs(box[:32]):
            with contextlib.suppress(CryptoError):
                found.append(bindings.crypto_box_open_easy_afternm(box[32:], nonce, pair.pair))
        return found

    assert (shares(kept), shares(lost)) == ([b"a share"], [])


def test_what_waits_is_not_retired(path):
    """Its proposal may be on its way."""
    keyfile.create(path, SECRET)
    waiting = rotated(path, What.ALL).generations[-1].public()
    keyfile.change(path, SECRET, lambda chain: chain.retired([]))
    assert keyfile.open(path, SECRET).use(waiting)


def test_a_change_sees_the_last_change(path):
    keyfile.create(path, SECRET)
    rotated(path, What.SIGNING)
    assert len(rotated(path, What.ENCRYPTION).generations) == 3


def test_new_keys_without_end_are_refused(path):
    keyfile.create(path, SECRET)
    for _ in range(8):
        rotated(path, What.ALL)
    with pytest.raises(NotYet, match="too many"):
        rotated(path, What.ALL)
    assert len(keyfile.open(path, SECRET).generations) == 9


def test_a_new_storage_key_opens_what_the_old_one_sealed_until_that_is_dropped(path):
    keys = keyfile.create(path, SECRET)
    blind, derived, old_box = keys.blind(b"t"), keys.derive_id(b"c"), keys.seal_at_rest(CONTEXT, b"x")

    def step(change):
        keys.replace(keyfile.change(path, SECRET, change))

    assert keys.reseal_at_rest(CONTEXT, old_box) is None
    step(lambda chain: chain.with_new_storage(os.urandom))
    assert keys.open_at_rest(CONTEXT, old_box) == b"x"
    new_box = keys.reseal_at_rest(CONTEXT, old_box)
    assert keys.reseal_at_rest(CONTEXT, new_box) is None
    with pytest.raises(NotYet, match="under way"):
        step(lambda chain: chain.with_new_storage(os.urandom))
    before = secrets_in(path)
    step(lambda chain: chain.storage_dropped())
    assert (keys.blind(b"t"), keys.derive_id(b"c")) == (blind, derived), "or agents would write again, and find nothing"
    assert keys.open_at_rest(CONTEXT, new_box) == b"x"
    with pytest.raises(KeysUnavailable):
        keys.open_at_rest(CONTEXT, old_box)
    assert len(before - secrets_in(path)) == 1


def test_what_is_at_rest_opens_in_its_place_alone(path):
    keys = keyfile.create(path, SECRET)
    box = keys.seal_at_rest(CONTEXT, b"x")
    assert box != keys.seal_at_rest(CONTEXT, b"x")
    for context, sealed in ((b"another row", box), (CONTEXT, box[:-1] + bytes([box[-1] ^ 1])), (CONTEXT, b"")):
        with pytest.raises(KeysUnavailable):
            keys.open_at_rest(context, sealed)
    with pytest.raises(KeysUnavailable):
        custody_of("thief").open_at_rest(CONTEXT, box)


def test_a_new_file_derives_ids_from_a_key_of_their_own(path):
    keys = keyfile.create(path, SECRET)
    assert keys.chain.derivation != Keychain.of(Secrets.generate(os.urandom)).derivation
    stolen = replace(secrets_of("x"), storage=keys.chain.storage[0].key)
    assert KeyFile(stolen).derive_id(b"c") != keys.derive_id(b"c")


@pytest.mark.parametrize(
    "raw",
    [
        [],
        [[], [], bytes(32), [], []],
        [[["active", *[bytes(32)] * 5]], [["active", bytes(31)]], bytes(32), [], []],
        [[["active", *[bytes(32)] * 4]], [["active", bytes(32)]], bytes(32), [], []],
        [[["young", *[bytes(32)] * 5]], [["active", bytes(32)]], bytes(32), [], []],
        [[["old", *[bytes(32)] * 5]], [["active", bytes(32)]], bytes(32), [], []],
        [[["active", *[bytes(32)] * 5]] * 2, [["active", bytes(32)]], bytes(32), [], []],
        [[["active", *[bytes(32)] * 5]], [["next", bytes(32)]], bytes(32), [], []],
        [[["active", *[bytes(32)] * 5]], [["active", bytes(32)]], b"", [], []],
        [[[]], [[]], bytes(32), [], []],
        [[["active", *[bytes(32)] * 5]], [["active", bytes(32)]], bytes(32), [[bytes(32)]], []],
        [7, 8, 9, 10, 11],
    ],
)
def test_what_is_no_keychain(raw):
    with pytest.raises(Malformed):
        Keychain.decode(2, encode(raw))


def test_a_keychain_is_its_bytes_and_shows_none():
    chain = Keychain.of(secrets_of("suncoop"))
    chain = chain.with_next(What.ALL, os.urandom).with_new_storage(lambda size: bytes([7]) * size)
    assert Keychain.decode(2, chain.encoded()) == chain
    shown = repr(chain) + repr(chain.generations[0]) + repr(chain.storage[0])
    for key in (chain.derivation, chain.storage[1].key, chain.generations[1].token):
        assert key.hex() not in shown
        assert repr(key)[2:-1] not in shown
    assert len(chain.derivation) == KEY_BYTES
