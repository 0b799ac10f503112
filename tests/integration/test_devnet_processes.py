"""The devnet's child processes and certificates: nothing is left behind, nothing else is touched, keys are private."""

from __future__ import annotations

import json
import stat
import sys

import psutil
import pytest
from cryptography import x509

from consortium.devnet import etcd_command
from consortium.devnet.certificates import Authority
from consortium.devnet.leftovers import end_leftovers
from consortium.devnet.processes import ChildError, Processes
from consortium.errors import ConfigurationError

pytestmark = pytest.mark.processes

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
]


async def started(processes, command=SLEEP, name="child"):
    child = processes.start(name, command)

    async def up():
        return "up" in child.tail()

    await child.wait_until(up, "up", 10)
    return child


async def test_everything_is_stopped_after_an_exception(tmp_path):
    children = []

    async def crash():
        with Processes(tmp_path) as processes:
            children.extend([await started(processes, name=f"child-{n}") for n in range(2)])
            raise KeyError

    with pytest.raises(KeyError):
        await crash()
    assert len(children) == 2
    assert not any(psutil.pid_exists(child.pid) for child in children)
    assert list(tmp_path.glob("*.json")) == []


async def test_a_child_that_ignores_sigterm_is_killed(tmp_path):
    with Processes(tmp_path) as processes:
        child = await started(processes, DEAF)
        child.stop(timeout_s=0.1)
        assert not child.running
        assert not psutil.pid_exists(child.pid)


async def test_the_next_run_ends_what_a_crashed_one_left_and_nothing_else(tmp_path):
    crashed = Processes(tmp_path)
    left, reused = await started(crashed, name="left"), await started(crashed, name="reused")
    file = tmp_path / "children.json"
    lines = json.loads(file.read_text())
    lines[1]["started"] -= 100
    file.write_text(json.dumps(lines))
    try:
        assert end_leftovers(tmp_path) == ["left"]
        assert not left.running
        assert reused.running
        assert end_leftovers(tmp_path) == []
    finally:
        crashed.close()


async def test_a_child_that_ends_early_shows_its_log(tmp_path):
    async def never():
        return False

    with Processes(tmp_path) as processes:
        child = processes.start("brief", [sys.executable, "-c", "print('no such port'); raise SystemExit(3)"])
        with pytest.raises(ChildError, match=r"(?s)code 3.*no such port"):
            await child.wait_until(never, "up", 10)
        child = await started(processes)
        with pytest.raises(ChildError, match=r"not ready after 0.1 s"):
            await child.wait_until(never, "ready", 0.1)
        with pytest.raises(ChildError, match="cannot be started"):
            processes.start("missing", [str(tmp_path / "missing")])


def test_certificates_are_apart_by_purpose_and_only_the_owner_reads_them(tmp_path):
    authority = Authority(tmp_path / "certificates")
    client, server = authority.client("gridco"), authority.server("gridco")
    for file in (tmp_path / "certificates").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = Authority(tmp_path / "certificates")
    assert again.certificate.read_bytes() == authority.certificate.read_bytes()
    assert again.client("gridco") == client
    root = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
    for files in (client, server, authority.peer("gridco")):
        x509.load_pem_x509_certificate(files.certificate.read_bytes()).verify_directly_issued_by(root)
    names = x509.load_pem_x509_certificate(server.certificate.read_bytes()).extensions
    names = names.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "gridco"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_a_machine_without_etcd_is_told_the_package(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(etcd_command, "_PLACES", ())
    with pytest.raises(ConfigurationError) as caught:
        etcd_command.find_etcd()
    assert "etcd-server" in caught.value.hint
