"""The audit across rotations: keys count under the trees of their time, and whoever signs with another is named."""

from __future__ import annotations

import asyncio

import pytest

from consortium.audit.export import export
from consortium.audit.live import audit_store
from consortium.audit.offline import audit_export
from consortium.crypto.notes import COSIGNATURE_V1, ED25519, Checkpoint, SignedNote, VerifierKey, cosign, sign_note
from consortium.crypto.receipts import make_receipt, verify_receipt
from consortium.errors import ProofInvalid
from consortium.ledger.governance.terms import Keys, RotateKeys
from consortium.ledger.witnessing import trust_file, trust_policy
from consortium.model.members import Genesis
from consortium.pipeline.prove import Prover
from tests.builders import make_genesis, make_head, make_member, make_records, sign_batch, signing_secret
from tests.fakes.store import MemoryStore
from tests.unit.test_governance import Net, proposal

GENESIS = make_genesis(3)


def noted(chain, size: int, root: bytes, cosigners, log: str = "alpha") -> SignedNote:
    """A checkpoint; `cosigners` and `log` are names of the builders' keys: `bravo-2` are bravo's second ones."""
    text = Checkpoint(GENESIS.origin, size, root).text()
    logs = VerifierKey(GENESIS.origin, ED25519, make_member(log).keys.log)
    signatures = [sign_note(text, logs, signing_secret(log, "log"))]
    for name in cosigners:
        key = VerifierKey(f"{GENESIS.origin}/{name.partition('-')[0]}", COSIGNATURE_V1, make_member(name).keys.witness)
        signatures.append(cosign(text, key, signing_secret(name, "witness"), 1_497_484_800))
    return SignedNote(text, tuple(signatures))


class Rotated:
    """Ten records, then bravo rotates its keys, then ten more."""

    def __init__(self) -> None:
        net = Net(GENESIS)
        net.chain.add("alpha", make_records("alpha", 10))
        self.before = net.chain.state.tree
        net.write("bravo", proposal(RotateKeys(name="bravo", keys=Keys.of(make_member("bravo-2").keys))))
        self.at = net.chain.state.tree
        net.chain.add("alpha", make_records("alpha", 10, first=100))
        records = make_records("bravo", 3)
        head = make_head(GENESIS, "bravo", net.chain.state.next_sequence("bravo"), net.chain.now_ms, records)
        assert not net.chain.add_raw("bravo", sign_batch(head, records, signer="bravo-2")).block.refusal
        self.after, self.chain = net.chain.state.tree, net.chain

    async def store(self, *notes: SignedNote) -> MemoryStore:
        store = MemoryStore()
        for step in self.chain.steps:
            await store.commit(step, ())
        for note in notes:
            await store.save(note)
        return store

    def note(self, tree, *cosigners: str, log: str = "alpha") -> SignedNote:
        return noted(self.chain, tree.size, tree.root(), cosigners, log)


@pytest.fixture(scope="module")
def net() -> Rotated:
    return Rotated()


async def live(net: Rotated, *notes: SignedNote, trust=None):
    store = await net.store(*notes)
    return await audit_store(store, store, GENESIS, trust)


def exported(net: Rotated, directory, *notes: SignedNote, genesis: Genesis | None = None, trust=None):
    async def run():
        store = await net.store(*notes)
        policy = trust_file(net.chain.state.governance)
        await export(store, store, GENESIS, policy, directory)
        return audit_export(directory, trust, genesis=genesis)

    return asyncio.run(run())


def good(net: Rotated) -> tuple[SignedNote, ...]:
    """Before and after the rotation, each by two of three, bravo among them and once as the proposer."""
    return (
        net.note(net.before, "bravo", "charlie", log="bravo"),
        net.note(net.at, "alpha", "bravo-2"),
        net.note(net.after, "bravo-2", "charlie", log="bravo-2"),
    )


async def test_checkpoints_of_both_times_hold_live(net):
    report = await live(net, *good(net))
    assert (report.findings, report.witnessed_size) == ((), net.after.size)


def test_and_in_an_export_by_its_own_trust_by_the_old_and_by_the_new(net, tmp_path):
    """A trust file follows a member through its rotations."""
    new = trust_policy(net.chain.state.governance)
    for number, trust in enumerate((None, trust_policy(GENESIS), new)):
        directory = tmp_path / str(number)
        report = exported(net, directory, *good(net), genesis=GENESIS, trust=trust)
        assert (report.findings, report.witnessed_size) == ((), net.after.size)
        assert len(list((directory / "checkpoints").iterdir())) == 3


async def test_who_cosigns_late_does_so_with_its_new_key(net):
    report = await live(net, net.note(net.before, "bravo-2", "charlie"))
    assert (report.findings, report.witnessed_size) == ((), net.before.size)


@pytest.mark.parametrize("log", ["alpha", "bravo"])
async def test_a_replaced_key_under_a_later_tree_is_named(net, log):
    report = await live(net, net.note(net.after, "alpha", "bravo", "charlie", log=log))
    assert {finding.place for finding in report.findings} == {f"checkpoint of {net.after.size}"}
    assert all("a key of bravo signed it that block" in finding.sentence for finding in report.findings)
    assert len(report.findings) == (1 if log == "alpha" else 2)


async def test_a_replaced_key_makes_no_quorum(net):
    report = await live(net, net.note(net.after, "alpha", "bravo"))
    assert report.witnessed_size == 0
    for trust in (trust_policy(GENESIS), trust_policy(net.chain.state.governance)):
        assert (await live(net, net.note(net.after, "alpha", "bravo"), trust=trust)).witnessed_size == 0


def test_a_checkpoint_with_it_is_left_out_of_an_export(net, tmp_path):
    report = exported(net, tmp_path / "x", *good(net)[:2], net.note(net.after, "alpha", "bravo", "charlie"))
    assert (report.findings, report.witnessed_size) == ((), net.at.size)
    assert len(list((tmp_path / "x/checkpoints").iterdir())) == 2


def test_a_key_that_nobody_ever_had_in_the_exports_trust_file_is_named(net, tmp_path):
    exported(net, tmp_path / "x", *good(net))
    path = tmp_path / "x/trust.policy"
    strange = VerifierKey(f"{GENESIS.origin}/bravo", COSIGNATURE_V1, make_member("bravo-9").keys.witness)
    lines = [f"witness bravo {strange}" if "witness bravo " in line else line for line in path.read_text().split("\n")]
    path.write_text("\n".join(lines))
    assert any("is no member's" in finding.sentence for finding in audit_export(tmp_path / "x").findings)


async def test_a_receipt_of_an_old_record_is_made_under_a_checkpoint_by_keys_of_now(net):
    """The first checkpoint that covers it was signed by a key that the new trust file does not name."""
    old = net.note(net.before, "bravo", "charlie", log="bravo")
    new = net.note(net.after, "bravo-2", "charlie", log="bravo-2")
    store = await net.store(old, new)
    policy = trust_policy(net.chain.state.governance)
    prover = Prover(store, store, lambda: policy, lambda: net.chain.state)
    header = (await store.headers(2, 3))[0]
    receipt = await prover.receipt(2, header)
    assert verify_receipt(receipt, policy).checkpoint.size == net.after.size
    under_old = make_receipt(header, 2, await prover.inclusion(2, net.before.size), old)
    with pytest.raises(ProofInvalid):
        verify_receipt(under_old, policy)
    assert verify_receipt(under_old, trust_policy(GENESIS)).index == 2, "by the trust file of its time it still holds"
