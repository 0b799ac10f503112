"""`consortium account` against running nodes: from an invitation to a session in a file, and out again."""

from __future__ import annotations

import json
import stat

import pytest

from tests.integration.test_cli import done, environment_of, failed, run

pytestmark = pytest.mark.processes
NEW = "a phrase of my very own"


@pytest.fixture
def admin(network):
    """Environment of suncoop's administrator."""
    return environment_of(network, "suncoop-admin")


async def test_from_an_invitation_to_signing_out(admin, tmp_path):
    url = {"CONSORTIUM_URL": admin["CONSORTIUM_URL"]}
    key, session = tmp_path / "bob.key", tmp_path / "session"
    invite = ["account", "invite", "bob", "--kind", "staff", "--duty", "metering", "--json"]
    code = json.loads(done(await run(*invite, env=admin)))["code"]
    assert "suncoop-admin" in done(await run("account", "list", env={**admin, "COLUMNS": "200"}))
    done(await run("account", "accept", "--key-file", key, env=url, input=code + "\n"))
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    signed = await run("account", "sign-in", "bob", "--key-file", key, "--session", session, env=url)
    assert key.read_text().strip() not in done(signed)
    assert stat.S_IMODE(session.stat().st_mode) == 0o600
    mine = {**url, "CONSORTIUM_SESSION": str(session)}
    assert "height" in done(await run("node", "status", env=mine))
    failed(await run("account", "list", env=mine), 2)
    done(await run("account", "sign-out", "--session", session, env=url))
    assert not session.exists()
    failed(await run("node", "status", env=mine), 2, "holds no session")
    done(await run("account", "disable", "bob", env=admin))
    failed(await run("account", "sign-in", "bob", "--key-file", key, "--session", session, env=url), 2)


async def test_a_home_by_password_and_back_by_a_code(admin, tmp_path):
    url, session = {"CONSORTIUM_URL": admin["CONSORTIUM_URL"]}, tmp_path / "session"
    sign_in = ["account", "sign-in", "home-66", "--session", session]
    code = json.loads(done(await run("account", "invite", "home-66", "--json", env=admin)))["code"]
    failed(await run("account", "accept", env=url, input=f"{code}\nshort\n"), 2, "12 characters")
    done(await run("account", "accept", env=url, input=f"{code}\n{NEW}\n"))
    done(await run(*sign_in, env=url, input=NEW + "\n"))
    back = json.loads(done(await run("account", "reset", "home-66", "--json", env=admin)))["code"]
    failed(await run(*sign_in, env=url, input=NEW + "\n"), 2)
    done(await run("account", "accept", env=url, input=f"{back}\n{NEW}!\n"))
    done(await run(*sign_in, env=url, input=NEW + "!\n"))
    done(await run("account", "disable", "home-66", env=admin))


async def test_there_is_one_first_administrator(network, admin, tmp_path):
    config = network.net.nodes["suncoop"].config
    first = ["account", "first", "mallory", "--key-file", tmp_path / "key", "--config", config]
    failed(await run(*first), 3, "there is an administrator")
    failed(await run("account", "disable", "suncoop-admin", env=admin), 2)
    invite = ["account", "invite", "mallory", "--kind", "administrator", "--json"]
    assert json.loads(done(await run(*invite, env=admin)))["needs_confirmation"] is False  # the second one
    done(await run("account", "withdraw", "mallory", env=admin))
