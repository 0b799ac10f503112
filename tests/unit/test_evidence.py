"""Evidence bundles: whole ones hold, and whatever is changed in one is named."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from consortium.audit import evidence
from consortium.audit.evidence import audit_evidence, write_bundle
from consortium.cli.main import app as cli
from consortium.crypto.sealing import open_section
from consortium.crypto.trust import parse_policy
from consortium.energy.scoping import judge as real
from consortium.ledger.witnessing import trust_file, trust_policy
from consortium.pipeline.disclosed import Query
from tests.builders import make_genesis
from tests.grants_world import OFFICER, grants_world
from tests.unit.test_grants import HOUR, MORNING, scope, trade


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def made(tmp_path_factory):
    """A bundle of two trades, and the genesis that its reader believes."""
    async with grants_world() as world:
        first, _ = await trade(world), await trade(world, MORNING + HOUR)
        grant = await world.granted(scope())
        await world.settle()
        await world.cosign()
        rows, _ = await world.office.disclosed.page(OFFICER, grant, Query())
        folder = tmp_path_factory.mktemp("bundle") / "evidence"
        told = await world.office.grants.evidence(OFFICER, grant)
        assert write_bundle(folder, grant.hex(), told, iter(rows)) == 2
        (folder.parent / "trust").write_text(trust_file(world.genesis))
        return folder, world.genesis, first


@pytest.fixture
def bundle(made, tmp_path):
    return shutil.copytree(made[0], tmp_path / "bundle")


def audited(folder, genesis=None):
    return audit_evidence(folder, trust_policy(genesis) if genesis else None, open_section)


def reworked(folder, change) -> None:
    """A bundle changed by who knows the format: the manifest fits again."""
    change(folder)
    raw = json.loads((folder / "manifest.json").read_text())
    del raw["self"]
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    raw["files"] = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in sorted(names)
        if name != "manifest.json"
    }
    (folder / "manifest.json").write_text(evidence._manifest(raw))


def edited(name, change):
    """Change one JSON file of the bundle."""

    def edit(folder):
        path = next(folder.glob(name))
        raw = json.loads(path.read_text())
        raw = change(raw) or raw
        path.write_text(json.dumps(raw))

    return edit


def test_a_whole_bundle_holds(made):
    report = audited(made[0], made[1])
    assert report.findings == []
    assert (report.records, report.unproven, report.by_word, report.yes) == (2, 0, 0, ("gridco", "suncoop"))
    assert report.officer == "regulator-officer@regulator"


def test_every_changed_byte_of_every_file_is_named(bundle, made):
    for path in sorted(path for path in bundle.rglob("*") if path.is_file()):
        data = path.read_bytes()
        for at in {0, len(data) // 3, len(data) // 2, len(data) - 2}:
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            named = {finding.place for finding in audited(bundle, made[1]).findings}
            assert path.relative_to(bundle).as_posix() in named, (path.name, at)
        path.write_bytes(data)
    assert audited(bundle, made[1]).sound


def test_a_file_too_many_and_one_too_few_are_named(bundle):
    (bundle / "more.txt").write_text("x")
    (bundle / "accesses.json").unlink()
    named = {finding.place for finding in audited(bundle).findings}
    assert {"more.txt", "accesses.json"} <= named


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (edited("records/*.json", lambda r: r["data"]["terms"].update(price=1)), "not what its sections say"),
        (edited("records/*.json", lambda r: r.update(type="order")), "not what its header and sections say"),
        (edited("records/*.json", lambda r: r.update(index=r["index"] + 1)), "its receipt is of another record"),
        (edited("records/*.json", lambda r: r["proof"].update(receipt=None)), "no receipt yet"),
        (edited("records/*.json", lambda r: r["proof"]["sections"][0].update(key="00" * 32)), "does not match"),
        (
            edited("records/*.json", lambda r: r["proof"]["sections"][0].update(body="00")),
            "the ciphertext is not the one",
        ),
        (edited("records/*.json", lambda r: r.update(grant="00" * 16)), "another record or grant"),
        (edited("public/000003.json", lambda r: r.update(receipt="")), "a receipt begins with"),
        (lambda folder: (folder / "public/000003.json").unlink(), "the votes do not open this grant"),
        (lambda folder: (folder / "public/000001.json").unlink(), "the ledger would have refused it"),
        (
            edited("public/000003.json", lambda r: r.update(time_ms=1 << 46)),
            "the ledger would have refused it: not-open",
        ),
        (lambda folder: (folder / "genesis.json").write_text("{}"), "it is no genesis"),
    ],
)
def test_what_was_reworked_with_its_manifest_is_named_all_the_same(bundle, made, change, sentence):
    reworked(bundle, change)
    assert any(sentence in str(finding) for finding in audited(bundle, made[1]).findings)


def test_a_record_outside_the_grant_is_named(bundle, made, monkeypatch):
    narrow = scope(groups=("physical",))
    monkeypatch.setattr(evidence, "judge", lambda _, parts, words: real(narrow, parts, words))
    found = [str(finding) for finding in audited(bundle, made[1]).findings]
    assert len(found) == 2
    assert all("lies outside the grant's scope: the field group terms is not granted" in one for one in found)


def test_another_networks_trust_file_believes_nothing_of_it(made):
    report = audit_evidence(made[0], parse_policy(trust_file(make_genesis(3))), open_section)
    assert len(report.findings) >= 5
    assert any("no log of the origin" in str(finding) for finding in report.findings)


def test_the_command_says_it_and_exits_by_it(bundle, made):
    trust = str(made[0].parent / "trust")
    good = CliRunner().invoke(cli, ["audit", "evidence", str(bundle), "--trust", trust])
    assert good.exit_code == 0, good.output
    assert "everything holds" in good.output
    (bundle / "accesses.json").write_text("[1]")
    bad = CliRunner().invoke(cli, ["audit", "evidence", str(bundle), "--trust", trust])
    assert bad.exit_code == 1
    assert "does not hold: accesses.json" in bad.output
