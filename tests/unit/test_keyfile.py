"""The key file: it opens with what it was sealed under and with nothing else, and it shows no secret."""

from __future__ import annotations

import json
import os
import pickle
import stat
import traceback

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consortium.adapters import keyfile
from consortium.adapters.keyfile import MountedSecret, Passphrase
from consortium.adapters.keysecrets import Secrets
from consortium.crypto import hints, notes, signing
from consortium.crypto.notes import COSIGNATURE_V1, ED25519, Checkpoint, SignedNote, VerifierKey
from consortium.errors import ConfigurationError, KeysUnavailable, Malformed
from tests.callers import custody_of, secrets_of

PASSPHRASE = Passphrase("zwölf Kröten im Teich", opslimit=1, memlimit=8192)
SECRET = MountedSecret(bytes(range(32)))
ONE_MESSAGE = "the key file does not open: a wrong passphrase or secret, or a damaged file"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.json"


@pytest.mark.parametrize("unlock", [PASSPHRASE, SECRET], ids=["passphrase", "secret"])
def test_what_was_created_opens_again(path, unlock):
    made = keyfile.create(path, unlock)
    opened = keyfile.open(path, unlock)
    assert opened.public == made.public
    assert opened.sign_batch(b"m") == made.sign_batch(b"m")
    assert opened.blind(b"t") == made.blind(b"t")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == [path.name]


def test_two_files_have_different_keys(tmp_path):
    one = keyfile.create(tmp_path / "a", SECRET)
    two = keyfile.create(tmp_path / "b", SECRET)
    assert set(one.public.as_dict().values()).isdisjoint(two.public.as_dict().values())
    assert len(set(one.public.as_dict().values())) == 5


def test_a_passphrase_is_one_text_however_its_accents_are_composed(path):
    keyfile.create(path, Passphrase("Kr\u00f6te", 1, 8192))
    assert keyfile.open(path, Passphrase("Kro\u0308te"))


@pytest.mark.parametrize(
    ("made_with", "opened_with"),
    [
        (PASSPHRASE, Passphrase("zwölf Kröten im Teich ")),
        (PASSPHRASE, Passphrase("")),
        (PASSPHRASE, SECRET),
        (SECRET, PASSPHRASE),
        (SECRET, MountedSecret(bytes(32))),
        (SECRET, MountedSecret(b"")),
    ],
)
def test_anything_else_does_not_open_it(path, made_with, opened_with):
    keyfile.create(path, made_with)
    with pytest.raises(KeysUnavailable) as caught:
        keyfile.open(path, opened_with)
    assert str(caught.value) == ONE_MESSAGE
    assert caught.value.__cause__ is None


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_changed_byte_never_gives_other_keys(path, data):
    if not path.exists():
        keyfile.create(path, SECRET)
    good = path.read_bytes()
    at = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[at] = data.draw(st.integers(0, 255))
    damaged = path.with_name("damaged")
    damaged.write_bytes(bytes(bad))
    assert _public_or_message(damaged) in (ONE_MESSAGE, keyfile.open(path, SECRET).public)


def _public_or_message(path):
    try:
        return keyfile.open(path, SECRET).public  # what changed was white space, or the case of a hex digit
    except KeysUnavailable as error:
        return str(error)


@pytest.mark.parametrize("field", ["nonce", "box", "salt"])
def test_a_changed_digit_does_not_open(path, field):
    keyfile.create(path, SECRET)
    raw = json.loads(path.read_text())
    place = raw["unlock"] if field == "salt" else raw
    digits = place[field]
    place[field] = ("0" if digits[0] != "0" else "1") + digits[1:]
    path.write_text(json.dumps(raw))
    with pytest.raises(KeysUnavailable, match=ONE_MESSAGE):
        keyfile.open(path, SECRET)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "7", '{"version": 1}', "[" * 100_000, '{"version":1,"unlock":{},"nonce":"","box":""}'],
)
def test_what_is_no_key_file_does_not_open(path, text):
    path.write_text(text)
    for unlock in (PASSPHRASE, SECRET):
        with pytest.raises(KeysUnavailable, match=ONE_MESSAGE):
            keyfile.open(path, unlock)


def test_truncated(path):
    keyfile.create(path, SECRET)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(KeysUnavailable, match=ONE_MESSAGE):
        keyfile.open(path, SECRET)


def rewrite_unlock(path, change):
    raw = json.loads(path.read_text())
    raw["unlock"].update(change)
    path.write_text(json.dumps(raw))


@pytest.mark.parametrize("change", [{"memlimit": 1 << 45}, {"opslimit": 1 << 30}, {"memlimit": "8192"}])
def test_absurd_argon2_limits_are_refused_before_they_cost_anything(path, change, monkeypatch):
    keyfile.create(path, PASSPHRASE)
    rewrite_unlock(path, change)
    asked = []
    monkeypatch.setattr("nacl.pwhash.argon2id.kdf", lambda *args, **_: asked.append(args) or bytes(32))
    with pytest.raises(KeysUnavailable, match=ONE_MESSAGE):
        keyfile.open(path, PASSPHRASE)
    assert asked == []


def test_other_argon2_limits_do_not_open(path):
    keyfile.create(path, PASSPHRASE)
    rewrite_unlock(path, {"opslimit": 2})
    with pytest.raises(KeysUnavailable, match=ONE_MESSAGE):
        keyfile.open(path, PASSPHRASE)


def test_the_parameters_are_authenticated(path):
    """Even one that changes nothing of the derived key: a version, or a limit of a secret's file."""
    keyfile.create(path, SECRET)
    raw = json.loads(path.read_text())
    for change in ({"version": 1}, {"version": 3}, {"version": True}, {"version": 1.0}, {"extra": 1}):
        path.write_text(json.dumps({**raw, **change}))
        with pytest.raises(KeysUnavailable, match=ONE_MESSAGE):
            keyfile.open(path, SECRET)


def test_a_missing_file_is_said_to_be_missing(path):
    with pytest.raises(KeysUnavailable, match="cannot be read"):
        keyfile.open(path, SECRET)


def test_keys_are_never_overwritten(path):
    made = keyfile.create(path, SECRET)
    with pytest.raises(ConfigurationError, match="exists already"):
        keyfile.create(path, SECRET)
    assert keyfile.open(path, SECRET).public == made.public
    assert os.listdir(path.parent) == [path.name]


def test_rewrap_changes_the_lock_and_not_the_keys(path):
    made = keyfile.create(path, PASSPHRASE)
    keyfile.rewrap(path, PASSPHRASE, SECRET)
    assert keyfile.open(path, SECRET).public == made.public
    with pytest.raises(KeysUnavailable):
        keyfile.open(path, PASSPHRASE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_rewrap_with_a_wrong_lock_changes_nothing(path):
    keyfile.create(path, SECRET)
    before = path.read_bytes()
    with pytest.raises(KeysUnavailable, match=ONE_MESSAGE):
        keyfile.rewrap(path, MountedSecret(bytes(32)), PASSPHRASE)
    assert path.read_bytes() == before


def test_a_rewrap_that_fails_half_way_leaves_the_old_file(path, monkeypatch):
    keyfile.create(path, SECRET)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(KeysUnavailable, match="No space left"):
        keyfile.rewrap(path, SECRET, PASSPHRASE)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("content", [SECRET.secret, SECRET.secret.hex().encode(), SECRET.secret.hex().encode() + b"\n"])
def test_a_mounted_secret_is_raw_or_hex(tmp_path, content):
    file = tmp_path / "secret"
    file.write_bytes(content)
    assert MountedSecret.read(file) == SECRET


@pytest.mark.parametrize("content", [b"", b"short", bytes(31), bytes(33), b"zz" * 32, b"\xff" * 64, b"00" * 31])
def test_what_is_no_mounted_secret(tmp_path, content):
    file = tmp_path / "secret"
    file.write_bytes(content)
    with pytest.raises(KeysUnavailable, match="is not 32 bytes"):
        MountedSecret.read(file)


def test_signatures_hold_under_the_public_keys_each_for_its_purpose():
    keys = custody_of("suncoop")
    assert signing.verify(b"batch", keys.sign_batch(b"batch"), keys.public.signing)
    assert signing.verify(b"token", keys.sign_token(b"token"), keys.public.token)
    assert not signing.verify(b"token", keys.sign_token(b"token"), keys.public.signing)


def test_notes_verify_under_log_and_witness_keys():
    keys = custody_of("suncoop")
    text = Checkpoint("example.org/net", 7, bytes(32)).text()
    note = SignedNote(
        text, (keys.sign_checkpoint(text, "example.org/net"), keys.cosign(text, "example.org/suncoop", 1_497_484_800))
    )
    log = VerifierKey("example.org/net", ED25519, keys.public.log)
    witness = VerifierKey("example.org/suncoop", COSIGNATURE_V1, keys.public.witness)
    assert notes.verified_by(note, [log, witness]) == (log, witness)
    assert notes.timestamp_of(note.signatures[1]) == 1_497_484_800


def test_a_pair_is_the_same_from_both_sides_and_remembered():
    one, two, third = custody_of("suncoop"), custody_of("gridco"), custody_of("cityretail")
    pair = one.pair(two.public.encryption)
    assert pair == two.pair(one.public.encryption)
    assert pair != one.pair(third.public.encryption)
    assert pair.hint == hints.hint_key(pair.pair)
    assert one.pair(two.public.encryption) is pair


def test_what_is_remembered_of_pairs_is_bounded(monkeypatch):
    monkeypatch.setattr(keyfile, "MAX_PAIRS", 3)
    keys = custody_of("suncoop")
    for word in "abcdefg":
        keys.pair(custody_of(word).public.encryption)
        assert len(keys._pairs) <= 3


@pytest.mark.parametrize("public", [bytes(32), b"", bytes(31)])
def test_an_unusable_public_key_is_malformed(public):
    with pytest.raises(Malformed):
        custody_of("suncoop").pair(public)


def test_blinding_is_by_member_and_deterministic():
    one, two = custody_of("suncoop"), custody_of("gridco")
    assert one.blind(b"tag") == custody_of("suncoop").blind(b"tag")
    assert len(one.blind(b"tag")) == 16
    assert len({one.blind(b"tag"), one.blind(b"tah"), two.blind(b"tag")}) == 3


def test_secrets_show_nowhere(path):
    secrets = secrets_of("suncoop")
    keys = keyfile.KeyFile(secrets)
    keyfile.create(path, PASSPHRASE)
    with pytest.raises(KeysUnavailable) as caught:
        keyfile.open(path, Passphrase("a wrong one"))
    parts = [repr(keys), str(keys), repr(secrets), str(secrets), repr(PASSPHRASE), repr(SECRET), str(SECRET)]
    shown = "".join([*parts, *traceback.format_exception(caught.value)])
    for field in Secrets.__slots__:
        raw = getattr(secrets, field)
        assert raw.hex() not in shown
        assert repr(raw)[2:-1] not in shown
    for text in (PASSPHRASE.text, SECRET.secret.hex(), repr(SECRET.secret)[2:-1]):
        assert text not in shown
    with pytest.raises(TypeError):
        pickle.dumps(keys)


def test_a_file_is_a_pure_function_of_its_entropy(tmp_path):
    """So that a test vector is possible; and the file holds no secret in clear."""

    def entropy(size):
        return bytes([size]) * size

    for name in "ab":
        keyfile.create(tmp_path / name, SECRET, entropy)
    data = (tmp_path / "a").read_bytes()
    assert data == (tmp_path / "b").read_bytes()
    assert entropy(32).hex().encode() not in data
