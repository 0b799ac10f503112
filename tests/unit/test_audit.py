"""The offline audit: a sound export passes, and whatever is changed in one is named."""

from __future__ import annotations

import asyncio
import hashlib
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from consortium.audit.auditor import Auditor
from consortium.audit.export import export
from consortium.audit.ids import IdSet
from consortium.audit.layout import tile_path
from consortium.audit.manifest import Manifest
from consortium.audit.offline import audit_export
from consortium.audit.report import MAX_FINDINGS, AuditReport
from consortium.crypto.merkle import Tree, leaf_hash
from consortium.crypto.notes import Checkpoint, parse_note
from consortium.crypto.trust import parse_policy
from consortium.errors import InvalidRequest
from consortium.ledger.witnessing import trust_file, trust_policy
from consortium.model.blocks import KeptBlock
from consortium.model.kept import decode_kept_block, encode_kept_block
from consortium.model.verdicts import RecordRefusal
from tests.auditing import checkpoint, exported, filled_store
from tests.builders import (
    Chain,
    broken_body,
    broken_header,
    broken_wraps,
    make_genesis,
    make_record,
    make_records,
    noise,
)
from tests.random_logs import GENESIS, cook, logs


def rich_chain() -> Chain:
    """All sorts of blocks, and enough records for two full tiles and a partial one."""
    chain = Chain(GENESIS)
    chain.add("alpha", make_records("alpha", 290))
    chain.add("bravo", [make_record("bravo", 1), broken_body(make_record("bravo", 2)), make_record("bravo", 3)])
    chain.add_raw("charlie", b"garbage")
    chain.add("charlie")
    chain.add_raw("stranger", b"who?", sequence=4)
    chain.add("alpha", [broken_header(make_record("alpha", "h")), make_record("alpha", "g")])
    chain.add("bravo", [make_record("bravo", "w", sections=2), broken_wraps(make_record("bravo", "v"))])
    chain.add("charlie", make_records("charlie", 240))
    chain.add("alpha", [make_record("alpha", "again", id=chain.steps[0].accepted[0].verdict.id)])
    chain.add("bravo", [make_record("bravo", 9)])
    return chain


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """An export that nobody may change."""
    directory = tmp_path_factory.mktemp("sound") / "export"
    exported(rich_chain(), directory, per_file=4)
    return directory


@pytest.fixture
def copy(sound, tmp_path) -> Path:
    """An export to spoil."""
    return Path(shutil.copytree(sound, tmp_path / "export"))


def files_of(directory: Path) -> list[str]:
    return sorted(p.relative_to(directory).as_posix() for p in directory.rglob("*") if p.is_file())


def places(report: AuditReport) -> list[str]:
    return [finding.place for finding in report.findings]


def resign(directory: Path) -> None:
    """What a careful forger does: make the manifest fit the files again."""
    manifest = Manifest.from_json((directory / "manifest.json").read_text())
    names = [n for n in files_of(directory) if n != "manifest.json"]
    files = {n: hashlib.sha256((directory / n).read_bytes()).hexdigest() for n in names}
    (directory / "manifest.json").write_text(replace(manifest, files=files).to_json())


def stored_blocks(directory: Path) -> list[KeptBlock]:
    blocks = []
    for path in sorted((directory / "blocks").iterdir()):
        data = path.read_bytes()
        while data:
            length = int.from_bytes(data[:4], "big")
            blocks.append(decode_kept_block(data[4 : 4 + length]))
            data = data[4 + length :]
    return blocks


def write_blocks(directory: Path, blocks: list[KeptBlock], per_file: int = 4) -> None:
    for path in (directory / "blocks").iterdir():
        path.unlink()
    for start in range(0, len(blocks), per_file):
        items = [encode_kept_block(kept) for kept in blocks[start : start + per_file]]
        data = b"".join(len(item).to_bytes(4, "big") + item for item in items)
        (directory / f"blocks/{start // per_file + 1:06d}.cbor").write_bytes(data)


def forge(directory: Path, height: int, change) -> AuditReport:
    """Audit with one block changed and the manifest made to fit."""
    blocks = stored_blocks(directory)
    blocks[height - 1] = change(blocks[height - 1])
    write_blocks(directory, blocks)
    resign(directory)
    return audit_export(directory)


# --- sound exports ---


def test_a_sound_export_passes(sound):
    chain, report = rich_chain(), audit_export(sound)
    assert report.findings == ()
    assert report.sound
    assert (report.network, report.height, report.size) == ("testnet", 10, chain.state.tree.size)
    assert (report.root, report.digest) == (chain.state.tree.root(), chain.state.digest)
    assert report.witnessed_size == report.size


def test_everything_refused_is_listed_with_block_record_and_reason(sound):
    chain = rich_chain()
    refused = {(r.height, r.item, r.member, r.reason) for r in audit_export(sound).refused}
    assert refused == {
        (2, 1, "bravo", "wrong-ciphertext"),
        (3, None, "charlie", "malformed"),
        (5, None, "stranger", "malformed"),
        (6, 0, "alpha", "malformed-header"),
        (7, 1, "bravo", "wrong-wraps"),
        (9, 0, "alpha", "duplicate-id"),
    }
    by_place = {(r.height, r.item): r.id for r in audit_export(sound).refused}
    assert by_place[9, 0] == chain.steps[0].accepted[0].verdict.id
    assert by_place[6, 0] == b""


def test_the_layout_is_that_of_tlog_tiles(sound):
    names = files_of(sound)
    assert [n for n in names if n.startswith("tile/")] == [
        "tile/0/000",
        "tile/0/001",
        f"tile/0/002.p/{rich_chain().state.tree.size - 512}",
        "tile/1/000.p/2",
    ]
    assert [n for n in names if n.startswith("blocks/")] == [f"blocks/00000{n}.cbor" for n in (1, 2, 3)]
    assert len([n for n in names if n.startswith("checkpoints/")]) == 4
    assert {"genesis.json", "trust.policy", "manifest.json", "checkpoint"} <= set(names)
    assert Checkpoint.parse(parse_note((sound / "checkpoint").read_text()).text).size == audit_export(sound).size


def test_tile_paths_are_those_of_the_specification():
    assert tile_path(0, 1234067) == "tile/0/x001/x234/067"
    assert tile_path(3, 0, 5) == "tile/3/000.p/5"
    assert tile_path(1, 999) == "tile/1/999"
    assert tile_path(1, 1000) == "tile/1/x001/000"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(logs)
def test_an_export_of_any_ledger_passes(tmp_path_factory, recipes):
    chain, directory = cook(recipes), tmp_path_factory.mktemp("any") / "export"
    exported(chain, directory, per_file=3)
    report = audit_export(directory, trust_policy(GENESIS), genesis=GENESIS)
    assert report.findings == ()
    assert (report.height, report.digest) == (len(recipes), chain.state.digest)
    expected = sum(1 if s.block.refusal else len(s.rejected) for s in chain.steps)
    assert len(report.refused) == expected
    shutil.rmtree(directory)


def test_an_export_reports_progress_and_its_sizes(tmp_path):
    chain, seen = rich_chain(), []

    async def run():
        store = await filled_store(chain, [10])
        return await export(
            store, store, GENESIS, trust_file(GENESIS), tmp_path / "x", progress=lambda a, b: seen.append((a, b))
        )

    summary = asyncio.run(run())
    assert (summary.height, summary.size, summary.checkpoints) == (10, chain.state.tree.size, 1)
    assert summary.files == len(files_of(tmp_path / "x"))
    assert seen[-1] == (10, 10)
    steps = []
    audit_export(tmp_path / "x", progress=lambda a, b: steps.append((a, b)))
    assert steps == [(n, 10) for n in range(1, 11)]


def test_an_export_goes_into_an_empty_folder_only(sound):
    async def run():
        store = await filled_store(rich_chain())
        await export(store, store, GENESIS, trust_file(GENESIS), sound)

    with pytest.raises(InvalidRequest):
        asyncio.run(run())


def test_a_checkpoint_older_than_the_end_has_its_partial_tiles(tmp_path):
    chain = rich_chain()
    exported(chain, tmp_path / "x", cosigned=[8])
    assert audit_export(tmp_path / "x").findings == ()
    size = chain.steps[7].block.size
    assert (tmp_path / "x" / f"tile/0/002.p/{size % 256}").is_file()
    assert audit_export(tmp_path / "x").witnessed_size == size < chain.state.tree.size


# --- changed bytes ---


def test_a_changed_byte_in_any_file_is_named(sound, copy):
    """Positions at random and both ends; the name of the file (or of what is in it) must stand in a finding."""
    rng = random.Random(7)
    for name in files_of(sound):
        data = (sound / name).read_bytes()
        for at in {0, len(data) - 1, *(rng.randrange(len(data)) for _ in range(4))}:
            changed = bytearray(data)
            changed[at] ^= 1 << rng.randrange(8)
            (copy / name).write_bytes(bytes(changed))
            assert name in places(audit_export(copy)), f"{name}, byte {at}"
        (copy / name).write_bytes(data)
    assert audit_export(copy).sound


def test_a_file_that_is_missing_cut_or_too_many_is_named(sound, copy):
    for name in files_of(sound):
        data = (sound / name).read_bytes()
        (copy / name).unlink()
        assert name in places(audit_export(copy))
        (copy / name).write_bytes(data[:-1])
        assert name in places(audit_export(copy))
        (copy / name).write_bytes(data + b"\0")
        assert name in places(audit_export(copy))
        (copy / name).write_bytes(data)
    (copy / "tile/0/005").write_bytes(bytes(8192))
    (copy / "readme.txt").write_text("hello")
    assert set(places(audit_export(copy))) == {"tile/0/005", "readme.txt"}
    resign(copy)
    assert places(audit_export(copy)) == ["tile/0/005"], "the tree has no such tile"


def test_an_empty_folder_is_no_export(tmp_path):
    assert set(places(audit_export(tmp_path))) == {"manifest.json", "genesis.json"}


# --- forgers, who make the manifest fit: each field of each block ---

FIELDS = {
    "height": 77,
    "previous": noise("x"),
    "epoch": 2,
    "position": 10_000,
    "member": "bravo",
    "sequence": 5,
    "batch_digest": noise("x"),
    "batch_created_ms": 5,
    "time_ms": 5,
    "refusal": "malformed",
    "count": 5,
    "rejections": ((2, "wrong-author"),),
    "size": 100_000,
    "root": noise("x"),
}


def changed_field(field: str):
    def change(kept: KeptBlock) -> KeptBlock:
        value = "alpha" if getattr(kept.block, field) == "bravo" else FIELDS[field]
        block = replace(kept.block, **{field: value})
        batch = replace(kept.batch, member=block.member, sequence=block.sequence, position=block.position)
        return KeptBlock(block, batch)

    return change


@pytest.mark.parametrize("height", [1, 2, 8])
@pytest.mark.parametrize("field", FIELDS)
def test_each_changed_field_of_a_block_is_named_and_gives_few_findings(copy, field, height):
    report = forge(copy, height, changed_field(field))
    named = [f for f in report.findings if f"block {height}" in f"{f.place}: {f.sentence}"]
    assert named, report.findings
    assert len(report.findings) <= 4, [str(f) for f in report.findings]
    assert report.size == rich_chain().state.tree.size, "the audit found its way to the end"
    if field not in ("member", "sequence", "position", "rejections"):
        assert any(field in f.sentence for f in named)
    if field == "rejections":
        assert any(f.item == 2 for f in report.findings)


def test_the_last_blocks_position_is_bound_by_the_manifest_alone(copy):
    report = forge(copy, 10, changed_field("position"))
    assert places(report) == ["manifest.json"]
    assert "digest" in report.findings[0].sentence


def test_a_changed_header_of_a_record_is_named_by_record(copy):
    def change(kept):
        headers = list(kept.batch.headers)
        headers[17] = make_record("alpha", "forged").header_bytes
        return replace(kept, batch=replace(kept.batch, headers=tuple(headers)))

    report = forge(copy, 1, change)
    assert [(f.height, f.item) for f in report.findings] == [(1, 17), (1, None)]
    assert "leaf 17" in report.findings[0].sentence
    assert "wrong-root" in report.findings[1].sentence


def test_a_changed_header_of_a_rejected_record_is_named_by_record(copy):
    def change(kept):
        headers = [
            make_record("bravo", "forged").header_bytes if n == 1 else h for n, h in enumerate(kept.batch.headers)
        ]
        return replace(kept, batch=replace(kept.batch, headers=tuple(headers)))

    assert [(f.height, f.item) for f in forge(copy, 2, change).findings] == [(2, 1)]


@pytest.mark.parametrize("at", [-1, 10, 150])
def test_changed_evidence_is_named(copy, at):
    def change(kept):
        evidence = bytearray(kept.batch.evidence[1])
        evidence[at] ^= 1
        return replace(kept, batch=replace(kept.batch, evidence={1: bytes(evidence)}))

    report = forge(copy, 2, change)
    assert {f.height for f in report.findings} == {2}
    assert any("evidence" in f.sentence or f.item == 1 for f in report.findings)


def test_evidence_that_was_taken_out_or_put_in_is_named(copy):
    blocks = stored_blocks(copy)

    def strip(kept):
        return replace(kept, batch=replace(kept.batch, evidence={}))

    report = forge(copy, 2, strip)
    assert (2, 1) in [(f.height, f.item) for f in report.findings]
    assert report.size == rich_chain().state.tree.size
    write_blocks(copy, blocks)

    def add(kept):
        return replace(kept, batch=replace(kept.batch, evidence={**kept.batch.evidence, 2: b"lies"}))

    assert [(f.height, f.item) for f in forge(copy, 2, add).findings] == [(2, 2)]


def test_changed_head_signature_and_raw_are_named(copy):
    blocks = stored_blocks(copy)
    changes = {
        1: lambda k: replace(k, batch=replace(k.batch, signature=bytes(64))),
        4: lambda k: replace(k, batch=replace(k.batch, head=k.batch.head[:-1] + b"!")),
        8: lambda k: replace(k, batch=replace(k.batch, head=b"")),
        3: lambda k: replace(k, batch=replace(k.batch, raw=b"garbagf")),
    }
    for height, change in changes.items():
        report = forge(copy, height, change)
        assert {f.height for f in report.findings} == {height}
        assert report.size == rich_chain().state.tree.size
        write_blocks(copy, blocks)


def test_a_good_batch_that_is_kept_as_refused_is_named(copy):
    """A node that wants a competitor's batch away: it says that it was refused."""
    chain = rich_chain()

    def change(kept):
        return replace(
            kept,
            block=replace(kept.block, refusal="bad-signature", count=0, size=kept.block.size - 1),
            batch=replace(kept.batch, head=b"", signature=b"", headers=(), raw=chain.entries[9].data),
        )

    report = forge(copy, 10, change)
    assert any("refusal" in f.sentence and f.height == 10 for f in report.findings)


def test_a_verdict_that_was_made_up_is_named_by_record(copy):
    def change(kept):
        block = replace(kept.block, rejections=(*kept.block.rejections, (2, RecordRefusal.DUPLICATE_ID)))
        return replace(kept, block=block)

    report = forge(copy, 2, change)
    assert [(f.height, f.item) for f in report.findings] == [(2, 2)]
    assert "duplicate-id" in report.findings[0].sentence
    assert "accepted" in report.findings[0].sentence


def test_a_missing_block_is_named_and_the_rest_is_still_checked(copy):
    blocks = stored_blocks(copy)
    for height in range(1, 10):
        write_blocks(copy, [*blocks[: height - 1], *blocks[height:]])
        resign(copy)
        report = audit_export(copy)
        assert f"block {height}" in places(report)
        assert len(report.findings) == 1, [str(f) for f in report.findings]
        assert (report.height, report.size) == (10, rich_chain().state.tree.size)
        write_blocks(copy, blocks)
        resign(copy)
    assert audit_export(copy).sound


def test_a_missing_last_block_is_named(copy):
    write_blocks(copy, stored_blocks(copy)[:-1])
    resign(copy)
    assert "manifest.json" in places(audit_export(copy))


def test_blocks_in_another_order_are_named(copy):
    blocks = stored_blocks(copy)
    write_blocks(copy, [*blocks[:3], blocks[4], blocks[3], *blocks[5:]])
    resign(copy)
    assert audit_export(copy).findings


def test_a_block_twice_is_named(copy):
    blocks = stored_blocks(copy)
    write_blocks(copy, [*blocks[:4], blocks[3], *blocks[4:]])
    resign(copy)
    report = audit_export(copy)
    assert any(f.height == 5 for f in report.findings)
    assert report.size == rich_chain().state.tree.size


def test_a_rewritten_history_is_caught_by_the_cosigned_checkpoints(copy):
    """A coalition of nobody but the exporter: everything recomputed, consistent in itself, but other records."""
    chain = Chain(GENESIS)
    chain.add("alpha", make_records("alpha", 290, first=1000))
    forged = copy.with_name("forged")
    exported(chain, forged, cosigned=[])
    shutil.rmtree(forged / "checkpoints", ignore_errors=True)
    shutil.copytree(copy / "checkpoints", forged / "checkpoints")
    shutil.copy(copy / "checkpoint", forged / "checkpoint")
    resign(forged)
    report = audit_export(forged)
    assert any(f.place.startswith("checkpoints/") for f in report.findings)


# --- genesis, trust, checkpoints ---


def test_another_genesis_is_named(copy):
    other = make_genesis(4)
    assert "genesis.json" in places(audit_export(copy, genesis=other))
    (copy / "genesis.json").write_text(other.to_json())
    resign(copy)
    report = audit_export(copy)
    assert any("previous" in f.sentence and f.height == 1 for f in report.findings)


def test_a_genesis_with_other_keys_refuses_everything_and_stops_in_time(tmp_path):
    chain = cook([])
    for n in range(MAX_FINDINGS):
        chain.add("alpha", [make_record("alpha", n)])
    exported(chain, tmp_path / "x")
    keys = replace(GENESIS.members[0].keys, signing=noise("other"))
    members = (replace(GENESIS.members[0], keys=keys), *GENESIS.members[1:])
    report = audit_export(tmp_path / "x", genesis=replace(GENESIS, members=members))
    assert report.findings[-1].place == "audit"
    assert len(report.findings) < MAX_FINDINGS + 10
    assert any("bad-signature" in f.sentence for f in report.findings)


def test_missing_cosignatures_are_named(tmp_path):
    chain = rich_chain()
    exported(chain, tmp_path / "x", cosigned=[])
    assert places(audit_export(tmp_path / "x")) == ["checkpoints"]
    exported(chain, tmp_path / "y", cosigned=[3, 10], cosigners=["alpha"])
    assert places(audit_export(tmp_path / "y")) == ["checkpoints"], "one of three is no quorum, and is not exported"


def test_a_cosignature_that_was_taken_away_is_named(copy):
    name = next(n for n in files_of(copy) if n.startswith("checkpoints/"))
    lines = (copy / name).read_text().rstrip("\n").split("\n")
    (copy / name).write_text("\n".join(lines[:-1]) + "\n")
    resign(copy)
    report = audit_export(copy)
    assert places(report) == [name]
    assert "no quorum" in report.findings[0].sentence


def test_a_cosigned_checkpoint_of_another_tree_is_named(copy):
    chain = rich_chain()
    note = checkpoint(GENESIS, 293, noise("other root"), ["alpha", "bravo"])
    (copy / "checkpoints/000000000293-00000000.note").write_text(str(note))
    ahead = checkpoint(GENESIS, 10_000, noise("other root"), ["alpha", "bravo"])
    (copy / "checkpoints/000000010000-00000000.note").write_text(str(ahead))
    (copy / "checkpoint").write_text(str(ahead))
    resign(copy)
    report = audit_export(copy)
    assert places(report) == ["checkpoints/000000000293-00000000.note", "checkpoints/000000010000-00000000.note"]
    assert chain.state.tree.size == report.witnessed_size


def test_a_checkpoint_in_the_middle_of_a_block_is_checked(copy):
    leaves = [leaf_hash(r.header_bytes) for r in make_records("alpha", 290)]
    good = checkpoint(GENESIS, 100, Tree().extend(leaves[:100])[0].root(), ["bravo", "charlie"])
    (copy / "checkpoints/000000000100-00000000.note").write_text(str(good))
    resign(copy)
    assert audit_export(copy).sound


def test_a_trust_file_with_foreign_keys_or_no_quorum_is_named(copy):
    (copy / "trust.policy").write_text(trust_file(make_genesis(4)))
    resign(copy)
    assert "trust.policy" in places(audit_export(copy))
    (copy / "trust.policy").write_text("quorum none\n")
    resign(copy)
    assert "trust.policy" in places(audit_export(copy))


def test_the_auditors_own_trust_is_what_counts(copy):
    everyone = parse_policy(trust_file(GENESIS).replace("group members 2", "group members 3"))
    report = audit_export(copy, everyone)
    assert all(place.startswith("checkpoints") for place in places(report))
    assert len(report.findings) == 5, "four checkpoints with two cosignatures each, and so nothing vouches"
    assert audit_export(copy, trust_policy(GENESIS)).sound


def test_a_forged_tile_is_named_by_hash(copy):
    for name, leaf in (("tile/0/001", 256 + 7), (next(n for n in files_of(copy) if "002.p" in n), 512 + 7)):
        data = (copy / name).read_bytes()
        (copy / name).write_bytes(data[: 7 * 32] + noise("x") + data[8 * 32 :])
        resign(copy)
        report = audit_export(copy)
        assert places(report) == [name]
        assert f"leaf {leaf}" in report.findings[0].sentence
        (copy / name).write_bytes(data)


def test_garbage_in_the_blocks_is_named_and_the_rest_still_checked(copy):
    path = copy / "blocks/000002.cbor"
    data = path.read_bytes()
    path.write_bytes(data[:4] + bytes(20) + data[24:])
    resign(copy)
    report = audit_export(copy)
    assert places(report) == ["blocks/000002.cbor", "block 5"]
    assert report.height == 10
    path.write_bytes(b"\xff\xff\xff\xff" + data[4:])
    resign(copy)
    report = audit_export(copy)
    assert places(report) == ["blocks/000002.cbor", "block 5"]
    assert "5 to 8 are missing" in report.findings[1].sentence


# --- parts ---


def test_the_auditor_takes_slices():
    chain, auditor = rich_chain(), Auditor(GENESIS)
    for step in chain.steps:
        audited = auditor.feed(KeptBlock(step.block, step.batch))
        assert audited.findings == ()
        assert audited.outcome.tiles == step.tiles
        assert (audited.outcome.accepted, audited.outcome.rejected) == (step.accepted, step.rejected)
    assert auditor.state == chain.state


def test_a_set_of_ids_is_a_set():
    rng = random.Random(3)
    ids, compact, plain = [rng.randbytes(16) for _ in range(5000)], IdSet(), set()
    for record_id in [*ids, bytes(16), *ids[:100]]:
        assert (record_id in compact) == (record_id in plain)
        compact.add(record_id)
        plain.add(record_id)
    assert len(compact) == len(plain) == 5001
    assert all(i in compact for i in plain)
    assert not any(rng.randbytes(16) in compact for _ in range(1000))
