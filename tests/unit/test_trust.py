"""Trust files (C2SP tlog-policy): what they say, and every line that says nothing."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortium.crypto import signing
from consortium.crypto.notes import (
    COSIGNATURE_V1,
    ED25519,
    Checkpoint,
    NoteSignature,
    SignedNote,
    VerifierKey,
    cosign,
    sign_note,
)
from consortium.crypto.trust import parse_policy, render_policy
from consortium.errors import Malformed, ProofInvalid
from tests.builders import noise

ORIGIN = "log.example/1"
LOG = VerifierKey(ORIGIN, ED25519, signing.public_key(noise("log")))
OTHER_LOG = VerifierKey(ORIGIN, ED25519, signing.public_key(noise("other log")))
NAMES = ("x1", "x2", "x3", "y1", "y2", "y3")
WITNESSES = {n: VerifierKey(f"{n}.example", COSIGNATURE_V1, signing.public_key(noise(n))) for n in NAMES}
TEXT = Checkpoint(ORIGIN, 9, noise("root")).text()


def note(*cosigners: str, log: str = "log", text: str = TEXT) -> SignedNote:
    signatures = [sign_note(text, LOG if log == "log" else OTHER_LOG, signing.expand(noise(log)))]
    signatures += [cosign(text, WITNESSES[n], signing.expand(noise(n)), 7) for n in cosigners]
    return SignedNote(text, tuple(signatures))


def policy_text(*lines: str, log: bool = True) -> str:
    keys = [f"witness {name} {key}" for name, key in WITNESSES.items()]
    return "\n".join([f"log {LOG}"] * log + [*keys, *lines, ""])


# tlog-policy, "Example policy"
EXAMPLE = policy_text(
    "group X-witnesses 2 x1 x2 x3",
    "group Y-witnesses any y1 y2 y3",
    "group X-and-Y all X-witnesses Y-witnesses",
    "quorum X-and-Y",
)


@pytest.mark.parametrize("count", range(7))
def test_the_specifications_example_accepts_exactly_its_quorums(count):
    policy = parse_policy(EXAMPLE)
    for cosigners in combinations(NAMES, count):
        enough = sum(n[0] == "x" for n in cosigners) >= 2 and any(n[0] == "y" for n in cosigners)
        if enough:
            assert policy.verify(note(*cosigners)) == Checkpoint.parse(TEXT)
        else:
            with pytest.raises(ProofInvalid, match=", ".join(sorted(cosigners)) or "nobody"):
                policy.verify(note(*cosigners))


@given(st.sets(st.sampled_from(NAMES)), st.integers(1, 6))
def test_a_threshold_counts(cosigners, needed):
    policy = parse_policy(render_policy(ORIGIN, [LOG, OTHER_LOG], WITNESSES, needed))
    if len(cosigners) >= needed:
        assert policy.verify(note(*cosigners)).size == 9
        assert policy.verify(note(*cosigners, log="other log")).size == 9
    else:
        with pytest.raises(ProofInvalid):
            policy.verify(note(*cosigners))


def test_a_witness_that_signs_twice_counts_once():
    twice = note("x1").with_signatures([])
    twice = SignedNote(TEXT, (*twice.signatures, cosign(TEXT, WITNESSES["x1"], signing.expand(noise("x1")), 8)))
    with pytest.raises(ProofInvalid):
        parse_policy(render_policy(ORIGIN, [LOG], WITNESSES, 2)).verify(twice)


def test_any_of_the_listed_logs_will_do_and_no_other():
    both = parse_policy(render_policy(ORIGIN, [LOG, OTHER_LOG], WITNESSES, 1))
    only = parse_policy(render_policy(ORIGIN, [LOG], WITNESSES, 1))
    assert both.verify(note("x1", log="other log")).size == 9
    with pytest.raises(ProofInvalid, match="no listed log"):
        only.verify(note("x1", log="other log"))


def test_an_origin_that_no_log_has_is_refused():
    with pytest.raises(ProofInvalid, match="lists no log"):
        parse_policy(EXAMPLE).verify(note("x1", "x2", "y1", text=Checkpoint("other", 9, bytes(32)).text()))


def test_a_bad_cosignature_condemns_a_note_that_had_a_quorum_without_it():
    bad = note("x1", "x2", "y1")
    bad = SignedNote(TEXT, (*bad.signatures, NoteSignature("y2.example", WITNESSES["y2"].id, bytes(72))))
    with pytest.raises(ProofInvalid, match="y2"):
        parse_policy(EXAMPLE).verify(bad)


def test_a_quorum_of_none_or_of_one_witness():
    assert parse_policy(policy_text("quorum none")).verify(note()).size == 9
    single = parse_policy(policy_text("quorum x2"))
    assert single.verify(note("x2")).size == 9
    with pytest.raises(ProofInvalid):
        single.verify(note("x1"))
    with pytest.raises(ProofInvalid):
        parse_policy(policy_text("quorum none")).verify(SignedNote(TEXT, note().signatures[:0]))


def test_comments_blanks_urls_and_tabs_are_as_the_specification_has_them():
    text = (
        f"# a comment\n\n \t # another\n\tlog\t{LOG}  https://log.example \n"
        f"witness x1 {WITNESSES['x1']} https://w.example\nquorum x1"
    )
    policy = parse_policy(text)
    assert policy.logs == (LOG,)
    assert policy.verify(note("x1")).size == 9


GOOD_LINES = EXAMPLE.split("\n")
OTHER_NAME = VerifierKey("another.example", ED25519, LOG.public)
BAD_LINES = {
    "an unknown word": "logs abc",
    "a log without a key": "log",
    "a log with too much": f"log {OTHER_LOG} url more",
    "a log with a witness's key": f"log {VerifierKey('w', COSIGNATURE_V1, noise('k'))}",
    "a log with a bad vkey": "log abc+def+ghi",
    "a log twice": f"log {LOG}",
    "a log's key under another name": f"log {OTHER_NAME}",
    "a witness without a key": "witness w",
    "a witness with a log's key": f"witness w {VerifierKey('w', ED25519, noise('k'))}",
    "a witness's key twice": f"witness w {WITNESSES['x1']}",
    "a witness's name twice": f"witness x1 {VerifierKey('w', COSIGNATURE_V1, noise('k'))}",
    "a witness called none": f"witness none {VerifierKey('w', COSIGNATURE_V1, noise('k'))}",
    "a witness with a group's name": f"witness X-and-Y {VerifierKey('w', COSIGNATURE_V1, noise('k'))}",
    "a group without members": "group g 1",
    "a group of an unknown name": "group g any z9",
    "a group of itself": "group g any g",
    "a group of none": "group g any none",
    "a group with a threshold of 0": "group g 0 x1",
    "a group with a threshold too high": "group g 2 X-and-Y",
    "a group with a negative threshold": "group g -1 X-and-Y",
    "a group with a threshold in other digits": "group g ١ X-and-Y",
    "a group with a word for a threshold": "group g most X-and-Y",
    "a group with a threshold of thousands of digits": f"group g {'9' * 5000} X-and-Y",
    "a member of two groups": "group g any x1",
    "a member twice in a group": "group g any X-and-Y X-and-Y",
    "a group's name twice": "group X-and-Y any X-and-Y",
    "a group called none": "group none any X-and-Y",
    "a second quorum": "quorum none",
    "a quorum of two": "quorum x1 x2",
    "a carriage return": "quorum none\r",
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_each_bad_line_is_named_by_its_number(name):
    parse_policy("\n".join(GOOD_LINES))
    with pytest.raises(Malformed, match=rf"line {len(GOOD_LINES)}: "):
        parse_policy("\n".join([*GOOD_LINES[:-1], BAD_LINES[name]]))


@pytest.mark.parametrize("text", ["", "# nothing\n", policy_text()])
def test_a_policy_has_a_quorum(text):
    with pytest.raises(Malformed, match="quorum"):
        parse_policy(text)


def test_a_quorum_must_be_defined_above():
    with pytest.raises(Malformed, match="line 1"):
        parse_policy("quorum x1\n" + policy_text())


def test_at_least_32_of_each_are_supported_and_there_is_an_end():
    def many(count):
        keys = [VerifierKey(f"w{n}", COSIGNATURE_V1, noise("w", n)) for n in range(count)]
        return "\n".join([*(f"witness w{n} {k}" for n, k in enumerate(keys)), "quorum none"])

    assert len(parse_policy(many(256)).witnesses) == 256
    with pytest.raises(Malformed):
        parse_policy(many(257))


@given(st.text())
def test_any_text_is_malformed(text):
    with pytest.raises(Malformed):
        parse_policy(text)
