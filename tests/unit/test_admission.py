"""Admission: every way in which a batch or a record can be bad has its word, in a fixed order, and nothing raises."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consortium.crypto.hashing import sha256
from consortium.ledger.admission import OpenedBatch, evidence_of, open_entry, reopen
from consortium.ledger.state import initial
from consortium.ledger.transition import transition
from consortium.model.batches import MAX_BATCH_BYTES, MAX_BATCH_RECORDS, WireRecord, parse_batch
from consortium.model.blocks import LogEntry
from consortium.model.encoding import encode
from consortium.model.verdicts import EVIDENCE_NEEDED, BatchRefusal, RecordRefusal
from tests.builders import (
    T0,
    broken_body,
    broken_header,
    broken_wraps,
    make_batch,
    make_head,
    make_record,
    make_records,
    noise,
    sign_batch,
)
from tests.random_logs import GENESIS, cook, logs, replace_id

RECORDS = make_records("alpha", 3)
HEAD = make_head(GENESIS, "alpha", 0, T0, RECORDS)


def opened(data: bytes, member: str = "alpha", sequence: int = 0) -> OpenedBatch:
    return open_entry(GENESIS, LogEntry(member, sequence, 7, data))


def test_a_good_batch_is_opened_whole():
    data = sign_batch(HEAD, RECORDS)
    batch = opened(data)
    assert batch.refusal is None
    assert batch.head == HEAD
    assert [r.header for r in batch.records] == [r.header for r in RECORDS]
    assert [r.wire.bodies for r in batch.records] == [r.bodies for r in RECORDS]
    assert batch.ids() == [r.header.id for r in RECORDS]
    wire = parse_batch(data)
    assert batch.digest == sha256(wire.head + wire.signature)
    assert batch.raw == b""


def test_a_heartbeat_is_a_good_batch():
    assert opened(make_batch(GENESIS, "alpha", 0, T0)).refusal is None


def foreign(**changes) -> bytes:
    return sign_batch(replace(HEAD, **changes), RECORDS, signer="alpha")


GOOD = sign_batch(HEAD, RECORDS)
REFUSED = {
    "one byte too large": (BatchRefusal.TOO_LARGE, bytes(MAX_BATCH_BYTES + 1)),
    "nothing": (BatchRefusal.MALFORMED, b""),
    "garbage": (BatchRefusal.MALFORMED, noise("garbage", size=500)),
    "as large as may be": (BatchRefusal.MALFORMED, bytes(MAX_BATCH_BYTES)),
    "truncated": (BatchRefusal.MALFORMED, GOOD[:-1]),
    "trailing byte": (BatchRefusal.MALFORMED, GOOD + b"\0"),
    "another CBOR value": (BatchRefusal.MALFORMED, encode({"a": 1})),
    "a head that is none": (BatchRefusal.MALFORMED, encode([b"head", bytes(64), []])),
    "too many records": (BatchRefusal.MALFORMED, foreign(count=MAX_BATCH_RECORDS + 1)),
    "signed for another": (BatchRefusal.MISPLACED, foreign(member="bravo")),
    "another network": (BatchRefusal.MISPLACED, foreign(network="other")),
    "another channel": (BatchRefusal.MISPLACED, foreign(channel="other")),
    "another epoch": (BatchRefusal.MISPLACED, foreign(epoch=2)),
    "another sequence": (BatchRefusal.MISPLACED, foreign(sequence=1)),
    "somebody else's signature": (BatchRefusal.BAD_SIGNATURE, sign_batch(HEAD, RECORDS, signer="bravo")),
    "a signature of zeros": (BatchRefusal.BAD_SIGNATURE, encode([HEAD.encoded(), bytes(64), []])),
    "one too few": (BatchRefusal.WRONG_COUNT, sign_batch(HEAD, RECORDS[:2])),
    "one too many": (BatchRefusal.WRONG_COUNT, sign_batch(HEAD, [*RECORDS, RECORDS[0]])),
    "another order": (BatchRefusal.WRONG_ROOT, sign_batch(HEAD, RECORDS[::-1])),
    "another record": (BatchRefusal.WRONG_ROOT, sign_batch(HEAD, make_records("alpha", 3, first=1))),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_batch_gets_its_word(name):
    refusal, data = REFUSED[name]
    batch = opened(data)
    assert batch.refusal == refusal
    assert (batch.head, batch.records, batch.ids()) == (None, (), [])
    assert batch.digest == sha256(data)
    assert batch.raw == data


def test_an_unknown_member_is_refused():
    assert opened(GOOD, member="nobody").refusal == BatchRefusal.UNKNOWN_MEMBER
    assert opened(GOOD, member="").refusal == BatchRefusal.UNKNOWN_MEMBER


def test_a_key_of_another_member_or_sequence_is_misplaced():
    assert opened(GOOD, member="bravo").refusal == BatchRefusal.MISPLACED
    assert opened(GOOD, sequence=1).refusal == BatchRefusal.MISPLACED


def test_every_word_for_a_batch_is_covered_here():
    assert {r for r, _ in REFUSED.values()} | {BatchRefusal.UNKNOWN_MEMBER} == set(BatchRefusal)


def test_the_order_of_the_checks_is_the_documented_one():
    """Each entry is bad in its own way and in all the later ones."""
    wrong_root = replace(HEAD, root=bytes(32))
    wrong_count = replace(wrong_root, count=9)
    steps = [
        ("alpha", sign_batch(wrong_root, RECORDS), BatchRefusal.WRONG_ROOT),
        ("alpha", sign_batch(wrong_count, RECORDS), BatchRefusal.WRONG_COUNT),
        ("alpha", sign_batch(wrong_count, RECORDS, signer="bravo"), BatchRefusal.BAD_SIGNATURE),
        ("alpha", sign_batch(replace(wrong_count, epoch=3), RECORDS, signer="bravo"), BatchRefusal.MISPLACED),
        ("nobody", sign_batch(replace(wrong_count, epoch=3), RECORDS, signer="bravo"), BatchRefusal.UNKNOWN_MEMBER),
        ("nobody", b"\xff", BatchRefusal.MALFORMED),
        ("nobody", b"\xff" * (MAX_BATCH_BYTES + 1), BatchRefusal.TOO_LARGE),
    ]
    for member, data, refusal in steps:
        assert opened(data, member).refusal == refusal


BODIES = {
    "changed": broken_body,
    "missing": lambda r: replace(r, bodies=r.bodies[:-1]),
    "too many": lambda r: replace(r, bodies=(*r.bodies, b"")),
    "cut": lambda r: replace(r, bodies=(r.bodies[0][:-1], *r.bodies[1:])),
    "swapped": lambda r: replace(r, bodies=r.bodies[::-1]),
}
FAULTS = {
    "not a header": (RecordRefusal.MALFORMED_HEADER, broken_header),
    "empty header": (RecordRefusal.MALFORMED_HEADER, lambda r: replace(r, header_bytes=b"")),
    "another's record": (RecordRefusal.WRONG_AUTHOR, lambda r: make_record("bravo", 0)),
    "from the future": (RecordRefusal.CREATED_AFTER_BATCH, lambda r: make_record("alpha", 0, created_ms=T0 + 1)),
    "wraps changed": (RecordRefusal.WRONG_WRAPS, broken_wraps),
    "no wraps": (RecordRefusal.WRONG_WRAPS, lambda r: replace(r, wraps=b"")),
    **{f"body {name}": (RecordRefusal.WRONG_CIPHERTEXT, change) for name, change in BODIES.items()},
    "body and wraps": (RecordRefusal.WRONG_CIPHERTEXT, lambda r: broken_wraps(broken_body(r))),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_record_gets_its_word_and_the_others_stand(name):
    reason, change = FAULTS[name]
    records = [make_record("alpha", 1), change(make_record("alpha", 2, sections=2)), make_record("alpha", 3)]
    batch = opened(make_batch(GENESIS, "alpha", 0, T0, records))
    assert batch.refusal is None
    assert [r.fault for r in batch.records] == [None, reason, None]
    evidence = evidence_of(batch.records[1], reason)
    assert (evidence != b"") == (reason in EVIDENCE_NEEDED)
    if evidence:
        wire = WireRecord(records[1].header_bytes, records[1].bodies, records[1].wraps)
        assert evidence == wire.encoded()


def test_a_size_class_that_is_not_the_bodys_is_a_wrong_ciphertext():
    record = make_record("alpha", 1)
    seal = replace(record.header.sections[0], size_class=257)
    header = replace(record.header, sections=(seal,))
    batch = opened(make_batch(GENESIS, "alpha", 0, T0, [replace(record, header=header, header_bytes=header.encoded())]))
    assert [r.fault for r in batch.records] == [RecordRefusal.WRONG_CIPHERTEXT]


def test_created_at_the_batchs_own_time_is_in_time():
    assert [r.fault for r in opened(sign_batch(HEAD, RECORDS)).records] == [None] * 3


DECIDED = {
    RecordRefusal.MALFORMED_BODY,
    RecordRefusal.NOT_ENTITLED,
    RecordRefusal.NO_SUCH_SUBJECT,
    RecordRefusal.NOT_OPEN,
    RecordRefusal.ALREADY_DONE,
    RecordRefusal.CONFLICT,
}
"""What is refused by what stands decided: see test_governance."""


def test_every_word_for_a_record_is_covered_here():
    assert {r for r, _ in FAULTS.values()} | {RecordRefusal.DUPLICATE_ID} == set(RecordRefusal) - DECIDED


@settings(max_examples=200)
@given(st.binary(max_size=400), st.sampled_from(["alpha", "", "nobody", "\ud800"]), st.integers(0, 5))
def test_random_bytes_are_a_verdict(data, member, sequence):
    assert opened(data, member, sequence).refusal == BatchRefusal.MALFORMED


@settings(max_examples=200)
@given(st.data())
def test_a_changed_byte_of_a_batch_is_a_verdict(data):
    """Whatever is changed, the records that come out accepted are the ones that were signed."""
    changed = bytearray(GOOD)
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    batch = opened(bytes(changed))
    if batch.refusal is None:
        assert [r.header_bytes for r in batch.records] == [r.header_bytes for r in RECORDS]
        faults = [r.fault for r in batch.records if r.fault]
        assert faults in ([RecordRefusal.WRONG_CIPHERTEXT], [RecordRefusal.WRONG_WRAPS])


@settings(max_examples=80, deadline=None)
@given(logs)
def test_what_was_kept_gives_the_same_blocks_as_the_log(recipes):
    """Catch-up, export and audit apply kept batches, the node applied the log: nobody may ever see a difference."""
    chain = cook(recipes)
    state, taken = initial(GENESIS), set()
    for step in chain.steps:
        again = transition(state, reopen(GENESIS, step.batch), taken)
        assert again == step
        state = again.state
        taken |= {r.verdict.id for r in again.accepted}


@pytest.mark.parametrize("change", [broken_body, broken_wraps])
def test_evidence_is_bound_to_the_block(change):
    """Nothing signed covers a bad ciphertext: the block's digest must, or it could be changed afterwards."""
    chain = cook([])
    step = chain.add("alpha", [make_record("alpha", 1), change(make_record("alpha", 2))])
    (item,) = step.batch.evidence
    evidence = bytearray(step.batch.evidence[item])
    evidence[-20] ^= 1
    forged = replace(step.batch, evidence={item: bytes(evidence)})
    again = transition(initial(GENESIS), reopen(GENESIS, forged), ())
    assert again.block.rejections == step.block.rejections
    assert again.block.digest() != step.block.digest()


def test_evidence_that_was_lost_changes_the_verdict():
    chain = cook([])
    step = chain.add("alpha", [broken_body(make_record("alpha", 2))])
    again = transition(initial(GENESIS), reopen(GENESIS, replace(step.batch, evidence={})), ())
    assert again.block.rejections == ()
    assert again.block.root != step.block.root


def test_one_id_twice_in_a_batch_counts_once():
    first, second = make_record("alpha", 1), make_record("alpha", 2)
    batch = opened(make_batch(GENESIS, "alpha", 0, T0, [first, replace_id(second, first)]))
    assert batch.ids() == [first.header.id] * 2
