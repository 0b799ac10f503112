"""C2SP signed-note, tlog-checkpoint, tlog-cosignature: the specifications' own examples, and every refusal."""

from __future__ import annotations

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortium.crypto import notes, signing
from consortium.crypto.notes import (
    COSIGNATURE_V1,
    ED25519,
    Checkpoint,
    NoteSignature,
    SignedNote,
    VerifierKey,
    cosign,
    parse_decimal,
    parse_note,
    sign_note,
    timestamp_of,
    verified_by,
)
from consortium.errors import Malformed, ProofInvalid
from tests.builders import noise

# C2SP signed-note.md, "Verifier keys", "Example"
VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
NOTE = """This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
"""
# C2SP tlog-cosignature.md, the introduction's example (its keys are not published)
COSIGNED = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1 "
    "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)

SECRET = signing.expand(noise("note key"))
LOG = VerifierKey("log.example", ED25519, signing.public_key(noise("note key")))
WITNESS_SECRET = signing.expand(noise("witness key"))
WITNESS = VerifierKey("witness.example", COSIGNATURE_V1, signing.public_key(noise("witness key")))
CHECKPOINT = Checkpoint("log.example", 42, noise("root"))


def test_the_specifications_example_verifies():
    key, note = VerifierKey.parse(VKEY), parse_note(NOTE)
    assert note.text == "This is an example message.\n"
    assert verified_by(note, [key]) == (key,)
    assert str(key) == VKEY
    assert str(note) == NOTE
    assert key.name == "example.com/foo"
    assert key.id.hex() == "530d903a"


def test_the_specifications_cosigned_checkpoint_parses():
    note = parse_note(COSIGNED)
    assert str(note) == COSIGNED
    checkpoint = Checkpoint.parse(note.text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.text() == note.text
    assert timestamp_of(note.signatures[1]) == 1679315147


@pytest.mark.parametrize("at", range(0, len(NOTE.encode()), 3))
def test_every_changed_byte_of_the_example_is_refused_or_unsigned(at):
    data = bytearray(NOTE.encode())
    data[at] ^= 0x01
    try:
        note = parse_note(data.decode())
        held = verified_by(note, [VerifierKey.parse(VKEY)])
    except (Malformed, ProofInvalid, UnicodeDecodeError):
        return
    assert held == (), "a changed name or key id makes it a signature of nobody we know"


def test_signatures_and_cosignatures_hold():
    note = SignedNote(CHECKPOINT.text(), ()).with_signatures(
        [sign_note(CHECKPOINT.text(), LOG, SECRET), cosign(CHECKPOINT.text(), WITNESS, WITNESS_SECRET, 1_679_315_147)]
    )
    assert verified_by(note, [LOG, WITNESS]) == (LOG, WITNESS)
    assert verified_by(parse_note(str(note)), [WITNESS]) == (WITNESS,)
    assert timestamp_of(note.signatures[1]) == 1_679_315_147


def test_the_cosigned_message_is_that_of_the_specification():
    signature = cosign(CHECKPOINT.text(), WITNESS, WITNESS_SECRET, 5)
    message = f"cosignature/v1\ntime 5\n{CHECKPOINT.text()}".encode()
    assert signature.signature[:8] == (5).to_bytes(8, "big")
    assert signing.verify(message, signature.signature[8:], WITNESS.public)


def test_a_cosignatures_time_is_signed():
    good = cosign(CHECKPOINT.text(), WITNESS, WITNESS_SECRET, 5)
    later = NoteSignature(good.name, good.key_id, struct.pack(">Q", 6) + good.signature[8:])
    with pytest.raises(ProofInvalid):
        verified_by(SignedNote(CHECKPOINT.text(), (later,)), [WITNESS])


@pytest.mark.parametrize("size", [0, 7, 8, 64, 71, 73, 100])
def test_a_signature_of_a_wrong_length_condemns_the_note(size):
    for key in (LOG, WITNESS):
        if (key.kind, size) in {(ED25519, 64), (COSIGNATURE_V1, 72)}:
            continue
        with pytest.raises(ProofInvalid):
            verified_by(SignedNote(CHECKPOINT.text(), (NoteSignature(key.name, key.id, bytes(size)),)), [key])


def test_a_time_beyond_63_bits_is_refused():
    signature = signing.sign(f"cosignature/v1\ntime {1 << 63}\n{CHECKPOINT.text()}".encode(), WITNESS_SECRET)
    line = NoteSignature(WITNESS.name, WITNESS.id, struct.pack(">Q", 1 << 63) + signature)
    with pytest.raises(ProofInvalid):
        verified_by(SignedNote(CHECKPOINT.text(), (line,)), [WITNESS])


def test_unknown_signatures_are_ignored_even_with_a_known_name_or_id():
    text = CHECKPOINT.text()
    good = sign_note(text, LOG, SECRET)
    strangers = [
        NoteSignature("other.example", LOG.id, bytes(64)),
        NoteSignature(LOG.name, b"\0\0\0\0", bytes(64)),
        NoteSignature("other.example", b"\1\2\3\4", bytes(3000)),
    ]
    assert verified_by(SignedNote(text, (*strangers, good)), [LOG]) == (LOG,)
    assert verified_by(SignedNote(text, tuple(strangers)), [LOG]) == ()


def test_a_failing_signature_of_a_known_key_condemns_the_note_in_any_place():
    text = CHECKPOINT.text()
    good, bad = sign_note(text, LOG, SECRET), NoteSignature(LOG.name, LOG.id, bytes(64))
    for signatures in ((good, bad), (bad, good)):
        with pytest.raises(ProofInvalid):
            verified_by(SignedNote(text, signatures), [LOG])


def test_one_signature_per_key_the_newer_wins():
    text = CHECKPOINT.text()
    first = cosign(text, WITNESS, WITNESS_SECRET, 1)
    second = cosign(text, WITNESS, WITNESS_SECRET, 2)
    note = SignedNote(text, (first,)).with_signatures([sign_note(text, LOG, SECRET), second])
    assert [timestamp_of(s) for s in note.signatures if s.name == WITNESS.name] == [2]
    assert len(note.signatures) == 2


def test_key_ids_differ_by_name_type_and_key():
    keys = [
        LOG,
        VerifierKey("other.example", ED25519, LOG.public),
        VerifierKey(LOG.name, COSIGNATURE_V1, LOG.public),
        VerifierKey(LOG.name, ED25519, WITNESS.public),
    ]
    assert len({key.id for key in keys}) == 4
    assert all(VerifierKey.parse(str(key)) == key for key in keys)


def vkey(name: str, key_id: str, material: bytes) -> str:
    return f"{name}+{key_id}+{base64.b64encode(material).decode()}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com/foo",
        "example.com/foo+530d903a",
        VKEY + "=",
        VKEY[:-1],
        VKEY.replace("530d903a", "530d903b"),
        VKEY.replace("530d903a", "530D903A"),
        VKEY.replace("530d903a", ""),
        VKEY.replace("foo", "bar"),
        "+" + VKEY.split("+", 1)[1],
        VKEY.replace("example.com/foo", "example.com/ foo"),
        VKEY.replace("example.com/foo", "example.com/\u00a0foo"),
        VKEY.replace("foo", "\ud800"),
        vkey("a", "00000000", b"\x02" + bytes(32)),
        vkey("a", "00000000", b"\x01" + bytes(31)),
        vkey("a", "00000000", b""),
        vkey("a", VerifierKey("a", 2, bytes(32)).id.hex(), b"\x02" + bytes(32)),
    ],
)
def test_bad_vkeys(text):
    with pytest.raises(Malformed):
        VerifierKey.parse(text)


LINE = NOTE.split("\n")[2]


@pytest.mark.parametrize(
    "data",
    [
        "",
        "\n",
        "text\n",
        "text\n\n",
        "text\n\n\n",
        f"text\n{LINE}\n",
        f"text\n\n{LINE}",
        f"text\r\n\n{LINE}\n",
        f"te\txt\n\n{LINE}\n",
        f"te\0xt\n\n{LINE}\n",
        f"text\n\n{LINE}\ngarbage\n",
        f"text\n\n{LINE.replace('—', '-')}\n",
        f"text\n\n{LINE.replace('— ', '—')}\n",
        f"text\n\n{LINE} \n",
        f"text\n\n{LINE.replace('=', '')}\n",
        f"text\n\n{LINE.replace('foo', 'fo+o')}\n",
        f"text\n\n{LINE.replace('foo', '')[:20]}\n",
        "text\n\n— a \n",
        "text\n\n— a AAAA\n",
        f"te\ud800xt\n\n{LINE}\n",
        f"text\n\n{LINE.replace('foo', 'fo' + chr(0xDFFF))}\n",
        "text\n\n" + f"{LINE}\n" * 129,
    ],
)
def test_bad_notes(data):
    with pytest.raises(Malformed):
        parse_note(data)


def test_the_text_ends_at_the_last_empty_line():
    note = parse_note(f"one\n\ntwo\n\n{LINE}\n")
    assert note.text == "one\n\ntwo\n"


def test_at_least_sixteen_signatures_are_accepted():
    assert len(parse_note("text\n\n" + f"{LINE}\n" * 128).signatures) == 128


@given(st.text())
def test_any_text_is_malformed_or_comes_back(text):
    for parse in (parse_note, Checkpoint.parse, VerifierKey.parse, notes.parse_signatures):
        with pytest.raises(Malformed):
            parse(text)


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"])),
    st.lists(st.binary(min_size=1, max_size=99), min_size=1, max_size=4),
)
def test_a_note_is_read_as_it_was_written(text, signatures):
    note = SignedNote(text + "\n", tuple(NoteSignature(f"n{i}", bytes(4), s) for i, s in enumerate(signatures)))
    assert parse_note(str(note)) == note


@given(st.integers(0, (1 << 63) - 1), st.binary(min_size=32, max_size=32))
def test_a_checkpoint_is_read_as_it_was_written(size, root):
    checkpoint = Checkpoint("log.example", size, root)
    assert Checkpoint.parse(checkpoint.text()) == checkpoint


ROOT = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "text",
    [
        f"log\n1\n{ROOT}",
        f"\n1\n{ROOT}\n",
        f"log\n01\n{ROOT}\n",
        f"log\n-1\n{ROOT}\n",
        f"log\n+1\n{ROOT}\n",
        f"log\n1.0\n{ROOT}\n",
        f"log\n\n{ROOT}\n",
        f"log\n{1 << 63}\n{ROOT}\n",
        f"log\n{'9' * 5000}\n{ROOT}\n",
        f"log\n١\n{ROOT}\n",
        f"log\n1\n{ROOT[:-1]}\n",
        f"log\n1\n{base64.b64encode(bytes(31)).decode()}\n",
        f"log\n1\n{ROOT[:-2]}B=\n",
        f"log\n1\n{ROOT}\nextension\n",
        f"log\n1\n{ROOT}\n\n",
    ],
)
def test_bad_checkpoints(text):
    with pytest.raises(Malformed):
        Checkpoint.parse(text)


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("7", 7), (str((1 << 63) - 1), (1 << 63) - 1)])
def test_good_decimals(text, value):
    assert parse_decimal(text) == value


def test_two_keys_of_one_name_and_id_do_not_shut_each_other_out(monkeypatch):
    """Who finds a key with another's id (four bytes) must not make the other's signatures fail."""
    monkeypatch.setattr(VerifierKey, "id", property(lambda _: b"same"))
    one, other = (VerifierKey("example.com/log", ED25519, signing.public_key(noise(n))) for n in (1, 2))
    for key, secret in ((one, noise(1)), (other, noise(2))):
        note = SignedNote("text\n", (sign_note("text\n", key, signing.expand(secret)),))
        assert verified_by(note, [one, other]) == (key,)
    with pytest.raises(ProofInvalid):
        verified_by(SignedNote("text\n", (sign_note("text\n", one, signing.expand(noise(3))),)), [one, other])
