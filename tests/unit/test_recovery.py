"""A new epoch from an agreed block: only by enough signatures, only from that very block, the same for every replay."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consortium.audit.auditor import Auditor
from consortium.crypto import signing
from consortium.errors import Tampering
from consortium.ledger.admission import open_entry, reopen
from consortium.ledger.recovery import agreed, signers, statement
from consortium.ledger.state import initial
from consortium.ledger.transition import transition
from consortium.model.blocks import KeptBlock, LogEntry
from consortium.model.public import Recovery, RecoverySignature
from consortium.model.verdicts import BatchRefusal, RecordRefusal
from tests.builders import Chain, make_genesis, make_head, make_public, make_record, sign_batch, signing_secret
from tests.fakes.store import MemoryStore

GENESIS = make_genesis(3)


def lived() -> Chain:
    """A ledger of a few blocks, whose log is then lost."""
    chain = Chain(GENESIS)
    for number, member in enumerate(("alpha", "bravo", "charlie", "alpha")):
        chain.add(member, [make_record(member, number)])
    return chain


def agreement(chain: Chain, *names: str, epoch: int = 2, **other) -> Recovery:
    state = chain.state
    place = {"epoch": epoch, "height": state.height, "block": state.digest} | other
    said = statement(GENESIS.network, GENESIS.channel, **place)
    signatures = tuple(
        RecoverySignature(member=name, signature=signing.sign(said, signing_secret(name))) for name in names
    )
    return Recovery(**place, signatures=signatures)


def opening(chain: Chain, member: str, recovery: Recovery, position: int = 2, sequence: int = 0) -> LogEntry:
    """A member's first batch of the new epoch."""
    chain.now_ms += 1000
    records = [make_public(member, f"recovery-{member}", recovery), make_record(member, f"new-{member}")]
    head = replace(make_head(GENESIS, member, sequence, chain.now_ms, records), epoch=recovery.epoch)
    return LogEntry(member, sequence, position, sign_batch(head, records))


def apply(state, entry: LogEntry):
    return transition(state, open_entry(state.governance, entry), ())


def test_the_first_batch_opens_the_epoch_and_numbers_begin_anew():
    chain = lived()
    recovery = agreement(chain, "alpha", "charlie")
    step = apply(chain.state, opening(chain, "bravo", recovery))
    assert not step.block.refusal
    assert len(step.accepted) == 2
    assert (step.block.epoch, step.block.height, step.block.previous) == (2, 5, chain.state.digest)
    state = step.state
    assert (state.governance.epoch, state.governance.epoch_since, state.position) == (2, 5, 2)
    assert [state.next_sequence(name) for name in ("alpha", "bravo", "charlie")] == [0, 1, 0]
    assert state.time_ms >= chain.state.time_ms
    after = apply(state, opening(chain, "alpha", recovery, position=3))
    assert not after.block.refusal
    assert len(after.accepted) == 2, "every member's first batch carries the agreement"


def test_a_replay_from_what_was_kept_comes_to_the_same():
    chain = lived()
    step = apply(chain.state, opening(chain, "bravo", agreement(chain, "alpha", "bravo", "charlie")))
    state = initial(GENESIS)
    for one in (*chain.steps, step):
        state = transition(state, reopen(state.governance, one.batch), ()).state
    assert state == step.state


@pytest.mark.parametrize(
    "names", [(), ("alpha",), ("alpha", "alpha"), ("alpha", "delta")], ids=["nobody", "one", "one twice", "a stranger"]
)
def test_too_few_signatures_open_nothing(names):
    chain = lived()
    recovery = agreement(chain, *(names or ("delta",)))
    assert not agreed(chain.state.governance, recovery)
    entry = replace(opening(chain, "bravo", recovery), sequence=1)
    assert open_entry(chain.state.governance, entry).refusal == BatchRefusal.MISPLACED


def test_a_signature_for_another_block_or_epoch_counts_nothing():
    chain = lived()
    good = agreement(chain, "alpha", "bravo")
    for wrong in ({"height": good.height - 1}, {"block": bytes(32)}, {"epoch": 3}):
        changed = Recovery(**{**{name: getattr(good, name) for name in Recovery.model_fields}, **wrong})
        assert signers(chain.state.governance, changed) == frozenset()


def test_another_end_of_the_ledger_stops_the_node():
    chain = lived()
    recovery = agreement(chain, "alpha", "bravo")
    chain.add("charlie", [make_record("charlie", "more")])
    with pytest.raises(Tampering, match="ends elsewhere"):
        apply(chain.state, opening(chain, "bravo", recovery))


def test_in_the_old_epoch_it_is_no_record():
    chain = lived()
    step = chain.add("alpha", [make_public("alpha", "early", agreement(chain, "alpha", "bravo"))])
    assert [r.verdict.reason for r in step.rejected] == [RecordRefusal.NOT_OPEN]


def test_after_the_opening_the_old_epoch_is_over():
    chain = lived()
    state = apply(chain.state, opening(chain, "bravo", agreement(chain, "alpha", "bravo"))).state
    records = [make_record("alpha", "late")]
    head = make_head(GENESIS, "alpha", 0, chain.now_ms, records)
    refused = open_entry(state.governance, LogEntry("alpha", 0, 9, sign_batch(head, records)))
    assert refused.refusal == BatchRefusal.MISPLACED


async def test_the_store_gives_the_state_back():
    chain, store = lived(), MemoryStore()
    step = apply(chain.state, opening(chain, "bravo", agreement(chain, "alpha", "bravo")))
    for one in (*chain.steps, step):
        await store.commit(one, ())
    assert await store.load(GENESIS) == step.state


def test_the_audit_of_a_ledger_with_two_epochs_holds_and_names_what_was_changed():
    chain = lived()
    step = apply(chain.state, opening(chain, "bravo", agreement(chain, "alpha", "bravo")))
    kept = [KeptBlock(one.block, one.batch) for one in (*chain.steps, step)]
    auditor = Auditor(GENESIS)
    assert [finding for block in kept for finding in auditor.feed(block).findings] == []
    auditor = Auditor(GENESIS)
    findings = [finding for block in (*kept[:-2], kept[-1]) for finding in auditor.feed(block).findings]
    assert findings
