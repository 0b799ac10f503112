"""The `consortium` command against running nodes: what it prints, what it refuses, and its exit codes.

Most runs share this process, since a new one takes seconds to import everything; one test starts real ones.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import stat
import subprocess
import sys
from functools import partial

import psycopg
import pytest
from typer.testing import CliRunner

from consortium.adapters import keyfile
from consortium.adapters.postgres.migrate import upgrade
from consortium.adapters.unlock import MountedSecret, Passphrase
from consortium.cli.main import app
from consortium.crypto.receipts import parse_receipt, verify_receipt
from consortium.crypto.trust import parse_policy
from consortium.errors import KeysUnavailable
from consortium.model.members import MemberKeys
from tests.fixtures.network import ABSENT, fresh_day, hour_of, new_id, reading

pytestmark = pytest.mark.processes

PASSPHRASE = "correct horse battery staple"
OURS = "CONSORTIUM_"


async def run(*arguments, env=None, input=None):
    """A run of the command in a thread, with none of our environment variables but `env`."""
    cleared = {name: None for name in os.environ if name.startswith(OURS)}
    result = await asyncio.to_thread(
        CliRunner().invoke, app, [str(argument) for argument in arguments], input=input, env={**cleared, **(env or {})}
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def failed(result, code, *words):
    """One line with the error, at most one with a hint, and the exit code."""
    assert result.exit_code == code, (result.exit_code, result.output)
    lines = result.stderr.splitlines()
    assert lines[0].startswith("error: "), lines
    assert len(lines) == 1 or (len(lines) == 2 and lines[1].startswith("  hint: ")), lines
    for word in words:
        assert word in result.stderr, lines
    assert result.stdout == ""


def done(result):
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def environment_of(network, who):
    """Environment of a person: their node's URL and their token, with its key if it is bound to one."""
    token = network.tokens[who]
    key = network.net.dpop_keys[token]
    bound = {"CONSORTIUM_DPOP_KEY": key.seed.hex()} if key else {}
    return {"CONSORTIUM_URL": network.net.nodes[network.net.person(who).member].url, "CONSORTIUM_TOKEN": token, **bound}


@pytest.fixture
def at(network):
    return partial(environment_of, network)


@pytest.fixture
def written(tmp_path):
    """Writes a submission to a file."""

    def write(record):
        file = tmp_path / f"{record.get('id', 'record')}.json"
        file.write_text(json.dumps(record))
        return file

    return write


# --- node init -----------------------------------------------------------------------------------------------


@pytest.fixture
def secret(tmp_path):
    file = tmp_path / "secret"
    file.write_text("5a" * 32 + "\n")
    return file


async def test_init_makes_sealed_keys_under_a_secret_file(tmp_path, secret):
    directory = tmp_path / "node"
    output = done(await run("node", "init", directory, "--member", "suncoop", "--secret-file", secret))
    public = json.loads((directory / "public.json").read_text())
    opened = keyfile.open(directory / "keys.sealed", MountedSecret.read(secret))
    assert (public["name"], MemberKeys.from_dict(public["keys"])) == ("suncoop", opened.public)
    for name in ("keys.sealed", "client.key.pem", "server.key.pem"):
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600
    assert (directory / "client.csr.pem").read_text().startswith("-----BEGIN CERTIFICATE REQUEST-----")
    for name in ("keys.sealed", "public.json"):
        assert str(directory / name) in output


async def test_init_makes_sealed_keys_under_a_passphrase(tmp_path):
    directory = tmp_path / "node"
    arguments = ("node", "init", directory, "--member", "gridco", "--passphrase-stdin")
    output = done(await run(*arguments, input=PASSPHRASE + "\n"))
    assert PASSPHRASE not in output
    keyfile.open(directory / "keys.sealed", Passphrase(PASSPHRASE))
    with pytest.raises(KeysUnavailable):
        keyfile.open(directory / "keys.sealed", Passphrase(PASSPHRASE + "r"))


async def test_init_never_overwrites_keys(tmp_path, secret):
    arguments = ("node", "init", tmp_path / "node", "--member", "suncoop", "--secret-file", secret)
    done(await run(*arguments))
    before = {file.name: file.read_bytes() for file in (tmp_path / "node").iterdir()}
    failed(await run(*arguments), 3, "exists", "hint")
    assert {file.name: file.read_bytes() for file in (tmp_path / "node").iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "input", "code", "word"),
    [
        (["--member", "Sun Coop", "--secret-file", "{secret}"], None, 2, "name"),
        (["--member", "suncoop"], None, 2, "exactly one"),
        (["--member", "suncoop", "--secret-file", "{secret}", "--passphrase-stdin"], None, 2, "exactly one"),
        (["--member", "suncoop", "--passphrase-stdin"], "short\n", 2, "12 characters"),
        (["--member", "suncoop", "--passphrase-stdin"], "", 2, "12 characters"),
        (["--member", "suncoop", "--secret-file", "{missing}"], None, 3, "cannot be read"),
        (["--member", "suncoop", "--secret-file", "{empty}"], None, 3, "32 bytes"),
    ],
)
async def test_init_refuses_and_leaves_no_keys(tmp_path, secret, arguments, input, code, word):
    (tmp_path / "empty").touch()
    names = {"secret": secret, "missing": tmp_path / "missing", "empty": tmp_path / "empty"}
    given = [argument.format(**names) for argument in arguments]
    failed(await run("node", "init", tmp_path / "node", *given, input=input), code, word)
    assert not (tmp_path / "node").exists()


async def test_init_where_nothing_can_be_written(tmp_path, secret):
    (tmp_path / "file").touch()
    failed(await run("node", "init", tmp_path / "file" / "node", "--member", "suncoop", "--secret-file", secret), 3)


@pytest.mark.parametrize(
    ("text", "word"),
    [(None, "cannot read"), ("member = ", "TOML"), ('member = "suncoop"', "Field required"), ("nonsense = 1", "")],
)
async def test_run_without_good_settings(tmp_path, text, word):
    if text is not None:
        (tmp_path / "node.toml").write_text(text)
    failed(await run("node", "run", "--config", tmp_path / "node.toml"), 3, word)


# --- node status ---------------------------------------------------------------------------------------------


async def test_status(network, at):
    await network.submit_as_meters(reading(), "witnessed")
    status = await network.status("suncoop")
    output = done(await run("node", "status", env=at("suncoop-staff")))
    whole = output.replace("\n", "").replace("│", "").replace(" ", "")
    for word in ("suncoop", "running", "gridco", "cityretail", "regulator", str(status["size"])):
        assert word in whole
    assert done(await run("node", "status", "--url", network.net.nodes["suncoop"].url, env=at("home-01")))


# --- records -------------------------------------------------------------------------------------------------


async def test_submit_show_and_list(at, written):
    day = fresh_day()
    record = reading("home-02@suncoop", start=hour_of(day, 3), load_wh=4321)
    answer = json.loads(done(await run("record", "submit", written(record), env=at("suncoop-meters"))))
    assert (answer["id"], answer["state"]) == (record["id"], "accepted")
    shown = json.loads(done(await run("record", "show", record["id"], "--json", env=at("home-02"))))
    assert (shown["id"], shown["data"]["load_wh"], shown["index"]) == (record["id"], 4321, answer["index"])
    table = done(await run("record", "show", record["id"], env=at("suncoop-staff")))
    assert record["id"] in table
    assert "4321" in table
    period = ("--from", hour_of(day, 0), "--to", hour_of(day, 24))
    listed = json.loads(done(await run("record", "list", *period, "--type", "reading", "--json", env=at("home-02"))))
    assert [row["id"] for row in listed] == [record["id"]]
    assert record["id"] in done(await run("record", "list", *period, env=at("home-02")))
    assert json.loads(done(await run("record", "list", *period, "--json", env=at("home-01")))) == []


async def test_submit_from_standard_input_and_wait(at):
    record = reading()
    arguments = ("record", "submit", "-", "--wait", "witnessed", "--timeout", "20")
    output = done(await run(*arguments, input=json.dumps(record), env=at("suncoop-meters")))
    assert len(output.splitlines()) == 1
    assert json.loads(output)["state"] == "witnessed"


async def test_list_follows_pages_up_to_its_limit(network, at):
    day = fresh_day()
    records = [reading("home-10@cityretail", start=hour_of(day, hour)) for hour in range(6)]
    for record in records:
        await network.submit_as_meters(record)
    period = ("--from", hour_of(day, 0), "--to", hour_of(day, 24), "--json")
    for limit in (1, 5, 6, 100):
        listed = json.loads(done(await run("record", "list", *period, "--limit", limit, env=at("home-10"))))
        assert [row["id"] for row in listed] == [record["id"] for record in records][:limit]


async def test_what_the_node_refuses_is_one_line(at, written, network):
    known = reading()
    await network.submit_as_meters(known)
    meters = at("suncoop-meters")
    failed(await run("record", "submit", written(reading(load_wh=-1)), env=meters), 2, "data.load_wh")
    failed(await run("record", "submit", written({**reading(), "type": "other"}), env=meters), 2, "unknown record type")
    failed(await run("record", "submit", written(reading("home-77@suncoop")), env=meters), 2, "subject")
    failed(await run("record", "submit", written({**known, "data": reading(load_wh=9)["data"]}), env=meters), 2, "id")
    failed(await run("record", "submit", written(reading()), "--wait", "never", env=meters), 2, "wait")
    failed(await run("record", "submit", "-", input="x" * 70_000, env=meters), 2, "65,536")
    failed(await run("record", "submit", written(reading()), env=at("home-01")), 2, "role")
    failed(await run("record", "show", known["id"], env=at("home-02")), 2, "no such record")
    failed(await run("record", "show", ABSENT, env=at("home-01")), 2, "no such record")
    failed(await run("record", "show", "xyz", env=at("home-01")), 2, "32 lowercase hex digits")
    failed(await run("record", "list", "--from", "yesterday", env=at("home-01")), 2, "RFC 3339")
    failed(await run("record", "list", env=meters), 2, "role")


async def test_no_token_and_bad_tokens(network, at):
    url = {"CONSORTIUM_URL": network.net.nodes["suncoop"].url}
    for token in ("", "nonsense", "nön-ascii", "two\nlines", network.tokens["home-09"]):
        result = await run("record", "list", env={**url, "CONSORTIUM_TOKEN": token})
        failed(result, 2, "hint")
        assert not token or token not in result.output
    failed(await run("node", "status", env=url), 2)
    done(
        await run(
            "record", "list", "--limit", 1, env={**at("home-01"), "CONSORTIUM_TOKEN": network.tokens["home-01"] + "\n"}
        )
    )


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1:1", 3),
        ("http://no-such-host.invalid", 3),
        ("no url", 2),
        ("ftp://127.0.0.1", 2),
        ("http://127.0.0.1:99999999", 3),
        ("http://[::", 2),
        ("", 2),
    ],
)
async def test_a_wrong_url(url, code):
    env = {"CONSORTIUM_TOKEN": "t"}
    for command in (["node", "status"], ["record", "list"], ["record", "show", ABSENT], ["receipt", "get", ABSENT]):
        failed(await run(*command, "--url", url, env=env), code)


async def test_what_answers_is_no_node(network):
    """An etcd member speaks TLS; a path of the node that is no API gives HTML or nothing."""
    etcd = network.net.etcd.endpoints[0]
    failed(await run("node", "status", "--url", f"http://{etcd}", env={"CONSORTIUM_TOKEN": "t"}), 3)
    docs = network.net.nodes["suncoop"].url + "/docs?"
    failed(await run("node", "status", "--url", docs, env={"CONSORTIUM_TOKEN": "t"}), 3, "no node")


async def test_missing_files(at, tmp_path):
    missing = tmp_path / "missing"
    failed(await run("record", "submit", missing, env=at("suncoop-meters")), 2, "cannot read")
    failed(await run("record", "submit", tmp_path, env=at("suncoop-meters")), 2, "cannot read")
    failed(await run("receipt", "verify", missing, "--trust", missing), 2, "cannot read")
    failed(await run("audit", missing), 2, "no folder")
    failed(await run("export", tmp_path / "out", "--config", missing), 3, "cannot read")
    failed(await run("audit", "--database", "postgresql:///x", "--genesis", missing), 3, "cannot read")


# --- receipts ------------------------------------------------------------------------------------------------


@pytest.fixture
async def receipt(network, at, tmp_path):
    """A witnessed record of home-01 and the file of its receipt."""
    record = reading()
    await network.submit_as_meters(record, "witnessed")
    file = tmp_path / "receipt"
    done(await run("receipt", "get", record["id"], "--out", file, env=at("home-01")))
    return record["id"], file


async def test_a_receipt_is_fetched_and_verified(network, at, receipt):
    record_id, file = receipt
    trust = network.net.trust_file
    assert done(await run("receipt", "get", record_id, env=at("suncoop-staff"))) == file.read_text("utf-8")
    verify_receipt(parse_receipt(file.read_text("utf-8")), parse_policy(trust.read_text("utf-8")))
    for more in ([], ["--id", record_id]):
        output = done(await run("receipt", "verify", file, "--trust", trust, *more))
        assert record_id in output
        assert "suncoop" in output


async def test_a_receipt_with_a_changed_byte_does_not_verify(network, receipt):
    record_id, file = receipt
    text = file.read_text("utf-8")
    header, index = text.index("extra ") + 40, text.index("index ") + 6
    root = text.index("\n\n") + 2 + text[text.index("\n\n") + 2 :].index("=\n") - 5
    for place in (0, header, index, root):
        changed = text[:place] + ("A" if text[place] not in "Aa" else "9") + text[place + 1 :]
        file.write_text(changed, "utf-8")
        failed(await run("receipt", "verify", file, "--trust", network.net.trust_file), 4)
    file.write_text(text[: len(text) // 2], "utf-8")
    failed(await run("receipt", "verify", file, "--trust", network.net.trust_file, "--id", record_id), 4)
    file.write_bytes(b"\xff\xfe\x00")
    failed(await run("receipt", "verify", file, "--trust", network.net.trust_file), 2, "cannot read")


async def test_a_receipt_for_another_record_or_another_network_does_not_verify(network, receipt, tmp_path):
    _, file = receipt
    trust = network.net.trust_file
    failed(await run("receipt", "verify", file, "--trust", trust, "--id", new_id()), 4, "the receipt is for record")
    other = tmp_path / "trust"
    other.write_text(trust.read_text("utf-8").replace(network.net.genesis.origin + "+", "elsewhere.example+"), "utf-8")
    failed(await run("receipt", "verify", file, "--trust", other), 4)
    other.write_text("quorum nobody\n", "utf-8")
    failed(await run("receipt", "verify", file, "--trust", other), 4)
    failed(await run("receipt", "verify", file, "--trust", file), 4)


async def test_who_may_not_have_a_receipt_gets_none(network, at, receipt, tmp_path):
    record_id, _ = receipt
    out = tmp_path / "none"
    failed(await run("receipt", "get", record_id, "--out", out, env=at("home-02")), 2, "no such record")
    assert not out.exists()
    failed(await run("receipt", "get", record_id, "--out", tmp_path / "a" / "b", env=at("home-01")), 2, "cannot write")


# --- export and audit ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def exported(network, tmp_path_factory):
    """An export of suncoop's ledger, with at least one witnessed record."""
    await network.submit_as_meters(reading(), "witnessed")
    directory = tmp_path_factory.mktemp("export") / "out"
    output = done(await run("export", directory, "--config", network.net.nodes["suncoop"].config))
    assert str(directory) in output
    return directory


@pytest.fixture
def copy(exported, tmp_path):
    """A copy of it to change."""
    return shutil.copytree(exported, tmp_path / "copy")


async def test_an_export_audits_with_public_keys_alone(network, exported):
    output = done(await run("audit", exported))
    assert "everything holds" in output
    trust, genesis = network.net.trust_file, network.net.genesis_file
    assert "everything holds" in done(await run("audit", exported, "--trust", trust, "--genesis", genesis))


async def test_an_export_of_every_member_has_the_same_blocks(network, exported, tmp_path):
    await run("export", tmp_path / "other", "--config", network.net.nodes["regulator"].config)
    ours = b"".join(file.read_bytes() for file in sorted((exported / "blocks").iterdir()))
    theirs = b"".join(file.read_bytes() for file in sorted((tmp_path / "other" / "blocks").iterdir()))
    assert theirs.startswith(ours)


async def test_an_export_goes_into_no_folder_that_holds_something(network, exported):
    failed(await run("export", exported, "--config", network.net.nodes["suncoop"].config), 2)
    assert "everything holds" in done(await run("audit", exported))


@pytest.mark.parametrize("name", ["genesis.json", "trust.policy", "manifest.json", "checkpoint", "blocks", "tile"])
async def test_a_changed_byte_of_an_export_is_named(copy, name):
    file = copy / name
    while file.is_dir():
        file = sorted(file.iterdir())[0]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))
    result = await run("audit", copy)
    assert result.exit_code in (1, 4), result.output
    assert "everything holds" not in result.output
    assert name in result.output.replace("\n", ""), result.output


async def test_a_missing_file_of_an_export_is_named(copy):
    block = sorted((copy / "blocks").iterdir())[0]
    block.unlink()
    result = await run("audit", copy)
    assert result.exit_code in (1, 4), result.output
    assert block.name in result.output


async def test_the_database_of_a_node_is_audited(network):
    for member in ("suncoop", "regulator"):
        output = done(await run("audit", "--config", network.net.nodes[member].config))
        assert "everything holds" in output
    url, genesis = network.net.nodes["gridco"].database_url, network.net.genesis_file
    assert "everything holds" in done(await run("audit", "--database", url, "--genesis", genesis))


async def test_a_changed_row_is_named_by_the_audit_of_the_database(network):
    """On a copy of the database: the node that runs on the original would notice too, and stop."""
    await network.agreed()
    name = "consortium_cityretail_copy"
    template = network.net.nodes["cityretail"].database_url
    copied = template.replace("/consortium_cityretail?", f"/{name}?")
    source = dict(psycopg.conninfo.conninfo_to_dict(template))
    admin = await psycopg.AsyncConnection.connect(network.net.postgres.admin_url, autocommit=True)
    async with admin:
        await admin.execute(f"CREATE DATABASE {name} OWNER {source['user']} TEMPLATE template0")
        try:
            await asyncio.to_thread(_copy_schemas, template, copied)
            output = done(await run("audit", "--database", copied, "--genesis", network.net.genesis_file))
            assert "everything holds" in output
            async with await psycopg.AsyncConnection.connect(copied) as conn:
                await conn.execute("ALTER TABLE ledger.blocks DISABLE TRIGGER USER")
                await conn.execute("UPDATE ledger.blocks SET time_ms = time_ms + 1 WHERE height = 2")
            result = await run("audit", "--database", copied, "--genesis", network.net.genesis_file)
            assert result.exit_code in (1, 4), result.output
            assert "block 2" in result.output
        finally:
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _copy_schemas(source, target):
    """The ledger, and what the node keeps of checkpoints, by the program's own schema."""
    upgrade(target)
    tables = ["blocks", "records", "rejections", "refused_batches", "tiles", "public_records"]
    names = [f"ledger.{table}" for table in tables] + ["node.checkpoints"]
    with psycopg.connect(source) as old, psycopg.connect(target) as new:
        old.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        for name in names:
            with (
                old.cursor().copy(f"COPY {name} TO STDOUT (FORMAT binary)") as rows,
                new.cursor().copy(f"COPY {name} FROM STDIN (FORMAT binary)") as copy,
            ):
                for row in rows:
                    copy.write(row)


@pytest.mark.parametrize("command", [["export", "{out}"], ["audit"]])
@pytest.mark.parametrize(
    "url", ["postgresql://nobody:geheim@127.0.0.1:1/x", "host=/no/such/dir password=geheim", "nonsense geheim"]
)
async def test_a_database_that_is_not_there(network, tmp_path, command, url):
    given = [argument.format(out=tmp_path / "out") for argument in command]
    result = await run(*given, "--database", url, "--genesis", network.net.genesis_file)
    failed(result, 3)
    assert "geheim" not in result.output


# --- as processes --------------------------------------------------------------------------------------------


def command(*arguments, **env):
    """The real thing: its exit code, standard output and standard error."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    done = subprocess.run(
        [sys.executable, "-m", "consortium", *map(str, arguments)], check=False,
        capture_output=True, text=True, env={**kept, **env}, timeout=120, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


async def test_real_processes_end_with_the_documented_codes(network, at, receipt, tmp_path):
    record_id, file = receipt
    changed = tmp_path / "changed"
    changed.write_text(file.read_text("utf-8").replace("index ", "index 1"), "utf-8")
    trust = network.net.trust_file
    runs = [
        (0, command, ("receipt", "verify", file, "--trust", trust, "--id", record_id), {}),
        (4, command, ("receipt", "verify", changed, "--trust", trust), {}),
        (2, command, ("record", "show", ABSENT), at("home-01")),
        (3, command, ("node", "status", "--url", "http://127.0.0.1:1"), {}),
        (
            3,
            command,
            ("audit", "--database", "postgresql://x@127.0.0.1:1/x", "--genesis", network.net.genesis_file),
            {},
        ),
    ]
    results = await asyncio.gather(*(asyncio.to_thread(call, *arguments, **env) for _, call, arguments, env in runs))
    for (expected, *_), (code, out, err) in zip(runs, results, strict=True):
        assert code == expected, err
        assert "Traceback" not in err
        if code:
            assert out == ""
            assert err.startswith("error: ")
            assert len(err.splitlines()) <= 2, err
        else:
            assert err == ""


async def test_help_names_the_exit_codes():
    text = " ".join(done(await run("--help")).split())
    for words in ("0 it went well", "2 the request was wrong", "70 a defect"):
        assert words in text
