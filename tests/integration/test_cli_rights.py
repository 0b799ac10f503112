"""Votes, erasure, keys, reads, delegation, grants and etcd by command, against running nodes."""

from __future__ import annotations

import json
import re

import pytest

from consortium.cli.output import console
from tests.fixtures.network import ABSENT, fresh_day, hour_of, reading, wait_until
from tests.integration.test_cli import done, environment_of, failed, run

pytestmark = pytest.mark.processes
HOME, NEIGHBOUR = "home-01", "home-02@suncoop"


@pytest.fixture
def call(network, monkeypatch):
    """A run in somebody's name, in a wide terminal."""
    monkeypatch.setattr(console, "_width", 300)

    async def in_name_of(who, *arguments, **env):
        return await run(*arguments, env={**environment_of(network, who), **env})

    return in_name_of


def field(output: str, name: str) -> str:
    """A value of the pairs that a command printed."""
    return re.search(rf"^│ {name} +│ (\S+)", output, re.MULTILINE)[1]


async def voted(call, proposal: str, *members: str) -> None:
    for member in members:

        async def cast(member=member):
            return (await call(f"{member}-admin", "governance", "vote", proposal, "--yes")).exit_code == 0

        await wait_until(cast, f"{member} has voted")


async def test_a_proposal_shows_what_it_would_change_before_the_vote(network, call):
    hold = {"types": ["reading"], "parties": [NEIGHBOUR], "areas": [], "from_ms": 0, "to_ms": 1000, "groups": ["terms"]}
    terms = json.dumps({"scope": hold, "reference": "a court's letter"})
    proposed = done(await call("gridco-admin", "governance", "propose", "legal-hold", "--terms", terms))
    id = field(proposed, "id")
    assert f"would change  hold {id}: none -> in force" in proposed
    failed(await call("home-01", "governance", "propose", "legal-hold", "--terms", terms), 2)
    failed(await call("gridco-admin", "governance", "propose", "legal-hold", "--terms", "{"), 2, "no JSON", "hint")
    await voted(call, id, "gridco", "suncoop")

    async def passed():
        return field(done(await call("cityretail-staff", "governance", "show", id)), "state") == "passed"

    await wait_until(passed, "it has passed at another node")
    [row] = [line for line in done(await call("home-01", "governance", "history")).splitlines() if id in line]
    assert "legal-hold" in row
    assert "passed" in row
    assert "regulator" in done(await call("home-01", "governance", "now"))
    released = done(
        await call("gridco-admin", "governance", "propose", "release-hold", "--terms", f'{{"hold": "{id}"}}')
    )
    await voted(call, field(released, "id"), "gridco", "suncoop")


async def test_a_home_erases_a_reading_and_sees_who_did(network, call):
    record = await network.submit_as_meters(reading(f"{HOME}@suncoop", start=hour_of(fresh_day(), 3)), wait="witnessed")
    failed(await call("home-02", "erase", "show", ABSENT), 2)
    erased = done(await call(HOME, "erase", record["id"]))
    assert "ordered" in erased
    refused = await call("home-02", "erase", record["id"])
    absent = await call("home-02", "erase", ABSENT)
    failed(refused, 2, "no such record")
    assert refused.stderr == absent.stderr, "what is another's is what is not there"

    async def listed():
        rows = (await (await network.client("suncoop-staff")).get("/v1/erasures")).json()["rows"]
        return next((row for row in rows if record["id"] in row["records"] and not row["awaited"]), None)

    row = await wait_until(listed, "every member has said its word")
    shown = done(await call("suncoop-staff", "erase", "show", row["id"]))
    assert record["id"] in shown
    assert any(
        row["id"] in line and "gridco" in line
        for line in done(await call("suncoop-staff", "erase", "list")).splitlines()
    )


async def test_an_administrator_sees_the_nodes_keys_and_nobody_else(call):
    shown = done(await call("cityretail-admin", "keys", "list"))
    assert "active, on the ledger from block" in shown
    assert "held as the ledger names them" in shown
    for who in ("cityretail-staff", "home-09"):
        failed(await call(who, "keys", "list"), 2)
        failed(await call(who, "keys", "retire"), 2)
    failed(await call("cityretail-admin", "keys", "rotate", "everything"), 2, "what to rotate")


async def test_a_home_delegates_is_told_of_the_read_and_ends_it(network, call, tmp_path):
    day = fresh_day()
    await network.submit_as_meters(reading(f"{HOME}@suncoop", start=hour_of(day, 3)), wait="witnessed")
    period = ["--from", hour_of(day, 0), "--until", "2027-01-01T00:00:00Z", "--purpose", "energy advice"]
    given = json.loads(done(await call(HOME, "me", "delegate", "--delegate", NEIGHBOUR, *period, "--type", "reading")))
    assert given["state"] == "accepted"
    assert f"{HOME}@suncoop" in done(await call("home-02", "me", "delegations"))
    listing = ["record", "list", "--type", "reading", "--from", hour_of(day, 0), "--to", hour_of(day, 12), "--json"]
    own = json.loads(done(await call("home-02", *listing)))
    behalf = {"CONSORTIUM_BEHALF": f"{HOME}@suncoop", "CONSORTIUM_PURPOSE": "a new heat pump"}
    listed = json.loads(done(await call("home-02", *listing, **behalf)))
    assert (own, len(listed)) == ([], 1)

    async def told():
        return "a new heat pump" in done(await call(HOME, "me", "accesses"))

    await wait_until(told, "the home sees the read", 60.0)

    async def verified():
        out = await call(HOME, "me", "accesses", "--verify", "--trust", network.net.trust_file)
        return out.exit_code == 0 and "chains whole, receipts verified" in out.stdout

    await wait_until(verified, "every access record has a receipt", 60.0)
    failed(await call(HOME, "me", "accesses", "--verify"), 2, "trust file", "hint")
    done(await call(HOME, "me", "undelegate", given["id"]))
    row = next(line for line in done(await call(HOME, "me", "delegations")).splitlines() if given["id"] in line)
    assert "ended" in row


async def test_an_officer_asks_follows_and_reads_by_command(network, call):
    day = fresh_day()
    record = await network.submit_as_meters(reading(f"{HOME}@suncoop", start=hour_of(day, 3)), wait="witnessed")
    asked = done(await call(
        "regulator-officer", "officer", "request", "--type", "reading", "--group", "physical", "--group", "identity",
        "--party", f"{HOME}@suncoop", "--from", hour_of(day, 0), "--to", hour_of(day, 12), "--until",
        "2090-01-01T00:00:00Z", "--purpose", "case 8", "--basis", "REMIT, Art. 13",
    ))  # fmt: skip
    grant = field(asked, "id")
    assert f"{grant}" in done(await call("regulator-officer", "officer", "list"))
    failed(await call("regulator-officer", "officer", "read", grant), 2)
    failed(await call("regulator-staff", "officer", "read", grant), 2)
    await voted(call, grant, "gridco", "suncoop")

    async def read():
        out = await call("regulator-officer", "officer", "read", grant)
        return out.stdout if out.exit_code == 0 and record["id"] in out.stdout else None

    text = await wait_until(read, "it is disclosed, and read")
    assert "verified" in text
    assert "1521" in text
    assert "overdue" not in done(await call("regulator-officer", "officer", "list", grant))


async def test_etcd_is_as_the_ledger_decided(network):
    files = network.net.authority.client("root")
    config = network.net.nodes["gridco"].config
    told = await run("etcd", "enforce", "--cert", files.certificate, "--key", files.key, "--config", config)
    assert "etcd is as the ledger decided" in done(told)
    own = network.net.authority.client("gridco")
    failed(await run("etcd", "enforce", "--cert", own.certificate, "--key", own.key, "--config", config), 3)
